"""Covariates of partial correlations, as numbers per checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from genpredict.errors import GenpredictError
from genpredict.stats.coefficients import Array
from genpredict.stats.columns import is_text, listed, spread_columns


def covariate_values(scores: xr.Dataset, partial: Sequence[str] | str | None) -> Array:
    """Return covariates: numbers as they are, texts as one indicator a level but the first.

    Parameters
    ----------
    scores : Dataset
    partial : sequence of str, optional
        Measures of one column (``log_num_parameters``, ``Q_raw_p2``), or text coordinates.

    Returns
    -------
    array, shape (covariates, checkpoints)
        NaN where a text is empty.

    Raises
    ------
    GenpredictError
        For an unknown name, or one of several columns.
    """
    rows: list[Array] = []
    for name in [] if partial is None else listed(partial):
        if isinstance(name, str) and name in scores.coords and is_text(scores[name]):
            rows += _indicators(scores[name].values)
            continue
        columns = list(spread_columns(scores, name, "partial"))
        if len(columns) > 1:
            raise GenpredictError(
                f"partial: {name!r} has {len(columns)} columns; name one of "
                f"{', '.join(column.label for column in columns)}"
            )
        rows.append(columns[0].numbers)
    return np.array(rows, dtype=np.float64).reshape(len(rows), scores.sizes["checkpoint"])


def _indicators(texts: Any) -> list[Array]:
    levels = sorted(set(texts) - {""})
    missing = np.array([text == "" for text in texts])
    return [np.where(missing, np.nan, (texts == level).astype(float)) for level in levels[1:]]
