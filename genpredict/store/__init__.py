"""Stage 4: scores on disk, one labelled Dataset in one Zarr v3 store.

`arrays` says which arrays a store holds and checks them, `reading` opens them, `writing` adds rows
one by one, and `ledger` remembers which files were taken in.
"""

from genpredict.store.joining import join_scores, open_families
from genpredict.store.reading import open_scores
from genpredict.store.saving import write_scores

__all__ = ["open_scores", "write_scores", "join_scores", "open_families"]
