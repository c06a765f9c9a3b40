"""`genpredict figure …`: a scores store (or weights) in, a figure out."""

from genpredict.cli_figures import layer_commands, network_commands
from genpredict.cli_figures.drawing import figure

__all__ = ["figure", "layer_commands", "network_commands"]
