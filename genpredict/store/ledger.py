"""Which files a store has taken in, and what they were then: their sizes and their contents.

The group ``files`` of a store, beside its variables: an archive that holds no row that was asked
for leaves no other trace and would be decoded anew at every rerun; a file that has changed since
it was scored shows by its size or, a network trained again being just as large, by its content.
Entries are only ever added, ids last, so that a run that was killed leaves no half of one. Times
are no part of it: a copy of the files makes the same store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import zarr

from genpredict.schema import LEDGER

#: Entries to a Zarr chunk.
CHUNK = 4096
#: Files up to this size (bytes) are looked at whole, of larger ones so many pieces: the end of a
#: torch file has the checksums of all its parts, that of an archive the checksum of it all.
WHOLE = 1 << 20
PIECES, PIECE = 16, 1 << 16
_CONTENT = "size_and_content"
#: Content of a file of which it is not known: in stores made before it was noted, and where the
#: file is gone.
UNKNOWN = 0
#: Arrays and what they hold; ids are written last.
_ARRAYS: dict[str, Any] = {"size": "int64", "size_and_content": "int64", "id": str}


class Stamp(NamedTuple):
    """What a file was when it was taken in: bytes, and a number for its content."""

    size: int
    size_and_content: int = UNKNOWN


def stamp_of(path: Path, size: int) -> Stamp:
    """Return the stamp of a file now.

    Parameters
    ----------
    path : Path
        The file, or the first of several that make one checkpoint.
    size : int
        Bytes of all of them.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.blake2b(str(size).encode(), digest_size=8)
            for start, count in _looked_at(path.stat().st_size):
                file.seek(start)
                digest.update(file.read(count))
    except OSError:  # gone, or not to be read: its row says so
        return Stamp(size)
    return Stamp(size, int.from_bytes(digest.digest(), "little", signed=True) or 1)


def _looked_at(size: int) -> Iterator[tuple[int, int]]:
    """Yield beginnings and lengths of what is looked at: everything, or pieces, the last included.

    Examples
    --------
    >>> list(_looked_at(10)), len(list(_looked_at(WHOLE + 1)))
    ([(0, 1048576)], 16)
    """
    if size <= WHOLE:
        yield 0, WHOLE
        return
    for number in range(PIECES):
        yield (size - PIECE) * number // (PIECES - 1), PIECE


class Ledger:
    """Files that are done, in the order they were.

    Parameters
    ----------
    store : zarr.Group
        The store, locked by its writer.

    Attributes
    ----------
    stamps : dict of str to Stamp
        What each file was, by the id of its item.
    """

    def __init__(self, store: zarr.Group) -> None:
        self._group = store.require_group(LEDGER)
        for name, kind in _ARRAYS.items():
            if name not in self._group:
                self._group.create_array(
                    name, shape=(0,), chunks=(CHUNK,), dtype=kind, dimension_names=("file",)
                )
        self.stamps = _read(self._group)
        self._resize(len(self.stamps))

    def add(self, stamps: Mapping[str, Stamp]) -> None:
        """Note files that are done; for one that is known already, what it is now."""
        if any(self.stamps.get(name, stamp) != stamp for name, stamp in stamps.items()):
            self.stamps |= {name: stamp for name, stamp in stamps.items() if name in self.stamps}
            self._write(0, list(self.stamps.values()))
        new = {name: stamp for name, stamp in stamps.items() if name not in self.stamps}
        if new:
            first = len(self.stamps)
            self._resize(first + len(new))
            self._write(first, list(new.values()))
            self._array("id")[first:] = np.array(list(new), dtype=object)
            self.stamps |= new

    def _write(self, first: int, stamps: list[Stamp]) -> None:
        for name in Stamp._fields:
            column = np.array([getattr(stamp, name) for stamp in stamps], dtype=np.int64)
            self._array(name)[first : first + len(stamps)] = column

    def _resize(self, count: int) -> None:
        for name in _ARRAYS:
            if self._array(name).shape != (count,):
                self._array(name).resize((count,))

    def _array(self, name: str) -> zarr.Array[Any]:
        return cast("zarr.Array[Any]", self._group[name])


def _read(group: zarr.Group) -> dict[str, Stamp]:
    """Return the complete entries."""
    ids, sizes = (np.asarray(cast("Any", group[name])[:]).tolist() for name in ("id", "size"))
    contents = []
    if _CONTENT in group:
        contents = np.asarray(cast("Any", group[_CONTENT])[:]).tolist()
    contents += [UNKNOWN] * (len(sizes) - len(contents))
    whole = ids.index("") if "" in ids else len(ids)
    stamps = map(Stamp, sizes, contents)
    return dict(zip(ids[:whole], stamps, strict=False))


def read_ledger(store: zarr.Group) -> dict[str, Stamp]:
    """Return the files that a store has taken in; none for a store that keeps no account."""
    if LEDGER not in store:
        return {}
    try:
        return _read(cast("zarr.Group", store[LEDGER]))
    except KeyError:  # made a moment ago
        return {}


def _is_other(old: Stamp, new: Stamp) -> bool:
    """Return whether two files of one size are known to differ."""
    return UNKNOWN not in (old[1], new[1]) and old[1] != new[1]


def changed(ledger: Mapping[str, Stamp], items: Iterable[tuple[str, Path, int]]) -> list[str]:
    """Say which files are not what they were when they were scored.

    Parameters
    ----------
    ledger : mapping of str to Stamp
    items : iterable of (str, Path, int)
        Ids, files, and their sizes now.
    """
    warnings = []
    for name, path, size in items:
        old = ledger.get(name)
        if old is None:
            continue
        if old.size != size:
            what = f"{old.size:,} bytes then, {size:,} now"
        elif _is_other(old, stamp_of(path, size)):
            what = f"{size:,} bytes then and now, but other ones in {path}"
        else:
            continue
        warnings.append(
            f"{name}: has changed since it was scored ({what}); its rows are those of the old "
            f"file, or of another one of this name: score it into another store, or --overwrite"
        )
    return warnings
