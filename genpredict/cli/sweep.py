"""The command `sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from genpredict.cli.exit_codes import ALL_DONE, FAILED, SOME_FAILED
from genpredict.cli.run_settings import Positive, RunsFolder
from genpredict.errors import GenpredictError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genpredict.training import Outcome, Settings

SWEEP_EXAMPLES = """
Examples:

`genpredict sweep sweep.toml -o runs`

`genpredict sweep sweep.toml --shard 3/8 --workers 4 -o runs`

with, in sweep.toml,

    [settings]
    recipe = "digits"

    [grid]
    optimizer = ["rmsgd", "sgd", "adam"]
    seed = [0, 1, 2]

    [hyperparameters.sgd]
    lr = [0.1, 0.01]

`genpredict sweep search.toml --best best.toml -o search` chooses on num_validation images

With `budget = "sgd"` among the settings every run gets the time that SGD's takes.
"""


def sweep(
    plan: Path,
    /,
    *,
    output: RunsFolder = Path("runs"),
    workers: Positive = None,
    shard: str = "1/1",
    dry_run: bool = False,
    best: Path | None = None,
    overwrite: bool = False,
) -> int:
    """Train every combination of settings that a TOML file asks for.

    Run the same command again to go on after an interruption: finished runs are kept, those broken
    off go on after their last full epoch.

    Parameters
    ----------
    plan
        A TOML file with the tables settings, grid and hyperparameters; see the example.
    output
        The folder of all runs.
    workers
        Processes, one run each at a time; default one a core. Results do not depend on it.
    shard
        i/n trains the i-th of n parts of the runs (every n-th run, from the i-th on), for n
        machines.
    dry_run
        List the runs and what is done of them; train nothing.
    best
        Write each optimizer's hyperparameters of greatest mean validation accuracy to this TOML
        file, as tables for another sweep. Needs num_validation in the plan; test images play no
        part.
    overwrite
        Replace an existing file of --best.
    """
    from genpredict.cli.show_training import describe_sweep, list_runs, sweep_progress
    from genpredict.jobs.sharding import parse_shard
    from genpredict.outputs import check_output
    from genpredict.training import read_plan
    from genpredict.training import sweep as train_all

    runs = read_plan(plan)
    part = parse_shard(shard)
    index, count = part.index, part.count
    if dry_run:
        list_runs(runs[index - 1 :: count], output)
        return ALL_DONE
    if best is not None:
        _check_choice(runs)
        check_output(best, overwrite=overwrite, inputs=(plan,))
    with sweep_progress(runs[index - 1 :: count], output) as on_end:
        outcomes = train_all(runs, output, workers=workers, shard=(index, count), on_end=on_end)
    describe_sweep(outcomes, output)
    if best is not None:
        _write_best(outcomes, best, overwrite=overwrite)
    return _code(outcomes)


def _check_choice(runs: Sequence[Settings]) -> None:
    """Refuse a choice among runs without validation images before they are trained."""
    for run in runs:
        if run.num_validation is None:
            raise GenpredictError(
                "--best: chooses on validation images, and the plan holds none out; add "
                "num_validation to its settings"
            )


def _write_best(outcomes: list[Outcome], path: Path, *, overwrite: bool) -> None:
    """Choose on validation images, write the choice, and show it."""
    from genpredict.cli.console import note
    from genpredict.outputs import new_file
    from genpredict.training.choosing import best_runs, choices_as_toml

    over = [outcome.run for outcome in outcomes if outcome.status != "failed"]
    text = choices_as_toml(best_runs(over))
    with new_file(path, overwrite=overwrite) as partial:
        partial.write_text(text, encoding="utf-8")
    print(text, end="")  # noqa: T201  the result itself
    note(f"best on validation images: {path}")


def _code(outcomes: list[Outcome]) -> int:
    """Return the exit code of a sweep."""
    finished = sum(outcome.status == "finished" for outcome in outcomes)
    if finished == len(outcomes):
        return ALL_DONE
    return SOME_FAILED if finished else FAILED
