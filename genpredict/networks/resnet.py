"""ResNets for 32×32 images: a 3×3 stem, no max-pooling, a global average before the classifier.

Two kinds: the ImageNet networks in four stages (resnet18 … resnet101, and ResNeXt and SENet, which
change their block alone), and the CIFAR networks of three narrow stages (resnet20 … resnet56).
Names in the state dict are those that published CIFAR checkpoints use: conv1, bn1, layer1.0.conv1,
linear.

References
----------
.. [1] K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.
.. [2] S. Xie, R. Girshick, P. Dollár, Z. Tu, K. He, "Aggregated Residual Transformations for Deep
   Neural Networks", CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from genpredict.networks.blocks import global_average, initialize_he, shortcut, stage_strides

#: Makes a block of its input channels, its output channels and its stride.
BlockMaker = Callable[[int, int, int], nn.Module]


class ResNet(nn.Module):
    """Stages of residual blocks, each half the grid and more channels than the one before [1]_.

    Parameters
    ----------
    block : callable (width_in, width, stride) -> nn.Module
        Makes one block.
    counts : sequence of int
        Blocks in each stage.
    widths : sequence of int
        Channels that each stage puts out.
    stem : int
        Channels that the first convolution puts out.
    num_classes : int
        Number of outputs.
    in_channels : int
        Channels of the images.
    stem_kernel : int
        Side of the first convolution's kernel.
    he_classifier : bool
        Draw the classifier, too, from He's distribution; else it starts as torch's default.

    Examples
    --------
    >>> network = ResNet(BasicBlock, (2, 2, 2, 2), (64, 128, 256, 512))
    >>> sum(parameter.numel() for parameter in network.parameters())
    11173962
    """

    def __init__(
        self,
        block: BlockMaker,
        counts: Sequence[int],
        widths: Sequence[int],
        *,
        stem: int = 64,
        num_classes: int = 10,
        in_channels: int = 3,
        stem_kernel: int = 3,
        he_classifier: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, stem, stem_kernel, padding=stem_kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.num_stages = len(counts)
        width_in = stem
        for number, (count, width) in enumerate(zip(counts, widths, strict=True), start=1):
            blocks = []
            for stride in stage_strides(1 if number == 1 else 2, count):
                blocks.append(block(width_in, width, stride))
                width_in = width
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
        self.linear = nn.Linear(width_in, num_classes)
        initialize_he(self, classifier=he_classifier)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits.

        Parameters
        ----------
        images : Tensor, shape (N, in_channels, H, W)
            Images, normalized.

        Returns
        -------
        Tensor, shape (N, num_classes)
            Unnormalized log probabilities.
        """
        features = torch.relu(self.bn1(self.conv1(images)))
        for number in range(1, self.num_stages + 1):
            features = self.get_submodule(f"layer{number}")(features)
        logits: Tensor = self.linear(global_average(features))
        return logits


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut, which projects where shapes differ."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = self._shortcut(width_in, width, stride)

    @staticmethod
    def _shortcut(width_in: int, width: int, stride: int) -> nn.Module:
        return shortcut(width_in, width, stride=stride)

    def forward(self, features: Tensor) -> Tensor:
        """Map features of shape (N, width_in, H, W) to (N, width, H/stride, W/stride)."""
        inner = torch.relu(self.bn1(self.conv1(features)))
        return torch.relu(self.bn2(self.conv2(inner)) + self.shortcut(features))


class PaddedBlock(BasicBlock):
    """A basic block whose shortcut has no parameters: option A of [1]_, section 4.2."""

    @staticmethod
    def _shortcut(width_in: int, width: int, stride: int) -> nn.Module:
        if stride == 1 and width_in == width:
            return nn.Sequential()
        return ZeroPadding(width - width_in, stride=stride)


class ZeroPadding(nn.Module):
    """Take every `stride`-th pixel and put half of the `missing` channels, zero, on either side."""

    def __init__(self, missing: int, *, stride: int) -> None:
        super().__init__()
        self.before, self.after = missing // 2, missing - missing // 2
        self.stride = stride

    def forward(self, features: Tensor) -> Tensor:
        """Map features of shape (N, C, H, W) to (N, C + missing, H/stride, W/stride)."""
        kept = features[..., :: self.stride, :: self.stride]
        return functional.pad(kept, (0, 0, 0, 0, self.before, self.after))


class Bottleneck(nn.Module):
    """A 1×1, a 3×3 and a 1×1 convolution beside a shortcut.

    Parameters
    ----------
    width_in, width : int
        Channels before and after.
    stride : int
        Of the 3×3 convolution.
    expansion : int
        `width` divided by the channels of the 3×3 convolution: 4 in ResNets [1]_.
    groups : int
        Of the 3×3 convolution; ResNeXt's cardinality [2]_.
    """

    def __init__(
        self, width_in: int, width: int, stride: int, *, expansion: int = 4, groups: int = 1
    ) -> None:
        super().__init__()
        inner = width // expansion
        self.conv1 = nn.Conv2d(width_in, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.shortcut = shortcut(width_in, width, stride=stride)

    def forward(self, features: Tensor) -> Tensor:
        """Map features of shape (N, width_in, H, W) to (N, width, H/stride, W/stride)."""
        inner = torch.relu(self.bn1(self.conv1(features)))
        inner = torch.relu(self.bn2(self.conv2(inner)))
        return torch.relu(self.bn3(self.conv3(inner)) + self.shortcut(features))
