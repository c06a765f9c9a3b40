"""Names given and exchanged in one step of the kernel, and files written through no link.

Whoever is killed, or meets a full disk, leaves the old file or the new one, never half of one.
What lies in a folder may have come out of a stranger's archive: a name that is a symbolic link is
neither written through nor locked.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NOREPLACE, _EXCHANGE = 1, 2  # of renameat2(2)
_HERE = -100  # AT_FDCWD: paths are seen from the working folder
#: What a kernel or a file system says that knows no renameat2: two steps have to do there.
_UNKNOWN = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def open_new(path: Path) -> int:
    """Create a file that is not there yet and open it for writing; follow no link.

    Returns
    -------
    int
        Its descriptor.

    Raises
    ------
    FileExistsError
        When something has this name, be it a link that leads nowhere.
    """
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def fresh_name(path: Path) -> Path:
    """Return a name beside a path that nothing has, and that nobody can foresee."""
    return path.with_name(f".{secrets.token_hex(8)}.partial")


@contextmanager
def replacement(path: Path) -> Iterator[Path]:
    """Let a block write a file beside a path, which then takes its name.

    Parameters
    ----------
    path : Path
        Is replaced when the block ends, also where it is a link: the link goes, not its target.

    Yields
    ------
    Path
        An empty file in the same folder; gone again where the block raises.
    """
    partial = fresh_name(path)
    os.close(open_new(partial))
    try:
        yield partial
    except BaseException:
        with suppress(OSError):  # the folder may have become read-only
            partial.unlink(missing_ok=True)
        raise
    partial.replace(path)


def remove_partials(folder: Path) -> None:
    """Remove what killed writers have left of `replacement` in a folder that nobody else writes."""
    for partial in folder.glob(".*.partial"):
        with suppress(OSError):
            partial.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacement(path) as partial:
        partial.write_text(text, encoding="utf-8")


def exchange(first: Path, second: Path) -> bool:
    """Exchange the names of two files or folders in one step.

    Returns
    -------
    bool
        False where the file system cannot; both are as they were then.
    """
    return _rename(first, second, _EXCHANGE)


def rename_new(old: Path, new: Path) -> None:
    """Rename a file or folder; never replace what has the new name.

    Raises
    ------
    FileExistsError
        When something has it.
    """
    if _rename(old, new, _NOREPLACE):
        return
    if os.path.lexists(new):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new))
    old.rename(new)


def _rename(old: Path, new: Path, flags: int) -> bool:
    """Call renameat2; return False where there is none."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:  # no Linux, or an old C library
        return False
    if call(_HERE, os.fsencode(old), _HERE, os.fsencode(new), flags) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), str(new))
