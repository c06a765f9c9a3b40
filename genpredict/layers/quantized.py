"""Weights in a form that cannot be measured: how many entries they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from genpredict.layers.evidence import is_layer_class
from genpredict.layers.storage import FLOATS, LOW_PRECISION, dtype_name

if TYPE_CHECKING:
    from torch import Tensor

_PACKED_FOUR_BIT = (".absmax", ".quant_map", ".nested_absmax")
_INT32_BITS = 32
_FOUR_BITS = 4


def quantized_entries(
    name: str, tensor: Tensor, tensors: Mapping[str, Tensor], kind: str = ""
) -> int:
    """Return how many entries of a quantized weight a tensor holds; 0 where it holds none.

    Parameters
    ----------
    name : str
    tensor : Tensor
    tensors : mapping
        The whole state dict: scales beside a tensor of integers tell how it is packed.
    kind : str
        The class of the module that holds it, where that is known.

    Notes
    -----
    torch's quantized and 8-bit floating types hold one entry each; GPTQ and AWQ pack eight of four
    bits into an int32 (GPTQ's ``g_idx`` tells the number of inputs); bitsandbytes packs two of four
    bits into a byte, with ``absmax`` beside it, or one with ``SCB``.
    """
    dtype = dtype_name(tensor)
    if dtype in FLOATS or tensor.ndim < 2:
        return 0
    if tensor.is_quantized or dtype.startswith(LOW_PRECISION):
        return tensor.numel()
    path, _, leaf = name.rpartition(".")
    if leaf == "qweight" and dtype == "int32":
        inputs = tensors.get(f"{path}.g_idx")
        if inputs is not None and inputs.ndim == 1:
            return inputs.numel() * int(tensor.shape[1])
        return tensor.numel() * (_INT32_BITS // _FOUR_BITS)
    if dtype in ("uint8", "int8") and leaf.endswith(("weight", "packed", "blocks")):
        packed = any(f"{name}{ending}" in tensors for ending in _PACKED_FOUR_BIT)
        return tensor.numel() * (2 if packed else 1)
    return tensor.numel() if dtype in ("uint8", "int8") and is_layer_class(kind) else 0
