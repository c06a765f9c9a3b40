"""The course of a run as TensorBoard's event files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genpredict.errors import GenpredictError
from genpredict.training.run_folder import Run
from genpredict.training.watching import Watcher


class TensorBoardWatcher(Watcher):
    """Write the numbers of every epoch to ``folder/<run id>``.

    Parameters
    ----------
    folder : Path
        TensorBoard's log directory.

    Raises
    ------
    GenpredictError
        Where TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise GenpredictError(
                "tensorboard: not installed; pip install tensorboard, or leave the option out"
            ) from error
        self.folder = folder
        self._open: Any = SummaryWriter
        self._writer: Any = None

    def started(self, run: Run, *, epochs: int, done: int) -> None:
        """Open the event file."""
        self._writer = self._open(str(self.folder / run.id), purge_step=done + 1)

    def epoch_done(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """Write the numbers of an epoch."""
        for name, value in numbers.items():
            if math.isfinite(value):
                self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def ended(self, run: Run) -> None:
        """Close the event file."""
        self._writer.close()
