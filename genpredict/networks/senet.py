"""The block of SENet-18: a ResNet block with activations first and weighed channels.

References
----------
.. [1] J. Hu, L. Shen, G. Sun, "Squeeze-and-Excitation Networks", CVPR 2018.
.. [2] K. He, X. Zhang, S. Ren, J. Sun, "Identity Mappings in Deep Residual Networks", ECCV 2016.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genpredict.networks.blocks import SqueezeExcitation


class PreActivationBlock(nn.Module):
    """Norm and ReLU before each of two 3×3 convolutions [2]_, channels weighed after them [1]_.

    The shortcut, where shapes differ, is a 1×1 convolution of the activated features without norm.
    """

    #: Channels divided by those between the two layers of the channel weights ([1]_, section 6.1).
    REDUCTION = 16

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(width_in)
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.excitation = SqueezeExcitation(width, width // self.REDUCTION)
        self.has_projection = stride != 1 or width_in != width
        self.shortcut: nn.Module = nn.Identity()
        if self.has_projection:
            self.shortcut = nn.Conv2d(width_in, width, 1, stride, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map features of shape (N, width_in, H, W) to (N, width, H/stride, W/stride)."""
        active = torch.relu(self.bn1(features))
        beside = self.shortcut(active if self.has_projection else features)
        inner = self.conv2(torch.relu(self.bn2(self.conv1(active))))
        output: Tensor = self.excitation(inner) + beside
        return output
