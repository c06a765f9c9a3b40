"""Weights in files of ONNX: initializers, told by the operators that take them.

Nothing of the graph is run. What no operator takes as a weight (shapes, constants, scales) is left
out or counted, not measured.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genpredict.checkpoints.formats.onnx_graphs import FOLDED_NOTE, Graph
from genpredict.checkpoints.formats.onnx_operators import weights_of
from genpredict.checkpoints.formats.torch_containers import reading
from genpredict.checkpoints.memory_limit import limited_memory, room_for
from genpredict.checkpoints.named_tensors import NamedTensors
from genpredict.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

_EXTERNAL = 1
_RECURRENT = re.compile(
    r"(?P<front>.*\.|)(?P<side>(?:weight|bias)_(?:ih|hh))_(?P<layer>l\d+)(?P<reverse>_reverse|)"
)
_SIDES = {"weight_ih": "0", "weight_hh": "1", "bias_ih": "2", "bias_hh": "3"}


def read_onnx(path: Path) -> NamedTensors:
    """Read the weights of a model.

    Raises
    ------
    CheckpointError
        When it is damaged, or data beside it are missing.
    """
    import onnx

    size = path.stat().st_size
    with reading(path):
        with limited_memory(room_for(size)):
            model = onnx.load_model_from_string(path.read_bytes())
            graph = Graph.of(model)
        beside = _sizes_beside(graph, path)
    with reading(path), limited_memory(room_for(size + sum(beside.values()))):
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
    return NamedTensors(_by_layer(tensors), types, [FOLDED_NOTE] if graph.is_folded() else [])


def _by_layer(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Put a recurrent layer's weights in torch's order: by direction, then inputs and state."""
    places: dict[str, tuple[int, str, str]] = {}
    first: dict[str, int] = {}
    for number, name in enumerate(tensors):
        match = _RECURRENT.fullmatch(name)
        layer = f"{match['front']}{match['layer']}" if match else name
        place = first.setdefault(layer, number)
        places[name] = (
            (place, match["reverse"], _SIDES[match["side"]]) if match else (place, "", "")
        )
    return {name: tensors[name] for name in sorted(tensors, key=places.__getitem__)}


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

    if min(initializer.dims, default=0) < 0:
        raise ValueError(f"an array of shape {list(initializer.dims)!r:.80}")
    if initializer.data_location == _EXTERNAL:
        initializer.raw_data = _external(initializer, path)
        initializer.data_location = 0
    array = numpy_helper.to_array(initializer)
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiubc":  # texts; numbers of four and of eight bits
        is_number = array.dtype.kind == "V"
        return torch.zeros(array.shape if is_number else 0, dtype=torch.uint8)
    return torch.from_numpy(np.array(array, copy=True, order="C"))


def _sizes_beside(graph: Graph, path: Path) -> dict[Path, int]:
    """Return the sizes of the files beside a model that hold its data: what is really stored."""
    sizes: dict[Path, int] = {}
    for initializer in graph.initializers.values():
        if initializer.data_location == _EXTERNAL:
            place = _place(initializer, path)
            if place not in sizes:
                facts = place.stat()
                sizes[place] = min(facts.st_size, 512 * facts.st_blocks)
    return sizes


def _place(initializer: Any, path: Path) -> Path:
    """Return the file that holds an initializer's bytes, within the model's folder."""
    name = _external_facts(initializer).get("location", "")
    place = path.parent / name
    if not name or not place.resolve().is_relative_to(path.parent.resolve()):
        raise CheckpointError(path, f"its data lie outside its folder ({name!r:.80}); refused")
    if not place.is_file():
        raise CheckpointError(path, f"the file {name:.80} with its data is missing; fetch it too")
    return place


def _external_facts(initializer: Any) -> dict[str, str]:
    return {entry.key: entry.value for entry in initializer.external_data}


def _external(initializer: Any, path: Path) -> bytes:
    """Read the bytes of an initializer from the file beside the model that holds them."""
    from onnx import helper

    place, facts = _place(initializer, path), _external_facts(initializer)
    needed = math.prod(initializer.dims)
    needed *= helper.tensor_dtype_to_np_dtype(initializer.data_type).itemsize
    offset, size = int(facts.get("offset", 0)), place.stat().st_size
    length = int(facts.get("length", needed))
    if min(offset, length) < 0 or offset + length > size or length > needed:
        shape = "x".join(map(str, initializer.dims))
        raise ValueError(f"{place.name:.80}: {length:,} bytes from {offset:,} on for {shape:.80}")
    with place.open("rb") as file:
        file.seek(offset)
        read: bytes = file.read(length)
        return read
