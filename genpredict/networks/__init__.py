"""Torch modules by name.

A network built with `build_network` maps images of shape (N, in_channels, H, W), normalized, to
logits of shape (N, num_classes), ends in a global average and so takes images of any size from its
`smallest_side` on. The names and their parameters stand in the modules of the families.
"""

from genpredict.networks.digits_cnn import DigitsCNN
from genpredict.networks.efficientnet import EfficientNetB0
from genpredict.networks.mobilenet import MobileNetV2
from genpredict.networks.nats_size import SizeSpaceNetwork
from genpredict.networks.nats_topology import TopologySpaceNetwork
from genpredict.networks.registry import build_network, list_networks, register_network
from genpredict.networks.resnet import ResNet
from genpredict.networks.shufflenet import ShuffleNetV2
from genpredict.networks.vgg import VGG16

__all__ = [
    "build_network",
    "list_networks",
    "register_network",
    "DigitsCNN",
    "EfficientNetB0",
    "MobileNetV2",
    "ResNet",
    "ShuffleNetV2",
    "SizeSpaceNetwork",
    "TopologySpaceNetwork",
    "VGG16",
]
