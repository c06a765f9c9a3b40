"""Networks of NATS-Bench's topology search space (NAS-Bench-201), by cell string.

Three stages of five equal cells with 16, 32 and 64 channels; a reduction cell between stages
doubles the channels and halves the image.

References
----------
.. [1] X. Dong, L. Liu, K. Musial, B. Gabrys, "NATS-Bench: Benchmarking NAS Algorithms for
   Architecture Topology and Size", TPAMI 2021.
.. [2] X. Dong, Y. Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture
   Search", ICLR 2020.
"""

from __future__ import annotations

from genpredict.networks.nats_cells import NatsNetwork, parse_cell

#: Channels of the first stage, and cells in every stage ([2]_, section 2.1).
CHANNELS, CELLS = 16, 5
_WIDTHS = [CHANNELS] * CELLS + [2 * CHANNELS] * (1 + CELLS) + [4 * CHANNELS] * (1 + CELLS)
_REDUCTIONS = {CELLS, 2 * CELLS + 1}


class TopologySpaceNetwork(NatsNetwork):
    """A network of the topology space [1]_.

    Parameters
    ----------
    cell : str
        The cell string, e.g. "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|";
        operations are none, skip_connect, nor_conv_1x1, nor_conv_3x3 and avg_pool_3x3.
    num_classes : int
        Number of outputs.
    in_channels : int
        Channels of the images.

    Raises
    ------
    GenpredictError
        If the cell string cannot be read.

    Examples
    --------
    >>> network = TopologySpaceNetwork(
    ...     "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|nor_conv_1x1~1|none~2|"
    ... )
    >>> sum(parameter.numel() for parameter in network.parameters())
    101306
    """

    def __init__(self, cell: str, *, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__(
            parse_cell(cell), _WIDTHS, _REDUCTIONS, num_classes=num_classes, in_channels=in_channels
        )
