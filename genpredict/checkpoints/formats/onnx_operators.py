"""What the operators of ONNX take as weights, and how these look in torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from genpredict.layers.evidence import BUFFER

if TYPE_CHECKING:
    from torch import Tensor

_ORDER = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
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
    node : str
        The operator's own name.
    flags : mapping of str to int
        ``transA``, ``transB``.
    beside : tuple of str
        The initializers among its inputs, by position; empty names for others.
    """

    operator: str
    position: int
    node: str = ""
    flags: Mapping[str, int] = field(default_factory=dict)
    beside: tuple[str, ...] = ()


def weights_of(name: str, array: Tensor, use: Use) -> Iterator[tuple[str, Tensor, str]]:
    """Yield what an initializer is in torch: name, tensor, class (empty where none is known).

    Examples
    --------
    >>> import torch
    >>> [(n, tuple(t.shape), k) for n, t, k in weights_of("W", torch.ones(3, 5), Use("MatMul", 1))]
    [('W', (5, 3), 'Linear')]
    """
    operator, position = use.operator, use.position
    dims = f"{array.ndim - 2}d"
    if operator in _CONVS and array.ndim > 2:
        yield name, array, f"{_CONVS[operator]}{dims}"
    elif operator == "Gemm" and array.ndim == 2 and position < 2:
        turned = use.flags.get("transA" if position == 0 else "transB", 0)
        is_first = position == 0
        yield name, array if bool(turned) != is_first else array.T, "Linear"
    elif operator in _PRODUCTS and array.ndim == 2:
        yield name, array if position == 0 else array.T, "Linear"
    elif operator in _PRODUCTS and array.ndim == 3:
        yield name, array.transpose(1, 2), "Linear"
    elif operator in _ORDER and array.ndim in (2, 3) and position in (1, 2, 3):
        yield from _recurrent(name, array, use)
    elif operator in ("Gather", "EmbedLayerNormalization") and array.ndim == 2 and position == 0:
        yield name, array, "Embedding"
    elif operator == "BatchNormalization" and position in (_MEAN, _VARIANCE):
        yield name, array, BUFFER
    elif operator in _NORMS:
        yield name, array, "LayerNorm" if array.ndim > 1 else ""
    elif array.is_floating_point() and array.ndim == 1:
        yield name, array, ""
    else:
        yield name, array, BUFFER


def _recurrent(name: str, array: Tensor, use: Use) -> Iterator[tuple[str, Tensor, str]]:
    """Yield the weights of a recurrent operator, a direction each, gates in torch's order."""
    import torch

    front = f"{use.node or next((other for other in use.beside if other), name)}."
    order = _ORDER[use.operator]
    for number, stacked in enumerate(array):
        tail = "_l0_reverse" if number else "_l0"
        if use.position == 3:  # both biases in a row
            for which, bias in zip(("ih", "hh"), stacked.chunk(2), strict=True):
                turned = torch.cat([bias.chunk(len(order))[gate] for gate in order])
                yield f"{front}bias_{which}{tail}", turned, ""
            continue
        which = "ih" if use.position == 1 else "hh"
        parts = stacked.chunk(len(order))
        yield f"{front}weight_{which}{tail}", torch.cat([parts[gate] for gate in order]), ""
