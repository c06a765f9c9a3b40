"""What a weight is and how it is laid out, by its shape, by what stands beside it, by its module.

A module's class, where it is known, decides. Else a bias is the best witness: it is as long as
there are outputs, which tells the axis of the outputs; a look-up table and a fixed filter have
none; and a bias of the weight's own shape makes both of them a normalization.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from genpredict.layers.names import NameRule, name_rule

if TYPE_CHECKING:
    from torch import Tensor

Form = Literal["conv", "transposed", "linear", "input_first", "stack", "stack_input_first", "joint"]
"""How a weight is laid out: (n_o, n_i, *kernel); (n_i, n_o, *kernel); (n_o, n_i); (n_i, n_o); a
stack of matrices of one of the last two; (n_o, n_1, n_2) of two inputs."""

BUFFER = "buffer"
"""In the place of a class: a tensor that the module does not train."""
_TABLES = ("Embedding", "EmbeddingBag")
_NORMS = re.compile(r"(?:Lazy|Sync)?(?:Batch|Layer|Group|Instance|RMS|LocalResponse)Norm(?:\d?d)?")
_TRANSPOSED = re.compile(r"(?:Lazy)?ConvTranspose\d?d")
_CONV = re.compile(r"(?:Lazy)?Conv\dd")
_LINEAR = ("Linear", "NonDynamicallyQuantizableLinear", "LazyLinear")
MOST_STACKED = 1024
"""Matrices in one tensor; more of them are no experts."""


@dataclass(frozen=True)
class Surroundings:
    """A state dict, with what is known of its modules.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Factors merged, copies left out.
    types : mapping of str to str
        The class of torch's module that holds a tensor, where that is known.
    """

    tensors: Mapping[str, Tensor]
    types: Mapping[str, str]

    def bias(self, rule: NameRule) -> Tensor | None:
        """Return the bias beside a weight."""
        bias = self.tensors.get(rule.bias)
        return bias if bias is not None and rule.leaf != "bias" else None


def is_weight_class(kind: str) -> bool:
    """Return whether a class of torch is one whose tensors of two axes or more are weights."""
    return is_layer_class(kind) or kind in _TABLES or bool(_NORMS.fullmatch(kind))


def is_layer_class(kind: str) -> bool:
    """Return whether a class of torch is that of a layer: a convolution, or a linear one."""
    linear = kind in _LINEAR or kind == "Bilinear"
    return linear or bool(_CONV.fullmatch(kind) or _TRANSPOSED.fullmatch(kind))


def why_no_weight(
    name: str,
    rule: NameRule,
    tensor: Tensor,
    around: Surroundings,
    tables: frozenset[tuple[int, ...]],
) -> str | None:
    """Return why a tensor called a weight is none, None where it is one.

    Parameters
    ----------
    name : str
    rule : NameRule
        Of the name.
    tensor : Tensor
        Of two axes or more.
    around : Surroundings
    tables : frozenset of shapes
        Those of tensors that are look-up tables by their names.
    """
    kind = around.types.get(name, "")
    if kind in _TABLES:
        return f"an embedding, a look-up table: its module is an {kind}"
    if kind == BUFFER:
        return "a buffer of its module, which is not trained"
    if _NORMS.fullmatch(kind) or kind == "PReLU":
        return f"a normalization: its module is a {kind}"
    if kind:
        return None
    bias = around.bias(rule)
    if bias is not None and bias.shape == tensor.shape:
        return "a normalization: weight and bias of one shape"
    if tensor.ndim != 2 or (bias is not None and bias.numel() in tensor.shape):
        return None
    if rule.is_embedding or (rule.is_encoder and tuple(tensor.shape) in tables):
        return "an embedding, a look-up table"
    return None


def form_of(name: str, rule: NameRule, tensor: Tensor, around: Surroundings) -> Form:
    """Return how a weight is laid out."""
    kind = around.types.get(name, "")
    if kind and kind != BUFFER:
        if _TRANSPOSED.fullmatch(kind):
            return "transposed"
        if _CONV.fullmatch(kind):
            return "conv"
        if kind in _LINEAR:
            return "linear" if tensor.ndim == 2 else "stack"
        if kind == "Bilinear":
            return "joint"
    bias = around.bias(rule)
    length = bias.numel() if bias is not None and bias.ndim == 1 else 0
    outputs, inputs = tensor.shape[:2]
    if tensor.ndim == 2:
        return "input_first" if length == inputs != outputs else "linear"
    if tensor.ndim == 3 and (form := _stacked(rule, tensor, bias)):
        return form
    if length and outputs != length:
        return "transposed" if length % inputs == 0 or rule.is_transposed else "conv"
    if length and outputs != inputs:
        return "conv"
    return "transposed" if rule.is_transposed or _is_followed(rule, tensor, around) else "conv"


def _stacked(rule: NameRule, tensor: Tensor, bias: Tensor | None) -> Form | None:
    """Return how a stack of matrices is laid out, None where three axes mean a convolution."""
    count, rows, columns = tensor.shape
    if count > MOST_STACKED:
        return None
    if bias is not None and bias.ndim == 2 and bias.shape[0] == count:
        first = bias.shape[1] == columns != rows
        return "stack_input_first" if first else "stack"
    if bias is not None and bias.ndim == 1 and bias.numel() == columns not in (count, rows):
        return "stack_input_first"
    return "stack" if rule.is_stack else None


def _is_followed(rule: NameRule, tensor: Tensor, around: Surroundings) -> bool:
    """Return whether the next module of a sequence normalizes as many channels as axis 1 has."""
    outputs, inputs = tensor.shape[:2]
    path = rule.next_path
    if path is None or outputs == inputs or f"{rule.path}bias" in around.tensors:
        return False
    norm, mean = (around.tensors.get(f"{path}{leaf}") for leaf in ("weight", "running_mean"))
    return mean is not None and norm is not None and norm.numel() == mean.numel() == inputs


def drop_leading_one(name: str, rule: NameRule, tensor: Tensor, around: Surroundings) -> Tensor:
    """Drop the first axis of (1, n_o, n_i, k, k), as StyleGAN2 keeps its modulated kernels."""
    if tensor.ndim != 5 or tensor.shape[0] != 1 or around.types.get(name):
        return tensor
    if around.bias(rule) is not None and f"{rule.path}modulation.weight" not in around.tensors:
        return tensor
    depth, height, width = tensor.shape[2:]
    return tensor[0] if height == width != depth else tensor


def table_shapes(around: Surroundings) -> frozenset[tuple[int, ...]]:
    """Return the shapes of tensors that are look-up tables by their names."""
    shapes = set()
    for name, tensor in around.tensors.items():
        if tensor.ndim == 2 and around.bias(rule := name_rule(name)) is None and rule.is_embedding:
            shapes.add(tuple(tensor.shape))
    return frozenset(shapes)
