"""Network measures and the generalization gap as columns of a scores Dataset."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from genpredict.errors import GenpredictError
from genpredict.extensions import resolve
from genpredict.schema import INTEGERS, NETWORK_MEASURES, TARGETS, NetworkMeasure


def with_network_measures(
    scores: xr.Dataset, table: Iterable[NetworkMeasure] = tuple(NETWORK_MEASURES.values())
) -> xr.Dataset:
    """Add Q, Q_adjusted and the counts beside them, and the generalization gap where it follows.

    Parameters
    ----------
    scores : Dataset
        Layer measures of `score` or of a store. Network measures that are there stay.
    table : iterable of NetworkMeasure
        What to add; by default those of every score.

    Returns
    -------
    Dataset
        The same with the network measures as variables, Q first, counts as whole numbers, and
        layers numbered.
    """
    scores = with_gap(_whole(scores).assign_coords(layer=np.arange(scores.sizes["layer"])))
    return add_network_measures(scores, table)


def add_network_measures(scores: xr.Dataset, table: Iterable[NetworkMeasure]) -> xr.Dataset:
    """Compute the network measures that are not there, and put all of them first.

    Parameters
    ----------
    scores : Dataset
        With layer measures.
    table : iterable of NetworkMeasure

    Returns
    -------
    Dataset
        NaN for checkpoints that are not done.

    Raises
    ------
    GenpredictError
        For a measure whose function cannot be imported or returns no number a checkpoint.
    """
    measures: dict[str, xr.Variable] = {}
    done = scores.variables["status"].values == "done"
    for row in table:
        if row.name in scores.data_vars:
            measures[row.name] = scores.variables[row.name]
            continue
        function = resolve(row.function, f"measure {row.name}")
        computed = _checked(row, function(scores), scores)
        of_rows = done.reshape(-1, *[1] * (computed.ndim - 1))
        numbers = np.where(of_rows, computed.values, np.nan)
        measures[row.name] = xr.Variable(computed.dims, numbers, computed.attrs | row.attrs)
    variables = measures | {n: v.variable for n, v in scores.items() if n not in measures}
    return xr.Dataset(variables, coords=scores.coords, attrs=scores.attrs)


def _checked(row: NetworkMeasure, values: Any, scores: xr.Dataset) -> xr.DataArray:
    """Return the result of a function; raise where it is not one number a checkpoint."""
    known = {"checkpoint", "factorization", "p"}
    if not isinstance(values, xr.DataArray) or "checkpoint" not in values.dims:
        shape = f"shape {np.shape(values)}" if hasattr(values, "shape") else str(type(values))
    elif set(values.dims) <= known and values.sizes["checkpoint"] == scores.sizes["checkpoint"]:
        return values.transpose("checkpoint", ...)
    else:
        shape = f"{dict(values.sizes)}"
    raise GenpredictError(
        f"measure {row.name}: {row.function} must return a DataArray over checkpoint (and "
        f"factorization, p), got {shape}"
    )


def with_gap(scores: xr.Dataset) -> xr.Dataset:
    """Add generalization_gap = train_accuracy − test_accuracy, in percentage points."""
    if not {"train_accuracy", "test_accuracy"} <= set(scores.coords):
        return scores
    # numpy's arithmetic, here and below: xarray's first takes a second to load all of Dask
    gap = scores["train_accuracy"].values - scores["test_accuracy"].values
    gap = gap.round(9)  # equal gaps are ties
    if "generalization_gap" in scores.coords:
        given = scores["generalization_gap"].values
        gap = np.where(np.isnan(given), gap, given)
    attrs = TARGETS["generalization_gap"].attrs
    return scores.assign_coords(generalization_gap=("checkpoint", gap, attrs))


def _whole(scores: xr.Dataset) -> xr.Dataset:
    """Make the coordinates that count something integers, where every checkpoint has them."""
    whole: dict[str, Any] = {}
    for name in INTEGERS:
        if name in scores.coords:
            column = scores[name]
            if column.dtype.kind == "f" and _is_whole(column.values):
                whole[name] = (column.dims, column.values.astype(np.int64), column.attrs)
    return scores.assign_coords(whole)


def _is_whole(values: NDArray[np.float64]) -> bool:
    return len(values) > 0 and bool(((np.abs(values) < 2**53) & (values == np.floor(values))).all())
