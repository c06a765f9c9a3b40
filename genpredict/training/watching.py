"""What a run tells whoever looks on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genpredict.training.run_folder import Run


class Watcher:
    """Looks on while a run goes; this one says nothing.

    Override what you want to know.
    """

    def started(self, run: Run, *, epochs: int, done: int) -> None:
        """Learn that training begins, or goes on after `done` of `epochs` epochs."""

    def noted(self, text: str) -> None:
        """Learn something about the run that is worth saying."""

    def stepped(self, *, step: int, steps: int) -> None:
        """Learn that `step` of the `steps` of an epoch are done."""

    def epoch_done(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """Learn the numbers of an epoch, by the names of `EPOCH_NUMBERS`.

        Accuracies and losses are missing where the epoch was not evaluated.
        """

    def ended(self, run: Run) -> None:
        """Learn that the run is over."""
