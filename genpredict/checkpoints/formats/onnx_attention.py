"""Products of ONNX models that are query, key and value in one, told by what becomes of them.

The outputs are followed through operators that only rearrange them to where they part in three; a
softmax over products of the first two parts makes them attention. What a reader of the state dict
takes apart by a module's name is taken apart here by the graph.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

_KEEPING = ("Identity", "Cast", "Add")
"""Operators behind which outputs stand where they stood."""
_ATTENDING = (
    *_KEEPING, "Squeeze", "Unsqueeze", "Transpose", "Reshape", "Mul", "Div", "Where",
    "Concat", "Slice", "Neg", "Clip", "Expand", "Sub",
)  # fmt: skip
"""Operators between a query and the softmax over keys."""
_SOFTMAX = ("Softmax", "Attention", "MultiHeadAttention")
ANY_AXES = -2
"""In a shape: as many axes as there may be."""
_LONGEST, _MOST_FOLLOWED, _MOST_TAKERS = 12, 80, 20
"""Steps, tensors and takers of one tensor that are followed on the way to them."""


class Graph(Protocol):
    """What is known of a model."""

    initializers: dict[str, Any]
    takers: dict[str, list[Any]]

    def integers_of(self, name: str) -> list[int]:
        """Return the integers of a constant; empty for other things."""

    def pieces_of(self, name: str) -> list[int | None]:
        """Return a shape as far as it is known: None for an axis, or `ANY_AXES`."""


def is_fused(graph: Graph, product: Any, outputs: int) -> bool:
    """Return whether a product is query, key and value, one block of its outputs each.

    Parameters
    ----------
    graph : Graph
    product : NodeProto
    outputs : int
        How many it puts out at each place.
    """
    name: str = product.output[0]
    axes = _Outputs(outputs)
    for _ in range(_LONGEST):
        takers = [t for t in graph.takers[name][:_MOST_TAKERS] if t.op_type != "Shape"]
        if len(takers) == 3 and all(taker.op_type == "Gather" for taker in takers):
            indices = sorted(graph.integers_of(taker.input[1]) for taker in takers)
            blocks = indices == [[0], [1], [2]] and axes.is_first(_integer(takers[0], "axis"), 3)
            return blocks and _attends(graph, [taker.output[0] for taker in takers])
        if len(takers) != 1 or not takers[0].output:
            return False
        (taker,) = takers
        if taker.op_type == "Split":
            axis = _integer(taker, "axis")
            blocks = axes.is_first(axis, 3) or axes.is_first(axis, outputs)
            return len(taker.output) == 3 and blocks and _attends(graph, taker.output)
        if not axes.go_through(taker, graph):
            return False
        name = taker.output[0]
    return False


class _Outputs:
    """Where the outputs of a product stand while they are rearranged."""

    def __init__(self, outputs: int) -> None:
        self.outputs = outputs
        self.parts = [outputs]  # sizes of the axes that they fall into, last ones of all
        self.order: list[int | None] | None = None  # which of them each axis is, once known

    def go_through(self, node: Any, graph: Graph) -> bool:
        """Follow an operator; return False where it is not known how."""
        if node.op_type in _KEEPING:
            return True
        if node.op_type == "Reshape" and len(node.input) > 1 and self.order is None:
            return self._reshape(graph.pieces_of(node.input[1]))
        if node.op_type == "Transpose":
            perm = next((list(a.ints) for a in node.attribute if a.name == "perm"), [])
            return self._transpose(perm)
        if node.op_type in ("Squeeze", "Unsqueeze"):
            given = graph.integers_of(node.input[1]) if len(node.input) > 1 else []
            axes = given or next((list(a.ints) for a in node.attribute if a.name == "axes"), [])
            return len(axes) == 1 and self._resize(axes[0], inserts=node.op_type == "Unsqueeze")
        return False

    def is_first(self, axis: int, size: int) -> bool:
        """Return whether an axis is the first that the outputs fall into, and of this size."""
        if self.parts[0] != size:
            return False
        if self.order is not None:
            return -len(self.order) <= axis < len(self.order) and self.order[axis] == 0
        return axis == -len(self.parts) or (axis > 0 and len(self.parts) == 1)

    def _reshape(self, shape: Sequence[int | None]) -> bool:
        """Find the last axes that hold as many entries as there are outputs."""
        known = list(shape)
        while known and known[-1] == ANY_AXES:
            known.pop()  # what is computed there is a shape without axes
        parts: list[int | None] = []
        for number in reversed(known):
            if number == ANY_AXES or (number is None and None in parts):
                break
            parts.insert(0, number)
            if None not in parts and self._product(parts) >= self.outputs:
                break
        product = self._product(parts)
        if product < 1 or self.outputs % product:
            return False
        self.parts = [self.outputs // product if part is None else part for part in parts]
        return math.prod(self.parts) == self.outputs

    @staticmethod
    def _product(parts: Sequence[int | None]) -> int:
        return math.prod(part for part in parts if part is not None)

    def _transpose(self, perm: Sequence[int]) -> bool:
        if sorted(perm) != list(range(len(perm))) or len(perm) < len(self.parts):
            return False
        order = self._known_order(len(perm))
        if len(order) != len(perm):
            return False
        self.order = [order[axis] for axis in perm]
        return True

    def _resize(self, axis: int, *, inserts: bool) -> bool:
        """Insert an axis, or take one out that holds no outputs."""
        if self.order is None:
            return axis >= 0  # before them: how many there are is not known yet
        if inserts:
            self.order.insert(axis if axis >= 0 else len(self.order) + 1 + axis, None)
            return True
        if not -len(self.order) <= axis < len(self.order) or self.order[axis] is not None:
            return False
        del self.order[axis]
        return True

    def _known_order(self, rank: int) -> list[int | None]:
        """Return which part of the outputs each of so many axes is."""
        if self.order is not None:
            return self.order
        return [*[None] * (rank - len(self.parts)), *range(len(self.parts))]


def _integer(node: Any, name: str) -> int:
    return next((int(a.i) for a in node.attribute if a.name == name), 0)


def _attends(graph: Graph, parts: Sequence[str]) -> bool:
    """Return whether a softmax follows a product of the first two of three parts."""
    reached = [_products(graph, part) for part in list(parts)[:2]]
    shared = [node for node in reached[0] if any(node is other for other in reached[1])]
    return any(_reaches_softmax(graph, node.output[0]) for node in shared)


def _products(graph: Graph, name: str) -> list[Any]:
    """Return the products, of no weight, that a tensor comes to first, and its softmaxes."""
    return [
        node
        for node in _followers(graph, name)
        if node.op_type in ("MatMul", *_SOFTMAX) and not _is_weighted(graph, node)
    ]


def _reaches_softmax(graph: Graph, name: str) -> bool:
    return any(node.op_type in _SOFTMAX for node in _followers(graph, name))


def _followers(graph: Graph, name: str) -> list[Any]:
    """Return what takes a tensor, and what takes that, up to the next layers."""
    pending, seen, nodes = [name], {name}, list[Any]()
    for _ in range(_MOST_FOLLOWED):
        if not pending:
            break
        for taker in graph.takers[pending.pop(0)][:_MOST_TAKERS]:
            nodes.append(taker)
            if taker.op_type in _ATTENDING:
                pending += [other for other in taker.output if other not in seen]
                seen.update(taker.output)
    return nodes


def _is_weighted(graph: Graph, node: Any) -> bool:
    return any(name in graph.initializers for name in node.input[:2])
