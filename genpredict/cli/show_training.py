"""What the command line shows of training: progress, the end of a run, the end of a sweep."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from genpredict.checkpoints.finding.runs import HISTORY
from genpredict.cli.console import note, shows_bars, stderr
from genpredict.training import Outcome, Run, Settings, Watcher
from genpredict.training.run_folders import run_of

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
#: Seconds between two words about running runs, in a log and on a terminal.
_SAY_EVERY, _SHOW_EVERY = 30.0, 1.0


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

    def noted(self, text: str) -> None:
        """Say it."""
        note(text)

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
        latest = _latest(numbers)
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


def _latest(numbers: Mapping[str, float]) -> str:
    """Say what an epoch has come to: what was evaluated, else what training itself has seen."""
    parts = [f"loss {numbers['running_loss']:.4f}"]
    for name, unit in (("accuracy", " %"), ("perplexity", ""), ("frechet_distance", "")):
        for part in ("train", "test"):
            number = numbers.get(f"{part}_{name}")
            if number is not None:
                parts.append(f"{part} {number:.2f}{unit}")
    if len(parts) == 1 and math.isfinite(numbers["running_accuracy"]):
        parts.append(f"while training {numbers['running_accuracy']:.2f} %")
    return " · ".join(parts)


@contextmanager
def watch(tensorboard: Path | None) -> Iterator[ProgressWatcher]:
    """Look on while a run goes; `tensorboard` is a folder for event files."""
    also = None
    if tensorboard is not None:
        from genpredict.training.tensorboard import TensorBoardWatcher

        also = TensorBoardWatcher(tensorboard)
    if not shows_bars():
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
    note(f"{run.id}: {last['epochs']} epochs in {last['seconds']:.1f} s; {_summed_up(last)}")
    silent = _silent_layers(run)
    if silent:
        note(silent)
    note(f"history: {run.path / HISTORY}; weights: {run.checkpoints[-1]}")
    folder = shlex.quote(str(output))
    note(f"next: genpredict score {folder} -o scores.zarr && genpredict show scores.zarr")


def _summed_up(last: Mapping[str, float]) -> str:
    """Write accuracies and gap of a summary, or what else there is."""
    if "test_accuracy" in last:
        text = f"train {last['train_accuracy']:.2f} %, test {last['test_accuracy']:.2f} %"
        if "generalization_gap" in last:
            text += f", gap {last['generalization_gap']:.2f} %-points"
        return text
    if "test_perplexity" in last:
        return (
            f"perplexity: train {last['train_perplexity']:.2f}, test {last['test_perplexity']:.2f}"
        )
    if "test_frechet_distance" in last:
        return (
            f"Fréchet distance of made images from test images {last['test_frechet_distance']:.2f}"
        )
    return f"loss {last['running_loss']:.4f}"


def _silent_layers(run: Run) -> str:
    """Say which layers of a run of RMSGD never got a signal, and so kept lr to the end."""
    settings = run.settings
    if settings.optimizer != "rmsgd" or not settings.hyperparameters["hold"]:
        return ""
    history = run.history
    rank = history["rank"].max(["epoch", "unfolding"])
    silent = history["layer_name"].values[(rank == 0).values]
    if not len(silent):
        return ""
    return (
        f"{len(silent)} of {history.sizes['layer']} layers never had a signal and kept the first "
        f"learning rate: {', '.join(silent[:3])}{', …' if len(silent) > 3 else ''}"
    )


@contextmanager
def sweep_progress(runs: Sequence[Settings], output: Path) -> Iterator[Callable[[Outcome], None]]:
    """Show how far a sweep and each of its running runs is."""
    total = len(runs)
    if not shows_bars():
        with looked_after(runs, output, note, every=_SAY_EVERY):
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

        def going(text: str) -> None:
            bar.update(task, latest=text)

        with looked_after(runs, output, going, every=_SHOW_EVERY):
            yield lambda outcome: bar.update(task, advance=1)


@contextmanager
def looked_after(
    runs: Sequence[Settings], output: Path, say: Callable[[str], None], *, every: float
) -> Iterator[None]:
    """Say every so many seconds how far the running runs are, for the time of a block."""
    over = Event()
    folders = [run_of(run, output) for run in runs]

    def look() -> None:
        while not over.wait(every):
            going = [(run, run.read_progress()) for run in folders if not run.is_over]
            texts = [
                f"{run.id} {progress['epoch']:.1f}/{progress['epochs']:.0f}"
                for run, progress in going
                if progress
            ]
            if texts:
                say("; ".join(texts))

    watching = Thread(target=look, daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()


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
    return f"{outcome.run.id}: {_summed_up(last)}"


def describe_sweep(outcomes: Sequence[Outcome], output: Path) -> None:
    """Say how a sweep ended, which runs failed and why, and what to type next."""
    failed = [outcome for outcome in outcomes if outcome.status != "finished"]
    note(f"{output}: {len(outcomes) - len(failed)} of {len(outcomes)} runs finished")
    for outcome in failed[:_MOST_NAMED]:
        note(_line(outcome))
    if len(failed) > _MOST_NAMED:
        note(f"… and {len(failed) - _MOST_NAMED} more")
    if any(_is_thinned(outcome.run) for outcome in outcomes if outcome.status == "finished"):
        note(
            "evaluations before the last epoch looked at a part of the images, and not after every "
            "epoch (test_count in the histories); eval_every = 1 in the plan: always at all"
        )
    note(
        f"next: genpredict score {shlex.quote(str(output))} -o scores.zarr && "
        f"genpredict correlate scores.zarr --cluster network,optimizer (seeds of a setting are "
        f"no independent draws); "
        f"or genpredict compare {shlex.quote(str(output))}"
    )


def _is_thinned(run: Run) -> bool:
    """Return whether a run was evaluated on a part of the images before its last epoch."""
    if run.settings.eval_every is not None:
        return False
    history = run.history
    if "train_count" not in history:
        return False
    counts = history["train_count"]
    return bool((counts[:-1] != counts[-1]).any())


def list_runs(runs: Sequence[Settings], output: Path) -> None:
    """List the runs of a plan and how far each is."""
    for settings in runs:
        run = run_of(settings, output)
        state = run.summary["status"] if run.is_over else "to do"
        if not run.is_over and run.path.exists():
            state = "begun"
        print(f"{state:9} {run.id}")  # noqa: T201  the result itself
