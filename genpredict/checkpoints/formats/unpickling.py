"""What every reader of files checks first.

Every pickle that genpredict opens comes through `torch_containers`, `genpredict.checkpoints.nats`
or `genpredict.datasets.pickles`. A pickle is a program; what reads it here executes only an
allow-list of harmless steps. Nothing named by a file is ever imported or called.
"""

from __future__ import annotations

import stat
from pathlib import Path

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
