"""One writer at a time: a locked file that names its owner and outlives no crash.

The lock is the kernel's (flock), so that it goes with its owner however that ends, and two
processes never both believe to have taken it over. What stands in the file is for people.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genpredict.errors import StoreError


@contextmanager
def locked(path: Path) -> Iterator[Path]:
    """Hold a lock file for the time of a block.

    Parameters
    ----------
    path : Path
        The lock file; its folder exists. Touched now and then during a long block, it shows
        others that its owner lives.

    Yields
    ------
    Path
        The same.

    Raises
    ------
    StoreError
        When another process holds it, naming that process, its host and its last sign of life; or
        when the file system has no locks. A file that a dead owner left is taken over.
    """
    handle = _acquire(path)
    try:
        owner = {"host": socket.gethostname(), "pid": os.getpid()}
        os.ftruncate(handle, 0)
        os.write(handle, json.dumps(owner).encode())
        yield path
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _acquire(path: Path) -> int:
    """Open the lock file and lock it; return its descriptor."""
    while True:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise _refusal(path, error) from error
        if _is_same_file(handle, path):
            return handle
        os.close(handle)  # its owner removed it between our open and our lock


def _is_same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _refusal(path: Path, error: OSError) -> StoreError:
    """Say who holds the lock, or that there are no locks here."""
    store = path.with_suffix("")
    if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
        return StoreError(
            f"{store}: this file system has no locks ({error.strerror}); put the store on another, "
            f"such as a local disk"
        )
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        age = f"{time.time() - path.stat().st_mtime:.0f} s ago"
        who = f"process {owner['pid']} on host {owner['host']} (last sign of life {age})"
    except (OSError, ValueError, TypeError, KeyError):
        who = "another process"
    return StoreError(
        f"{store}: {who} is writing to it; wait for it to end, or write to another store"
    )
