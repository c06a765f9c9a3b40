"""The files of a store's arrays, looked at before any decoder is: regular, and of possible sizes.

A chunk that is a pipe would wait for ever, a device or a sparse file fill the memory; a few
kilobytes of Zstandard can say that they unpack to a terabyte. A link would let a store that came
out of an archive read, and its writer write, somebody's own files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zarr

from genpredict.row_checks import MOST_CHARACTERS
from genpredict.sidecars import check_regular

#: Bytes of a chunk of texts at most, packed or not.
MOST_TEXT_BYTES = 2**28
#: What packing may add to a chunk, at most (bytes): frames, checksums, what cannot be packed.
PACKING = 2**16
#: Bytes that are read at once whatever lies on the disk, and how many times the bytes on the disk
#: may be read beyond: rows of shallow networks beside a deep one are nearly nothing there.
MOST_READ, MOST_RATIO = 2**30, 256
_ZSTD = b"\x28\xb5\x2f\xfd"


class DamagedChunkError(ValueError):
    """A file of an array that can be none of a store's.

    Parameters
    ----------
    chunk : Path
        The file.
    reason : str
        What is wrong with it.
    """

    def __init__(self, chunk: Path, reason: str) -> None:
        super().__init__(reason)
        self.chunk = chunk


def files_of(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the files below a folder.

    Raises
    ------
    DamagedChunkError
        When one, or a folder, is a link or a pipe.
    """
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_symlink():
            raise DamagedChunkError(Path(entry.path), "a link")
        if entry.is_dir():
            yield from files_of(Path(entry.path))
        elif entry.is_file():
            yield entry
        else:
            raise DamagedChunkError(Path(entry.path), "a pipe or a device")


def check_metadata(folder: Path) -> None:
    """Raise ValueError where the metadata of a group or array are no file that can be theirs."""
    if folder.is_symlink():
        raise ValueError("the folder is a link")
    check_regular(folder / "zarr.json")


def check_chunks(array: zarr.Array[Any], folder: Path, wanted: int) -> None:
    """Raise where chunks of an array are no files that can be its own.

    Parameters
    ----------
    array : zarr.Array
    folder : Path
        Where it lies.
    wanted : int
        Bytes to be read at once.

    Raises
    ------
    DamagedChunkError
        When one is a link or a pipe, or would unpack to more than a chunk has.
    MemoryError
        When far more is to be read than lies on the disk.
    """
    place = folder / "c"
    chunks = list(files_of(place)) if place.is_dir() else []
    elements = 1
    for size in array.chunks:
        elements *= size
    is_text = array.dtype.kind in "TO"
    width = 4 * MOST_CHARACTERS + 4 if is_text else array.dtype.itemsize
    most = min(elements * width, MOST_TEXT_BYTES) if is_text else elements * width
    stored = 0
    for chunk in chunks:
        size = chunk.stat().st_size
        stored += size
        if max(size, _unpacked(Path(chunk.path))) > most + PACKING:
            raise DamagedChunkError(Path(chunk.path), "more bytes than such a chunk can have")
    if wanted > max(MOST_READ, MOST_RATIO * stored):
        raise MemoryError(f"{wanted / 1e9:,.0f} GB of {folder.name}, of which {stored:,} are there")


def _unpacked(chunk: Path) -> int:
    """Return the bytes to which a Zstandard frame says that it unpacks; 0 where it is none.

    Source: RFC 8878, section 3.1.1.1.
    """
    with chunk.open("rb") as file:
        head = file.read(18)
    if not head.startswith(_ZSTD) or len(head) < 6:
        return 0
    descriptor = head[4]
    is_single = bool(descriptor & 0x20)
    width = (1 if is_single else 0, 2, 4, 8)[descriptor >> 6]
    at = 5 + (0 if is_single else 1) + (0, 1, 2, 4)[descriptor & 3]
    return int.from_bytes(head[at : at + width], "little") + (256 if width == 2 else 0)
