"""Tensors of floating point that are not trained: statistics, masks, fixed filters, scales."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from genpredict.layers.names import name_rule, remembered, words
from genpredict.layers.storage import is_dense

if TYPE_CHECKING:
    from torch import Tensor

_STATISTICS = (
    "running_mean", "running_var", "num_batches_tracked",  # normalization
    "weight_u", ".0._u", ".0._v", "weight_mask",  # spectral normalization, pruning
)  # fmt: skip
_NAMES = frozenset(
    (
        "inv_freq", "cos_cached", "sin_cached", "freqs_cis", "masked_bias", "n_averaged", "initted",
        "relative_coords_table", "pixel_mean", "pixel_std", "total_ops", "total_params",
        "weight_scale_inv", "weight_scale", "input_scale", "SCB", "absmax", "quant_map",
        "nested_absmax", "nested_quant_map", "scales", "qzeros", "quant_state",
    )
)  # fmt: skip
"""Last parts of names that libraries give to constants and to scales of quantized weights."""
_MASKS = frozenset(("bias", "mask", "attn_mask", "causal_mask", "tril", "masked_bias"))
_FRONT_ENDS = frozenset(("mel", "melw", "fbank", "filterbank", "hann", "hamming", "dct", "stft"))
_TRANSFORMS = frozenset(("stft", "istft", "spectrogram", "mfcc", "melspec", "dft"))
_ENOUGH_SAMPLES = 8
"""Samples of a window from which on rows can be told from chance."""
_FOURIER_ERROR = 1e-3


def is_statistic(name: str) -> bool:
    """Return whether a name is that of a buffer: a running statistic, a mask."""
    return name.endswith(_STATISTICS)


def why_constant(name: str, tensor: Tensor, tensors: Mapping[str, Tensor]) -> str | None:
    """Return why a tensor is no parameter, None where it may be one.

    Parameters
    ----------
    name : str
    tensor : Tensor
        Of real numbers.
    tensors : mapping
        The whole state dict.
    """
    if named := _why_called_constant(name):
        return named
    rule = name_rule(name)
    if tensor.ndim == 0:
        return _why_constant_number(rule.path, rule.leaf, tensors)
    if tensor.ndim == 1:
        # weight normalization's weight_v has the weight's shape
        return "a singular vector" if rule.leaf.endswith("weight_v") else None
    if "parametrizations." in name and rule.leaf in ("base", "_u", "_v", "mask"):
        return "a buffer of a parametrization"
    if tensor.is_meta or not is_dense(tensor) or not tensor.numel():
        return None
    if rule.leaf in _MASKS and _is_causal_mask(tensor):
        return "a mask"
    if tensor.ndim == 3 and tensor.shape[1] == 1 and not _TRANSFORMS.isdisjoint(words(rule.path)):
        return "a fixed Fourier transform, by its name"
    if not rule.leaf.endswith("weight") and not _FRONT_ENDS.isdisjoint(words(rule.leaf)):
        return "a fixed filter bank"
    return _why_fixed_filter(tensor, has_bias=rule.bias in tensors)


@remembered
def _why_called_constant(name: str) -> str | None:
    """Return a reason where a name says that a tensor is no parameter."""
    if is_statistic(name):
        return "a statistic or a mask"
    if name_rule(name).leaf in _NAMES or ".quant_state." in name:
        return "a constant, or a scale of quantized weights"
    return None


def _why_constant_number(path: str, leaf: str, tensors: Mapping[str, Tensor]) -> str | None:
    """Return a reason where a single number is no parameter."""
    if leaf == "alpha" and any(name.startswith(f"{path}lora_") for name in tensors):
        return "a constant of an adapter"
    return "a counter or a constant" if leaf in ("decay", "step", "num_updates", "epoch") else None


def _is_causal_mask(tensor: Tensor) -> bool:
    """Return whether a tensor is square, but for leading ones, and has at most two values."""
    if tensor.shape[-1] != tensor.shape[-2] or tensor.numel() != tensor.shape[-1] ** 2:
        return False
    if tensor.ndim == 2 or tensor.element_size() == 1:
        return False
    lowest, highest = tensor.min(), tensor.max()
    return bool(((tensor == lowest) | (tensor == highest)).all())


def _why_fixed_filter(tensor: Tensor, *, has_bias: bool) -> str | None:
    """Return a reason where a kernel is known to be computed instead of trained."""
    if tensor.ndim < 3 or tensor.shape[1] != 1 or not tensor.is_floating_point() or has_bias:
        return None
    if tensor.element_size() == 1:
        return None
    if tensor.shape[0] > 1 and math.prod(tensor.shape[2:]) > 1:
        same = bool((tensor[0] == tensor[1]).all()) and bool((tensor == tensor[:1]).all())
        if same and bool(tensor[0].any()):
            return "a fixed filter: every channel has the same kernel"
    if tensor.ndim == 3 and _is_fourier(tensor):
        return "a fixed Fourier transform: rows are a window times sines"
    return None


def _is_fourier(tensor: Tensor) -> bool:
    """Return whether rows are one window times the sines or cosines of a Fourier transform.

    The window is the least-squares fit to all rows, so that none need be known.
    """
    import torch

    rows, _, samples = tensor.shape
    half = samples // 2 + 1
    if samples < _ENOUGH_SAMPLES or rows not in (half, samples, 2 * half):
        return False
    matrix = tensor[:, 0].double()
    angle = torch.arange(samples).double() * (2 * math.pi / samples)
    phase = torch.arange(half if rows == 2 * half else rows).double()[:, None] * angle
    parts = (matrix[:half], matrix[half:]) if rows == 2 * half else (matrix,)
    return all(any(_fits(part, basis) for basis in (phase.cos(), phase.sin())) for part in parts)


def _fits(matrix: Tensor, basis: Tensor) -> bool:
    """Return whether a matrix is a basis with its columns scaled."""
    squares = basis.square().sum(0)
    window = (matrix * basis).sum(0) / squares.clamp_min(1e-12)
    left = (matrix - window * basis).norm()
    return bool(left <= _FOURIER_ERROR * matrix.norm()) and bool(matrix.norm() > 0)
