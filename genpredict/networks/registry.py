"""Which networks there are by name, those of other packages among them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from genpredict.errors import GenpredictError
from genpredict.extensions import load_extensions, resolve
from genpredict.networks.digits_cnn import DigitsCNN
from genpredict.networks.efficientnet import EfficientNetB0
from genpredict.networks.mobilenet import MobileNetV2
from genpredict.networks.nats_size import SizeSpaceNetwork
from genpredict.networks.nats_topology import TopologySpaceNetwork
from genpredict.networks.resnet_settings import SETTINGS, build_resnet
from genpredict.networks.shufflenet import ShuffleNetV2
from genpredict.networks.vgg import SMALLEST_SIDE, VGG16

#: Entry points of other packages' networks: callables without arguments that register them.
ENTRY_POINTS = "genpredict.networks"


@dataclass(frozen=True)
class NetworkFamily:
    """How to build a network, and what images it takes.

    Parameters
    ----------
    build : callable or str
        Takes ``num_classes`` and ``in_channels`` by name; "module:function" of another package.
    in_channels : int
        Of the images that the network is meant for.
    smallest_side : int
        Pixels; the network cannot take smaller images.
    """

    build: Callable[..., nn.Module] | str
    in_channels: int = 3
    smallest_side: int = 1


#: NATS-Bench's networks halve the grid twice, and average 2 × 2 pixels where they do.
_NATS_SIDE = 4
#: By lower-case name.
_FAMILIES: dict[str, NetworkFamily] = {
    "digits_cnn": NetworkFamily(DigitsCNN, in_channels=1, smallest_side=2),
    **{name: NetworkFamily(partial(build_resnet, name)) for name in SETTINGS},
    "mobilenetv2": NetworkFamily(MobileNetV2),
    "efficientnetb0": NetworkFamily(EfficientNetB0),
    "shufflenetv2": NetworkFamily(ShuffleNetV2),
    "vgg16": NetworkFamily(VGG16, smallest_side=SMALLEST_SIDE),
}
#: NATS-Bench's size space: "sss:" and five numbers of channels.
_SIZE_SPACE = re.compile(r"sss:([1-9]\d*(?::[1-9]\d*){4})")
_PATTERNS = (
    "sss:8:16:24:32:40 (any five widths)",
    "tss:|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2| (any cell)",
)


def list_networks() -> tuple[str, ...]:
    """Return the names that `build_network` knows, the two spaces of NATS-Bench by an example.

    Examples
    --------
    >>> "resnet18" in list_networks()
    True
    """
    load_extensions(ENTRY_POINTS)
    return (*_FAMILIES, *_PATTERNS)


def register_network(
    name: str, build: str, *, in_channels: int = 3, smallest_side: int = 1
) -> None:
    """Add a network, so that `build_network`, training and sweeps know it by its name.

    Parameters
    ----------
    name : str
        Lower case, without ":", which is for patterns of names.
    build : str
        "module:function"; the function takes ``num_classes`` and ``in_channels`` by name and
        returns an nn.Module that maps images (N, in_channels, H, W) to logits (N, num_classes).
    in_channels : int
        Of the images that the network is meant for.
    smallest_side : int
        Pixels; the network cannot take smaller images.

    Raises
    ------
    GenpredictError
        For a name that is taken or cannot be one, or a `build` that is not "module:function".

    Examples
    --------
    >>> register_network("tiny_cnn", "my_package:TinyCNN", in_channels=1)  # doctest: +SKIP
    >>> network = build_network("tiny_cnn", num_classes=10)  # doctest: +SKIP
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", name):
        raise GenpredictError(
            f"name: {name!r} must be of lower-case letters, digits, _, . and -, so that it can be "
            f"part of a run's name"
        )
    if not all(build.partition(":")[::2]):
        raise GenpredictError(f"build: must be 'module:function', got {build!r}")
    family = NetworkFamily(build, in_channels, smallest_side)
    if _FAMILIES.get(name, family) != family:
        raise GenpredictError(f"name: a network {name!r} is there already; choose another name")
    _FAMILIES[name] = family


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
    build = resolve(family.build, name) if isinstance(family.build, str) else family.build
    return build(num_classes=num_classes, in_channels=channels)


def _family(name: str) -> NetworkFamily:
    """Find how to build a name, or list the known ones."""
    load_extensions(ENTRY_POINTS)
    if name in _FAMILIES:
        return _FAMILIES[name]
    if size := _SIZE_SPACE.fullmatch(name):
        widths = tuple(map(int, size[1].split(":")))
        return NetworkFamily(partial(SizeSpaceNetwork, widths), smallest_side=_NATS_SIDE)
    if name.startswith("tss:"):
        cell = name.removeprefix("tss:")
        return NetworkFamily(partial(TopologySpaceNetwork, cell), smallest_side=_NATS_SIDE)
    known = ", ".join(list_networks())
    raise GenpredictError(f"name: no network is called {name!r}; known names: {known}")
