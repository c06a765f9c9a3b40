"""What a source breaks into before anything is read: one Item a file or archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from genpredict.checkpoints.checkpoint import Checkpoint, Metadata

if TYPE_CHECKING:
    from torch import Tensor

Reader = Callable[[str, Path], Iterator[Checkpoint]]
"""Yields the checkpoints of a file, given the item's id and path; must be picklable."""


@dataclass(frozen=True)
class Item:
    """One file (or archive, or set of shards) that holds one or more checkpoints.

    Picklable and small, so that worker processes can be handed items and read them there.

    Parameters
    ----------
    id : str
        The checkpoint's id where ``rows_known``, else what leads the ids of its checkpoints.
    path : Path
        The file; the index file of a sharded checkpoint.
    size : int
        Bytes on disk, all shards together.
    rows_known : bool
        True where the item is exactly one checkpoint with the item's id; False for an archive.
    reader : callable
        Reads it.
    metadata : mapping
        What a manifest says; overrides what the file says.
    network : str
        Which of several networks in the file.
    """

    id: str
    path: Path
    size: int
    rows_known: bool
    reader: Reader = field(repr=False, compare=False)
    metadata: Metadata = field(default_factory=dict, repr=False)
    network: str = ""

    @property
    def is_whole_space(self) -> bool:
        """Whether it is the single file that holds a whole search space."""
        return not self.rows_known and not self.path.name[:6].isdigit()

    def read(self) -> Iterator[Checkpoint]:
        """Yield the checkpoints inside; a single file is opened only when its tensors are loaded.

        Raises
        ------
        CheckpointError
            When an archive cannot be read; `id` then names the failed row.
        """
        for checkpoint in self.reader(self.id, self.path):
            if self.metadata:
                merged = {**checkpoint.metadata, **self.metadata}
                yield replace(checkpoint, metadata=merged)
            else:
                yield checkpoint


def read_single(
    item_id: str, path: Path, *, load: Callable[[Path], Mapping[str, Tensor]]
) -> Iterator[Checkpoint]:
    """Yield the one checkpoint of a file, its tensors to be loaded later by ``load``."""
    yield Checkpoint(item_id, str(path), {}, partial(load, path))
