"""What the graph of an ONNX model tells of a weight: which operator takes it, whose it is.

Exporters rename what they compute beforehand (``val_142``, ``onnx::MatMul_85``: transposed,
reordered gates); the module is then that of the operator. Nothing of the graph is run.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from genpredict.checkpoints.formats.onnx_attention import ANY_AXES, is_fused
from genpredict.checkpoints.formats.onnx_operators import RECURRENT, Use
from genpredict.checkpoints.formats.pickle_costs import RefusedPickleError

MOST_PARTS = 500_000
"""Operators and initializers; a large language model has some ten thousand."""
DEEPEST = 10
"""Graphs in each other (branches, loops) that are looked into."""
_PASSING = ("Identity", "Cast", "Squeeze", "Unsqueeze", "QuantizeLinear", "DequantizeLinear")
"""Operators behind which a weight is the same weight."""
_ASKING = ("Shape", "Size", "CastLike")
"""Operators that ask of what kind a tensor is."""
_MOST_NUMBERS = 12
"""Of a shape."""
_COMPUTED = re.compile(r"val_\d+|onnx::\w+_\d+|_?\d+|.*_(?:transposed|fused_\w+)")
_FOLDED, _FOLDED_NAME = "FuseBatchNorm", re.compile(r"onnx::Conv_\d+|.*_weights_fused_bn")
_SCOPES, _RULE = "pkg.torch.onnx.name_scopes", "pkg.onnxscript.rewriter.rule_name"
_LONGEST_SCOPE = 10_000
_QUOTED = re.compile(r"'([^']*)'")
FOLDED_NOTE = (
    "its exporter has folded batch normalizations into the convolutions before them, so these are "
    "not the weights that were trained; export with training=TrainingMode.PRESERVE, or with "
    "optimize=False, or read the state dict"
)


@dataclass
class Graph:
    """Initializers and operators of all graphs of a model, and who takes what.

    Parameters
    ----------
    initializers : dict of str to TensorProto
    nodes : list of NodeProto
    takers : dict of str to list of NodeProto
        By the names of tensors.
    makers : dict of str to NodeProto
    """

    initializers: dict[str, Any] = field(default_factory=dict)
    nodes: list[Any] = field(default_factory=list)
    takers: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    makers: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Any) -> Graph:
        """Gather what a model holds."""
        graph = cls()
        graph._gather(model.graph, 0)
        return graph

    def _gather(self, inner: Any, depth: int) -> None:
        """Take the initializers and operators of a graph and of those in it."""
        for tensor in inner.initializer[:MOST_PARTS]:
            self.initializers[tensor.name] = tensor
        for node in inner.node:
            self.nodes.append(node)
            if len(self.nodes) + len(self.initializers) > MOST_PARTS:
                raise RefusedPickleError(f"more than {MOST_PARTS:,} operators and arrays")
            if node.op_type == "Constant" and node.output:
                for attribute in node.attribute:
                    if len(attribute.t.dims) > 1:
                        self.initializers[node.output[0]] = attribute.t
            for name in set(node.input):
                self.takers[name].append(node)
            for name in node.output:
                self.makers[name] = node
            for attribute in node.attribute if depth < DEEPEST else ():
                if attribute.HasField("g"):
                    self._gather(attribute.g, depth + 1)

    def uses(self) -> Iterator[tuple[str, Use, tuple[int, ...]]]:
        """Yield every initializer with the operator that takes it, in the order of the graph."""
        origin: dict[str, tuple[str, tuple[int, ...]]] = {n: (n, ()) for n in self.initializers}
        done: set[str] = set()
        recurrent: Counter[str | None] = Counter()
        for node in self.nodes:
            first = origin.get(node.input[0]) if node.input else None
            if first is not None and node.op_type in (*_PASSING, "Transpose") and node.output:
                axes = integers(node, "perm") if node.op_type == "Transpose" else ()
                origin[node.output[0]] = (first[0], axes or first[1])
                continue
            if node.op_type in _ASKING:
                continue
            scope = scope_of(node)
            for position, name in enumerate(node.input):
                if name in origin and origin[name][0] not in done:
                    source, axes = origin[name]
                    done.add(source)
                    yield source, self._use(node, position, source, scope, recurrent[scope]), axes
            recurrent[scope] += node.op_type in RECURRENT

    def _use(self, node: Any, position: int, name: str, scope: str | None, number: int) -> Use:
        computed = bool(_COMPUTED.fullmatch(name))
        return Use(
            node.op_type,
            position,
            flags={a.name: a.i for a in node.attribute if a.name in ("transA", "transB")},
            scope=node.name if scope is None else scope,
            is_in_module=scope is not None,
            is_computed=computed,
            is_foreign=node.domain not in ("", "ai.onnx"),
            number=number,
            is_fused=computed and node.op_type in ("MatMul", "Gemm") and self._is_fused(node, name),
        )

    def is_folded(self) -> bool:
        """Return whether batch normalizations have been folded into convolutions.

        One exporter of torch says so beside the operator; the other, and tf2onnx, give weights of
        convolutions new names only when they have computed them.
        """
        for node in self.nodes:
            rules = [entry.value for entry in node.metadata_props if entry.key == _RULE]
            if any(_FOLDED in rule for rule in rules):
                return True
            if node.op_type != "Conv" or len(node.input) < 3:
                continue
            computed = _FOLDED_NAME.fullmatch(node.input[1]) is not None
            if computed and node.input[1] in self.initializers and node.input[2]:
                return True
        return False

    def _is_fused(self, node: Any, weight: str) -> bool:
        """Return whether a product is query, key and value in one."""
        dims = self.initializers[weight].dims
        turned = any(a.name == "transB" and a.i for a in node.attribute)
        return len(dims) == 2 and is_fused(self, node, dims[0] if turned else dims[1])

    def pieces_of(self, name: str, depth: int = 0) -> list[int | None]:
        """Return a shape as far as it is known: None for an axis of any size, or `ANY_AXES`."""
        maker = self.makers.get(name)
        if maker is not None and maker.op_type == "Concat" and depth < DEEPEST:
            shape: list[int | None] = []
            for part in maker.input[:_MOST_NUMBERS]:
                shape += self.pieces_of(part, depth + 1)
                if len(shape) > _MOST_NUMBERS:
                    break
            return shape
        if integers := self.integers_of(name):
            return [None if number == -1 else number for number in integers]
        return [None] if maker is not None and maker.op_type == "Unsqueeze" else [ANY_AXES]

    def integers_of(self, name: str) -> list[int]:
        """Return the integers of a constant or an initializer; empty for other things."""
        from onnx import numpy_helper

        maker, tensor = self.makers.get(name), self.initializers.get(name)
        if maker is not None and maker.op_type == "Constant":
            for attribute in maker.attribute:
                if attribute.name in ("value_int", "value_ints"):
                    return list(attribute.ints) or [attribute.i]
                tensor = attribute.t if attribute.name == "value" else tensor
        if tensor is None or tensor.data_location or math.prod(tensor.dims) > _MOST_NUMBERS:
            return []
        array = numpy_helper.to_array(tensor)
        return [int(number) for number in array.flatten()] if array.dtype.kind in "iu" else []


def integers(node: Any, name: str) -> tuple[int, ...]:
    """Return an attribute that is a list of integers."""
    return next((tuple(a.ints) for a in node.attribute if a.name == name), ())


def scope_of(node: Any) -> str | None:
    """Return the path of the module that an operator belongs to, where the exporter has noted it.

    It is empty for the whole network, None where nothing is noted.

    Examples
    --------
    >>> import onnx
    >>> scope_of(onnx.NodeProto(name="/blocks/blocks.0/body/body.1/Conv"))
    'blocks.0.body.1'
    """
    for entry in node.metadata_props:
        if entry.key == _SCOPES:
            scopes = _QUOTED.findall(entry.value[:_LONGEST_SCOPE])
            return scopes[-2] if len(scopes) > 1 else None
    if not node.name.startswith("/"):
        return None
    path: list[str] = []
    for part in node.name[:_LONGEST_SCOPE].split("/")[1:-1]:
        if path and part.startswith(f"{path[-1]}."):
            path[-1] = part  # a container's own name is repeated
        else:
            path.append(part)
    return ".".join(path)
