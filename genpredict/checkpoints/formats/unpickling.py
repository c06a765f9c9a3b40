"""What every reader of files checks first; torch's own safe reader, for storages in archives.

Every pickle that genpredict opens comes through `torch_containers`, `genpredict.checkpoints.nats`
or `genpredict.datasets.pickles`. A pickle is a program; what reads it here executes only an
allow-list of harmless steps. Nothing named by a file is ever imported or called.
"""

from __future__ import annotations

import stat
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

from genpredict.checkpoints.formats.pickle_costs import (
    TOO_COSTLY,
    RefusedPickleError,
    follow_pickles,
)
from genpredict.errors import CheckpointError

LEGACY_PICKLES = 5
"""Magic number, protocol, platform, the object and the names of its storages."""

RESAVE = "re-save the weights alone with torch.save(model.state_dict(), path)"


def check_file(path: Path) -> None:
    """Raise CheckpointError unless the path is a readable, non-empty file."""
    try:
        facts = path.stat()
        if stat.S_ISDIR(facts.st_mode):
            raise CheckpointError(path, "is a folder, not a file; pass it as a SOURCE of its own")
        if not stat.S_ISREG(facts.st_mode):
            raise CheckpointError(path, "is a pipe or device, not a file; save it to disk first")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise CheckpointError(path, "no such file; check the path") from None
    except OSError as error:
        raise CheckpointError(path, f"cannot be read: {error.strerror}") from error
    if facts.st_size == 0:
        raise CheckpointError(path, "is empty (0 bytes); fetch or save it again")


def foreign_format(head: bytes) -> str | None:
    """Name the format behind a file's first bytes where it is a well-known wrong one."""
    start = head.lstrip()[:64].lower()
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the weights; run git lfs pull"
    if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "a web page, probably a failed download; fetch the file again"
    if head.startswith(b"\x89HDF\r\n"):
        return "an HDF5 file (Keras?); save the weights as .safetensors or with torch.save"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32:
        return "a safetensors file; give it the suffix .safetensors"
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")):
        return "a compressed file; unpack it first"
    return None


def torch_load(source: Path | BinaryIO, *, mmap: bool = False) -> Any:
    """Call torch.load in its safe mode, on the CPU; raises whatever torch raises.

    Raises
    ------
    RefusedPickleError
        Where torch would be busy with keys for ages.
    """
    import torch

    if isinstance(source, Path):
        with source.open("rb") as file:
            _check_costs(file)
    else:
        _check_costs(source)
        source.seek(0)
    with warnings.catch_warnings():
        # about pickle protocols and storage classes: nothing that a reader of weights can act on
        warnings.simplefilter("ignore")
        return torch.load(source, map_location="cpu", weights_only=True, mmap=mmap)


def _check_costs(file: BinaryIO) -> None:
    """Raise RefusedPickleError where the pickles of a torch file hold keys that take ages to hash.

    What is wrong with them in other ways is torch's to say.
    """
    try:
        if file.read(2) == b"PK":
            with zipfile.ZipFile(file) as archive:
                for entry in archive.infolist():
                    if entry.filename.rpartition("/")[2] == "data.pkl":
                        with archive.open(entry) as pickled:
                            follow_pickles(cast("BinaryIO", pickled), 1)
        else:
            file.seek(0)
            follow_pickles(file, LEGACY_PICKLES)
    except RefusedPickleError as error:
        if str(error) == TOO_COSTLY:
            raise
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, zlib.error):
        return
