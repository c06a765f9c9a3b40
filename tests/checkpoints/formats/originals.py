"""Five small networks whose copies, written by exporters, lie beside this file."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from genpredict.networks.blocks import conv_norm
from genpredict.networks.mobilenet import InvertedResidual
from genpredict.networks.resnet import BasicBlock, ResNet

STAGES = ((1, 4, 1, 1), (6, 4, 2, 1), (6, 5, 3, 2), (6, 6, 4, 2), (6, 6, 3, 1), (6, 8, 3, 2),
          (6, 10, 1, 1))  # fmt: skip
"""Of MobileNetV2's Table 2: expansion, channels (here a few), repetitions, first stride."""


def resnet18() -> nn.Module:
    """Return a ResNet-18 of few channels."""
    return ResNet(BasicBlock, (2, 2, 2, 2), (4, 6, 8, 10), stem=4)


class MobileNetV2(nn.Module):
    """MobileNetV2 of few channels: depthwise and pointwise convolutions."""

    def __init__(self) -> None:
        super().__init__()
        blocks, width = [], 4
        for expansion, channels, repeats, stride in STAGES:
            for number in range(repeats):
                step = stride if number == 0 else 1
                blocks.append(InvertedResidual(width, channels, step, expansion))
                width = channels
        self.stem = conv_norm(3, 4, 3, activation=nn.ReLU)
        self.blocks = nn.Sequential(*blocks)
        self.last = conv_norm(width, 20, 1, activation=nn.ReLU)
        self.head = nn.Linear(20, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images of shape (N, 3, H, W)."""
        features = self.last(self.blocks(self.stem(images)))
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


class LanguageModel(nn.Module):
    """Two LSTM layers between a look-up table and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 6)
        self.lstm = nn.LSTM(6, 5, num_layers=2, batch_first=True)
        self.head = nn.Linear(5, 11)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits, shape (N, T, 11), for tokens of shape (N, T)."""
        logits: Tensor = self.head(self.lstm(self.table(tokens))[0])
        return logits


class TransformerBlock(nn.Module):
    """Attention and two dense layers, each with a normalization before and a sum after it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(12)
        self.attention = nn.MultiheadAttention(12, 3, batch_first=True)
        self.norm2 = nn.LayerNorm(12)
        self.widen = nn.Linear(12, 24)
        self.narrow = nn.Linear(24, 12)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens of shape (N, T, 12) to as many."""
        normed = self.norm1(tokens)
        tokens = tokens + self.attention(normed, normed, normed, need_weights=False)[0]
        answer: Tensor = tokens + self.narrow(torch.relu(self.widen(self.norm2(tokens))))
        return answer


class UNet(nn.Module):
    """Two levels down and, by transposed convolutions, two up; one keeps the number of channels."""

    def __init__(self) -> None:
        super().__init__()
        self.down1 = nn.Conv2d(3, 4, 3, padding=1)
        self.down2 = nn.Conv2d(4, 6, 3, padding=1)
        self.middle = nn.Conv2d(6, 6, 3, padding=1)
        self.up2 = nn.ConvTranspose2d(6, 6, 2, stride=2)
        self.join2 = nn.Conv2d(12, 6, 3, padding=1)
        self.up1 = nn.ConvTranspose2d(6, 4, 2, stride=2, bias=False)
        self.join1 = nn.Conv2d(8, 4, 3, padding=1)
        self.mask = nn.Conv2d(4, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return a mask of two channels for images of shape (N, 3, H, W)."""
        fine = torch.relu(self.down1(images))
        coarse = torch.relu(self.down2(nn.functional.max_pool2d(fine, 2)))
        lowest = torch.relu(self.middle(nn.functional.max_pool2d(coarse, 2)))
        joined = torch.relu(self.join2(torch.cat([self.up2(lowest), coarse], 1)))
        joined = torch.relu(self.join1(torch.cat([self.up1(joined), fine], 1)))
        mask: Tensor = self.mask(joined)
        return mask


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet18": resnet18,
    "mobilenetv2": MobileNetV2,
    "lstm": LanguageModel,
    "transformer": TransformerBlock,
    "unet": UNet,
}


def example_of(name: str) -> Tensor:
    """Return an input of a network."""
    generator = torch.Generator().manual_seed(1)
    if name == "lstm":
        return torch.randint(11, (2, 7), generator=generator)
    shape = (2, 5, 12) if name == "transformer" else (2, 3, 16, 16)
    return torch.randn(shape, generator=generator)


def initialized(name: str) -> nn.Module:
    """Return a network with random weights, normalizations too, ready for inference."""
    torch.manual_seed(0)
    network = NETWORKS[name]()
    for parameter_name, tensor in network.state_dict().items():
        if tensor.ndim == 1 and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5) if "bias" not in parameter_name else tensor.normal_(0, 0.1)
    return network.eval()
