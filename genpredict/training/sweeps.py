"""Many runs on all cores: what is over is passed over, what was broken off goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from genpredict.engine import available_cores, run_in_order
from genpredict.errors import GenpredictError
from genpredict.training.grid import read_plan, spell_out
from genpredict.training.run_folder import Run
from genpredict.training.settings import Settings

FAILED = "failed"


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
        unless its settings say otherwise, so that results do not depend on `workers`.
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
    runs = _runs(plan)[index - 1 :: count]
    runs = [run if run.threads else run.model_copy(update={"threads": 1}) for run in runs]
    outcomes = []
    work = partial(_train_one, output=Path(output))
    for outcome in run_in_order(work, runs, workers=workers or available_cores()):
        outcomes.append(outcome)
        if on_end is not None:
            on_end(outcome)
    return outcomes


def _runs(plan: str | Path | Mapping[str, Any] | Sequence[Settings]) -> list[Settings]:
    """Spell out a plan in any of its forms."""
    if isinstance(plan, str | Path):
        return read_plan(Path(plan))
    return spell_out(plan) if isinstance(plan, Mapping) else list(plan)


def _train_one(settings: Settings, *, output: Path) -> Outcome:
    """Train one run, in a worker; whatever happens to it, the others go on."""
    from genpredict.training.loop import train_settings
    from genpredict.training.watching import Watcher

    run = Run(output / settings.id)
    try:
        train_settings(settings, output, watcher=Watcher())
        return Outcome(run, run.summary["status"])
    except Exception as error:  # one run's error is its outcome
        return Outcome(run, FAILED, str(error) or type(error).__name__)
