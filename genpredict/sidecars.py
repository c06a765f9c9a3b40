"""Small files beside data, read with bounds: they may come out of a stranger's archive.

A pipe would wait for ever, a device or a sparse file of a terabyte would fill the memory, and a
hundred thousand brackets of JSON end in a traceback. Regular files of a size that such a file can
have are read, nothing else.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

#: Bytes of a small file at most: summaries, settings, identities, metadata of Zarr arrays.
SMALL = 1 << 22


def check_regular(path: Path, *, most: int = SMALL) -> None:
    """Raise ValueError unless a path, links followed, is a regular file of bounded size.

    Raises
    ------
    FileNotFoundError
        When there is none.
    """
    _check(path.stat(), path.name, most)


def read_sidecar(path: Path, *, most: int = SMALL) -> bytes:
    """Read a small file whole.

    Parameters
    ----------
    path : Path
    most : int
        Bytes that it may have.

    Raises
    ------
    ValueError
        When it is no regular file, or larger.
    OSError
        When it is not there or cannot be read.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        _check(os.fstat(handle), path.name, most)
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{path.name} has more than {most:,} bytes")
    return content


def read_json(path: Path, *, most: int = SMALL) -> Any:
    """Read a small file of JSON.

    Raises
    ------
    ValueError
        As `read_sidecar`; when it is no JSON, or nested as no such file is.
    OSError
        When it is not there or cannot be read.
    """
    try:
        return json.loads(read_sidecar(path, most=most))
    except RecursionError:
        raise ValueError(f"{path.name} is nested deeper than any such file") from None


def _check(status: os.stat_result, name: str, most: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{name} is a folder, a pipe or a device, not a file")
    if status.st_size > most:
        raise ValueError(f"{name} has {status.st_size:,} bytes, more than the {most:,} it can need")
