"""Runs side by side: means and standard deviations over seeds, matched in epochs or seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
import xarray as xr

from genpredict.errors import GenpredictError
from genpredict.training.reading_runs import DIVERGED

Match = Literal["epochs", "seconds"]
#: Marks of the best cell of a row and of those within one standard deviation of it.
BEST, CLOSE = "best", "close"
#: Targets of which less is better.
_LESS_IS_BETTER = ("loss", "perplexity", "gap", "distance")


@dataclass(frozen=True)
class Comparison:
    """A table of runs.

    Attributes
    ----------
    cells : DataFrame
        One row a cell: the values of the row and column, `mean`, `sd` (NaN for one run), `n`,
        `diverged`, `mark` ("best", "close" or "").
    rows, columns : str
        Coordinates.
    target : str
    label : str
        Of the target, with its unit.
    match : str, optional
    """

    cells: pd.DataFrame
    rows: str
    columns: str
    target: str
    label: str
    match: Match | None


def compare_runs(
    runs: xr.Dataset,
    *,
    rows: str = "network",
    columns: str = "optimizer",
    target: str = "test_accuracy",
    match: Match | None = None,
) -> Comparison:
    """Compare settings by the mean of a target over all runs that have them.

    Parameters
    ----------
    runs : Dataset
        As `open_runs` returns it.
    rows, columns : str
        Settings or hyperparameters that make the rows and columns.
    target : str
        A number of the histories.
    match : {"epochs", "seconds"}, optional
        Take every run's number after as many epochs, or seconds of training, as the shortest run
        of its row has; the last one evaluated until then. By default the last one there is.

    Returns
    -------
    Comparison
        Of each row the best mean is marked, and those less than its standard deviation away.

    Raises
    ------
    GenpredictError
        For names that the runs do not have.
    """
    for name in (rows, columns):
        if name not in runs.coords or runs[name].dims != ("run",):
            known = ", ".join(str(c) for c in runs.coords if runs[c].dims == ("run",))
            raise GenpredictError(f"{name}: no setting of these runs; known are {known}")
    if target not in runs.data_vars:
        known = ", ".join(map(str, runs.data_vars))
        raise GenpredictError(f"target: no run has {target}; known are {known}")
    if match is not None and match not in get_args(Match):
        raise GenpredictError(f'match: must be "epochs" or "seconds", not {match!r}')
    frame = pd.DataFrame(
        {
            rows: runs[rows].values,
            columns: runs[columns].values,
            "number": final_numbers(runs, target, rows=rows, match=match),
            "is_diverged": runs["status"].values == DIVERGED,
        }
    )
    groups = frame.groupby([rows, columns], sort=True)
    cells = groups["number"].agg(mean="mean", sd="std", n="count").reset_index()
    cells["diverged"] = groups["is_diverged"].sum().to_numpy()
    cells["mark"] = _marks(cells, rows, less=is_less_better(target))
    attrs = runs[target].attrs
    label = f"{attrs.get('long_name', target)} ({attrs.get('units', '1')})"
    return Comparison(cells, rows, columns, target, label, match)


def is_less_better(target: str) -> bool:
    """Return whether less of a number is better.

    Examples
    --------
    >>> is_less_better("test_loss"), is_less_better("test_accuracy")
    (True, False)
    """
    return any(word in target for word in _LESS_IS_BETTER)


def final_numbers(
    runs: xr.Dataset, target: str, *, rows: str = "network", match: Match | None = None
) -> np.ndarray:
    """Return each run's number: the last one evaluated, up to the limit of its row.

    Parameters
    ----------
    runs : Dataset
        As `open_runs` returns it.
    target, rows, match
        As of `compare_runs`.

    Returns
    -------
    ndarray, shape (runs,)
        NaN for a run that diverged or was never evaluated.
    """
    numbers = runs[target].transpose("run", "epoch").values
    along = np.broadcast_to(runs["epoch"].values.astype(np.float64), numbers.shape)
    if match == "seconds":
        along = runs["elapsed"].transpose("run", "epoch").values
    done = runs["elapsed"].transpose("run", "epoch").notnull().values
    spent = np.where(done, along, -np.inf).max(axis=1)
    limits = pd.Series(spent).groupby(runs[rows].values).transform("min").to_numpy()
    diverged = runs["status"].values == DIVERGED
    final = np.full(len(numbers), np.nan)
    for index, row in enumerate(numbers):
        known = np.isfinite(row) & done[index]
        if match is not None:
            known &= along[index] <= limits[index]
        if known.any() and not diverged[index]:
            final[index] = row[np.flatnonzero(known)[-1]]
    return final


def _marks(cells: pd.DataFrame, rows: str, *, less: bool) -> list[str]:
    """Mark the best cell of each row and those within its standard deviation."""
    marks = np.full(len(cells), "", dtype=object)
    means = cells["mean"].to_numpy() * (-1 if less else 1)
    spreads = cells["sd"].fillna(0.0).to_numpy()
    for places in cells.groupby(rows).indices.values():
        known = [place for place in places if np.isfinite(means[place])]
        if known:
            best = max(known, key=lambda place: float(means[place]))
            for place in known:
                if means[place] >= means[best] - spreads[best]:
                    marks[place] = CLOSE
            marks[best] = BEST
    return [str(mark) for mark in marks]


def mean_intervals(table: Comparison, *, level: float = 0.95) -> pd.DataFrame:
    """Return the cells of a comparison with intervals of their means, by Student's t.

    Parameters
    ----------
    table : Comparison
    level : float
        Of confidence, 0 to 1. Runs of a cell are taken as independent draws from a normal
        distribution: seeds are, other settings are not.

    Returns
    -------
    DataFrame
        The columns of `table.cells`, with `lower` and `upper`: NaN for fewer than two runs.
    """
    from scipy.special import stdtrit

    cells = table.cells.copy()
    freedom = (cells["n"] - 1).clip(lower=1)
    half = stdtrit(freedom, (1 + level) / 2) * cells["sd"] / np.sqrt(cells["n"])
    return cells.assign(lower=cells["mean"] - half, upper=cells["mean"] + half)
