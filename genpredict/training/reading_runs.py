"""All runs of a folder as one labelled Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from genpredict.checkpoints.finding.runs import HISTORY
from genpredict.errors import GenpredictError
from genpredict.training.run_folder import Run
from genpredict.training.run_folders import find_runs

#: Where a run stands: over, over with a loss that is not finite, broken off or going on.
FINISHED, DIVERGED, UNFINISHED = "finished", "diverged", "unfinished"


def open_runs(folder: str | Path) -> xr.Dataset:
    """Open the histories of all runs of a folder.

    Parameters
    ----------
    folder : path
        As given to `train` or `sweep` as output.

    Returns
    -------
    Dataset
        Over (run, epoch): every number of the histories, NaN where a run has none; `elapsed`, the
        seconds of training up to an epoch; `learning_rate`, the mean over layers. Along `run`:
        every setting and hyperparameter, and `status`: finished, diverged or unfinished.

    Raises
    ------
    GenpredictError
        If the folder holds no runs, or a file of one is damaged.

    Examples
    --------
    >>> runs = open_runs("runs")  # doctest: +SKIP
    >>> runs["test_accuracy"].isel(epoch=-1).groupby("optimizer").mean()  # doctest: +SKIP
    """
    runs = find_runs(Path(folder))
    histories = [_numbers(run) for run in runs]
    if not any(history.sizes["epoch"] for history in histories):
        raise GenpredictError(f"{folder}: no run has done an epoch yet; train on")
    joined = xr.concat(
        histories,
        dim=xr.Variable("run", [run.id for run in runs]),
        join="outer",
        data_vars="all",
        coords="minimal",
        compat="override",
        combine_attrs="override",
    )
    return joined.assign_coords(_coordinates(runs)).sortby("epoch")


def _numbers(run: Run) -> xr.Dataset:
    """Return the numbers of a run over its epochs alone."""
    if not (run.path / HISTORY).exists():
        return xr.Dataset(coords={"epoch": np.array([], dtype=np.int64)})
    history = run.history
    numbers = history[[name for name in history.data_vars if history[name].dims == ("epoch",)]]
    seconds = numbers["seconds"]
    elapsed = seconds.fillna(0.0).cumsum("epoch")
    elapsed.attrs = {"long_name": "seconds of training", "units": "s"}
    rate = history["learning_rate"].mean("layer")
    rate.attrs = {"long_name": "learning rate, mean over layers", "units": "1"}
    return numbers.assign(elapsed=elapsed, learning_rate=rate)


def _coordinates(runs: Sequence[Run]) -> dict[str, Any]:
    """Label the runs with their settings, hyperparameters and status."""
    rows = []
    for run in runs:
        settings = run.settings
        fields = {name: value for name, value in settings if name != "hyperparameters"}
        rows.append({**fields, **settings.hyperparameters, "status": status_of(run)})
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {
        name: ("run", _column([row.get(name) for row in rows]))
        for name in names
        if not any(isinstance(row.get(name), tuple) for row in rows)
    }


def _column(values: Sequence[Any]) -> np.ndarray:
    """Return settings as numbers where all are, with NaN for none, else as texts."""
    if all(value is None or isinstance(value, int | float) for value in values):
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return np.array(["" if value is None else str(value) for value in values], dtype=object)


def status_of(run: Run) -> str:
    """Return where a run stands."""
    return str(run.summary["status"]) if run.is_over else UNFINISHED


def differing(runs: xr.Dataset) -> list[str]:
    """Name the settings in which the runs differ, those of interest first.

    Parameters
    ----------
    runs : Dataset
        As `open_runs` returns it.

    Returns
    -------
    list of str
    """
    first = ("network", "dataset", "optimizer", "seed", "lr")
    names = [str(name) for name, coord in runs.coords.items() if coord.dims == ("run",)]
    varied = [
        name
        for name in names
        if name not in ("run", "status", "threads", "device", "data_folder")
        and len({str(value) for value in runs[name].values}) > 1
    ]
    return [*(name for name in first if name in varied), *(n for n in varied if n not in first)]


def runs_where(runs: xr.Dataset, condition: str | None) -> xr.Dataset:
    """Choose the runs of which a setting has a value.

    Parameters
    ----------
    runs : Dataset
        As `open_runs` returns it.
    condition : str, optional
        Such as "network=resnet20"; None chooses all.

    Returns
    -------
    Dataset

    Raises
    ------
    GenpredictError
        If there is no such setting, or no run has the value.
    """
    if condition is None:
        return runs
    name, equals, value = (part.strip() for part in condition.partition("="))
    if not equals or name not in runs.coords or runs[name].dims != ("run",):
        known = ", ".join(str(c) for c in runs.coords if runs[c].dims == ("run",))
        raise GenpredictError(
            f"where: must be name=value with a setting of the runs, not {condition!r}; known are "
            f"{known}"
        )
    column = runs[name].values
    if column.dtype.kind == "f":
        try:
            chosen = column == float(value)
        except ValueError as error:
            raise GenpredictError(f"where: {name} is a number, not {value!r}") from error
    else:
        chosen = column == value
    if not chosen.any():
        there = ", ".join(sorted({str(one) for one in column}))
        raise GenpredictError(f"where: no run has {condition}; {name} is one of {there}")
    return runs.isel(run=np.flatnonzero(chosen))
