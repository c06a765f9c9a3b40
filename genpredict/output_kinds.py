"""What kind of output a file or folder is: only one of its own kind may be replaced."""

from __future__ import annotations

import json
import re
from pathlib import Path

from genpredict.errors import GenpredictError

REMEDY = "name another with -o"
#: The attribute of a Zarr group, or of a netCDF file, that says what wrote it.
KIND = "genpredict_kind"
#: Bytes at the beginning of a file that tell its kind, and of the metadata of a Zarr group.
HEAD = 1 << 16
#: Some punctuation and a word: a column's name, a magic number, a LaTeX command.
_FIRST_WORD = re.compile(rb"[^\w\s]*\s?\w+")


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
