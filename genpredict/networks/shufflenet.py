"""ShuffleNetV2 of width 1.5 for 32×32 images.

References
----------
.. [1] N. Ma, X. Zhang, H.-T. Zheng, J. Sun, "ShuffleNet V2: Practical Guidelines for Efficient CNN
   Architecture Design", ECCV 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genpredict.networks.blocks import FeatureNetwork, conv_norm, initialize_he

#: [1]_, Table 5, column 1.5×: channels and units at stride 1 of stages 2, 3, 4; last channels.
WIDTHS = (176, 352, 704)
COUNTS = (3, 7, 3)
_STEM, _LAST = 24, 1024


class ShuffleNetV2(FeatureNetwork):
    """Units that transform half of the channels and then mix the halves [1]_.

    Parameters
    ----------
    num_classes : int
        Number of outputs.
    in_channels : int
        Channels of the images.

    Attributes
    ----------
    features : nn.Sequential
        Images, shape (N, in_channels, H, W), to feature maps, shape (N, 1024, H/8, W/8).
    head : nn.Linear
        Averaged features, shape (N, 1024), to logits, shape (N, num_classes).
    """

    def __init__(self, *, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_norm(in_channels, _STEM, 3, activation=nn.ReLU)]
        width_in = _STEM
        for width, count in zip(WIDTHS, COUNTS, strict=True):
            layers.append(ReductionUnit(width_in, width))
            layers.extend(BasicUnit(width) for _ in range(count))
            width_in = width
        layers.append(conv_norm(width_in, _LAST, 1, activation=nn.ReLU))
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(_LAST, num_classes)
        initialize_he(self)


class BasicUnit(nn.Module):
    """One half of the channels passes on, the other is transformed ([1]_, Fig. 3c)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = _branch(width // 2, width // 2, stride=1)

    def forward(self, features: Tensor) -> Tensor:
        """Map features of shape (N, width, H, W) to the same shape."""
        kept, changed = features.chunk(2, dim=1)
        return shuffle(torch.cat([kept, self.branch(changed)], 1))


class ReductionUnit(nn.Module):
    """Both halves of the new channels are made of all the old ones ([1]_, Fig. 3d)."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.left = nn.Sequential(
            conv_norm(width_in, width_in, 3, stride=2, groups=width_in),
            conv_norm(width_in, width // 2, 1, activation=nn.ReLU),
        )
        self.right = _branch(width_in, width // 2, stride=2)

    def forward(self, features: Tensor) -> Tensor:
        """Map features of shape (N, width_in, H, W) to (N, width, H/2, W/2)."""
        return shuffle(torch.cat([self.left(features), self.right(features)], 1))


def _branch(width_in: int, width: int, *, stride: int) -> nn.Sequential:
    """Join a 1×1, a depthwise 3×3 and a 1×1 convolution."""
    return nn.Sequential(
        conv_norm(width_in, width, 1, activation=nn.ReLU),
        conv_norm(width, width, 3, stride=stride, groups=width),
        conv_norm(width, width, 1, activation=nn.ReLU),
    )


def shuffle(features: Tensor) -> Tensor:
    """Interleave the two halves of the channels: (N, C, H, W) to the same shape.

    Examples
    --------
    >>> shuffle(torch.arange(6).view(1, 6, 1, 1)).flatten()
    tensor([0, 3, 1, 4, 2, 5])
    """
    count, channels, height, width = features.shape
    halves = features.reshape(count, 2, channels // 2, height, width)
    return halves.transpose(1, 2).flatten(1, 2)
