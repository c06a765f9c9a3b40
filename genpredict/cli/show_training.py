"""What the command line shows of training: progress, the end of a run, the end of a sweep."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from genpredict.cli.console import note, stderr
from genpredict.training import Outcome, Run, Settings, Watcher

if TYPE_CHECKING:
    from genpredict.training.tensorboard import TensorBoardWatcher

_COLUMNS = (
    TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
    BarColumn(bar_width=None),
    TextColumn("{task.fields[latest]}"),
    TimeRemainingColumn(compact=True),  # so that all of it fits into 80 characters
    TextColumn("left"),
)
#: Failed runs that are named one by one.
_MOST_NAMED = 10


class ProgressWatcher(Watcher):
    """Shows a bar on a terminal, else a line an epoch; tells TensorBoard too, if there is one."""

    def __init__(self, bar: Progress | None, also: TensorBoardWatcher | None) -> None:
        self.bar, self.also = bar, also
        self.task = bar.add_task("", total=None, epoch=0, epochs=0, latest="") if bar else None
        self.done, self.epochs = 0, 0

    def started(self, run: Run, *, epochs: int, done: int) -> None:
        """Say what is trained, and from which epoch on."""
        self.done, self.epochs = done, epochs
        note(f"{run.path}" + (f": going on after epoch {done}" if done else ""))
        if self.also:
            self.also.started(run, epochs=epochs, done=done)

    def stepped(self, *, step: int, steps: int) -> None:
        """Move the bar."""
        if self.bar and self.task is not None:
            self.bar.update(
                self.task,
                completed=self.done * steps + step,
                total=self.epochs * steps,
                epoch=self.done + 1,
                epochs=self.epochs,
            )

    def epoch_done(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """Show accuracies and loss."""
        self.done = epoch
        latest = (
            f"loss {numbers['running_loss']:.4f} · train {numbers['train_accuracy']:.2f} % · "
            f"test {numbers['test_accuracy']:.2f} %"
        )
        if self.bar and self.task is not None:
            self.bar.update(self.task, latest=latest)
        else:
            note(f"epoch {epoch}/{self.epochs}: {latest} · {numbers['seconds']:.1f} s")
        if self.also:
            self.also.epoch_done(epoch, numbers)

    def ended(self, run: Run) -> None:
        """Close what is open."""
        if self.also:
            self.also.ended(run)


@contextmanager
def watch(tensorboard: Path | None) -> Iterator[ProgressWatcher]:
    """Look on while a run goes; `tensorboard` is a folder for event files."""
    also = None
    if tensorboard is not None:
        from genpredict.training.tensorboard import TensorBoardWatcher

        also = TensorBoardWatcher(tensorboard)
    if not stderr.is_terminal:
        yield ProgressWatcher(None, also)
        return
    with Progress(*_COLUMNS, console=stderr) as bar:
        yield ProgressWatcher(bar, also)


def describe_run(run: Run, output: Path) -> None:
    """Say how a run ended, where everything is, and what to type next."""
    last = run.summary
    if last["status"] != "finished":
        note(
            f"{run.id}: diverged in epoch {last['epochs']}: the loss is not finite; try a smaller "
            f"learning rate, such as -H lr={run.settings.hyperparameters['lr'] / 10:g}"  # type: ignore[operator]
        )
        return
    note(
        f"{run.id}: {last['epochs']} epochs in {last['seconds']:.1f} s; "
        f"train {last['train_accuracy']:.2f} %, test {last['test_accuracy']:.2f} %, "
        f"gap {last['generalization_gap']:.2f} %-points"
    )
    note(f"history: {run.path / 'history.nc'}; weights: {run.checkpoints[-1]}")
    folder = shlex.quote(str(output))
    note(f"next: genpredict score {folder} -o scores.zarr && genpredict show scores.zarr")


@contextmanager
def sweep_progress(total: int) -> Iterator[Callable[[Outcome], None]]:
    """Show how far a sweep is."""
    if not stderr.is_terminal:
        yield _lines(total)
        return
    columns = (
        TextColumn("sweep {task.completed}/{task.total}"),
        BarColumn(),
        TextColumn("{task.fields[latest]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr) as bar:
        task = bar.add_task("", total=total, latest="")
        yield lambda outcome: bar.update(task, advance=1, latest=_line(outcome))


def _lines(total: int) -> Callable[[Outcome], None]:
    """Return a callback that writes a line a run."""
    done = 0

    def log(outcome: Outcome) -> None:
        nonlocal done
        done += 1
        note(f"{done}/{total} {_line(outcome)}")

    return log


def _line(outcome: Outcome) -> str:
    """Say how a run ended."""
    if outcome.status != "finished":
        return f"{outcome.run.id}: {outcome.status} {outcome.message}".rstrip()
    last = outcome.run.summary
    accuracies = f"train {last['train_accuracy']:.2f} %, test {last['test_accuracy']:.2f} %"
    return f"{outcome.run.id}: {accuracies}"


def describe_sweep(outcomes: Sequence[Outcome], output: Path) -> None:
    """Say how a sweep ended, which runs failed and why, and what to type next."""
    failed = [outcome for outcome in outcomes if outcome.status != "finished"]
    note(f"{output}: {len(outcomes) - len(failed)} of {len(outcomes)} runs finished")
    for outcome in failed[:_MOST_NAMED]:
        note(_line(outcome))
    if len(failed) > _MOST_NAMED:
        note(f"… and {len(failed) - _MOST_NAMED} more")
    note(
        f"next: genpredict score {shlex.quote(str(output))} -o scores.zarr && "
        f"genpredict figure scatter scores.zarr --hue optimizer -o scatter.png"
    )


def list_runs(runs: Sequence[Settings], output: Path) -> None:
    """List the runs of a plan and how far each is."""
    for settings in runs:
        run = Run(output / settings.id)
        state = run.summary["status"] if run.is_over else "to do"
        if not run.is_over and run.path.exists():
            state = "begun"
        print(f"{state:9} {run.id}")  # noqa: T201  the result itself
