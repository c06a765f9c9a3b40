"""EfficientNet-B0 for 32×32 images.

References
----------
.. [1] M. Tan, Q. V. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
   Networks", ICML 2019.
.. [2] G. Huang, Y. Sun, Z. Liu, D. Sedra, K. Q. Weinberger, "Deep Networks with Stochastic Depth",
   ECCV 2016.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from genpredict.networks.blocks import (
    FeatureNetwork,
    SqueezeExcitation,
    conv_norm,
    initialize_he,
    stage_strides,
)


class Stage(NamedTuple):
    """A row of [1]_, Table 1: expansion, channels, layers, kernel, first stride."""

    expansion: int
    width: int
    layers: int
    kernel: int
    stride: int


#: Table 1; the stem has stride 1, and the last 1×1 convolution is left out.
STAGES = (
    Stage(1, 16, 1, 3, 1),
    Stage(6, 24, 2, 3, 2),
    Stage(6, 40, 2, 5, 2),
    Stage(6, 80, 3, 3, 2),
    Stage(6, 112, 3, 5, 1),
    Stage(6, 192, 4, 5, 2),
    Stage(6, 320, 1, 3, 1),
)
_STEM = 32
#: A block's input channels divided by those between the two layers of its channel weights.
_SQUEEZE = 4


class EfficientNetB0(FeatureNetwork):
    """Inverted residual blocks with weighed channels, found by a search [1]_.

    Parameters
    ----------
    num_classes : int
        Number of outputs.
    in_channels : int
        Channels of the images.
    dropout : float
        Share of the averaged features set to 0 in training; 0.2 in [1]_, section 5.2.
    drop_path : float
        Probability that the last block is skipped in training [2]_; grows linearly with depth.

    Attributes
    ----------
    features : nn.Sequential
        Images, shape (N, in_channels, H, W), to feature maps, shape (N, 320, H/16, W/16).
    head : nn.Sequential
        Averaged features, shape (N, 320), to logits, shape (N, num_classes).
    """

    def __init__(
        self,
        *,
        num_classes: int = 10,
        in_channels: int = 3,
        dropout: float = 0.2,
        drop_path: float = 0.2,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_norm(in_channels, _STEM, 3, activation=nn.SiLU)]
        depth = sum(stage.layers for stage in STAGES)
        width = _STEM
        for stage in STAGES:
            for stride in stage_strides(stage.stride, stage.layers):
                drop = drop_path * len(layers) / depth
                layers.append(WeighedResidual(width, stage, stride, drop=drop))
                width = stage.width
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, num_classes))
        initialize_he(self)


class WeighedResidual(nn.Module):
    """Widen, filter channel by channel, weigh channels, narrow; add the input where shapes agree.

    Notes
    -----
    The number of parameters holds a first convolution also in the block that widens by 1, which
    [1]_ leaves out.
    """

    def __init__(self, width_in: int, stage: Stage, stride: int, *, drop: float) -> None:
        super().__init__()
        inner, kernel = stage.expansion * width_in, stage.kernel
        self.body = nn.Sequential(
            conv_norm(width_in, inner, 1, activation=nn.SiLU),
            conv_norm(inner, inner, kernel, stride=stride, groups=inner, activation=nn.SiLU),
            SqueezeExcitation(inner, width_in // _SQUEEZE, activation=nn.SiLU),
            conv_norm(inner, stage.width, 1),
        )
        self.is_residual = stride == 1 and width_in == stage.width
        self.drop = drop

    def forward(self, features: Tensor) -> Tensor:
        """Map features of shape (N, width_in, H, W) to (N, width, H/stride, W/stride)."""
        inner: Tensor = self.body(features)
        if not self.is_residual:
            return inner
        return features + (skip_at_random(inner, self.drop) if self.training else inner)


def skip_at_random(features: Tensor, probability: float) -> Tensor:
    """Set whole images' features to 0 with a probability; scale the others to keep the mean [2]_.

    Draws from torch's default generator of the features' device.

    Parameters
    ----------
    features : Tensor, shape (N, C, H, W)
        A block's output before it is added.
    probability : float
        Below 1.

    Returns
    -------
    Tensor, shape (N, C, H, W)
    """
    if probability == 0:
        return features
    kept = torch.empty_like(features[:, :1, :1, :1]).bernoulli_(1 - probability)
    return features * kept / (1 - probability)
