"""What a run tells whoever looks on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from genpredict.progress import is_shown

if TYPE_CHECKING:
    from rich.progress import Progress

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


class BarWatcher(Watcher):
    """Shows a bar over the epochs of a run, with the numbers of the last one.

    Parameters
    ----------
    bar : rich.progress.Progress
        With columns that show ``latest``.
    """

    def __init__(self, bar: Progress) -> None:
        self.bar = bar
        self.task = bar.add_task("training", total=None, latest="")
        self.done, self.epochs = 0, 0

    def started(self, run: Run, *, epochs: int, done: int) -> None:
        """Name the run."""
        self.done, self.epochs = done, epochs
        self.bar.update(self.task, description=run.id)

    def noted(self, text: str) -> None:
        """Say it over the bar."""
        self.bar.console.print(text, markup=False)

    def stepped(self, *, step: int, steps: int) -> None:
        """Move the bar."""
        self.bar.update(self.task, completed=self.done + step / steps, total=self.epochs)

    def epoch_done(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """Show loss and accuracies."""
        self.done = epoch
        shown = ("running_loss", "train_accuracy", "test_accuracy")
        texts = [
            f"{name.replace('_', ' ')} {numbers[name]:.4g}" for name in shown if name in numbers
        ]
        self.bar.update(self.task, completed=epoch, latest=", ".join(texts))


@contextmanager
def watching(watcher: Watcher | None, progress: bool | None) -> Iterator[Watcher]:
    """Yield who looks on: the watcher given, else a bar where there is somebody to see it.

    Parameters
    ----------
    watcher : Watcher, optional
    progress : bool, optional
        As of `genpredict.progress.is_shown`.
    """
    if watcher is not None or not is_shown(progress):
        yield watcher or Watcher()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("epoch {task.completed:.0f}/{task.total} {task.fields[latest]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield BarWatcher(bar)
