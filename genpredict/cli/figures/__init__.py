"""`genpredict figure …`: a scores store (or weights) in, a figure out."""

from genpredict.cli.figures import curves, layer_commands, network_commands, statistics_commands
from genpredict.cli.figures.drawing import figure

__all__ = ["curves", "figure", "layer_commands", "network_commands", "statistics_commands"]
