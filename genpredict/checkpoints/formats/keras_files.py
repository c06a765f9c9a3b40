"""Networks that Keras has saved: ``.h5`` of Keras 1 and 2, ``.weights.h5`` and ``.keras`` of 3.

The configuration, a text of JSON, says of which class every layer is, and their order; nothing of
it is built or run. Without it (weights alone) the groups' names say the class:
``conv2d_transpose_3``. Kernels come in torch's layout under torch's names; slots of optimizers are
left out.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genpredict.checkpoints.formats.hdf5_trees import (
    arrays_of,
    opened_hdf5,
    own_group,
    text_attribute,
)
from genpredict.checkpoints.formats.keras_configs import (
    LONGEST_CONFIG,
    Configuration,
    Place,
    full_names,
    split_part,
)
from genpredict.checkpoints.formats.keras_layers import CELL, KerasLayer, layer_class
from genpredict.checkpoints.formats.torch_containers import check_sizes, reading
from genpredict.checkpoints.memory_limit import limited_memory, room_for
from genpredict.checkpoints.named_tensors import NamedTensors
from genpredict.errors import CheckpointError

WEIGHTS = "model.weights.h5"
CONFIG = "config.json"
_LONGEST_NAME = 200
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
    with reading(path), limited_memory(room_for(size)), _opened(path) as (file, config):
        inner = own_group(file, "model_weights")
        root = file if inner is None else inner
        described = Configuration.of(config or text_attribute(file, "model_config"))
        tensors: dict[str, Any] = {}
        types: dict[str, str] = {}
        layer_names, names = _UniqueNames(), _UniqueNames()
        arrays = dict(arrays_of(root, size, skip=_NO_WEIGHTS))
        for layer in _layers(arrays, root, described):
            layer.name = layer_names.unique(layer.name)
            for repeatable, tensor, kind in layer.in_torch():
                name = names.unique(repeatable)
                tensors[name] = tensor
                if kind:
                    types[name] = kind
    if not any(tensor.ndim >= 2 for tensor in tensors.values()):
        raise CheckpointError(
            path, "a file of Keras without weights; save them with model.save_weights(path)"
        )
    return NamedTensors(tensors, types)


class _UniqueNames:
    """Names, of which those that repeat are numbered, in a time that grows with how many."""

    def __init__(self) -> None:
        self._given: set[str] = set()
        self._repeats: Counter[str] = Counter()

    def unique(self, name: str) -> str:
        """Return a name where it is the first such, else with a number that makes it unique."""
        numbered = name
        while numbered in self._given:
            self._repeats[name] += 1
            numbered = f"{name}_{self._repeats[name]}"
        self._given.add(numbered)
        return numbered


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


def _layers(arrays: Mapping[str, Any], group: Any, config: Configuration) -> list[KerasLayer]:
    """Gather the arrays of each layer, in the order of the configuration, else of the file."""
    layers: dict[Place, KerasLayer] = {}
    order: dict[Place, tuple[int, int, int]] = {}
    first_seen: dict[Place, int] = {}
    for path, array in arrays.items():
        parts = [_SUFFIX.sub("", part) for part in path.split("/")]
        *front, leaf = parts
        numbered = bool(front) and front[-1] == _VARIABLES
        front = front[:-1] if numbered else front
        if match := _KERAS_1.fullmatch(leaf):
            leaf = _LEAF_OF_KERAS_1.get(match["leaf"], match["leaf"])
        place = _groups(front) if numbered else _place_of(front)
        key = tuple(front) if numbered else place
        if key not in layers:
            names = _names(front, group, config) if numbered else place
            kind = layer_class(place, names, config.classes)
            layers[key] = KerasLayer(".".join(names), kind, is_cell=place[-1:] == (CELL,))
            whole, part = split_part(place)
            seen = first_seen.setdefault(whole, len(first_seen))
            order[key] = config.position(names), seen, part
        layers[key].arrays[leaf] = array
    return [layers[key] for key in sorted(layers, key=order.__getitem__)]


def _place_of(front: Sequence[str]) -> Place:
    """Return the groups that lead to a layer, without what says nothing.

    Keras 2 puts the layer's name, or names of models, before the layer's name once more.

    Examples
    --------
    >>> _place_of(["conv2d", "sequential", "conv2d"]), _place_of(["layers", "lstm", "cell"])
    (('conv2d',), ('lstm', 'cell'))
    """
    parts = _groups(front)
    if parts and parts[0] in parts[1:]:
        parts = (parts[0], *parts[parts.index(parts[0], 1) + 1 :])
    return tuple(dict.fromkeys(parts))


def _groups(front: Sequence[str]) -> Place:
    """Return the groups that lead to a layer, containers apart."""
    return tuple(part for part in front if part not in _CONTAINERS)


def _names(front: Sequence[str], group: Any, config: Configuration) -> Place:
    """Return the names of the layers on the way to numbered variables, as Keras 3 keeps them."""
    groups: list[str] = []
    noted: list[str] = []
    for part in front:
        group = group[part]
        if part in _CONTAINERS:
            continue
        variables = own_group(group, _VARIABLES)
        name = "" if variables is None else text_attribute(variables, "name")
        groups.append(part)
        noted.append(name if len(name) <= _LONGEST_NAME else "")
    return full_names(tuple(groups), noted, config)
