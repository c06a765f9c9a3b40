"""Tell which tensors of a state dict are layers, and why the others are not.

The rules, in the order in which they are applied; ``--exclude`` comes first, and a tensor that an
``--include`` pattern matches skips the rules marked *, which go by its name:

======================================  =========================================================
tensor                                  taken as
======================================  =========================================================
0-D and 1-D                             left out: biases, normalization, statistics
integer, boolean                        left out: a buffer
quantized, complex, 8-bit float         left out: spectra need float16, bfloat16, float32, float64
sparse, or without data (meta)          left out
the second of two tied tensors          left out: the same entries as the first
moving averages (``ema``) beside the    left out *
weights themselves
name does not end in ``weight``         left out *: position embeddings, tokens, tables, statistics
2-D, module is an embedding             left out *: a look-up table (``embed``, ``wte``, ``shared``)
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
3-D and more                            conv, layout (n_o, n_i, *kernel)
… named deconv, conv_transpose,         conv, axes swapped from torch's (n_i, n_o, *kernel);
upconv, transposed, tconv               a transposed convolution of another name cannot be told
2-D                                     linear, layout (n_o, n_i)
no unfolding with two rows              left out, whichever of the above it is (1 output unit)
======================================  =========================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from genpredict.layers.names import NameRule, name_rule
from genpredict.layers.reparametrizations import merge_factors

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["conv", "linear"]
GATES = {4: ("i", "f", "g", "o"), 3: ("r", "z", "n"), 1: ("",)}
_STATISTICS = (
    "running_mean", "running_var", "num_batches_tracked",  # normalization
    "weight_u", ".0._u", ".0._v", "weight_mask",  # spectral normalization, pruning
)  # fmt: skip
_TAKE = "; a matching --include takes it, and then only what matches"
_FLOATS = ("torch.float32", "torch.float16", "torch.bfloat16", "torch.float64")


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


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A tensor that is no layer, and why."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    reason: str


def select_layers(
    tensors: Mapping[str, Tensor], *, include: Sequence[str] = (), exclude: Sequence[str] = ()
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
    merged = merge_factors(tensors)
    network = _Network(merged, include, exclude)
    layers: list[Layer] = []
    left_out: list[LeftOut] = []
    for name, tensor in merged.items():
        reason = network.why_not(name, tensor)
        if reason is None:
            parts = list(network.layers_of(name, tensor))
            layers += [part for part in parts if _has_unfolding(part.weight)]
            if all(_has_unfolding(part.weight) for part in parts):
                continue
            reason = "no unfolding has two rows or more"
        left_out.append(LeftOut(name, tuple(tensor.shape), _dtype_name(tensor), reason))
    return layers, left_out


def count_parameters(tensors: Mapping[str, Tensor]) -> int:
    """Count the parameters: all entries but statistics, integer buffers and tied copies.

    Examples
    --------
    >>> import torch
    >>> count_parameters(torch.nn.BatchNorm1d(4).state_dict())
    8
    """
    seen: set[tuple[Any, ...]] = set()
    total = 0
    for name, tensor in tensors.items():
        if is_statistic(name) or not _is_number(tensor):
            continue
        if tensor.ndim == 1 and name.endswith("weight_v"):
            continue  # a singular vector; weight normalization's weight_v has the weight's shape
        place = _place(tensor)
        if place is None or place not in seen:
            total += tensor.numel()
        if place is not None:
            seen.add(place)
    return total


def is_statistic(name: str) -> bool:
    """Return whether a name is that of a buffer: a running statistic, a mask."""
    return name.endswith(_STATISTICS)


class _Network:
    """The tensors of one network, with what is known of them all together."""

    def __init__(
        self, tensors: Mapping[str, Tensor], include: Sequence[str], exclude: Sequence[str]
    ) -> None:
        self.tensors, self.include, self.exclude = tensors, include, exclude
        self.first_of: dict[tuple[Any, ...], str] = {}
        rules = [(name_rule(name), tensor) for name, tensor in tensors.items() if tensor.ndim >= 2]
        self.has_live_weights = any(rule.is_weight and not rule.is_average for rule, _ in rules)
        self.is_gpt2 = any(
            rule.module == "c_attn" and tensor.ndim == 2 and tensor.shape[1] == 3 * tensor.shape[0]
            for rule, tensor in rules
        )

    def why_not(self, name: str, tensor: Tensor) -> str | None:
        """Return why a tensor is no layer, None where it is one."""
        for pattern in self.exclude:
            if fnmatchcase(name, pattern):
                return f"excluded by the pattern {pattern}"
        included = any(fnmatchcase(name, pattern) for pattern in self.include)
        if self.include and not included:
            return "matches no include pattern"
        return (
            _unfit(tensor)
            or self._tied(name, tensor)
            or (None if included else self._unfit_name(name, tensor))
        )

    def _tied(self, name: str, tensor: Tensor) -> str | None:
        """Return a reason where the very same view was met before."""
        place = _place(tensor)
        if place is None:
            return None
        first = self.first_of.setdefault(place, name)
        return None if first == name else f"tied: the same entries as {first}"

    def _unfit_name(self, name: str, tensor: Tensor) -> str | None:
        """Apply the rules that go by name."""
        rule = name_rule(name)
        if rule.is_average and self.has_live_weights:
            return f"a moving average of weights{_TAKE}"
        if not rule.is_weight:
            return f"not called weight{_TAKE}"
        if rule.is_embedding and tensor.ndim == 2:
            return f"an embedding, a look-up table{_TAKE}"
        return None

    def layers_of(self, name: str, tensor: Tensor) -> Iterator[Layer]:
        """Yield the layers that one weight holds, in torch layout."""
        rule = name_rule(name)
        weight = tensor.detach()
        kind: Kind = "linear" if weight.ndim == 2 else "conv"
        if kind == "conv" and rule.is_transposed:
            weight = weight.transpose(0, 1)
        elif kind == "linear" and self._is_gpt2_layout(rule, weight):
            weight = weight.T
        parts, bias = self._parts(name, rule, weight), self._bias_of(name, weight)
        if len(parts) == 1:
            yield Layer(name, kind, weight, bias)
            return
        biases = (None,) * len(parts) if bias is None else bias.chunk(len(parts))
        for part, rows, some in zip(parts, weight.chunk(len(parts)), biases, strict=True):
            yield Layer(f"{name}[{part}]", kind, rows, some)

    def _bias_of(self, name: str, weight: Tensor) -> Tensor | None:
        """Return the bias beside a weight, one entry an output channel."""
        module, dot, leaf = name.rpartition(".")
        bias = self.tensors.get(f"{module}{dot}{leaf.replace('weight', 'bias', 1)}")
        fits = bias is not None and bias.shape == weight.shape[:1] and _unfit_type(bias) is None
        return bias.detach() if bias is not None and fits else None

    def _is_gpt2_layout(self, rule: NameRule, weight: Tensor) -> bool:
        """Return whether a 2-D weight is stored input first, as GPT-2's are."""
        if not self.is_gpt2:
            return False
        if rule.module == "c_attn":
            return weight.shape[1] != weight.shape[0] and weight.shape[1] % weight.shape[0] == 0
        return rule.module in ("c_fc", "c_proj", "q_attn")

    def _parts(self, name: str, rule: NameRule, weight: Tensor) -> tuple[str, ...]:
        """Return the names of the equal parts into which the rows of a weight fall."""
        rows, columns = weight.shape[:2]
        if rule.recurrent_state is not None:
            return self._gates(rule.recurrent_state, rows)
        if rule.module == "c_attn" and self.is_gpt2 and rows == 2 * columns:
            return ("k", "v")  # cross-attention
        parts = rule.parts
        equal = len(parts) > 1 and rows % len(parts) == 0
        return parts if equal and (not rule.parts_are_square or rows == 3 * columns) else ("",)

    def _gates(self, state_name: str, rows: int) -> tuple[str, ...]:
        """Return the gates of a recurrent weight; the hidden size is that of its state weight."""
        projection = self.tensors.get(state_name.replace("weight_hh", "weight_hr"))
        state = self.tensors.get(state_name) if projection is None else projection
        hidden = state.shape[1] if state is not None and state.ndim == 2 else 0
        gates = rows // hidden if hidden and rows % hidden == 0 else 1
        return GATES.get(gates, ("",))


def _unfit(tensor: Tensor) -> str | None:
    """Apply the rules that go by type and shape."""
    if tensor.ndim < 2:
        return "a scalar" if tensor.ndim == 0 else "1-D: a bias, a normalization or a statistic"
    return _unfit_type(tensor)


def _unfit_type(tensor: Tensor) -> str | None:
    """Apply the rules that go by type."""
    dtype = _dtype_name(tensor)
    if tensor.is_quantized or dtype.startswith(("q", "float8", "float4", "uint4", "int4")):
        return f"quantized ({dtype}); measure the network before quantization"
    if tensor.is_complex():
        return f"complex ({dtype})"
    if not tensor.is_floating_point():
        return f"{dtype}: an integer buffer, or a weight quantized outside torch"
    if str(tensor.dtype) not in _FLOATS:
        return f"of type {dtype}; convert it to float32"
    if str(tensor.layout) != "torch.strided":
        return "sparse; save it dense"
    if tensor.is_meta:
        return "without data (meta device); save the real weights"
    if tensor.numel() == 0:
        return "empty"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return "expanded: fewer entries stored than shown; save it contiguous"
    return None


def _has_unfolding(weight: Tensor) -> bool:
    """Return whether an unfolding has a smaller side of two or more (docs/design.md 3.1)."""
    outputs, inputs = weight.shape[:2]
    total = weight.numel()
    return min(outputs, total // outputs) >= 2 or (
        weight.ndim > 2 and min(inputs, total // inputs) >= 2
    )


def _is_number(tensor: Tensor) -> bool:
    """Return whether entries are parameters by type: floating, complex or torch-quantized."""
    return tensor.is_floating_point() or tensor.is_complex() or tensor.is_quantized


def _place(tensor: Tensor) -> tuple[Any, ...] | None:
    """Return where a tensor's entries lie in memory; equal places are the same view."""
    if tensor.is_meta or str(tensor.layout) != "torch.strided" or tensor.numel() == 0:
        return None
    return (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())


def _dtype_name(tensor: Tensor) -> str:
    """Return float32 for torch.float32."""
    return str(tensor.dtype).removeprefix("torch.")
