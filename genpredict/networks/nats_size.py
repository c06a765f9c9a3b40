"""Networks of NATS-Bench's size search space, by architecture string.

Five cells on a 3×3 stem; the second and fourth halve the image. All other cells have the genotype
of the space: four nodes, 3×3 convolutions everywhere but a skip connection from the first node to
the last.

References
----------
.. [1] X. Dong, L. Liu, K. Musial, B. Gabrys, "NATS-Bench: Benchmarking NAS Algorithms for
   Architecture Topology and Size", TPAMI 2021.
"""

from __future__ import annotations

from genpredict.networks.nats_cells import NatsNetwork, parse_cell

#: The one cell of the space, best of the topology space on CIFAR-100 ([1]_, section 3.2).
GENOTYPE = parse_cell(
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)
_REDUCTIONS = {1, 3}


class SizeSpaceNetwork(NatsNetwork):
    """A network of the size space [1]_.

    Parameters
    ----------
    widths : sequence of five int
        Channels of the five cells, the numbers of "8:16:24:32:40"; the stem has the first.
    num_classes : int
        Number of outputs.
    in_channels : int
        Channels of the images.

    Examples
    --------
    >>> network = SizeSpaceNetwork((8, 16, 24, 32, 40))
    >>> sum(parameter.numel() for parameter in network.parameters())
    115490
    """

    def __init__(
        self, widths: tuple[int, ...], *, num_classes: int = 10, in_channels: int = 3
    ) -> None:
        super().__init__(
            GENOTYPE, widths, _REDUCTIONS, num_classes=num_classes, in_channels=in_channels
        )
