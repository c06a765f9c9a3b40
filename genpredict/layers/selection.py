"""Tell which tensors of a state dict are layers, and why the others are not.

The rules, in the order in which they are applied; ``--exclude`` comes first, and a tensor that an
``--include`` or ``--also`` pattern matches skips the rules marked *, which go by its name:

======================================  =========================================================
tensor                                  taken as
======================================  =========================================================
0-D and 1-D                             left out: biases, normalization, statistics
integer, boolean                        left out: a buffer
quantized, complex, 8-bit float         left out: spectra need float16, bfloat16, float32, float64
sparse, or without data (meta)          left out
the second of two tied tensors          left out: the same entries as the first
averages, targets, momentum copies      left out *: beside what they follow, of the same shapes
(``ema``, ``target_net``, ``teacher``)  (`genpredict.layers.copies`)
masks, fixed filters, Fourier kernels   left out *: computed, not trained (`…layers.constants`)
not called weight, nor by another word  left out *: position embeddings, tokens, tables, statistics
(``proj``, ``root``, ``kernel``, ``w1``)
module known to be an embedding, a      left out *; its class decides wherever it is known
normalization, or a buffer
weight and bias of one shape            left out *: a normalization of several axes
2-D, module called an embedding         left out *: a look-up table (``embed``, ``wte``, ``lut``),
                                        unless a bias stands beside it
``weight_g`` with ``weight_v``, …       one layer, the weight they make (`reparametrized`)
recurrent ``weight_ih``, ``weight_hh``  one layer a gate: LSTM ``[i] [f] [g] [o]``,
                                        GRU ``[r] [z] [n]``, plain RNN one; ``weight_hr`` whole
fused attention: ``in_proj_weight``,    one layer each for ``[q] [k] [v]`` (or ``[k] [v]``): equal
``qkv``, ``to_qkv``, ``kv``, ``to_kv``  parts of the rows
``qkv_proj``, ``Wqkv``, ``c_attn``      the same, only where rows = 3 × columns: with grouped
                                        queries the parts differ, and it is taken whole
``query_key_value`` (BLOOM, NeoX)       whole: its rows alternate between heads
GPT-2: ``c_attn`` (n_i, 3·n_o)          transposed, then ``[q] [k] [v]``; in such a network
                                        ``c_fc``, ``c_proj``, ``q_attn`` are transposed too
2-D with a bias as long as axis 1       linear, transposed from (n_i, n_o)
3-D called experts, or with a bias as   linear, a layer a matrix of the stack
long as the last axis
(1, n_o, n_i, k, k)                     conv, its first axis dropped (StyleGAN2)
3-D and more                            conv, layout (n_o, n_i, *kernel)
… with a bias as long as axis 1, or     conv, axes swapped from torch's (n_i, n_o, *kernel);
a normalization of as many channels     a transposed convolution without such evidence goes by
after it                                its name: deconv, conv_transpose, upconv, tconv
2-D                                     linear, layout (n_o, n_i)
no unfolding with two rows              left out, whichever of the above it is (1 output unit)
======================================  =========================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from genpredict.layers.constants import why_constant
from genpredict.layers.copies import copy_reasons
from genpredict.layers.evidence import (
    BUFFER,
    Surroundings,
    drop_leading_one,
    form_of,
    is_weight_class,
    table_shapes,
    why_no_weight,
)
from genpredict.layers.names import name_rule
from genpredict.layers.parts import Layer, is_gpt2, layers_of
from genpredict.layers.quantized import quantized_entries
from genpredict.layers.reparametrizations import merge_factors, stale_factors
from genpredict.layers.storage import dtype_name, is_number, place_of, why_unfit

if TYPE_CHECKING:
    from torch import Tensor

_TAKE = "; a matching --include takes it, and then only what matches; --also adds it"


class LeftOut(NamedTuple):
    """A tensor that is no layer, and why."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    reason: str


@dataclass
class Selection:
    """The tensors of a network, sorted.

    Parameters
    ----------
    live : mapping of str to Tensor
        All but copies.
    types : mapping of str to str
        As of `select_layers`.
    layers : list of Layer
    others : list of (str, Tensor, str)
        The tensors that are no layers, and why.
    quantized : int
        Entries of weights in a form that cannot be measured.
    """

    live: Mapping[str, Tensor] = field(repr=False)
    types: Mapping[str, str] = field(repr=False)
    layers: list[Layer] = field(default_factory=list)
    others: list[tuple[str, Tensor, str]] = field(default_factory=list, repr=False)
    quantized: int = 0

    @cached_property
    def left_out(self) -> list[LeftOut]:
        """What is no layer, and why; described when it is asked for, which scoring does not."""
        return [
            LeftOut(name, tuple(tensor.shape), dtype_name(tensor), reason)
            for name, tensor, reason in self.others
        ]

    @cached_property
    def num_parameters(self) -> int:
        """Entries of live parameters, look-up tables and normalizations among them.

        No statistics, masks, constants, copies, nor the second of tied tensors. Counted when it is
        asked for: archives and caches know it.
        """
        return _count(self.live, self.types)

    @property
    def measured(self) -> int:
        """Entries of all layers."""
        return sum(layer.weight.numel() for layer in self.layers)


def select_layers(
    tensors: Mapping[str, Tensor],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    also: Sequence[str] = (),
    types: Mapping[str, str] | None = None,
) -> tuple[list[Layer], list[LeftOut]]:
    """Sort the tensors of a checkpoint into layers and the rest.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        By name, in the order of depth.
    include : sequence of str
        Shell patterns on names: only matching tensors are layers, even where their name alone
        would leave them out (embeddings, tensors not called weight).
    exclude : sequence of str
        Shell patterns on names: matching tensors are no layers.
    also : sequence of str
        Shell patterns on names: matching tensors are layers too, beside what is one anyway.
    types : mapping of str to str, optional
        The class of torch's module that holds a tensor, where that is known; by default what the
        tensors themselves bring along (those of `Checkpoint.tensors` do).

    Returns
    -------
    tuple of (list of Layer, list of LeftOut)
        Both in the order of ``tensors``.

    Examples
    --------
    >>> import torch
    >>> layers, left_out = select_layers(torch.nn.LSTM(3, 5).state_dict(), exclude=["*_hh_*"])
    >>> [layer.name for layer in layers]
    ['weight_ih_l0[i]', 'weight_ih_l0[f]', 'weight_ih_l0[g]', 'weight_ih_l0[o]']
    >>> left_out[0].reason
    'excluded by the pattern *_hh_*'
    """
    chosen = sort_tensors(tensors, include=include, exclude=exclude, also=also, types=types)
    return chosen.layers, chosen.left_out


def sort_tensors(
    tensors: Mapping[str, Tensor],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    also: Sequence[str] = (),
    types: Mapping[str, str] | None = None,
) -> Selection:
    """Sort the tensors of a network as `select_layers` does, and count what they hold.

    Returns
    -------
    Selection
    """
    if types is None:
        types = getattr(tensors, "types", {})
    aside = copy_reasons(tensors) | stale_factors(tensors)
    if also or include:
        taken = (*also, *include)
        aside = {n: why for n, why in aside.items() if not _matches(n, taken)}
    live = {n: t for n, t in tensors.items() if n not in aside} if aside else tensors
    network = _Network(merge_factors(live), types, include, exclude, also)
    selection = Selection(live, types, quantized=_quantized(live, types))
    for name, tensor in network.tensors.items():
        network.sort(name, tensor, selection)
    selection.others += [(n, tensors[n], f"{why}{_TAKE}") for n, why in aside.items()]
    return selection


def count_parameters(tensors: Mapping[str, Tensor]) -> int:
    """Count the parameters: all entries but statistics, constants, copies and tied tensors.

    Examples
    --------
    >>> import torch
    >>> count_parameters(torch.nn.BatchNorm1d(4).state_dict())
    8
    """
    return sort_tensors(tensors).num_parameters


class _Network:
    """The tensors of one network, with what is known of them all together."""

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        types: Mapping[str, str],
        include: Sequence[str],
        exclude: Sequence[str],
        also: Sequence[str],
    ) -> None:
        self.tensors, self.around = tensors, Surroundings(tensors, types)
        self.include, self.exclude, self.also = include, exclude, also
        self.first_of: dict[tuple[Any, ...], str] = {}
        rules = [(name_rule(name), tensor) for name, tensor in tensors.items() if tensor.ndim >= 2]
        self.has_live_weights = any(rule.is_weight and not rule.is_average for rule, _ in rules)
        self.gpt2 = any(is_gpt2(rule, tensor) for rule, tensor in rules)
        encoders = any(rule.is_encoder for rule, _ in rules)
        self.tables = table_shapes(self.around) if encoders else frozenset[tuple[int, ...]]()

    def sort(self, name: str, tensor: Tensor, selection: Selection) -> None:
        """Add a tensor's layers, or the reason why it has none."""
        reason = self.why_not(name, tensor)
        if reason is None:
            rule = name_rule(name)
            weight = drop_leading_one(name, rule, tensor, self.around)
            form = form_of(name, rule, weight, self.around)
            parts = list(layers_of(name, rule, weight, form, self.tensors, gpt2=self.gpt2))
            unfolding = [part for part in parts if _has_unfolding(part.weight)]
            selection.layers += unfolding
            if len(unfolding) == len(parts):
                return
            reason = "no unfolding has two rows or more"
        selection.others.append((name, tensor, reason))

    def why_not(self, name: str, tensor: Tensor) -> str | None:
        """Return why a tensor is no layer, None where it is one."""
        for pattern in self.exclude:
            if fnmatchcase(name, pattern):
                return f"excluded by the pattern {pattern}"
        included = bool(self.include) and _matches(name, self.include)
        if self.include and not included:
            return "matches no include pattern"
        if reason := why_unfit(tensor) or self._tied(name, tensor):
            return reason
        if included or (self.also and _matches(name, self.also)):
            return None
        return self._unfit_name(name, tensor)

    def _tied(self, name: str, tensor: Tensor) -> str | None:
        """Return a reason where the very same view was met before."""
        place = place_of(tensor)
        if place is None:
            return None
        first = self.first_of.setdefault(place, name)
        return None if first == name else f"tied: the same entries as {first}"

    def _unfit_name(self, name: str, tensor: Tensor) -> str | None:
        """Apply the rules that go by name, and by what stands beside a tensor."""
        rule = name_rule(name)
        if rule.is_average and self.has_live_weights:
            return f"a moving average of weights{_TAKE}"
        called = rule.is_weight or rule.is_position or (rule.is_stack and tensor.ndim == 3)
        kind = self.around.types.get(name, "")
        if not (called or (rule.leaf != "bias" and is_weight_class(kind))):
            return f"not called weight{_TAKE}"
        if reason := why_constant(name, tensor, self.tensors):
            return f"{reason}{_TAKE}"
        reason = why_no_weight(name, rule, tensor, self.around, self.tables)
        return reason and f"{reason}{_TAKE}"


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _count(tensors: Mapping[str, Tensor], types: Mapping[str, str]) -> int:
    """Count the entries of parameters, those of tied tensors once."""
    has_live_weights = any(
        t.ndim >= 2 and (rule := name_rule(n)).is_weight and not rule.is_average
        for n, t in tensors.items()
    )
    seen: set[tuple[Any, ...]] = set()
    total = 0
    for name, tensor in tensors.items():
        if not is_number(tensor) or why_constant(name, tensor, tensors):
            continue
        if (types and types.get(name) == BUFFER) or (
            has_live_weights and name_rule(name).is_average
        ):
            continue
        place = place_of(tensor)
        if place not in seen:
            total += tensor.numel()
        if place is not None:
            seen.add(place)
    return total


def _quantized(tensors: Mapping[str, Tensor], types: Mapping[str, str]) -> int:
    """Count the entries of weights in a form that cannot be measured."""
    matrices = ((name, tensor) for name, tensor in tensors.items() if tensor.ndim >= 2)
    return sum(quantized_entries(n, tensor, tensors, types.get(n, "")) for n, tensor in matrices)


def _has_unfolding(weight: Tensor) -> bool:
    """Return whether an unfolding has a smaller side of two or more (docs/design.md)."""
    outputs, inputs = weight.shape[:2]
    total = weight.numel()
    return min(outputs, total // outputs) >= 2 or (
        weight.ndim > 2 and min(inputs, total // inputs) >= 2
    )
