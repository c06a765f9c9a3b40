"""Networks of NATS-Bench's size search space, by architecture string.

Five cells on a 3×3 stem; the second and fourth halve the image. All other cells have the genotype
of the space: four nodes, 3×3 convolutions everywhere but a skip connection from the first node to
the last. Names in the state dict are those of NATS-Bench.

References
----------
.. [1] X. Dong, L. Liu, K. Musial, B. Gabrys, "NATS-Bench: Benchmarking NAS Algorithms for
   Architecture Topology and Size", TPAMI 2021.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Predecessors of nodes 1, 2, 3, one operation each; the fourth operation is the skip connection.
_EDGES = ((0,), (0, 1), (0, 1, 2))
_SKIP = 3


class SizeSpaceNetwork(nn.Module):
    """A network of the size space [1]_.

    Parameters
    ----------
    widths : sequence of five int
        Channels of the five cells, the numbers of "8:16:24:32:40"; the stem has the first.
    num_classes : int
        Number of outputs.

    Examples
    --------
    >>> network = SizeSpaceNetwork((8, 16, 24, 32, 40))
    >>> sum(parameter.numel() for parameter in network.parameters())
    115490
    """

    def __init__(self, widths: tuple[int, ...], *, num_classes: int = 10) -> None:
        super().__init__()
        width = widths[0]
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )
        self.cells = nn.ModuleList()
        for index, out in enumerate(widths):
            cell = ReductionCell if index in (1, 3) else InferCell
            self.cells.append(cell(width, out))
            width = out
        self.lastact = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU())
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images of shape (N, 3, H, W) to logits of shape (N, num_classes)."""
        features = self.stem(images)
        for cell in self.cells:
            features = cell(features)
        logits: Tensor = self.classifier(self.lastact(features).mean((-2, -1)))
        return logits


class ConvUnit(nn.Module):
    """ReLU, 3×3 convolution, batch norm."""

    def __init__(self, width_in: int, width: int, *, stride: int = 1) -> None:
        super().__init__()
        self.op = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(width_in, width, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map features of shape (N, width_in, H, W) to (N, width, H/stride, W/stride)."""
        found: Tensor = self.op(features)
        return found


class Projection(nn.Module):
    """A skip connection between different widths: ReLU, 1×1 convolution, batch norm."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, features: Tensor) -> Tensor:
        """Map features of shape (N, width_in, H, W) to (N, width, H, W)."""
        found: Tensor = self.bn(self.conv(torch.relu(features)))
        return found


class InferCell(nn.Module):
    """Four nodes; each sums its operations on the nodes before it."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for sources in _EDGES:
            for source in sources:
                width_here = width_in if source == 0 else width
                self.layers.append(self._operation(len(self.layers), width_here, width))

    @staticmethod
    def _operation(index: int, width_in: int, width: int) -> nn.Module:
        if index != _SKIP:
            return ConvUnit(width_in, width)
        return nn.Identity() if width_in == width else Projection(width_in, width)

    def forward(self, features: Tensor) -> Tensor:
        """Map features of shape (N, width_in, H, W) to (N, width, H, W)."""
        nodes = [features]
        operations = iter(self.layers)
        for sources in _EDGES:
            nodes.append(torch.stack([next(operations)(nodes[s]) for s in sources]).sum(0))
        return nodes[-1]


class ReductionCell(nn.Module):
    """Two 3×3 convolutions, the first of stride 2, beside an averaged 1×1 shortcut."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.conv_a = ConvUnit(width_in, width, stride=2)
        self.conv_b = ConvUnit(width, width)
        self.downsample = nn.Sequential(
            nn.AvgPool2d(2, stride=2), nn.Conv2d(width_in, width, 1, bias=False)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map features of shape (N, width_in, H, W) to (N, width, H/2, W/2)."""
        found: Tensor = self.downsample(features) + self.conv_b(self.conv_a(features))
        return found
