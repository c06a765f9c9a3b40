"""Weights in files of ONNX: initializers, told by the operators that take them.

Nothing of the graph is run. What no operator takes as a weight (shapes, constants, scales) is left
out or counted, not measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from genpredict.checkpoints.formats.onnx_graphs import FOLDED_NOTE, Graph
from genpredict.checkpoints.formats.onnx_operators import weights_of
from genpredict.checkpoints.formats.torch_containers import MEMORY_ROOM, reading
from genpredict.checkpoints.memory_limit import limited_memory
from genpredict.checkpoints.state_dicts import NamedTensors
from genpredict.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

_EXTERNAL = 1


def read_onnx(path: Path) -> NamedTensors:
    """Read the weights of a model.

    Raises
    ------
    CheckpointError
        When it is damaged, or data beside it are missing.
    """
    import onnx

    with reading(path), limited_memory(4 * path.stat().st_size + MEMORY_ROOM):
        model = onnx.load_model_from_string(path.read_bytes())
        graph = Graph.of(model)
        tensors: dict[str, Tensor] = {}
        types: dict[str, str] = {}
        for name, use, axes in graph.uses():
            array = _turned(_tensor(graph.initializers[name], path), axes)
            for new, tensor, kind in weights_of(name, array, use):
                free = new if new not in tensors else f"{name}.{new}"
                tensors[free] = tensor
                if kind:
                    types[free] = kind
    if not any(tensor.ndim >= 2 for tensor in tensors.values()):
        raise CheckpointError(
            path, "a model of ONNX without weights; export it with its parameters"
        )
    return NamedTensors(tensors, types, [FOLDED_NOTE] if graph.is_folded() else [])


def _turned(array: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return an array with its axes in another order, as the graph takes it."""
    return array.permute(axes) if sorted(axes) == list(range(array.ndim)) and axes else array


def _tensor(initializer: Any, path: Path) -> Tensor:
    """Return the numbers of an initializer.

    Raises
    ------
    ValueError
        When there are fewer than its shape says, or they lie outside the folder.
    """
    import numpy as np
    import torch
    from onnx import numpy_helper

    if initializer.data_location == _EXTERNAL:
        initializer.raw_data = _external(initializer, path)
        initializer.data_location = 0
    array = numpy_helper.to_array(initializer)
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiubc":
        return torch.zeros(0)
    return torch.from_numpy(np.array(array, copy=True, order="C"))


def _external(initializer: Any, path: Path) -> bytes:
    """Read the bytes of an initializer from the file beside the model that holds them."""
    facts = {entry.key: entry.value for entry in initializer.external_data}
    name = facts.get("location", "")
    place = path.parent / name
    if not name or not place.resolve().is_relative_to(path.parent.resolve()):
        raise CheckpointError(path, f"its data lie outside its folder ({name!r:.80}); refused")
    if not place.is_file():
        raise CheckpointError(path, f"the file {name:.80} with its data is missing; fetch it too")
    offset, size = int(facts.get("offset", 0)), place.stat().st_size
    length = int(facts.get("length", size - offset))
    if offset < 0 or length < 0 or offset + length > size:
        raise ValueError(f"{name:.80} is too short")
    with place.open("rb") as file:
        file.seek(offset)
        read: bytes = file.read(length)
        return read
