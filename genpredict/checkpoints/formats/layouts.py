"""From the layouts of Keras, TensorFlow and flax, inputs before outputs, to torch's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def conv_kernel(kernel: Tensor) -> Tensor:
    """Turn (*kernel, n_i, n_o) into (n_o, n_i, *kernel)."""
    axes = range(kernel.ndim)
    return kernel.permute(axes[-1], axes[-2], *axes[:-2])


def depthwise_kernel(kernel: Tensor) -> Tensor:
    """Turn (*kernel, n_i, multiplier) into (n_i · multiplier, 1, *kernel)."""
    axes = range(kernel.ndim)
    leading = kernel.permute(axes[-2], axes[-1], *axes[:-2])
    return leading.reshape(-1, 1, *kernel.shape[:-2])


def from_channels_last(arrays: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Bring flax's parameters to torch's layout and names.

    Parameters
    ----------
    arrays : mapping of str to Tensor
        ``Dense_0.kernel`` (n_i, n_o), ``Conv_0.kernel`` (*kernel, n_i, n_o), ``…bias``,
        ``….embedding``, ``….scale``; attention's ``query.kernel`` (n, heads, n_head) and
        ``out.kernel`` (heads, n_head, n).

    Returns
    -------
    tuple of (dict, dict)
        Tensors by name, ``kernel`` as ``weight``, and the classes of torch that match.
    """
    tensors: dict[str, Tensor] = {}
    types: dict[str, str] = {}
    for name, array in arrays.items():
        path, _, leaf = name.rpartition(".")
        front = f"{path}." if path else ""
        if leaf != "kernel":
            tensors[name] = array
            if leaf == "embedding":
                types[name] = "Embedding"
            continue
        weight = f"{front}weight"
        bias = arrays.get(f"{front}bias")
        tensors[weight], types[weight] = _kernel(path, array, bias)
    return tensors, types


def _kernel(path: str, kernel: Tensor, bias: Tensor | None) -> tuple[Tensor, str]:
    """Return a kernel in torch's layout, and the class that holds such a one."""
    module = path.rpartition(".")[2].lower()
    if kernel.ndim == 3 and module in ("query", "key", "value"):
        return kernel.flatten(1).T, "Linear"
    if kernel.ndim == 3 and module == "out" and (bias is None or bias.ndim == 1):
        return kernel.flatten(0, 1).T, "Linear"
    if kernel.ndim <= 2:
        return kernel.T, "Linear"
    if "convtranspose" in module.replace("_", ""):
        # flax keeps (*kernel, n_i, n_o) here too, unless transpose_kernel is set
        return conv_kernel(kernel).transpose(0, 1), f"ConvTranspose{kernel.ndim - 2}d"
    return conv_kernel(kernel), f"Conv{kernel.ndim - 2}d"
