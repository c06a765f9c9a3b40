"""Torch modules by name."""

from __future__ import annotations

import re
from collections.abc import Callable

from torch import nn

from genpredict.errors import GenpredictError
from genpredict.networks.digits_cnn import DigitsCNN
from genpredict.networks.nats_size import SizeSpaceNetwork
from genpredict.networks.resnet import ResNet

__all__ = ["build_network", "DigitsCNN", "ResNet", "SizeSpaceNetwork"]

#: Lower-case name → builder that takes the number of classes.
_BUILDERS: dict[str, Callable[[int], nn.Module]] = {
    "digits_cnn": lambda num_classes: DigitsCNN(num_classes=num_classes),
    "resnet18": lambda num_classes: ResNet((2, 2, 2, 2), num_classes=num_classes),
}
#: NATS-Bench's size space: "sss:" and five numbers of channels.
_SIZE_SPACE = re.compile(r"sss:([1-9]\d*(?::[1-9]\d*){4})")


def build_network(name: str, *, num_classes: int = 10) -> nn.Module:
    """Build a network by its name, freshly initialized.

    Initial weights come from torch's default generator: call `torch.manual_seed` before.

    Parameters
    ----------
    name : str
        Lower-case name: digits_cnn, resnet18, or sss:8:16:24:32:40 for the network of
        NATS-Bench's size space with these channels.
    num_classes : int
        Number of outputs.

    Returns
    -------
    nn.Module
        The network, in training mode, float32, on the CPU.

    Raises
    ------
    GenpredictError
        If no network has this name, or `num_classes` is below 1.

    Examples
    --------
    >>> network = build_network("digits_cnn")
    >>> sum(parameter.numel() for parameter in network.parameters())
    23738
    """
    if num_classes < 1:
        raise GenpredictError(f"num_classes: must be at least 1, not {num_classes}")
    if name in _BUILDERS:
        return _BUILDERS[name](num_classes)
    if size := _SIZE_SPACE.fullmatch(name):
        return SizeSpaceNetwork(tuple(map(int, size[1].split(":"))), num_classes=num_classes)
    known = ", ".join([*sorted(_BUILDERS), "sss:8:16:24:32:40 (any five widths)"])
    raise GenpredictError(f"name: no network is called {name!r}; known names: {known}")
