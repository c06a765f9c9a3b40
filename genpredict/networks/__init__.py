"""Torch modules by name.

A network built with `build_network` maps images of shape (N, in_channels, H, W), normalized, to
logits of shape (N, num_classes), ends in a global average and so takes images of any size from its
`smallest_side` on. The names and their parameters stand in the modules of the families.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import nn

from genpredict.errors import GenpredictError
from genpredict.networks.digits_cnn import DigitsCNN
from genpredict.networks.efficientnet import EfficientNetB0
from genpredict.networks.mobilenet import MobileNetV2
from genpredict.networks.nats_size import SizeSpaceNetwork
from genpredict.networks.nats_topology import TopologySpaceNetwork
from genpredict.networks.resnet import ResNet
from genpredict.networks.resnet_settings import SETTINGS, build_resnet
from genpredict.networks.shufflenet import ShuffleNetV2
from genpredict.networks.vgg import SMALLEST_SIDE, VGG16

__all__ = [
    "build_network",
    "network_names",
    "DigitsCNN",
    "EfficientNetB0",
    "MobileNetV2",
    "ResNet",
    "ShuffleNetV2",
    "SizeSpaceNetwork",
    "TopologySpaceNetwork",
    "VGG16",
]


class _Family(NamedTuple):
    """How to build a network, and what images it takes."""

    build: Callable[..., nn.Module]
    in_channels: int = 3
    smallest_side: int = 1


#: NATS-Bench's networks halve the grid twice, and average 2 × 2 pixels where they do.
_NATS_SIDE = 4
#: Lower-case name → family.
_FAMILIES: dict[str, _Family] = {
    "digits_cnn": _Family(DigitsCNN, in_channels=1, smallest_side=2),
    **{name: _Family(partial(build_resnet, name)) for name in SETTINGS},
    "mobilenetv2": _Family(MobileNetV2),
    "efficientnetb0": _Family(EfficientNetB0),
    "shufflenetv2": _Family(ShuffleNetV2),
    "vgg16": _Family(VGG16, smallest_side=SMALLEST_SIDE),
}
#: NATS-Bench's size space: "sss:" and five numbers of channels.
_SIZE_SPACE = re.compile(r"sss:([1-9]\d*(?::[1-9]\d*){4})")
_PATTERNS = (
    "sss:8:16:24:32:40 (any five widths)",
    "tss:|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2| (any cell)",
)


def network_names() -> tuple[str, ...]:
    """Return the names that `build_network` knows, the two spaces of NATS-Bench by an example.

    Examples
    --------
    >>> "resnet18" in network_names()
    True
    """
    return (*_FAMILIES, *_PATTERNS)


def build_network(
    name: str,
    *,
    num_classes: int = 10,
    in_channels: int | None = None,
    image_side: int | None = None,
) -> nn.Module:
    """Build a network by its name, freshly initialized.

    Initial weights come from torch's default generator: call `torch.manual_seed` before.

    Parameters
    ----------
    name : str
        Lower-case name: digits_cnn, resnet18 … resnet101, resnet20 … resnet56, resnext29, senet18,
        mobilenetv2, efficientnetb0, shufflenetv2, vgg16; "sss:8:16:24:32:40" for the network of
        NATS-Bench's size space with these channels, "tss:" and a cell string for one of its
        topology space.
    num_classes : int
        Number of outputs.
    in_channels : int, optional
        Channels of the images; by default the network's own, 3, but 1 for digits_cnn.
    image_side : int, optional
        Shorter side of the images in pixels, to be told here and not at the first batch when they
        are too small for the network.

    Returns
    -------
    nn.Module
        The network, in training mode, float32, on the CPU.

    Raises
    ------
    GenpredictError
        If no network has this name, `num_classes` or `in_channels` is below 1, or images are too
        small for the network.

    Examples
    --------
    >>> network = build_network("digits_cnn")
    >>> sum(parameter.numel() for parameter in network.parameters())
    23738
    """
    family = _family(name)
    channels = family.in_channels if in_channels is None else in_channels
    for parameter, value in (("num_classes", num_classes), ("in_channels", channels)):
        if value < 1:
            raise GenpredictError(f"{parameter}: must be at least 1, not {value}")
    if image_side is not None and image_side < family.smallest_side:
        raise GenpredictError(
            f"image_side: {name} needs images of at least {family.smallest_side} pixels a side, "
            f"not {image_side}; enlarge them or take another network"
        )
    return family.build(num_classes=num_classes, in_channels=channels)


def _family(name: str) -> _Family:
    """Find how to build a name, or list the known ones."""
    if name in _FAMILIES:
        return _FAMILIES[name]
    if size := _SIZE_SPACE.fullmatch(name):
        widths = tuple(map(int, size[1].split(":")))
        return _Family(partial(SizeSpaceNetwork, widths), smallest_side=_NATS_SIDE)
    if name.startswith("tss:"):
        cell = name.removeprefix("tss:")
        return _Family(partial(TopologySpaceNetwork, cell), smallest_side=_NATS_SIDE)
    known = ", ".join(network_names())
    raise GenpredictError(f"name: no network is called {name!r}; known names: {known}")
