"""Which files a store has taken in, and what they were then: their sizes and their contents.

The group ``files`` of a store, beside its variables: an archive that holds no row that was asked
for leaves no other trace and would be decoded anew at every rerun; a file that has changed since
it was scored shows by its size or, a network trained again being just as large, by its content.
Entries are only ever added, ids last, so that a run that was killed leaves no half of one. Times
are no part of it: a copy of the files makes the same store.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast
from zlib import crc32

import numpy as np
import zarr

from genpredict.schema import LEDGER

#: Entries to a Zarr chunk.
CHUNK = 4096
#: Files up to this size (bytes) are looked at whole, of larger ones so many pieces: the end of a
#: torch file has the checksums of all its parts, that of an archive the checksum of it all.
WHOLE = 1 << 20
PIECE = 1 << 16
_CHECKSUM = "checksum"
#: Checksum of a file of which it is not known: in stores made before it was noted, and where the
#: file is gone.
UNKNOWN = 0
#: Added to a CRC, which may be 0 and is less.
_KNOWN = 1 << 32
#: Arrays and what they hold; ids are written last.
_ARRAYS: dict[str, Any] = {"size": "int64", _CHECKSUM: "int64", "id": str}


class Stamp(NamedTuple):
    """What a file was when it was taken in: bytes, and a number for its content."""

    size: int
    checksum: int = UNKNOWN


def stamp_of(path: Path, size: int) -> Stamp:
    """Return the stamp of a file now.

    A CRC takes a fifth of the time of a cryptographic hash: it tells retrained files, not forgers,
    who could leave alone what is looked at of a large file anyway.

    Parameters
    ----------
    path : Path
        The file, or the first of several that make one checkpoint.
    size : int
        Bytes of all of them.
    """
    piece = memoryview(bytearray(PIECE))  # one for all: new memory costs as much as reading
    checksum = 0
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                return Stamp(size)
            for start in _looked_at(facts.st_size):
                file.seek(start)
                checksum = crc32(piece[: file.readinto(piece)], checksum)
    except OSError:  # gone, or not to be read: its row says so
        return Stamp(size)
    return Stamp(size, _KNOWN + checksum)


def _looked_at(size: int) -> Iterable[int]:
    """Return where the pieces begin that are looked at: all, or so many, the last included.

    Examples
    --------
    >>> list(_looked_at(PIECE + 1)), len(list(_looked_at(5 * WHOLE)))
    ([0, 65536], 16)
    """
    if size <= WHOLE:
        return range(0, size, PIECE)
    count = WHOLE // PIECE
    return [(size - PIECE) * number // (count - 1) for number in range(count)]


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
        group = store.require_group(LEDGER)
        self._arrays: dict[str, zarr.Array[Any]] = {}  # looked up once: each time reads a file
        for name, kind in _ARRAYS.items():
            array: Any = group.get(name)
            if array is None:
                array = group.create_array(
                    name, shape=(0,), chunks=(CHUNK,), dtype=kind, dimension_names=("file",)
                )
            self._arrays[name] = array
        self.stamps = _read(self._arrays)
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
            self._arrays["id"][first:] = np.array(list(new), dtype=object)
            self.stamps |= new

    def _write(self, first: int, stamps: list[Stamp]) -> None:
        for name in Stamp._fields:
            column = np.array([getattr(stamp, name) for stamp in stamps], dtype=np.int64)
            self._arrays[name][first : first + len(stamps)] = column

    def _resize(self, count: int) -> None:
        for array in self._arrays.values():
            if array.shape != (count,):
                array.resize((count,))


def _read(group: zarr.Group | Mapping[str, zarr.Array[Any]]) -> dict[str, Stamp]:
    """Return the complete entries."""
    ids, sizes = (np.asarray(cast("Any", group[name])[:]).tolist() for name in ("id", "size"))
    checksums = []
    if _CHECKSUM in group:
        checksums = np.asarray(cast("Any", group[_CHECKSUM])[:]).tolist()
    checksums += [UNKNOWN] * (len(sizes) - len(checksums))
    whole = ids.index("") if "" in ids else len(ids)
    stamps = map(Stamp, sizes, checksums)
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
    return UNKNOWN not in (old.checksum, new.checksum) and old.checksum != new.checksum


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
