"""Weights in ``.safetensors`` files, one file or in shards listed by an index."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genpredict.checkpoints.finding.natural_order import natural_key
from genpredict.checkpoints.formats.torch_files import read_sharded
from genpredict.checkpoints.formats.unpickling import check_file, foreign_format
from genpredict.checkpoints.state_dicts import strip_prefixes
from genpredict.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

SAFETENSORS_SUFFIX = ".safetensors"
MAX_HEADER_BYTES = 100_000_000
"""The format's own limit on the header."""
_NO_HEADER = (
    ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError,
    MemoryError,
)  # fmt: skip


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of one file.

    The format's writer sorts tensors by type and name, so that their order in the network is
    lost. Where a file is sorted so, tensors come in natural order of their names (``blocks.2``
    before ``blocks.10``), else as they lie in the file.

    Raises
    ------
    CheckpointError
        When the file is missing, empty, truncated or not in this format.
    """
    tensors = _load(path)
    if not tensors:
        raise CheckpointError(path, "holds no tensors; save the weights again")
    return _by_depth(strip_prefixes(tensors))


def read_safetensors_shards(index: Path) -> dict[str, Tensor]:
    """Read a checkpoint in several files, as ``*.safetensors.index.json`` lists them."""
    return _by_depth(read_sharded(index, _load))


def _by_depth(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Undo the writer's alphabetical order as far as names tell."""
    by_type: dict[Any, list[str]] = {}
    for name, tensor in tensors.items():
        by_type.setdefault(tensor.dtype, []).append(name)
    if any(names != sorted(names) for names in by_type.values()):
        return tensors
    return {name: tensors[name] for name in sorted(tensors, key=natural_key)}


def _load(path: Path) -> dict[str, Tensor]:
    """Check the header, then let safetensors map the file."""
    import safetensors

    check_file(path)
    header = read_header(path)
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in header}
    except Exception as error:  # safetensors and torch share no base class
        raise CheckpointError(
            path, f"damaged safetensors file ({error}); fetch it again"
        ) from error


def read_header(path: Path) -> dict[str, Any]:
    """Read names, types and positions of the tensors, ordered by position.

    Raises
    ------
    CheckpointError
        When the header is no header, or speaks of more bytes than the file has.
    """
    return read_layout(path)[0]


def read_layout(path: Path) -> tuple[dict[str, Any], dict[str, Any], int]:
    """Read the header, the metadata in it, and where the tensors' bytes begin.

    Raises
    ------
    CheckpointError
        As `read_header`.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = int.from_bytes(head, "little")
        start = file.read(504)
        if not start.startswith(b"{") and (wrong := foreign_format(head + start)):
            raise CheckpointError(path, f"not a safetensors file but {wrong}")
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise CheckpointError(path, _bad_length(length, size))
        file.seek(8)
        text = file.read(length)
    try:
        header = dict(json.loads(text).items())
        metadata = dict(header.pop("__metadata__", {}).items())
        header = dict(sorted(header.items(), key=lambda entry: entry[1]["data_offsets"]))
        end = max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
    except _NO_HEADER as error:
        raise CheckpointError(path, "its header is damaged; fetch it again") from error
    if 8 + length + end != size:
        reason = f"truncated or damaged: {size:,} bytes where its header says {8 + length + end:,}"
        raise CheckpointError(path, f"{reason}; fetch it again")
    return header, metadata, 8 + length


def _bad_length(length: int, size: int) -> str:
    """Word an impossible header length."""
    return (
        f"not a safetensors file, or truncated: its header would take {length:,} of "
        f"{size:,} bytes; fetch it again, or give a torch file the suffix .pt"
    )
