"""The classes of Keras: what their arrays are called, and how they look in torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from genpredict.checkpoints.formats.layouts import conv_kernel, depthwise_kernel

if TYPE_CHECKING:
    from torch import Tensor

Parts = Iterator[tuple[str, "Tensor", str]]
"""Name, tensor, and the class of torch that holds such a one (empty where none is known)."""

_NUMBERED = re.compile(r"_\d+$")
_DIRECTION = re.compile(r"^(?:forward|backward)_")
CELL = "cell"
_RECURRENT = {"lstm": ("i", "f", "c", "o"), "gru": ("z", "r", "h"), "simplernn": ("",)}
"""Gates in Keras' order; torch's is i, f, c, o and r, z, h."""
_TORCH_ORDER = {"lstm": (0, 1, 2, 3), "gru": (1, 0, 2), "simplernn": (0,)}
_STATISTICS = {"moving_mean": "running_mean", "moving_variance": "running_var",
               "moving_var": "running_var", "running_std": "running_var"}  # fmt: skip
_VARIABLES: dict[str, Sequence[str]] = {
    "batchnormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "layernormalization": ("gamma", "beta"),
    "groupnormalization": ("gamma", "beta"),
    "embedding": ("embeddings",),
    "separableconv1d": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "separableconv2d": ("depthwise_kernel", "pointwise_kernel", "bias"),
    **dict.fromkeys(
        (*_RECURRENT, "convlstm1d", "convlstm2d", "convlstm3d"),
        ("kernel", "recurrent_kernel", "bias"),
    ),
}  # fmt: skip
"""What Keras 3 calls 0, 1, … of a class; of others kernel and bias."""
_KNOWN = re.compile(
    rf"(?:depthwise)?conv\dd(?:transpose)?|dense|einsumdense|multiheadattention|{'|'.join(_VARIABLES)}"
)


def layer_class(place: Sequence[str], names: Sequence[str], classes: Mapping[str, str]) -> str:
    """Return the class of a layer, in lower case: by the configuration, else by its group's name.

    Parameters
    ----------
    place : sequence of str
        The groups that lead to it; of a layer of the user's own, its attributes' names.
    names : sequence of str
        What is known of the names of the layers that they stand for, as many.
    classes : mapping of str to str
        By the names of layers.

    Examples
    --------
    >>> layer_class(("model", "c5"), ("model", "c5"), {"c5": "Conv2DTranspose"})
    'conv2dtranspose'
    >>> layer_class(("conv2d_3",), ("conv2d_3",), {})
    'conv2d'
    """
    for group, name in zip(reversed(place), reversed(names), strict=True):
        plain = _DIRECTION.sub("", name)
        if (kind := classes.get(name, classes.get(plain))) is not None and kind != "Bidirectional":
            return kind.lower().replace("_", "").removeprefix("cudnn")
        if group in (CELL, "forward_layer", "backward_layer"):
            continue
        guesses = [_guessed(text) for text in (name, group)]  # a group may be an attribute's name
        return next((guess for guess in guesses if _KNOWN.fullmatch(guess)), guesses[-1])
    return ""


def _guessed(name: str) -> str:
    """Return the class that a name numbered by Keras stands for: ``conv2d_transpose_3``."""
    guess = _NUMBERED.sub("", _DIRECTION.sub("", name)).lower().replace("_", "")
    return "simplernn" if guess == "simplernncell" else guess.removesuffix("cell")


@dataclass
class KerasLayer:
    """The arrays of one layer.

    Parameters
    ----------
    name : str
        With the names of the models around it, and dots.
    kind : str
        Its class, in lower case without underscores.
    is_cell : bool
        Whether it is the cell of a recurrent layer.
    arrays : dict of str to Tensor
        By their names in Keras, or by their numbers.
    """

    name: str
    kind: str
    is_cell: bool = False
    arrays: dict[str, Tensor] = field(default_factory=dict)

    def in_torch(self) -> Parts:
        """Yield its tensors in torch's layout, under torch's names."""
        arrays = self._named()
        front = f"{self.name}." if self.name else ""
        if "recurrent_kernel" in arrays and (kind := _recurrent_kind(arrays)):
            yield from _recurrent(front, kind, arrays)
            return
        if self.kind.startswith("convlstm"):
            yield from _conv_recurrent(front, arrays)
            return
        for leaf, array in arrays.items():
            if leaf == "embeddings":
                yield f"{front}weight", array, "Embedding"
            elif leaf in _STATISTICS:
                yield f"{front}{_STATISTICS[leaf]}", array, ""
            elif leaf == "gamma":
                yield f"{front}weight", array, "LayerNorm" if array.ndim > 1 else ""
            elif leaf in ("beta", "bias"):
                yield f"{front}bias", array.flatten(), ""
            elif leaf.endswith("kernel"):
                yield self._kernel(front, leaf, array)
            else:
                yield f"{front}{leaf}", array, ""

    def _named(self) -> dict[str, Tensor]:
        """Return the arrays by name, where Keras 3 numbers them."""
        if not all(leaf.isdecimal() for leaf in self.arrays):
            return self.arrays
        kind = "lstm" if self.is_cell else self.kind
        names = _VARIABLES.get(kind, ("kernel", "bias"))
        ordered = sorted(self.arrays.items(), key=lambda entry: int(entry[0]))
        if kind not in _VARIABLES and (not ordered or ordered[0][1].ndim < 2):
            return {f"variable_{leaf}": array for leaf, array in ordered}
        named = dict(zip(names, (array for _, array in ordered), strict=False))
        rest = {f"variable_{leaf}": array for leaf, array in ordered[len(names) :]}
        return named | rest

    def _kernel(self, front: str, leaf: str, kernel: Tensor) -> tuple[str, Tensor, str]:
        """Return a kernel in torch's layout."""
        inner = "" if leaf == "kernel" else f"{leaf.removesuffix('_kernel')}."
        name = f"{front}{inner}weight"
        if kernel.ndim <= 2:
            return name, kernel.T, "Linear" if kernel.ndim == 2 else ""
        dims = f"{kernel.ndim - 2}d"
        if leaf == "depthwise_kernel" or (self.kind.startswith("depthwise") and leaf == "kernel"):
            return name, depthwise_kernel(kernel), f"Conv{dims}"
        if "transpose" in self.kind:  # (*kernel, n_o, n_i)
            return name, conv_kernel(kernel), f"ConvTranspose{dims}"
        if self.kind.startswith(("conv", "separableconv")):
            return name, conv_kernel(kernel), f"Conv{dims}"
        last = self.name.rpartition(".")[2].lower()
        if kernel.ndim == 3 and ("output" in last or last == "out"):
            return name, kernel.flatten(0, 1).T, "Linear"
        if kernel.ndim == 3:  # attention: (n_i, heads, n_head)
            return name, kernel.flatten(1).T, "Linear"
        return name, conv_kernel(kernel), f"Conv{dims}"


def _recurrent_kind(arrays: Mapping[str, Tensor]) -> str:
    """Return the kind of a recurrent layer, by how many gates its state's kernel (u, k·u) has."""
    state = arrays["recurrent_kernel"]
    if state.ndim != 2 or not state.shape[0] or state.shape[1] % state.shape[0]:
        return ""
    gates = state.shape[1] // state.shape[0]
    return next((kind for kind, names in _RECURRENT.items() if len(names) == gates), "")


def _recurrent(front: str, kind: str, arrays: Mapping[str, Tensor]) -> Parts:
    """Yield the weights of an LSTM, GRU or plain recurrent layer, gates in torch's order."""
    turn = _gate_order(kind)
    for leaf, which in (("kernel", "ih"), ("recurrent_kernel", "hh")):
        yield f"{front}weight_{which}_l0", turn(arrays[leaf].T), ""
    bias = arrays.get("bias")
    if bias is None:
        return
    rows = bias if bias.ndim == 2 else bias[None]
    for which, row in zip(("ih", "hh"), rows, strict=False):
        yield f"{front}bias_{which}_l0", turn(row), ""


def _gate_order(kind: str) -> Callable[[Tensor], Tensor]:
    """Return a function that brings gates, equal parts of axis 0, into torch's order."""
    import torch

    order = _TORCH_ORDER[kind]

    def turn(stacked: Tensor) -> Tensor:
        if len(order) == 1 or stacked.shape[0] % len(order):
            return stacked
        parts = stacked.chunk(len(order))
        return torch.cat([parts[number] for number in order])

    return turn


def _conv_recurrent(front: str, arrays: Mapping[str, Tensor]) -> Parts:
    """Yield the four kernels of a convolutional LSTM and of its state."""
    for leaf, array in arrays.items():
        if not leaf.endswith("kernel") or array.ndim < 3:
            yield f"{front}{leaf}", array, ""
            continue
        inner = "recurrent." if leaf.startswith("recurrent") else ""
        for gate, part in zip("ifco", conv_kernel(array).chunk(4), strict=True):
            yield f"{front}{inner}{gate}.weight", part, f"Conv{array.ndim - 2}d"
