"""Many runs on all cores: what is over is passed over, what was broken off goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from genpredict.engine import available_cores, run_in_order
from genpredict.errors import GenpredictError
from genpredict.training.grid import read_plan, spell_out
from genpredict.training.run_folder import Run
from genpredict.training.run_folders import run_of
from genpredict.training.settings import Settings
from genpredict.training.watching import Watcher

FAILED = "failed"
#: The optimizer whose time is the budget of the others.
CLOCK = "sgd"
#: Settings in which a run and the run of SGD that gives it its time are the same.
_ALIKE = ("network", "dataset", "seed", "batch_size", "num_train", "image_size", "device")
#: Seconds between two words of a run about how far it is.
_SAY_EVERY = 1.0


@dataclass(frozen=True)
class Outcome:
    """How a run of a sweep ended.

    Attributes
    ----------
    run : Run
    status : str
        "finished", "diverged" or "failed".
    message : str
        Why it failed; empty otherwise.
    """

    run: Run
    status: str
    message: str = ""


def sweep(
    plan: str | Path | Mapping[str, Any] | Sequence[Settings],
    output: str | Path = "runs",
    *,
    workers: int | None = None,
    shard: tuple[int, int] = (1, 1),
    on_end: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Train every run of a plan.

    Parameters
    ----------
    plan : path, mapping or sequence of Settings
        A TOML file, what would stand in it (see `Plan`), or the runs themselves.
    output : path
        The folder of all runs.
    workers : int, optional
        Processes, a run each at a time; default one a core. Every run computes on one thread
        unless its settings say otherwise, so that results do not depend on `workers`; where SGD's
        time is the budget, results depend on how busy the machine is.
    shard : pair of int
        (i, n): only every n-th run, from the i-th on; i from 1. For n machines or jobs.
    on_end : callable, optional
        Told how each run ended.

    Returns
    -------
    list of Outcome
        In the order of the plan. A run that fails does not stop the others.

    Raises
    ------
    GenpredictError
        When the plan makes no sense (before anything is trained), or a worker dies; all epochs
        that are done are kept, and the same call goes on.

    Examples
    --------
    >>> sweep({"grid": {"optimizer": ["sgd", "rmsgd"], "seed": [0, 1]}})  # doctest: +SKIP
    """
    index, count = shard
    if not 1 <= index <= count:
        raise GenpredictError(f"shard: must be i/n with i from 1 to n, not {index}/{count}")
    every = [_on_one_thread(run) for run in plan_runs(plan)]
    mine = every[index - 1 :: count]
    check_clocks(every)
    outcomes: dict[str, Outcome] = {}

    def train_all(runs: Sequence[Settings], names: Sequence[str]) -> None:
        work = partial(_train_one, output=Path(output))
        ended = run_in_order(work, runs, workers=workers or available_cores())
        for name, outcome in zip(names, ended, strict=True):
            outcomes[name] = outcome
            if on_end is not None:
                on_end(outcome)

    free = [run for run in mine if run.budget is None or run.optimizer == CLOCK]
    train_all([_without_budget(run) for run in free], [run.id for run in free])
    timed = [run for run in mine if run.id not in outcomes]
    train_all([with_time(run, every, Path(output)) for run in timed], [run.id for run in timed])
    return [outcomes[run.id] for run in mine]


def plan_runs(plan: str | Path | Mapping[str, Any] | Sequence[Settings]) -> list[Settings]:
    """Spell out a plan in any of its forms."""
    if isinstance(plan, str | Path):
        return read_plan(Path(plan))
    return spell_out(plan) if isinstance(plan, Mapping) else list(plan)


def check_clocks(runs: Sequence[Settings]) -> None:
    """Refuse runs whose budget is the time of an SGD run that the plan does not have.

    Raises
    ------
    GenpredictError
        Naming the run.
    """
    for run in runs:
        if run.budget is not None and not list(_clocks(run, runs)):
            raise GenpredictError(
                f'budget: {run.id} is to take the time of a run of "{CLOCK}" with the same '
                f"{', '.join(_ALIKE[:3])}, and there is none; add {CLOCK} to the optimizers"
            )


def with_time(run: Settings, runs: Sequence[Settings], output: Path) -> Settings:
    """Give a run the seconds that its runs of SGD have taken, their median.

    Parameters
    ----------
    run : Settings
        Returned as it is where it has no `budget`.
    runs : sequence of Settings
        All runs of the plan.
    output : Path
        The folder of all runs.

    Raises
    ------
    GenpredictError
        Where no run of SGD is over, as in a shard that is ahead of the others.
    """
    if run.budget is None or run.optimizer == CLOCK:
        return _without_budget(run)
    clocks = [run_of(_without_budget(clock), output) for clock in _clocks(run, runs)]
    taken = [clock.summary["seconds"] for clock in clocks if clock.is_over]
    if not taken:
        raise GenpredictError(
            f"budget: {run.id} waits for {clocks[0].id}, which is not over; train that first"
        )
    seconds = round(median(taken), 2)
    return run.model_copy(update={"budget": None, "budget_seconds": max(seconds, 0.01)})


def _clocks(run: Settings, runs: Sequence[Settings]) -> Iterator[Settings]:
    """Yield the runs of SGD that are like a run but for the optimizer."""
    for other in runs:
        same = all(getattr(run, name) == getattr(other, name) for name in _ALIKE)
        if same and other.optimizer == CLOCK:
            yield other


def _without_budget(run: Settings) -> Settings:
    return run.model_copy(update={"budget": None})


def _on_one_thread(run: Settings) -> Settings:
    return run if run.threads else run.model_copy(update={"threads": 1})


class ProgressFile(Watcher):
    """Writes how far a run is into its folder, for the process that shows it."""

    def started(self, run: Run, *, epochs: int, done: int) -> None:
        """Remember the run."""
        self.run, self.epochs, self.done, self.said = run, epochs, done, 0.0

    def stepped(self, *, step: int, steps: int) -> None:
        """Write now and then how far the epoch is."""
        now = time.monotonic()
        if now - self.said >= _SAY_EVERY:
            self.said = now
            self.run.write_progress({"epoch": self.done + step / steps, "epochs": self.epochs})

    def epoch_done(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """Count."""
        self.done = epoch


def _train_one(settings: Settings, *, output: Path) -> Outcome:
    """Train one run, in a worker; whatever happens to it, the others go on."""
    from genpredict.training.loop import train_settings

    run = run_of(settings, output)
    try:
        train_settings(settings, output, watcher=ProgressFile())
        return Outcome(run, run.summary["status"])
    except Exception as error:  # one run's error is its outcome
        return Outcome(run, FAILED, str(error) or type(error).__name__)
