"""A limit on the memory that reading one hostile file can take.

A pickle of a few bytes can ask for any amount: an entry number 4,000,000,000 of the memo makes
Python's own unpickler reserve and fill 64 GB at once. No check of ours stands in between; the
operating system's limit on the address space does, and turns it into a MemoryError.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = threading.Lock()
_STATM = Path("/proc/self/statm")
_depth = 0
_before: tuple[int, int] = (0, 0)


def room_for(size: int) -> int:
    """Return the bytes that reading a file of arrays may take.

    Parameters
    ----------
    size : int
        Bytes of the file, and of those that it refers to.
    """
    return 3 * size + 2**30  # itself, its parts, a copy of them; libraries


@contextmanager
def limited_memory(room: int) -> Iterator[None]:
    """Allow this process so many bytes more than it has, for the time of a block.

    Where the system has no such limit (it is Linux's), nothing happens. Blocks on several
    threads share the limit of the first.

    Parameters
    ----------
    room : int
        Bytes.
    """
    _enter(room)
    try:
        yield
    finally:
        _leave()


def _enter(room: int) -> None:
    global _depth, _before
    if not _STATM.exists():
        return
    import resource

    with _LOCK:
        _depth += 1
        if _depth == 1:
            _before = resource.getrlimit(resource.RLIMIT_AS)
            used = int(_STATM.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            soft = used + room
            for limit in _before:
                soft = soft if limit == resource.RLIM_INFINITY else min(soft, limit)
            resource.setrlimit(resource.RLIMIT_AS, (soft, _before[1]))


def _leave() -> None:
    global _depth
    if not _STATM.exists():
        return
    import resource

    with _LOCK:
        _depth -= 1
        if _depth == 0:
            resource.setrlimit(resource.RLIMIT_AS, _before)
