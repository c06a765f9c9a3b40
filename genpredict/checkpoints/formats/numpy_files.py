"""Arrays in ``.npz`` and ``.npy`` files of numpy."""

from __future__ import annotations

import math
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genpredict.checkpoints.formats.torch_containers import check_sizes, reading
from genpredict.checkpoints.memory_limit import limited_memory, room_for
from genpredict.checkpoints.named_tensors import NamedTensors, strip_prefixes
from genpredict.checkpoints.state_dicts import NAMELESS
from genpredict.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

_POSITION = re.compile(r"arr_\d+")
_LONE = "weight"
_KINDS = "fiubc"
_LONGEST_HEADER = 10_000
_OBJECTS = re.compile(rb"'[<>|=]?O\d*'")
_HEADER = re.compile(
    rb"\{\s*'descr':\s*'(?P<descr>[<>|=]?[a-zA-Z]\d{0,9})',\s*'fortran_order':\s*"
    rb"(?P<fortran>True|False),\s*'shape':\s*\((?P<shape>(?:\s*\d{1,20}L?\s*,?)*)\)\s*,?\s*\}"
)


def read_numpy(path: Path) -> NamedTensors:
    """Read the arrays of a file, of numbers alone: objects, which are pickles, are refused.

    Raises
    ------
    CheckpointError
        When it is damaged, or holds no array of two axes or more.
    """
    with reading(path), limited_memory(room_for(path.stat().st_size)):
        if not zipfile.is_zipfile(path):
            with path.open("rb") as file:
                array = _read_array(file, path.stat().st_size)
            tensors = {_LONE: _tensor(array)} if _is_numeric(array) else {}
        else:
            with zipfile.ZipFile(path) as archive:
                check_sizes(path, archive.infolist())
                tensors = {}
                for entry in archive.infolist():
                    with archive.open(entry) as file:
                        array = _read_array(file, entry.file_size)
                    if _is_numeric(array):
                        tensors[entry.filename.removesuffix(".npy")] = _tensor(array)
    if not any(tensor.ndim >= 2 for tensor in tensors.values()):
        raise CheckpointError(
            path, "holds no array of two axes or more; save the weights with numpy.savez(path, "
            "**{name: array})"
        )  # fmt: skip
    nameless = all(_POSITION.fullmatch(name) for name in tensors)
    return NamedTensors(strip_prefixes(tensors), {}, [NAMELESS] if nameless else [])


def _read_array(file: Any, size: int) -> Any:
    """Read one array whose header says no more than the file holds; None for a table of fields.

    The header, a dict of Python, is matched and not evaluated.
    """
    import numpy as np

    version = np.lib.format.read_magic(file)
    width = 2 if version == (1, 0) else 4
    length = int.from_bytes(file.read(width), "little")
    text = file.read(min(length, _LONGEST_HEADER)).strip()
    if _OBJECTS.search(text):
        raise ValueError("arrays of objects, which are pickles")
    if text.startswith(b"{'descr': ["):
        return None
    header = _HEADER.fullmatch(text)
    if header is None:
        raise ValueError("no header of an array of plain numbers")
    dtype = np.dtype(header["descr"].decode())
    shape = tuple(int(digits) for digits in re.findall(rb"\d+", header["shape"]))
    count = math.prod(shape)
    if count * dtype.itemsize > size:
        raise ValueError(f"an array of {count:,} numbers where {size:,} bytes are stored")
    raw = file.read(count * dtype.itemsize)
    flat = np.frombuffer(raw, dtype=dtype, count=count)
    return flat.reshape(shape, order="F" if header["fortran"] == b"True" else "C")


def _is_numeric(array: Any) -> bool:
    return array is not None and array.dtype.kind in _KINDS


def _tensor(array: Any) -> Tensor:
    """Return an array as a tensor of its own."""
    import torch

    native = array.astype(array.dtype.newbyteorder("="), order="C", copy=True)
    return torch.from_numpy(native)
