"""Stage 1: files in, `Checkpoint` objects out; no mathematics.

Any number of files, folders and NATS-Bench archives become one lazy sequence of checkpoints, each
with an id and what is known about it; `select_layers` then tells which of a checkpoint's tensors
are layers, and why the others are not.
"""

from genpredict.checkpoints.checkpoint import Checkpoint
from genpredict.checkpoints.items import Item
from genpredict.checkpoints.layers import Layer, LeftOut, count_parameters, select_layers
from genpredict.checkpoints.sources import CheckpointSources, open_checkpoints

__all__ = [
    "Checkpoint",
    "CheckpointSources",
    "Item",
    "open_checkpoints",
    "Layer",
    "LeftOut",
    "select_layers",
    "count_parameters",
]
