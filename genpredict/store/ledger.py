"""Which files a store has taken in, and their sizes then.

The group ``files`` of a store, beside its variables: an archive that holds no row that was asked
for leaves no other trace and would be decoded anew at every rerun; a file that has changed since
it was scored shows by its size. Entries are only ever added, ids last, so that a run that was
killed leaves no half of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np
import zarr

from genpredict.schema import LEDGER

#: Entries to a Zarr chunk.
CHUNK = 4096


class Ledger:
    """Files that are done, in the order they were.

    Parameters
    ----------
    store : zarr.Group
        The store, locked by its writer.

    Attributes
    ----------
    sizes : dict of str to int
        Bytes of each file by the id of its item.
    """

    def __init__(self, store: zarr.Group) -> None:
        self._group = store.require_group(LEDGER)
        for name, kind in (("size", "int64"), ("id", str)):
            if name not in self._group:
                self._group.create_array(
                    name, shape=(0,), chunks=(CHUNK,), dtype=kind, dimension_names=("file",)
                )
        self.sizes = _read(self._group)
        self._resize(len(self.sizes))

    def add(self, sizes: Mapping[str, int]) -> None:
        """Note files that are done; for one that is known already, its size now."""
        for name in sizes.keys() & self.sizes.keys():
            if self.sizes[name] != sizes[name]:
                at = list(self.sizes).index(name)
                self._array("size")[at : at + 1] = np.array([sizes[name]])
        new = {name: size for name, size in sizes.items() if name not in self.sizes}
        if new:
            first = len(self.sizes)
            self._resize(first + len(new))
            self._array("size")[first:] = np.array(list(new.values()), dtype=np.int64)
            self._array("id")[first:] = np.array(list(new), dtype=object)
        self.sizes |= sizes

    def _resize(self, count: int) -> None:
        for name in ("size", "id"):
            if self._array(name).shape != (count,):
                self._array(name).resize((count,))

    def _array(self, name: str) -> zarr.Array[Any]:
        return cast("zarr.Array[Any]", self._group[name])


def _read(group: zarr.Group) -> dict[str, int]:
    """Return the complete entries."""
    ids, sizes = (np.asarray(cast("Any", group[name])[:]).tolist() for name in ("id", "size"))
    whole = ids.index("") if "" in ids else len(ids)
    return dict(zip(ids[:whole], sizes, strict=False))


def read_ledger(store: zarr.Group) -> dict[str, int]:
    """Return the files that a store has taken in; none for a store that keeps no account."""
    if LEDGER not in store:
        return {}
    try:
        return _read(cast("zarr.Group", store[LEDGER]))
    except KeyError:  # made a moment ago
        return {}


def changed(ledger: Mapping[str, int], items: Iterable[tuple[str, int]]) -> list[str]:
    """Say which files are not what they were when they were scored.

    Parameters
    ----------
    ledger : mapping of str to int
    items : iterable of (str, int)
        Ids and sizes now.
    """
    return [
        f"{name}: has changed since it was scored ({ledger[name]:,} bytes then, {size:,} now); "
        f"its rows are those of the old file: score it into another store, or --overwrite"
        for name, size in items
        if ledger.get(name, size) != size
    ]
