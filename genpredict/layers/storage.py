"""How a tensor is stored: its type, its place in memory, and whether it can be measured at all."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Types of which spectra can be computed.
FLOATS = frozenset(("float32", "float16", "bfloat16", "float64"))
#: How the names of quantized types begin.
LOW_PRECISION = ("q", "float8", "float4", "uint4", "int4")


def why_unfit(tensor: Tensor) -> str | None:
    """Return why a tensor cannot be measured, by its type and shape; None where it can be."""
    if tensor.ndim < 2:
        return "a scalar" if tensor.ndim == 0 else "1-D: a bias, a normalization or a statistic"
    return why_unfit_type(tensor)


def why_unfit_type(tensor: Tensor) -> str | None:
    """Return why a tensor cannot be measured, by its type; None where it can be."""
    dtype = dtype_name(tensor)
    if dtype not in FLOATS:
        return _why_unfit_numbers(tensor, dtype)
    if not is_dense(tensor):
        return "sparse; save it dense"
    if tensor.is_meta:
        return "without data (meta device); save the real weights"
    count = tensor.numel()
    if count == 0:
        return "empty"
    if count * tensor.element_size() > tensor.untyped_storage().nbytes():
        return "expanded: fewer entries stored than shown; save it contiguous"
    return None


def _why_unfit_numbers(tensor: Tensor, dtype: str) -> str:
    """Say what is wrong with a type that is none of `FLOATS`."""
    if tensor.is_quantized or dtype.startswith(LOW_PRECISION):
        return f"quantized ({dtype}); measure the network before quantization"
    if tensor.is_complex():
        return f"complex ({dtype})"
    if not tensor.is_floating_point():
        return f"{dtype}: an integer buffer, or a weight quantized outside torch"
    return f"of type {dtype}; convert it to float32"


def is_number(tensor: Tensor) -> bool:
    """Return whether entries are parameters by type: floating, complex or torch-quantized."""
    return tensor.is_floating_point() or tensor.is_complex() or tensor.is_quantized


def place_of(tensor: Tensor) -> tuple[Any, ...] | None:
    """Return where a tensor's entries lie in memory; equal places are the same view."""
    if tensor.is_meta or not is_dense(tensor) or tensor.numel() == 0:
        return None
    return (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())


def is_dense(tensor: Tensor) -> bool:
    """Return whether every entry has its place in memory."""
    return _name_of(tensor.layout) == "strided"


def dtype_name(tensor: Tensor) -> str:
    """Return float32 for torch.float32."""
    return _name_of(tensor.dtype)


@cache
def _name_of(kind: torch.dtype | torch.layout) -> str:
    return str(kind).removeprefix("torch.")
