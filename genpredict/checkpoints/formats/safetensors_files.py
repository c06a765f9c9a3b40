"""Weights in ``.safetensors`` files, one file or in shards listed by an index."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from genpredict.checkpoints.finding.natural_order import natural_key
from genpredict.checkpoints.formats.torch_files import read_sharded
from genpredict.checkpoints.formats.unpickling import check_file, foreign_format
from genpredict.checkpoints.named_tensors import strip_prefixes
from genpredict.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

MAX_HEADER_BYTES = 2**25
"""A network of 100,000 tensors takes a third of that; Python takes thirty times as much to read
it. The format's own limit is 100 MB."""
DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64",
    "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool", "U16": "uint16",
    "U32": "uint32", "U64": "uint64", "C64": "complex64", "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu",
}  # fmt: skip
"""Types of elements by the format's codes, as torch calls them."""
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


def read_safetensors_shards(index: Path, *, within: Path | None = None) -> dict[str, Tensor]:
    """Read a checkpoint in several files, as ``*.safetensors.index.json`` lists them.

    Parameters
    ----------
    index : Path
        The index file.
    within : Path, optional
        As of `read_sharded`.
    """
    return _by_depth(read_sharded(index, _load, within=within))


def _by_depth(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Undo the writer's alphabetical order as far as names tell."""
    by_type: dict[Any, list[str]] = {}
    for name, tensor in tensors.items():
        by_type.setdefault(tensor.dtype, []).append(name)
    if any(names != sorted(names) for names in by_type.values()):
        return tensors
    return {name: tensors[name] for name in sorted(tensors, key=natural_key)}


def _load(path: Path) -> dict[str, Tensor]:
    """Check the header, then read the tensors one by one.

    They are read, not mapped: a file that is cut short meanwhile would kill a process that has
    mapped it.
    """
    check_file(path)
    header, _, start = read_layout(path)
    try:
        _check_offsets(header)
        with path.open("rb") as file:
            return {name: read_array(file, entry, start) for name, entry in header.items()}
    except (OSError, *_NO_HEADER, RuntimeError) as error:  # RuntimeError: no memory, in torch
        raise CheckpointError(
            path, f"damaged safetensors file ({error}); fetch it again"
        ) from error


def _check_offsets(header: dict[str, Any]) -> None:
    """Raise ValueError unless the tensors lie one after the other, as the format demands."""
    end = 0
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        if first != end:
            raise ValueError(f"{name:.80} begins at byte {first:,}, not {end:,}")
        end = last


def read_array(file: BinaryIO, entry: Mapping[str, Any], start: int) -> Tensor:
    """Read one tensor of a file, checked against its place in it.

    Parameters
    ----------
    file : BinaryIO
        The file, open.
    entry : mapping
        What the header says of it: ``dtype``, ``shape``, ``data_offsets``.
    start : int
        Where the tensors' bytes begin.

    Raises
    ------
    ValueError
        When these do not agree, or the file ends before.
    """
    import torch

    code, shape = entry["dtype"], entry["shape"]
    first, last = entry["data_offsets"]
    if code not in DTYPES or not hasattr(torch, DTYPES[code]):
        raise ValueError(f"elements of type {code!r:.20}, which torch has not")
    dtype = getattr(torch, DTYPES[code])
    sizes = all(type(n) is int and n >= 0 for n in (first, last, *shape))
    if not sizes or math.prod(shape) * dtype.itemsize != last - first:
        raise ValueError(f"shape {shape!r:.80} of {code} does not fit bytes {first} to {last}")
    flat = torch.empty(last - first, dtype=torch.uint8)
    file.seek(start + first)
    if last > first and file.readinto(flat.numpy()) != last - first:  # type: ignore[attr-defined]
        raise ValueError(f"bytes {first} to {last} lie beyond the end")
    return flat.view(dtype).view(tuple(shape))


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
        header = dict(json.loads(text.decode("utf-8")).items())
        metadata = dict(header.pop("__metadata__", {}).items())
        if not all(type(value) is str for value in metadata.values()):
            raise ValueError("its metadata are no texts")
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
