"""Outputs of commands: written beside their name and renamed; nothing of others is replaced.

Every ``-o`` of every command that makes a file or a Zarr folder goes through here::

    check_output(output, overwrite=overwrite, inputs=(store,))  # at the door, before the work
    with new_file(output, overwrite=overwrite, inputs=(store,)) as partial:
        table.to_csv(partial, index=False)

What holds then: the name has the old output or the new one, whole, whatever happens meanwhile (a
kill, a full disk); an output that exists is replaced with ``overwrite`` alone, and then only by one
of its own kind: a file that begins with the same word (the first heading of a CSV table, the magic
number of a PNG), or, for folders, a Zarr group with the same `KIND`. What a command reads is never
its output, a store that is being written is left alone, and links are not followed. Devices and
pipes, such as /dev/stdout, are written to directly.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from genpredict.atomic import exchange, open_new, rename_new
from genpredict.errors import GenpredictError
from genpredict.locking import check_unlocked, lock_of, locked
from genpredict.output_kinds import REMEDY, check_kind, is_stream, kind_of


def check_output(path: Path, *, overwrite: bool = False, inputs: Iterable[Path] = ()) -> None:
    """Refuse an output that may not be written, before work is done for it.

    Parameters
    ----------
    path : Path
        The output.
    overwrite : bool
        It may replace one of its own kind.
    inputs : iterable of Path
        What the command reads.

    Raises
    ------
    GenpredictError
        When it exists and may not be replaced, is an input, lies within a Zarr store, is a
        symbolic link, or is being written to.
    """
    if is_stream(path):
        return
    if path.is_symlink():
        raise GenpredictError(
            f"{path}: is a link, and outputs follow none; name the file it leads to"
        )
    for source in inputs:
        if _is_same(path, source):
            raise GenpredictError(f"{path}: is what this command reads; {REMEDY}")
    for folder in path.absolute().parents:
        if (folder / "zarr.json").exists():
            raise GenpredictError(f"{path}: lies within the store {folder}; {REMEDY}")
    check_unlocked(lock_of(path))
    if not overwrite and _holds_something(path):
        raise GenpredictError(f"{path}: exists; {REMEDY}, or --overwrite this one")


@contextmanager
def new_file(
    path: Path,
    *,
    overwrite: bool = False,
    inputs: Iterable[Path] = (),
    mark: bytes = b"",
    make_folder: bool = True,
) -> Iterator[Path]:
    """Let a block write an output file; give it its name when it is whole.

    Parameters
    ----------
    path : Path
        The output.
    overwrite : bool
        Replace a file that begins with the same word.
    inputs : iterable of Path
        What the command reads.
    mark : bytes
        Must stand in the first or last 64 KiB of a file that is replaced: for kinds whose first
        word says too little.
    make_folder : bool
        Make the folder first.

    Yields
    ------
    Path
        The file to write.

    Raises
    ------
    GenpredictError
        As of `check_output`; when an existing file is of another kind; instead of an OSError,
        with the file, the reason and the remedy. What was there before is there then.
    """
    check_output(path, overwrite=overwrite, inputs=inputs)
    with remedy_named(path):
        if is_stream(path):
            yield path
            return
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        partial, handle = _fresh(path)
        try:
            yield partial
            os.fsync(handle)
            if _holds_something(path):
                check_kind(path, partial, mark)
            _take_name(partial, path, overwrite)
        finally:
            os.close(handle)
            with suppress(OSError):  # the disk may have become read-only
                partial.unlink(missing_ok=True)


@contextmanager
def new_folder(
    path: Path, *, overwrite: bool = False, inputs: Iterable[Path] = ()
) -> Iterator[Path]:
    """Let a block write an output that is a Zarr group; give it its name when it is whole.

    Parameters
    ----------
    path : Path
        The output; its folder is made. It is locked meanwhile.
    overwrite : bool
        Replace a Zarr group of the same `KIND`.
    inputs : iterable of Path
        What the command reads.

    Yields
    ------
    Path
        An empty folder to write to.

    Raises
    ------
    GenpredictError
        As of `new_file`.
    """
    check_output(path, overwrite=overwrite, inputs=inputs)
    with remedy_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(lock_of(path)):
            half = _beside(path, "partial")
            shutil.rmtree(half, ignore_errors=True)  # of one that was killed
            half.mkdir()
            try:
                yield half
                if path.exists():
                    check_output_again(path, half, overwrite=overwrite)
                replace_folder(half, path)
            finally:
                shutil.rmtree(half, ignore_errors=True)


def check_output_again(path: Path, new: Path, *, overwrite: bool) -> None:
    """Refuse to replace a folder that has come meanwhile, or is of another kind."""
    if not overwrite:
        raise GenpredictError(f"{path}: exists; {REMEDY}, or --overwrite this one")
    kind = kind_of(new)
    if kind is None or kind_of(path) != kind:
        raise GenpredictError(
            f"{path}: is no Zarr folder of {kind}, which --overwrite may replace; {REMEDY}"
        )


def replace_folder(new: Path, path: Path) -> None:
    """Give a complete folder its name; an old one of that name goes away.

    The two exchange their names in one step where the file system can. Where it cannot, the old
    one takes the name ``.NAME.replaced`` first, for `restore_replaced`.
    """
    if not path.exists():
        new.rename(path)
        return
    old = replaced(path)
    shutil.rmtree(old, ignore_errors=True)
    if exchange(new, path):
        new.rename(old)
    else:
        path.rename(old)
        new.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def restore_replaced(path: Path) -> None:
    """Give an old folder its name back, where the new one was killed before it had taken it."""
    old = replaced(path)
    if not os.path.lexists(path) and old.is_dir() and not old.is_symlink():
        rename_new(old, path)


def _is_same(path: Path, source: Path) -> bool:
    with suppress(OSError):
        return path.samefile(source)
    return path.resolve() == source.resolve()


def _holds_something(path: Path) -> bool:
    """Return whether there is something to lose: an empty file is nothing."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return not stat.S_ISREG(status.st_mode) or status.st_size > 0


def _fresh(path: Path) -> tuple[Path, int]:
    """Make an empty file beside an output and lock it; remove those of writers that were killed."""
    stem = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]}"
    for stale in path.parent.glob(f"{stem}.*.partial"):
        with suppress(OSError):  # one that is locked is being written
            handle = os.open(stale, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                stale.unlink()
            finally:
                os.close(handle)
    partial = path.with_name(f"{stem}.{os.urandom(4).hex()}.partial")
    handle = open_new(partial)
    with suppress(OSError):  # a file system without locks: leftovers stay
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return partial, handle


def replaced(path: Path) -> Path:
    """Return the hidden name of an old folder while a new one takes its name in two steps."""
    return _beside(path, "replaced")


def _beside(path: Path, what: str) -> Path:
    """Return the hidden name of a folder on its way to, or from, its own."""
    return path.with_name(f".{path.name}.{what}")


def _take_name(partial: Path, path: Path, overwrite: bool) -> None:
    if overwrite or os.path.lexists(path):  # an empty file
        partial.replace(path)
        return
    rename_new(partial, path)


@contextmanager
def remedy_named(path: Path) -> Iterator[None]:
    """Say what to do where an output cannot be written.

    Raises
    ------
    GenpredictError
        Instead of an OSError in the block: names the output, the reason and the remedy.
    """
    try:
        yield
    except (BrokenPipeError, GenpredictError):  # BrokenPipeError: of -o /dev/stdout | head
        raise
    except OSError as error:
        if isinstance(error, FileExistsError) and error.filename == str(path):
            raise GenpredictError(f"{path}: has come meanwhile; {REMEDY}") from error
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "free some space, or" if full else "check the folder and its permissions, or"
        raise GenpredictError(
            f"{path}: cannot write: {error.strerror or error}; {remedy} {REMEDY}"
        ) from error
