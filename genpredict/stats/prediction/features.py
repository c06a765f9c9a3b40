"""Columns that a model is fitted to, by label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from genpredict.errors import GenpredictError
from genpredict.schema import TARGETS
from genpredict.stats.coefficients import Array
from genpredict.stats.column import Column
from genpredict.stats.columns import (
    MAIN,
    Named,
    baseline_names,
    columns_of,
    names_of,
    target_columns,
)


def feature_columns(scores: xr.Dataset, features: Sequence[str] | str | None) -> list[Column]:
    """Return the columns of features; Q, low-rank Q_adjusted and the baselines by default.

    Raises
    ------
    GenpredictError
        For unknown names, and for targets, which are what is to be predicted.
    """
    names = [*MAIN, *baseline_names(scores)] if features is None else names_of(features)
    columns: dict[str, Column] = {}
    for name in names:
        for column in columns_of(scores, name, "features"):
            if column.name.removeprefix("log_") in TARGETS:
                raise GenpredictError(
                    f"features: {column.name!r} is a result of training, not read off the weights; "
                    f"leave it out"
                )
            columns.setdefault(column.label, column)
    if not columns:
        raise GenpredictError("features: none are named; name one, or leave the option out")
    return list(columns.values())


def baseline_columns(scores: xr.Dataset) -> list[Column]:
    """Return the columns of the baselines that scores hold."""
    return [column for name in baseline_names(scores) for column in columns_of(scores, name, "")]


def one_target(scores: xr.Dataset, target: Named) -> Column:
    """Return the column of a target.

    Raises
    ------
    GenpredictError
        For an unknown name, or one of several columns.
    """
    columns = target_columns(scores, target)
    if len(columns) > 1:
        raise GenpredictError(f"target: must be one column, got {[c.label for c in columns]}")
    return columns[0]


def design(columns: Sequence[Column]) -> Array:
    """Return features as a matrix, shape (checkpoints, features); NaN where not finite."""
    rows = np.stack([column.numbers for column in columns], axis=1)
    return np.where(np.isfinite(rows), rows, np.nan)
