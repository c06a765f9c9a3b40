"""MobileNetV2 for 32×32 images.

References
----------
.. [1] M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen, "MobileNetV2: Inverted Residuals
   and Linear Bottlenecks", CVPR 2018.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from genpredict.networks.blocks import (
    FeatureNetwork,
    conv_norm,
    initialize_he,
    shortcut,
    stage_strides,
)


class Stage(NamedTuple):
    """A row of [1]_, Table 2: expansion t, channels c, repetitions n, first stride s."""

    expansion: int
    width: int
    repeats: int
    stride: int


#: Table 2 for 224×224 images, but for stride 1 instead of 2 in the stem and in the second stage.
STAGES = (
    Stage(1, 16, 1, 1),
    Stage(6, 24, 2, 1),
    Stage(6, 32, 3, 2),
    Stage(6, 64, 4, 2),
    Stage(6, 96, 3, 1),
    Stage(6, 160, 3, 2),
    Stage(6, 320, 1, 1),
)
_STEM, _LAST = 32, 1280


class MobileNetV2(FeatureNetwork):
    """Inverted residual blocks between two plain convolutions [1]_.

    Parameters
    ----------
    num_classes : int
        Number of outputs.
    in_channels : int
        Channels of the images.

    Attributes
    ----------
    features : nn.Sequential
        Images, shape (N, in_channels, H, W), to feature maps, shape (N, 1280, H/8, W/8).
    head : nn.Linear
        Averaged features, shape (N, 1280), to logits, shape (N, num_classes).
    """

    def __init__(self, *, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_norm(in_channels, _STEM, 3, activation=nn.ReLU)]
        width = _STEM
        for stage in STAGES:
            for stride in stage_strides(stage.stride, stage.repeats):
                layers.append(InvertedResidual(width, stage.width, stride, stage.expansion))
                width = stage.width
        layers.append(conv_norm(width, _LAST, 1, activation=nn.ReLU))
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(_LAST, num_classes)
        initialize_he(self)


class InvertedResidual(nn.Module):
    """Widen, filter channel by channel, narrow without activation; add the input at stride 1.

    Notes
    -----
    Two liberties of the usual 32×32 form, which the number of parameters holds: a block that
    widens by 1 keeps its first convolution, and where only the channels differ the shortcut is a
    1×1 convolution, which [1]_ leaves out.
    """

    def __init__(self, width_in: int, width: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = expansion * width_in
        self.body = nn.Sequential(
            conv_norm(width_in, inner, 1, activation=nn.ReLU),
            conv_norm(inner, inner, 3, stride=stride, groups=inner, activation=nn.ReLU),
            conv_norm(inner, width, 1),
        )
        self.shortcut = shortcut(width_in, width, stride=1) if stride == 1 else None

    def forward(self, features: Tensor) -> Tensor:
        """Map features of shape (N, width_in, H, W) to (N, width, H/stride, W/stride)."""
        inner: Tensor = self.body(features)
        return inner if self.shortcut is None else inner + self.shortcut(features)
