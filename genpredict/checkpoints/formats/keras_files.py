"""Networks that Keras has saved: ``.h5`` of Keras 1 and 2, ``.weights.h5`` and ``.keras`` of 3.

The configuration, a text of JSON, says of which class every layer is; nothing of it is built or
run. Without it (weights alone) the groups' names say it: ``conv2d_transpose_3``. Kernels come in
torch's layout under torch's names; slots of optimizers are left out.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genpredict.checkpoints.formats.hdf5_trees import (
    arrays_of,
    opened_hdf5,
    own_group,
    text_attribute,
)
from genpredict.checkpoints.formats.keras_layers import KerasLayer, layer_class
from genpredict.checkpoints.formats.torch_containers import MEMORY_ROOM, check_sizes, reading
from genpredict.checkpoints.memory_limit import limited_memory
from genpredict.checkpoints.state_dicts import NamedTensors
from genpredict.errors import CheckpointError

WEIGHTS = "model.weights.h5"
CONFIG = "config.json"
LONGEST_CONFIG = 64 * 2**20
DEEPEST = 50
_NO_WEIGHTS = frozenset(("optimizer_weights", "optimizer", "metrics", "_metrics", "loss"))
_CONTAINERS = ("layers", "_layer_checkpoint_dependencies", "_functional")
_SUFFIX = re.compile(r":\d+$")
_VARIABLES = "vars"
_KERAS_1 = re.compile(r"(?P<layer>.+)_(?P<leaf>W|b|gamma|beta|running_mean|running_std|U)")
_LEAF_OF_KERAS_1 = {"W": "kernel", "b": "bias", "U": "recurrent_kernel"}


def read_keras(path: Path) -> NamedTensors:
    """Read the weights of a file of Keras.

    Raises
    ------
    CheckpointError
        When it is damaged, or holds no weights.
    """
    size = path.stat().st_size
    with reading(path), limited_memory(4 * size + MEMORY_ROOM), _opened(path) as (file, config):
        inner = own_group(file, "model_weights")
        root = file if inner is None else inner
        config = config or text_attribute(file, "model_config")
        classes = classes_in(config)
        layers = list(_layers(dict(arrays_of(root, size)), classes))
        tensors: dict[str, Any] = {}
        types: dict[str, str] = {}
        for layer in layers:
            for name, tensor, kind in layer.in_torch():
                tensors[name] = tensor
                if kind:
                    types[name] = kind
    if not any(tensor.ndim >= 2 for tensor in tensors.values()):
        raise CheckpointError(
            path, "a file of Keras without weights; save them with model.save_weights(path)"
        )
    return NamedTensors(tensors, types)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, str]]:
    """Yield the HDF5 file of a path and the configuration beside it, if any."""
    if not zipfile.is_zipfile(path):
        with opened_hdf5(path) as file:
            yield file, ""
        return
    with zipfile.ZipFile(path) as archive:
        check_sizes(path, archive.infolist())
        names = archive.namelist()
        if WEIGHTS not in names:
            raise CheckpointError(
                path, "a Keras archive without weights (model.weights.h5); save the model again"
            )
        config = b""
        if CONFIG in names and archive.getinfo(CONFIG).file_size <= LONGEST_CONFIG:
            config = archive.read(CONFIG)
        with opened_hdf5(io.BytesIO(archive.read(WEIGHTS))) as file:
            yield file, config.decode("utf-8", errors="replace")


def classes_in(config: str) -> dict[str, str]:
    """Return the class of every layer in a configuration, nested models and wrappers among them.

    Examples
    --------
    >>> classes_in('{"config": {"layers": [{"class_name": "Dense", "config": {"name": "d"}}]}}')
    {'d': 'Dense'}
    """
    if not config or len(config) > LONGEST_CONFIG:
        return {}
    try:
        tree = json.loads(config)
    except (ValueError, RecursionError):
        return {}
    classes: dict[str, str] = {}
    pending: list[tuple[Any, int]] = [(tree, 0)]
    while pending:
        node, depth = pending.pop()
        if depth > DEEPEST:
            continue
        if isinstance(node, Mapping):
            inner = node.get("config")
            kind = node.get("class_name")
            if isinstance(inner, Mapping) and isinstance(kind, str):
                name = inner.get("name", node.get("name"))
                if isinstance(name, str):
                    classes[name] = kind.rpartition(">")[2]
            pending += [(value, depth + 1) for value in node.values()]
        elif isinstance(node, list):
            pending += [(value, depth + 1) for value in node]
    return classes


def _layers(arrays: Mapping[str, Any], classes: Mapping[str, str]) -> Iterator[KerasLayer]:
    """Gather the arrays of each layer, in order."""
    layers: dict[tuple[str, ...], KerasLayer] = {}
    for path, array in arrays.items():
        parts = [_SUFFIX.sub("", part) for part in path.split("/")]
        if not _NO_WEIGHTS.isdisjoint(parts):
            continue
        *front, leaf = parts
        if front and front[-1] == _VARIABLES:
            front = front[:-1]
        if match := _KERAS_1.fullmatch(leaf):
            leaf = _LEAF_OF_KERAS_1.get(match["leaf"], match["leaf"])
        place = tuple(dict.fromkeys(part for part in front if part not in _CONTAINERS))
        if place not in layers:
            layers[place] = KerasLayer(".".join(place), layer_class(place, classes))
        layers[place].arrays[leaf] = array
    yield from layers.values()
