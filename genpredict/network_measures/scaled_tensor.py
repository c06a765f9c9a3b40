"""Tensors with a common factor kept apart: products over many layers stay in range."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

#: Mantissas are brought back to about 1 when they leave [1/LIMIT, LIMIT].
LIMIT = 1e100
#: Functions f with f(c·x) = c·f(x) for every c > 0, by name; of a sequence, each output is scaled.
HOMOGENEOUS = frozenset(
    (
        *("relu", "relu_", "leaky_relu", "leaky_relu_", "prelu", "neg", "__neg__"),
        *("max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d"),
        *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
        *("adaptive_max_pool1d", "adaptive_max_pool2d", "mean", "sum", "amax", "interpolate"),
        *("flatten", "view", "reshape", "permute", "transpose", "movedim", "squeeze", "unsqueeze"),
        *("expand", "contiguous", "clone", "detach", "to", "double", "float", "T", "__getitem__"),
        *("dropout", "dropout1d", "dropout2d", "pixel_shuffle", "channel_shuffle"),
        *("chunk", "split", "unbind", "narrow", "select", "roll"),
    )
)
_SUMS = {"add", "add_", "sub", "sub_", "__add__", "__radd__", "__iadd__", "__sub__", "__isub__"}
_PRODUCTS = {"mul", "mul_", "__mul__", "__rmul__", "__imul__", "multiply", "matmul", "__matmul__"}
_QUOTIENTS = {"div", "div_", "__truediv__", "__itruediv__", "true_divide"}
_JOINS = {"cat", "concat", "stack"}
_LINEAR = {"linear", "conv1d", "conv2d", "conv3d"}


class ScaledTensor(Tensor):
    """A tensor that stands for itself times exp(log_scale).

    Linear and positively homogeneous functions keep the factor apart, sums bring their terms to
    the larger one; any other function sees the true values, which may then be infinite or 0.

    Examples
    --------
    >>> huge = scaled(torch.ones(2, dtype=torch.float64), log_scale=1000.0)
    >>> log_sum(torch.relu(huge * 2) + huge)
    1001.791759469228
    """

    log_scale: float

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Apply a function of torch, the common factor kept apart where that can be."""
        name, rest = getattr(func, "__name__", ""), dict(kwargs or {})
        with torch._C.DisableTorchFunctionSubclass():
            if name in _SUMS and len(args) == 2 and not rest:
                return _add(func, args[0], args[1])
            if name in _PRODUCTS and len(args) == 2 and not rest:
                return scaled(func(*map(_plain, args)), log_scale=sum(map(_log_scale, args)))
            if name in _QUOTIENTS and len(args) == 2 and not rest:
                shift = _log_scale(args[0]) - _log_scale(args[1])
                return scaled(func(*map(_plain, args)), log_scale=shift)
            if name in _JOINS:
                return _join(func, args[0], *args[1:], **rest)
            if name in _LINEAR:
                return _linear(func, *args, **rest)
            if name in HOMOGENEOUS and not any(map(_is_scaled, args[1:])):
                return _rescaled(func(_plain(args[0]), *args[1:], **rest), _log_scale(args[0]))
            return func(*map(_true, args), **{key: _true(arg) for key, arg in rest.items()})


def scaled(tensor: Tensor, *, log_scale: float = 0.0) -> ScaledTensor:
    """Make a scaled tensor, its mantissa near 1 where it would else leave the range."""
    largest = float(tensor.abs().max()) if tensor.numel() else 0.0
    if 0 < largest < math.inf and not 1 / LIMIT <= largest <= LIMIT:
        tensor = tensor / largest
        log_scale += math.log(largest)
    result: ScaledTensor = tensor.as_subclass(ScaledTensor)
    result.log_scale = log_scale
    return result


def log_sum(tensor: Tensor) -> float:
    """Return ln Σ of the entries of a tensor, scaled or not; NaN where the sum is negative."""
    total, shift = float(_plain(tensor).sum()), _log_scale(tensor)
    if total > 0:
        return math.log(total) + shift
    return -math.inf if total == 0 else math.nan


def _is_scaled(value: object) -> bool:
    return isinstance(value, ScaledTensor)


def _log_scale(value: object) -> float:
    return value.log_scale if isinstance(value, ScaledTensor) else 0.0


def _plain(value: Any) -> Any:
    """Return the mantissa."""
    return value.as_subclass(Tensor) if isinstance(value, ScaledTensor) else value


def _true(value: Any) -> Any:
    """Return the true values, in sequences too; beyond the range of floats they are 0 or ∞."""
    if isinstance(value, ScaledTensor):
        return _plain(value) * _exp(value.log_scale)
    if isinstance(value, tuple | list):
        return type(value)(map(_true, value))
    return value


def _exp(log_scale: float) -> float:
    return math.exp(log_scale) if log_scale < 709 else math.inf


def _shifted(value: Any, log_scale: float) -> Any:
    """Return a mantissa for another factor, no smaller than the value's own."""
    return _plain(value) * _exp(_log_scale(value) - log_scale)


def _rescaled(result: Any, log_scale: float) -> Any:
    """Give outputs of a homogeneous function their factor."""
    if isinstance(result, Tensor):
        return scaled(result, log_scale=log_scale)
    return type(result)(_rescaled(part, log_scale) for part in result)


def _add(func: Callable[..., Any], left: Any, right: Any) -> ScaledTensor:
    common = max(_log_scale(left), _log_scale(right))
    # An in-place sum may write into its first argument, which _shifted has made anew.
    return scaled(func(_shifted(left, common), _shifted(right, common)), log_scale=common)


def _join(func: Callable[..., Any], parts: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
    common = max(map(_log_scale, parts))
    return scaled(func([_shifted(p, common) for p in parts], *args, **kwargs), log_scale=common)


def _linear(
    func: Callable[..., Any], inputs: Any, weight: Any, bias: Any = None, *args: Any, **kwargs: Any
) -> ScaledTensor:
    """Apply a linear map, then add its bias."""
    shift = _log_scale(inputs) + _log_scale(weight)
    product = scaled(func(_plain(inputs), _plain(weight), None, *args, **kwargs), log_scale=shift)
    if bias is None:
        return product
    shape = [-1] + [1] * (inputs.ndim - 2) if func.__name__ != "linear" else [-1]
    return _add(torch.add, product, bias.reshape(shape))
