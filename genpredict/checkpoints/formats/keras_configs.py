"""What the configuration of a Keras network says of its layers: class, name, place in the order.

It is a text of JSON; nothing of it is built or run.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LONGEST_CONFIG = 64 * 2**20
DEEPEST = 50
Place = tuple[str, ...]
"""The groups that lead to a layer, or the names of the models and layers around it."""

_OF_OPERATIONS = ("keras.src.ops", "keras.ops")
_PARTS = {
    "forward_layer": 0, "backward_layer": 1,
    "query_dense": 0, "key_dense": 1, "value_dense": 2, "output_dense": 3,
}  # fmt: skip
"""The order of the layers in a layer, as torch has it."""


@dataclass
class Configuration:
    """The layers of a network.

    Parameters
    ----------
    classes : dict of str to str
        Class by name, wrapped layers among them.
    order : dict of place to int
        By the names of models and layers.
    names : dict of place to str
        The name of a layer by its groups, where Keras 3 names them after classes:
        ``conv2d_1`` is the second convolution, whatever it is called.
    """

    classes: dict[str, str] = field(default_factory=dict)
    order: dict[Place, int] = field(default_factory=dict)
    names: dict[Place, str] = field(default_factory=dict)

    @classmethod
    def of(cls, config: str) -> Configuration:
        """Read a configuration; an empty one of a text that is none.

        Examples
        --------
        >>> text = '{"config": {"layers": [{"class_name": "Dense", "config": {"name": "d"}}]}}'
        >>> Configuration.of(text)
        Configuration(classes={'d': 'Dense'}, order={('d',): 0}, names={('dense',): 'd'})
        """
        made = cls()
        if not config or len(config) > LONGEST_CONFIG:
            return made
        try:
            tree = json.loads(config)
        except (ValueError, RecursionError):
            return made
        made.classes = _classes_in(tree)
        made._number(tree, (), (), 0)
        return made

    def _number(self, model: Any, names: Place, groups: Place, depth: int) -> None:
        """Note the order of the layers of a model, and what their groups are called."""
        inner = model.get("config") if isinstance(model, Mapping) else None
        layers = inner.get("layers") if isinstance(inner, Mapping) else inner
        used: Counter[str] = Counter()
        for layer in layers if isinstance(layers, list) and depth < DEEPEST else ():
            described = _described(layer)
            if described is None:
                continue
            kind, name = described
            group = snake_case(kind)
            used[group] += 1
            number = f"_{used[group] - 1}" if used[group] > 1 else ""
            place = (*groups, f"{group}{number}")
            self.order.setdefault((*names, name), len(self.order))
            self.names[place] = name
            self._number(layer, (*names, name), place, depth + 1)

    def position(self, names: Place) -> int:
        """Return the place of a layer in the order; one behind all for those that are unknown."""
        known = (self.order.get(names[:length]) for length in range(len(names), 0, -1))
        return next((number for number in known if number is not None), len(self.order))


def _described(layer: Any) -> tuple[str, str] | None:
    """Return the class and the name of a layer; None of operations, which have no weights."""
    if not isinstance(layer, Mapping):
        return None
    inner, kind = layer.get("config"), layer.get("class_name")
    name = inner.get("name", layer.get("name")) if isinstance(inner, Mapping) else layer.get("name")
    module = layer.get("module")
    if isinstance(module, str) and module.startswith(_OF_OPERATIONS):
        return None
    if not isinstance(kind, str) or not isinstance(name, str):
        return None
    return kind.rpartition(">")[2], name


def _classes_in(tree: Any) -> dict[str, str]:
    """Return the class of every layer, nested models and wrappers among them."""
    classes: dict[str, str] = {}
    pending: list[tuple[Any, int]] = [(tree, 0)]
    while pending:
        node, depth = pending.pop()
        if depth > DEEPEST:
            continue
        if isinstance(node, Mapping):
            if isinstance(node.get("config"), Mapping) and (described := _described(node)):
                classes[described[1]] = described[0]
            pending += [(value, depth + 1) for value in node.values()]
        elif isinstance(node, list):
            pending += [(value, depth + 1) for value in node]
    return classes


def snake_case(name: str) -> str:
    """Write a class's name as Keras does where it names groups.

    Examples
    --------
    >>> snake_case("Conv2DTranspose"), snake_case("LSTM"), snake_case("MultiHeadAttention")
    ('conv2d_transpose', 'lstm', 'multi_head_attention')
    """
    plain = re.sub(r"\W+", "", name)
    divided = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", plain)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", divided).lower()


def full_names(groups: Place, own: Sequence[str], configuration: Configuration) -> Place:
    """Return the names of the layers that groups stand for.

    Parameters
    ----------
    groups : tuple of str
    own : sequence of str
        The name that the file notes for each group, empty where it notes none: those of the
        configuration then stand in for it, else the group's own.
    configuration : Configuration
    """
    return tuple(
        name or configuration.names.get(groups[: depth + 1]) or groups[depth]
        for depth, name in enumerate(own)
    )


def split_part(groups: Place) -> tuple[Place, int]:
    """Return the layer that a layer is part of, and the place of this part in it.

    Examples
    --------
    >>> split_part(("attention", "value_dense")), split_part(("dense",))
    ((('attention',), 2), (('dense',), 0))
    """
    for depth, group in enumerate(groups):
        if group in _PARTS:
            return groups[:depth], _PARTS[group]
    return groups, 0
