"""One writer at a time: a locked file that names its owner and outlives no crash.

The lock is the kernel's (flock), so that it goes with its owner however that ends, and two
processes never both believe to have taken it over. What stands in the file is for people. A file
of that name that is none of ours, or a link to one, is neither locked nor written to.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genpredict.errors import StoreError

#: Waits (seconds) before a lock is believed to be held by a writer: others look for microseconds.
LOOKERS = (0.01, 0.1)


_MOVE = "move it away, or name another output"
#: Bytes of a lock file at most: a name of a host, a number. A longer file is somebody's own, such
#: as the poetry.lock beside a cache that is called poetry.
MOST_BYTES = 512
#: How lock files are opened: through no link, never waiting at a pipe.
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LockedError(StoreError):
    """A store, or a part of one, that another process is writing to."""


def lock_of(path: Path) -> Path:
    """Return the lock file of a store: beside it, for it is no part of the data."""
    return path.with_name(f"{path.name}.lock")


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
    LockedError
        When another process holds it, naming that process, its host and its last sign of life.
    StoreError
        When the file system has no locks, or a file of this name is no lock. One that a dead
        owner left is taken over.
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


def check_unlocked(path: Path) -> None:
    """Raise LockedError while another process holds a lock file; leave the file as it is.

    Raises
    ------
    LockedError, StoreError
        As `locked`.
    """
    try:
        handle = os.open(path, os.O_RDONLY | _FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _no_lock(path, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        os.close(handle)


def _acquire(path: Path) -> int:
    """Open the lock file and lock it; return its descriptor."""
    while True:
        handle = _open(path)
        try:
            _lock(handle)
        except OSError as error:
            os.close(handle)
            raise _refusal(path, error) from error
        if _is_same_file(handle, path):
            return handle
        os.close(handle)  # its owner removed it between our open and our lock


def _open(path: Path) -> int:
    """Open the lock file, made where there is none; return its descriptor."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_RDWR | _FLAGS, 0o644)
    except OSError as error:
        raise _no_lock(path, error) from error
    status = os.fstat(handle)
    # one with a second name, or that says more, would be a loss to somebody
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1 or status.st_size > MOST_BYTES:
        os.close(handle)
        raise StoreError(f"{path}: is no lock of genpredict; {_MOVE}")
    return handle


def _no_lock(path: Path, error: OSError) -> Exception:
    """Return what to raise where a lock file cannot be opened: for a link, what to do about it."""
    if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
        return StoreError(f"{path}: is a link, a folder or a pipe, not a lock; {_MOVE}")
    return error


def _lock(handle: int) -> None:
    """Lock a file, past those who only look whether it is locked."""
    for wait in LOOKERS:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(wait)
    return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


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
    return LockedError(
        f"{store}: {who} is writing to it; wait for it to end, or write to another store"
    )
