"""Cells and operations of NATS-Bench, shared by its two search spaces.

Names in the state dict are NATS-Bench's: operations are numbered as they stand in the cell string,
those without parameters included. NATS-Bench initializes nothing itself: first weights are torch's
defaults, in either space.

References
----------
.. [1] X. Dong, L. Liu, K. Musial, B. Gabrys, "NATS-Bench: Benchmarking NAS Algorithms for
   Architecture Topology and Size", TPAMI 2021.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

import torch
from torch import Tensor, nn

from genpredict.errors import GenpredictError

#: Operations of the topology space ([1]_, Fig. 1), in NATS-Bench's order.
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
#: Nodes of a cell after its input.
_NODES = 3

#: For each node after the input, the operations on the nodes before it, first node first.
Genotype = tuple[tuple[str, ...], ...]


def parse_cell(text: str) -> Genotype:
    """Read a cell string.

    Parameters
    ----------
    text : str
        As in NATS-Bench: nodes joined by "+", each a list of operation~source between bars.

    Returns
    -------
    tuple of three tuples of str
        Operations on the nodes before nodes 1, 2 and 3.

    Raises
    ------
    GenpredictError
        If the string has another form or names an unknown operation.

    Examples
    --------
    >>> parse_cell("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|")[2]
    ('skip_connect', 'none', 'nor_conv_3x3')
    """
    nodes = text.split("+")
    if len(nodes) != _NODES:
        raise GenpredictError(
            f'cell: {text!r} must join three nodes by "+", as in "|none~0|+|none~0|none~1|+'
            '|skip_connect~0|none~1|none~2|"'
        )
    return tuple(_parse_node(number, node) for number, node in enumerate(nodes, start=1))


def _parse_node(number: int, text: str) -> tuple[str, ...]:
    """Return the operations of a node on nodes 0 … number − 1."""
    edges = [edge.partition("~") for edge in text.strip("|").split("|")]
    sources = [source for _, _, source in edges]
    if sources != [str(source) for source in range(number)] or not text.startswith("|"):
        raise GenpredictError(
            f"cell: node {number} is {text!r}; it must list one operation on each of the nodes "
            f"0 to {number - 1}, in this order, as in "
            f'"|{"|".join(f"skip_connect~{source}" for source in range(number))}|"'
        )
    for operation, _, _ in edges:
        if operation not in OPERATIONS:
            raise GenpredictError(
                f"cell: no operation is called {operation!r}; known operations: "
                f"{', '.join(OPERATIONS)}"
            )
    return tuple(operation for operation, _, _ in edges)


class NatsNetwork(nn.Module):
    """Cells on a 3×3 stem, a norm, a global average and a linear classifier.

    Parameters
    ----------
    genotype : Genotype
        Of all cells that keep the grid.
    widths : sequence of int
        Channels that the cells put out; the stem has the first.
    reductions : set of int
        Positions of the cells that halve the grid.
    num_classes : int
        Number of outputs.
    in_channels : int
        Channels of the images.
    """

    def __init__(
        self,
        genotype: Genotype,
        widths: Iterable[int],
        reductions: set[int],
        *,
        num_classes: int,
        in_channels: int,
    ) -> None:
        super().__init__()
        outs = tuple(widths)
        width = outs[0]
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )
        self.cells = nn.ModuleList()
        for index, out in enumerate(outs):
            if index in reductions:
                self.cells.append(ReductionCell(width, out))
            else:
                self.cells.append(Cell(genotype, width, out))
            width = out
        self.lastact = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU())
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits.

        Parameters
        ----------
        images : Tensor, shape (N, in_channels, H, W)
            Images, normalized, of at least 4 × 4 pixels.

        Returns
        -------
        Tensor, shape (N, num_classes)
            Unnormalized log probabilities.
        """
        features = self.stem(images)
        for cell in self.cells:
            features = cell(features)
        logits: Tensor = self.classifier(self.lastact(features).mean((-2, -1)))
        return logits


class Cell(nn.Module):
    """Four nodes; each sums its operations on the nodes before it.

    Parameters
    ----------
    genotype : Genotype
        Operations of nodes 1 to 3.
    width_in, width : int
        Channels of the input node, and of all others.
    """

    def __init__(self, genotype: Genotype, width_in: int, width: int) -> None:
        super().__init__()
        self.genotype = genotype
        self.layers = nn.ModuleList()
        for operations in genotype:
            for source, operation in enumerate(operations):
                width_here = width_in if source == 0 else width
                self.layers.append(_operation(operation, width_here, width))

    def forward(self, features: Tensor) -> Tensor:
        """Map features of shape (N, width_in, H, W) to (N, width, H, W).

        A node's ReLU is taken once for all convolutions that read it.
        """
        nodes, layers = [_Node(features)], iter(self.layers)
        for _ in self.genotype:
            terms = (node.through(next(layers)) for node in nodes)
            nodes.append(_Node(reduce(torch.add, terms)))
        return nodes[-1].features


class _Node:
    """Features of a node, shape (N, C, H, W), and, once a convolution has read them, their ReLU."""

    def __init__(self, features: Tensor) -> None:
        self.features = features
        self.active: Tensor | None = None

    def through(self, layer: nn.Module) -> Tensor:
        """Apply an operation to the features."""
        if not isinstance(layer, ConvUnit):
            output: Tensor = layer(self.features)
            return output
        if self.active is None:
            self.active = torch.relu(self.features)
        return layer.convolve(self.active)


def _operation(name: str, width_in: int, width: int) -> nn.Module:
    """Make an operation by its name."""
    match name:
        case "none":
            return Zero()
        case "skip_connect":
            return nn.Identity() if width_in == width else Projection(width_in, width)
        case "avg_pool_3x3":
            return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        case _:
            return ConvUnit(width_in, width, kernel=int(name[-1]))


class Zero(nn.Module):
    """An absent edge.

    It multiplies by 0 instead of leaving the edge out, as NATS-Bench does: layers that lead
    nowhere keep a gradient of exactly 0, so that weight decay reaches them.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Map features of any shape to zeros of this shape."""
        return features * 0


class ConvUnit(nn.Module):
    """ReLU, convolution, batch norm."""

    def __init__(self, width_in: int, width: int, *, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.op = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(width_in, width, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map features of shape (N, width_in, H, W) to (N, width, H/stride, W/stride)."""
        return self.convolve(self.op[0](features))

    def convolve(self, active: Tensor) -> Tensor:
        """Convolve and normalize features that have passed the ReLU already."""
        normalized: Tensor = self.op[2](self.op[1](active))
        return normalized


class Projection(nn.Module):
    """A skip connection between different widths: 1×1 convolution, batch norm, no ReLU."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, features: Tensor) -> Tensor:
        """Map features of shape (N, width_in, H, W) to (N, width, H, W)."""
        normalized: Tensor = self.bn(self.conv(features))
        return normalized


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
        output: Tensor = self.downsample(features) + self.conv_b(self.conv_a(features))
        return output
