"""Stage 1: files in, `Checkpoint` objects out; no mathematics.

Any number of files, folders and NATS-Bench archives become one lazy sequence of checkpoints, each
with an id and what is known about it. `finding` says where checkpoints are, `formats` and `nats`
read what is there.
"""

from genpredict.checkpoints.checkpoint import Checkpoint
from genpredict.checkpoints.finding.sources import CheckpointSources, open_checkpoints
from genpredict.checkpoints.formats.registry import register_format
from genpredict.checkpoints.items import Item

__all__ = [
    "Checkpoint",
    "CheckpointSources",
    "Item",
    "open_checkpoints",
    "register_format",
]
