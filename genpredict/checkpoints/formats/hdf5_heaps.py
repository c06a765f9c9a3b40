"""Damage in HDF5 files on which the library that reads them would never come to an end.

Texts of variable length lie in global heaps: objects in a row, the last of which is what is left
free. The library goes to the next object by the size of the one before; a free object of size 0
leads it back to itself, without end [1]_; so heaps are checked here, before a file is opened.

References
----------
.. [1] The HDF Group, "HDF5 File Format Specification Version 3.0", section III.E, Global Heap.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""Of the superblock."""
FIRST_USER_BLOCK = 512
"""Bytes of a user's own before the superblock: none, so many, or a power of two times so many."""
_HEAP = b"GCOL\x01"
_HEADER, _OBJECT = 16, 16
"""Bytes of a heap's header and of an object's, where sizes take eight bytes."""
_PIECE = 2**24
_SIZES = {0: 13, 1: 13, 2: 9, 3: 9}
"""Where the superblock says how many bytes offsets and sizes take, by its version."""


def find_superblock(file: BinaryIO) -> int | None:
    """Return where the superblock of an HDF5 file begins, as the library looks for it.

    Parameters
    ----------
    file : BinaryIO

    Returns
    -------
    int or None
        None where the file has none.
    """
    size = file.seek(0, 2)
    position = 0
    while position + len(SIGNATURE) <= size:
        file.seek(position)
        if file.read(len(SIGNATURE)) == SIGNATURE:
            return position
        position = max(FIRST_USER_BLOCK, 2 * position)
    return None


def check_heaps(file: BinaryIO) -> None:
    """Raise ValueError where a global heap has no end.

    Parameters
    ----------
    file : BinaryIO
        An HDF5 file, which stands at its beginning afterwards.
    """
    size = file.seek(0, 2)
    file.seek(find_superblock(file) or 0)
    start = file.read(24)
    place = _SIZES.get(start[8]) if len(start) == 24 else None
    if place is None or start[place : place + 2] != b"\x08\x08":
        raise ValueError("sizes of other than eight bytes")
    left = size  # heaps do not overlap
    for position in _heaps(file):
        file.seek(position + 8)
        length = int.from_bytes(file.read(8), "little")
        if position + length > size:
            continue  # refused by the library
        left -= length
        if left < 0:
            raise ValueError("heaps that overlap")
        file.seek(position)
        _check_objects(file.read(length))
    file.seek(0)


def _heaps(file: BinaryIO) -> Iterator[int]:
    """Yield the positions of what looks like a global heap."""
    file.seek(0)
    front, before = b"", 0
    while piece := file.read(_PIECE):
        after = file.tell()
        searched = front + piece
        found = searched.find(_HEAP)
        while found >= 0:
            yield before + found
            found = searched.find(_HEAP, found + 1)
        front = searched[1 - len(_HEAP) :]
        before = after - len(front)
        file.seek(after)


def _check_objects(heap: bytes) -> None:
    """Go from object to object, as the library does."""
    position = _HEADER
    while position + _OBJECT <= len(heap):
        index = int.from_bytes(heap[position : position + 2], "little")
        size = int.from_bytes(heap[position + 8 : position + 16], "little")
        if index == 0 and size == 0:
            raise ValueError("a heap without an end")
        position += size if index == 0 else _OBJECT + (size + 7) // 8 * 8
