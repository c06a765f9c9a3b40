"""Curves of training: means and standard deviations over the runs of a group."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr

from genpredict.errors import GenpredictError, GenpredictWarning

#: Points of a curve over seconds.
_POINTS = 200


def curve_bands(
    runs: xr.Dataset,
    *,
    y: str,
    x: Literal["epoch", "elapsed"] = "epoch",
    by: Sequence[str],
    log: bool = False,
) -> pd.DataFrame:
    """Average curves over the runs of each group.

    Parameters
    ----------
    runs : Dataset
        As `open_runs` returns it.
    y : str
        A number of the histories.
    x : {"epoch", "elapsed"}
        Over epochs, or over seconds of training (linearly between epochs).
    by : sequence of str
        Settings that make the groups; what else differs (seeds) is averaged.
    log : bool
        Average logarithms, for a logarithmic axis: geometric means, and bands as wide upwards as
        downwards there. What is not above 0 does not count.

    Returns
    -------
    DataFrame
        Columns `group` (its values joined by commas), `x`, `mean`, `low`, `high` (one standard
        deviation to either side; the mean itself for one run) and `n`; ``attrs["spread"]`` says
        what low and high are.

    Raises
    ------
    GenpredictError
        For names that the runs do not have, and where no run has a number.

    Warns
    -----
    GenpredictWarning
        Where no run of a group has a number, as of runs that diverged at once.
    """
    for name in (y, *by):
        if name not in runs.variables:
            raise GenpredictError(f"{name}: the runs have no such number or setting")
    names = [
        ", ".join(map(str, key)) for key in zip(*(runs[one].values for one in by), strict=True)
    ]
    parts = {}
    for group in dict.fromkeys(names):
        members = runs.isel(run=[index for index, name in enumerate(names) if name == group])
        parts[group] = _band(*_curves(members, y, x), log=log)
    if empty := [group for group, part in parts.items() if part.empty]:
        if len(empty) == len(parts):
            raise GenpredictError(f"{y}: none of the runs has a number{' above 0' * log}")
        warnings.warn(
            f"{y}: no run of {'; '.join(empty)} has a number{' above 0' * log}, so there is no "
            f"curve of it",
            GenpredictWarning,
            stacklevel=2,
        )
    bands = pd.concat(
        [part.assign(group=group) for group, part in parts.items() if not part.empty],
        ignore_index=True,
    )
    bands.attrs["spread"] = f"± 1 standard deviation{' of logarithms' * log}"
    return bands[["group", "x", "mean", "low", "high", "n"]]


def _band(points: np.ndarray, curves: np.ndarray, *, log: bool) -> pd.DataFrame:
    """Return mean and spread of curves, shape (runs, points), where any run has a number."""
    if log:
        curves = np.log(np.where(curves > 0, curves, np.nan))
    kept = np.isfinite(curves).any(axis=0)
    points, curves = points[kept], np.where(np.isfinite(curves), curves, np.nan)[:, kept]
    mean = np.nanmean(curves, axis=0)
    count = np.isfinite(curves).sum(axis=0)
    squares = np.nansum((curves - mean) ** 2, axis=0)
    spread = np.sqrt(squares / np.maximum(count - 1, 1))  # 0 for one run
    ends = {"mean": mean, "low": mean - spread, "high": mean + spread}
    if log:
        ends = {name: np.exp(numbers) for name, numbers in ends.items()}
    return pd.DataFrame({"x": points, **ends, "n": count})


def curve_averages(bands: pd.DataFrame) -> pd.DataFrame:
    """Average the bands of `curve_bands` over x: one row a group.

    Returns
    -------
    DataFrame
        Columns `group`, `mean`, `low`, `high`, and `n`, the most runs that it has anywhere.
    """
    groups = bands.groupby("group", sort=False)
    averages = groups[["mean", "low", "high"]].mean().join(groups["n"].max()).reset_index()
    averages.attrs |= bands.attrs
    return averages


def _curves(runs: xr.Dataset, y: str, x: str) -> tuple[np.ndarray, np.ndarray]:
    """Return points and, of each run, the curve at these."""
    numbers = runs[y].transpose("run", "epoch").values
    if x == "epoch":
        return runs["epoch"].values.astype(np.float64), numbers
    elapsed = runs["elapsed"].transpose("run", "epoch").values
    points = np.linspace(0.0, np.nanmax(elapsed), _POINTS)
    curves = []
    for time, row in zip(elapsed, numbers, strict=True):
        known = np.isfinite(row) & np.isfinite(time)
        curves.append(
            np.interp(points, time[known], row[known], left=np.nan, right=np.nan)
            if known.any()
            else np.full(len(points), np.nan)
        )
    return points, np.stack(curves)
