"""The best hyperparameters of each optimizer, by numbers that are not of the test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from genpredict.errors import GenpredictError
from genpredict.training.comparison import final_numbers, is_less_better
from genpredict.training.run_folder import Run

_TARGET = "validation_accuracy"


@dataclass(frozen=True)
class Choice:
    """What was chosen for an optimizer.

    Attributes
    ----------
    optimizer : str
    hyperparameters : dict
        Those that the runs of this optimizer differ in.
    validation_accuracy : float
        Percent, the mean over networks, data sets and seeds.
    runs : int
        Number of runs in this mean.
    candidates : int
        Number of settings chosen among.
    """

    optimizer: str
    hyperparameters: dict[str, Any]
    validation_accuracy: float
    runs: int
    candidates: int


def best_runs(runs: Sequence[Run]) -> list[Choice]:
    """Choose for each optimizer the hyperparameters of greatest mean validation accuracy.

    Test images play no part. Runs that diverged count as 0 %.

    Parameters
    ----------
    runs : sequence of Run
        That are over.

    Returns
    -------
    list of Choice
        By the name of the optimizer.

    Raises
    ------
    GenpredictError
        If a run has no validation accuracy.
    """
    accuracies: dict[str, dict[tuple[tuple[str, Any], ...], list[float]]] = {}
    for run in runs:
        settings, summary = run.settings, run.summary
        if settings.num_validation is None:
            raise GenpredictError(
                f"{run.id}: has no validation images to choose by; give the sweep num_validation"
            )
        key = tuple(sorted(settings.hyperparameters.items()))
        accuracy = float(summary.get(_TARGET, 0.0)) if summary["status"] == "finished" else 0.0
        accuracies.setdefault(settings.optimizer, {}).setdefault(key, []).append(accuracy)
    return [_choose(name, accuracies[name]) for name in sorted(accuracies)]


def _choose(optimizer: str, known: dict[tuple[tuple[str, Any], ...], list[float]]) -> Choice:
    best = max(known, key=lambda key: float(np.mean(known[key])))
    varied = {name: value for name, value in best if len({dict(key)[name] for key in known}) > 1}
    mean = float(np.mean(known[best]))
    return Choice(optimizer, varied, mean, len(known[best]), len(known))


def runs_of_best_settings(
    runs: xr.Dataset,
    *,
    by: str,
    settings: Sequence[str] = ("lr",),
    groups: Sequence[str] = ("network", "optimizer"),
) -> xr.Dataset:
    """Keep, of each group, the runs that have its best settings.

    Parameters
    ----------
    runs : Dataset
        As `open_runs` returns it.
    by : str
        Number of the histories to choose by, its mean at the end of all runs that have the same
        settings (seeds); less is better of losses, perplexities, gaps and distances. Runs that
        diverged are worst. Choose by a validation or training number, and tell a test number.
    settings : sequence of str
        What to choose.
    groups : sequence of str
        For which values of other settings to choose.

    Returns
    -------
    Dataset
        Some of the runs.

    Raises
    ------
    GenpredictError
        For names that the runs do not have.
    """
    for name in (by, *settings, *groups):
        if name not in runs.variables:
            raise GenpredictError(f"{name}: the runs have no such number or setting")
    sign = -1.0 if is_less_better(by) else 1.0
    frame = pd.DataFrame({name: runs[name].values for name in (*groups, *settings)})
    frame["merit"] = np.nan_to_num(sign * final_numbers(runs, by), nan=-np.inf, neginf=-np.inf)
    means = frame.groupby([*groups, *settings], dropna=False)["merit"].mean().reset_index()
    best = means.loc[means.groupby([*groups], dropna=False)["merit"].idxmax()]
    kept = frame.reset_index().merge(best[[*groups, *settings]], on=[*groups, *settings])["index"]
    return runs.isel(run=np.sort(kept.to_numpy()))


def choices_as_toml(choices: Sequence[Choice]) -> str:
    """Write choices as the tables of a sweep's file.

    Examples
    --------
    >>> print(choices_as_toml([Choice("sgd", {"lr": 0.1}, 91.5, 3, 4)]))
    # sgd: validation accuracy 91.50 %, the mean of 3 runs; the best of 4 settings
    [hyperparameters.sgd]
    lr = 0.1
    """
    import tomli_w

    return "\n".join(
        f"# {choice.optimizer}: validation accuracy {choice.validation_accuracy:.2f} %, the "
        f"mean of {choice.runs} runs; the best of {choice.candidates} settings\n"
        + tomli_w.dumps({"hyperparameters": {choice.optimizer: choice.hyperparameters}})
        for choice in choices
    )
