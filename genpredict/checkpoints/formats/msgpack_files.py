"""Parameters that flax has serialized with msgpack."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genpredict.checkpoints.formats.layouts import from_channels_last
from genpredict.checkpoints.formats.torch_containers import reading
from genpredict.checkpoints.memory_limit import limited_memory, room_for
from genpredict.checkpoints.named_tensors import NamedTensors
from genpredict.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

ARRAY, SCALAR = 1, 3
"""Codes of flax's extension types."""
DEEPEST = 100
_DTYPES = frozenset(
    ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint32", "bool")
)  # fmt: skip
_STATES = frozenset(("opt_state", "batch_stats", "step", "ema_params", "dropout_rng", "rng"))


def read_msgpack(path: Path) -> NamedTensors:
    """Read the parameters of a file of ``flax.serialization``.

    Kernels come in torch's layout; states of optimizers and statistics are left out.

    Raises
    ------
    CheckpointError
        When it is damaged, or holds no array.
    """
    import msgpack

    with reading(path), limited_memory(room_for(path.stat().st_size)):
        tree = msgpack.unpackb(
            path.read_bytes(), ext_hook=_extension, raw=False, strict_map_key=False
        )
        arrays: dict[str, Tensor] = {}
        if isinstance(tree, Mapping):
            live = {key: value for key, value in tree.items() if key not in _STATES}
            _gather(live.get("params", live), "", arrays, 0)
    if not arrays:
        raise CheckpointError(
            path, "a msgpack file without any array; save the parameters with "
            "flax.serialization.to_bytes(params)"
        )  # fmt: skip
    tensors, types = from_channels_last(arrays)
    return NamedTensors(tensors, types)


def _extension(code: int, raw: bytes) -> Any:
    """Return an array of flax; other extensions are kept as nothing."""
    import msgpack
    import numpy as np
    import torch

    if code not in (ARRAY, SCALAR):
        return None
    shape, dtype, buffer = msgpack.unpackb(raw, raw=True)
    name = dtype.decode("ascii") if isinstance(dtype, bytes) else str(dtype)
    count = math.prod(shape)
    if name == "bfloat16":
        halves = np.frombuffer(buffer, dtype="<i2", count=count).copy()
        return torch.from_numpy(halves).view(torch.bfloat16).reshape(tuple(shape))
    if name not in _DTYPES:
        raise ValueError(f"an array of type {name!r:.40}")
    flat = np.frombuffer(buffer, dtype=np.dtype(name), count=count)
    return torch.from_numpy(flat.reshape(tuple(shape)).copy())


def _gather(node: Any, front: str, arrays: dict[str, Tensor], depth: int) -> None:
    """Take the arrays of a tree of dicts by their joined names."""
    import torch

    if isinstance(node, torch.Tensor):
        arrays[front] = node
    elif isinstance(node, Mapping) and depth < DEEPEST:
        chunks = node.get("__msgpack_chunked_array__")
        if chunks:
            _gather_chunks(node, front, arrays)
            return
        for key, value in node.items():
            _gather(value, f"{front}.{key}" if front else str(key), arrays, depth + 1)


def _gather_chunks(node: Mapping[Any, Any], front: str, arrays: dict[str, Tensor]) -> None:
    """Join an array that was too large for one piece."""
    import torch

    shape = [int(node["shape"][str(n)]) for n in range(len(node["shape"]))]
    chunks = [node["chunks"][str(n)] for n in range(len(node["chunks"]))]
    arrays[front] = torch.cat([chunk.reshape(-1) for chunk in chunks]).reshape(shape)
