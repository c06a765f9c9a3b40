"""What the operators of ONNX take as weights, and how these look in torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from genpredict.layers.evidence import BUFFER
from genpredict.layers.names import name_rule

if TYPE_CHECKING:
    from torch import Tensor

RECURRENT = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
"""Where torch's gates stand in ONNX: i, o, f, c for i, f, c, o; z, r, h for r, z, h."""
_NORMS = (
    "BatchNormalization", "InstanceNormalization", "LayerNormalization", "GroupNormalization",
    "RMSNormalization", "SimplifiedLayerNormalization", "SkipLayerNormalization", "PRelu",
)  # fmt: skip
_CONVS = {
    "Conv": "Conv",
    "ConvInteger": "Conv",
    "QLinearConv": "Conv",
    "ConvTranspose": "ConvTranspose",
}
_PRODUCTS = ("MatMul", "MatMulInteger", "QLinearMatMul", "FusedMatMul")
_PACKED = ("MatMulNBits", "MatMulBnb4")
"""Products with weights of few bits, which cannot be measured, but are counted."""
_MEAN, _VARIANCE = 3, 4


@dataclass(frozen=True)
class Use:
    """How an operator takes an initializer.

    Parameters
    ----------
    operator : str
        Its type.
    position : int
        Of the initializer among its inputs.
    flags : mapping of str to int
        ``transA``, ``transB``.
    scope : str
        The module that the operator belongs to, or the operator's own name.
    is_in_module : bool
        Whether it is that of a module.
    is_computed : bool
        Whether the exporter has computed the initializer, by the name that it has given it.
    is_foreign : bool
        Whether the operator is of others' making, or a function of the model's own.
    number : int
        Of recurrent operators of the same scope before this one: the number of the layer.
    is_fused : bool
        Whether the product is query, key and value.
    """

    operator: str
    position: int
    flags: Mapping[str, int] = field(default_factory=dict)
    scope: str = ""
    is_in_module: bool = False
    is_computed: bool = False
    is_foreign: bool = False
    number: int = 0
    is_fused: bool = False

    def named(self, name: str, *, leaf: str = "weight", fused: str = "in_proj_weight") -> str:
        """Return the name of a weight: its own, or one in the module where it has none."""
        if self.is_fused:
            leaf = fused
        if self.is_computed and self.is_in_module:
            return f"{self.scope}.{leaf}".lstrip(".")
        return f"{name}.{leaf}" if self.is_fused else name


def weights_of(name: str, array: Tensor, use: Use) -> Iterator[tuple[str, Tensor, str]]:
    """Yield what an initializer is in torch: name, tensor, class (empty where none is known).

    Examples
    --------
    >>> import torch
    >>> [(n, tuple(t.shape), k) for n, t, k in weights_of("W", torch.ones(3, 5), Use("MatMul", 1))]
    [('W', (5, 3), 'Linear')]
    """
    operator, position = use.operator, use.position
    if use.is_fused and name_rule(use.named(name, fused="weight")).parts == ("q", "k", "v"):
        use = replace(use, is_fused=False)  # they are told by the name
    dims = f"{array.ndim - 2}d"
    if operator in _CONVS and array.ndim > 2:
        yield use.named(name), array, f"{_CONVS[operator]}{dims}"
    elif operator in (*_CONVS, "Gemm") and array.ndim == 1 and position == 2:
        yield use.named(name, leaf="bias"), array, ""
    elif operator == "Gemm" and array.ndim == 2 and position < 2:
        turned = use.flags.get("transA" if position == 0 else "transB", 0)
        is_first = position == 0
        yield use.named(name), array if bool(turned) != is_first else array.T, "Linear"
    elif operator in _PRODUCTS and array.ndim == 2:
        yield use.named(name), array if position == 0 else array.T, "Linear"
    elif operator in _PACKED and array.ndim > 1 and position == 1:
        yield use.named(name), array, "Linear"
    elif operator in _PRODUCTS and array.ndim == 3:
        yield use.named(name), array.transpose(1, 2), "Linear"
    elif operator in RECURRENT and array.ndim in (2, 3) and position in (1, 2, 3):
        yield from _recurrent(name, array, use)
    elif operator in ("Gather", "EmbedLayerNormalization") and array.ndim == 2 and position == 0:
        yield name, array, "Embedding"
    elif operator == "BatchNormalization" and position in (_MEAN, _VARIANCE):
        yield name, array, BUFFER
    elif operator in _NORMS:
        yield name, array, "LayerNorm" if array.ndim > 1 else ""
    elif array.is_floating_point() and (_is_vector(array, use) or _is_passed_on(name, use)):
        yield name, array, ""
    else:
        yield name, array, BUFFER


def _is_vector(array: Tensor, use: Use) -> bool:
    """Return whether a tensor may be a bias or a normalization, rather than a constant."""
    return array.ndim == 1 and (not use.is_computed or use.operator == "Add")


def _is_passed_on(name: str, use: Use) -> bool:
    """Return whether a weight, by its name, is only cut, or given to what is not known here."""
    return (use.operator in ("Slice", "Split") or use.is_foreign) and name_rule(name).is_weight


def _recurrent(name: str, array: Tensor, use: Use) -> Iterator[tuple[str, Tensor, str]]:
    """Yield the weights of a recurrent operator, a direction each, gates in torch's order."""
    import torch

    scope = use.scope if use.is_in_module else use.scope or name
    front = f"{scope}." * bool(scope)
    order = RECURRENT[use.operator]
    for number, stacked in enumerate(array):
        tail = f"_l{use.number}{'_reverse' if number else ''}"
        if use.position == 3:  # both biases in a row
            for which, bias in zip(("ih", "hh"), stacked.chunk(2), strict=True):
                turned = torch.cat([bias.chunk(len(order))[gate] for gate in order])
                yield f"{front}bias_{which}{tail}", turned, ""
            continue
        which = "ih" if use.position == 1 else "hh"
        parts = stacked.chunk(len(order))
        yield f"{front}weight_{which}{tail}", torch.cat([parts[gate] for gate in order]), ""
