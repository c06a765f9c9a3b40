"""What kind of output a file or folder is: only one of its own kind may be replaced."""

from __future__ import annotations

import json
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from genpredict.errors import GenpredictError

REMEDY = "name another with -o"
#: The attribute of a Zarr group, or of a netCDF file, that says what wrote it.
KIND = "genpredict_kind"
#: Bytes at the beginning of a file that tell its kind, and of the metadata of a Zarr group.
HEAD = 1 << 16
#: Some punctuation and a word: a column's name, a magic number, a LaTeX command.
_FIRST_WORD = re.compile(rb"[^\w\s]*\s?\w+")
#: proc(5): where the open files of a process, or of one of its threads, have names.
_OPEN_FILES = re.compile(r"/proc/\d+/(?:task/\d+/)?fd")
#: As many links as the kernel follows.
_MOST_LINKS = 40


def is_stream(path: Path) -> bool:
    """Return whether a path is a device or a pipe, or leads to an open file of this process."""
    if _is_open_file(path.absolute()):
        return True
    with suppress(OSError):
        kind = path.stat().st_mode
        return not (stat.S_ISREG(kind) or stat.S_ISDIR(kind))
    return False


def _is_open_file(path: Path) -> bool:
    """Return whether a path is one of the system's names for what this process has open.

    /dev/stdout leads to /proc/self/fd/1, be that a plain file; /dev/shm holds files as any folder.
    """
    if path.parts[1:2] not in (("dev",), ("proc",)):
        return False
    for _ in range(_MOST_LINKS):
        if _OPEN_FILES.fullmatch(os.path.realpath(path.parent)):
            return path.exists()
        if not path.is_symlink():
            return False
        path = path.parent / path.readlink()
    return False


def check_kind(path: Path, new: Path, mark: bytes) -> None:
    """Refuse to replace what does not begin as the new file does."""
    if path.is_dir():
        raise GenpredictError(f"{path}: is a folder; {REMEDY}")
    old, fresh = _ends(path), _ends(new)
    first, expected = (_FIRST_WORD.match(head) for head in (old, fresh))
    alike = first is not None and expected is not None and first.group() == expected.group()
    if not alike or mark not in old:
        raise GenpredictError(
            f"{path}: is none that this command has made (it begins with {old[:16]!r}), which "
            f"--overwrite may replace; {REMEDY}, or delete it yourself"
        )


def _ends(path: Path) -> bytes:
    """Return the first and the last bytes of a file: HDF5 keeps attributes at its end."""
    with path.open("rb") as file:
        head = file.read(HEAD)
        file.seek(max(HEAD, path.stat().st_size - HEAD))
        return head + file.read(HEAD)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


def kind_of(folder: Path) -> str | None:
    """Return what made a Zarr group, None where it does not say so."""
    try:
        kind = json.loads(_head(folder / "zarr.json"))["attributes"].get(KIND)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return kind if isinstance(kind, str) else None
