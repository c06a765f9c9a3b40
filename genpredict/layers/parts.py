"""The layers that one weight holds: gates, query, key and value, experts; in torch's layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from genpredict.layers.evidence import Form
from genpredict.layers.names import NameRule
from genpredict.layers.storage import why_unfit_type

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["conv", "linear"]
GATES = {4: ("i", "f", "g", "o"), 3: ("r", "z", "n"), 1: ("",)}


@dataclass(frozen=True, slots=True)
class Layer:
    """A weight to be measured.

    Parameters
    ----------
    name : str
        The tensor's name, with the part in brackets where it was split: ``attn.qkv.weight[q]``.
    kind : {"conv", "linear"}
        Whether it has a kernel.
    weight : Tensor, shape (n_o, n_i, *kernel)
        In the stored precision; a view where possible.
    bias : Tensor, shape (n_o,), optional
        Of the same module, where it has one; for measures of biases alone.
    """

    name: str
    kind: Kind
    weight: Tensor
    bias: Tensor | None = None


def layers_of(
    name: str,
    rule: NameRule,
    tensor: Tensor,
    form: Form,
    tensors: Mapping[str, Tensor],
    *,
    gpt2: bool,
) -> Iterator[Layer]:
    """Yield the layers that one weight holds.

    Parameters
    ----------
    name : str
    rule : NameRule
        Of the name.
    tensor : Tensor
        Of two axes or more.
    form : Form
        How it is laid out.
    tensors : mapping
        The whole state dict, where the state weight of a recurrent layer tells the hidden size.
    gpt2 : bool
        Whether the network stores matrices input first, as GPT-2 does.
    """
    weight = tensor.detach()
    if form in ("stack", "stack_input_first"):
        stacked = tensors.get(rule.bias)
        for number, matrix in enumerate(weight):
            turned = matrix.T if form == "stack_input_first" else matrix
            own = stacked[number] if stacked is not None and stacked.ndim == 2 else None
            yield Layer(f"{name}[{number}]", "linear", turned, _fitting(own, turned))
        return
    if form == "joint":
        joint = weight.flatten(1)
        yield Layer(name, "linear", joint, _fitting(tensors.get(rule.bias), joint))
        return
    kind: Kind = "linear" if weight.ndim == 2 else "conv"
    if form == "transposed":
        weight = weight.transpose(0, 1)
    elif form == "input_first" or (kind == "linear" and gpt2 and _is_gpt2_layout(rule, weight)):
        weight = weight.T
    parts, bias = _parts(rule, weight, tensors, gpt2=gpt2), tensors.get(rule.bias)
    bias = _fitting(bias, weight)
    if len(parts) == 1:
        yield Layer(name, kind, weight, bias)
        return
    biases = (None,) * len(parts) if bias is None else bias.chunk(len(parts))
    for part, rows, some in zip(parts, weight.chunk(len(parts)), biases, strict=True):
        yield Layer(f"{name}[{part}]", kind, rows, some)


def _fitting(bias: Tensor | None, weight: Tensor) -> Tensor | None:
    """Return a bias with one entry an output channel, None where there is no such bias."""
    if bias is None or bias.shape != weight.shape[:1] or why_unfit_type(bias) is not None:
        return None
    return bias.detach()


def is_gpt2(rule: NameRule, tensor: Tensor) -> bool:
    """Return whether a tensor shows that a network stores matrices input first, as GPT-2 does."""
    return rule.module == "c_attn" and tensor.ndim == 2 and tensor.shape[1] == 3 * tensor.shape[0]


def _is_gpt2_layout(rule: NameRule, weight: Tensor) -> bool:
    """Return whether a 2-D weight of such a network is stored input first."""
    if rule.module == "c_attn":
        return weight.shape[1] != weight.shape[0] and weight.shape[1] % weight.shape[0] == 0
    return rule.module in ("c_fc", "c_proj", "q_attn")


def _parts(
    rule: NameRule, weight: Tensor, tensors: Mapping[str, Tensor], *, gpt2: bool
) -> tuple[str, ...]:
    """Return the names of the equal parts into which the rows of a weight fall."""
    rows, columns = weight.shape[:2]
    if rule.recurrent_state is not None:
        return _gates(rule.recurrent_state, rows, tensors)
    if rule.module == "c_attn" and gpt2 and rows == 2 * columns:
        return ("k", "v")  # cross-attention
    parts = rule.parts
    equal = len(parts) > 1 and rows % len(parts) == 0
    return parts if equal and (not rule.parts_are_square or rows == 3 * columns) else ("",)


def _gates(state_name: str, rows: int, tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Return the gates of a recurrent weight; the hidden size is that of its state weight."""
    projection = tensors.get(state_name.replace("weight_hh", "weight_hr"))
    state = tensors.get(state_name) if projection is None else projection
    hidden = state.shape[1] if state is not None and state.ndim == 2 else 0
    gates = rows // hidden if hidden and rows % hidden == 0 else 1
    return GATES.get(gates, ("",))
