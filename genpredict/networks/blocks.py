"""Blocks that several families share: convolution units, shortcuts, channel weights, first weights.

References
----------
.. [1] K. He, X. Zhang, S. Ren, J. Sun, "Delving Deep into Rectifiers", ICCV 2015.
.. [2] J. Hu, L. Shen, G. Sun, "Squeeze-and-Excitation Networks", CVPR 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def conv_norm(
    width_in: int,
    width: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    activation: type[nn.Module] | None = None,
) -> nn.Sequential:
    """Join a convolution without bias, batch norm and, where one is named, an activation.

    Parameters
    ----------
    width_in, width : int
        Channels before and after.
    kernel : int
        Odd side of the kernel; padding keeps the grid, which `stride` then divides, rounded up.
    stride, groups : int
        Those of the convolution; `groups` equal to `width_in` makes it depthwise.
    activation : type of nn.Module, optional
        Built without arguments.

    Returns
    -------
    nn.Sequential
        Features, shape (N, width_in, H, W), to features, shape (N, width, H/stride, W/stride).
    """
    convolution = nn.Conv2d(
        width_in, width, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )
    after = [] if activation is None else [activation()]
    return nn.Sequential(convolution, nn.BatchNorm2d(width), *after)


def shortcut(width_in: int, width: int, *, stride: int) -> nn.Sequential:
    """Project by a 1×1 convolution and batch norm where shapes differ, else pass on."""
    if stride == 1 and width_in == width:
        return nn.Sequential()
    return conv_norm(width_in, width, 1, stride=stride)


def global_average(features: Tensor) -> Tensor:
    """Average features of shape (N, C, H, W) over the grid to shape (N, C)."""
    return features.mean((-2, -1))


def stage_strides(stride: int, count: int) -> list[int]:
    """Return the strides of a stage's blocks: the first one shrinks the grid.

    Examples
    --------
    >>> stage_strides(2, 3)
    [2, 1, 1]
    """
    return [stride] + [1] * (count - 1)


class FeatureNetwork(nn.Module):
    """A network that averages its feature maps over the grid and classifies the averages.

    Attributes
    ----------
    features : nn.Sequential
        Images, shape (N, in_channels, H, W), to feature maps, shape (N, C, H/k, W/k).
    head : nn.Module
        Averaged features, shape (N, C), to logits, shape (N, num_classes).
    """

    features: nn.Sequential
    head: nn.Module

    def forward(self, images: Tensor) -> Tensor:
        """Map images of shape (N, in_channels, H, W) to logits of shape (N, num_classes)."""
        logits: Tensor = self.head(global_average(self.features(images)))
        return logits


class SqueezeExcitation(nn.Module):
    """Weigh channels by a small network of their averages [2]_.

    Parameters
    ----------
    width : int
        Channels of the features.
    squeezed : int
        Channels between the two 1×1 convolutions.
    activation : type of nn.Module
        Between the two.
    """

    def __init__(self, width: int, squeezed: int, *, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, width, 1)
        self.activation = activation()

    def forward(self, features: Tensor) -> Tensor:
        """Map features of shape (N, width, H, W) to the same shape, channel by channel scaled."""
        averages = features.mean((-2, -1), keepdim=True)
        return features * torch.sigmoid(self.fc2(self.activation(self.fc1(averages))))


def initialize_he(network: nn.Module, *, classifier: bool = False) -> None:
    """Draw convolution weights from N(0, 2/fan_in) [1]_, Eq. 10; their biases become 0.

    Norms start at torch's default: weight 1, bias 0.

    Parameters
    ----------
    network : nn.Module
        Changed in place, module by module in the order of definition.
    classifier : bool
        Whether the weights of linear layers are drawn anew too; else they keep torch's default.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) or (classifier and isinstance(module, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.zeros_(module.bias)
