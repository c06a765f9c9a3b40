"""ResNets for 32×32 images: a 3×3 stem and no max-pooling.

References
----------
.. [1] K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ResNet(nn.Module):
    """A ResNet of basic blocks in four stages of widths 64, 128, 256, 512 [1]_.

    Parameters
    ----------
    blocks : sequence of four int
        Blocks in each stage; (2, 2, 2, 2) is ResNet-18.
    num_classes : int
        Number of outputs.

    Examples
    --------
    >>> network = ResNet((2, 2, 2, 2))
    >>> sum(parameter.numel() for parameter in network.parameters())
    11173962
    """

    def __init__(self, blocks: Sequence[int], *, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        width = 64
        stages = []
        for index, count in enumerate(blocks):
            out = 64 << index
            strides = [1 if index == 0 else 2] + [1] * (count - 1)
            stages.append(
                nn.Sequential(
                    *(
                        BasicBlock(width if n == 0 else out, out, stride=s)
                        for n, s in enumerate(strides)
                    )
                )
            )
            width = out
        self.layers = nn.Sequential(*stages)
        self.linear = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images of shape (N, 3, H, W) to logits of shape (N, num_classes)."""
        features = torch.relu(self.bn1(self.conv1(images)))
        logits: Tensor = self.linear(self.layers(features).mean((-2, -1)))
        return logits


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut, which projects where shapes differ."""

    def __init__(self, width_in: int, width: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        if stride != 1 or width_in != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, features: Tensor) -> Tensor:
        """Map features of shape (N, width_in, H, W) to (N, width, H/stride, W/stride)."""
        inner = torch.relu(self.bn1(self.conv1(features)))
        return torch.relu(self.bn2(self.conv2(inner)) + self.shortcut(features))
