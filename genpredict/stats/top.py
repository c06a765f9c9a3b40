"""Does a measure still rank the best networks? Correlations within the top, and its overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, Unpack

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from genpredict.errors import GenpredictError
from genpredict.inference import Inference, InferenceOptions, inference_of
from genpredict.stats.clusters import checked_codes, cluster_names
from genpredict.stats.coefficients import Array
from genpredict.stats.columns import Named, measure_columns, target_columns
from genpredict.stats.correlations import DIMS, matrix
from genpredict.stats.estimation import estimate, valid_rows
from genpredict.stats.groups import groups_of, selected
from genpredict.stats.labelling import described, labels
from genpredict.stats.threads import one_blas_thread

SELECTIONS = ("target", "measure")
#: Targets of which less is better.
LESS_IS_BETTER = ("generalization_gap", "train_loss", "test_loss", "validation_loss")
_OVERLAPS = {
    "overlap": "share of the best by target that are best by measure",
    "overlap_chance": "overlap expected by chance",
}


def top_fraction(
    scores: xr.Dataset,
    *,
    fraction: float = 0.1,
    best: Literal["high", "low"] = "high",
    measures: Sequence[Named] | Named | None = None,
    targets: Sequence[Named] | Named | None = None,
    by: Sequence[str] | str | None = None,
    where: str | xr.DataArray | None = None,
    inference: Inference | None = None,
    **options: Unpack[InferenceOptions],
) -> xr.Dataset:
    """Correlate measures with targets within the best checkpoints.

    Parameters
    ----------
    scores : Dataset
        As of `score` or `open_scores`.
    fraction : float
        Share of the checkpoints of a pair that are best, in (0, 1]; rounded up. Those that tie
        with the last one are in.
    best : {"high", "low"}
        Which end of a measure is the best. Of targets it is the highest accuracy, the least loss
        and the least generalization gap.
    measures, targets, by, where, inference
        As for `correlate`.
    **options
        Fields of `Inference` by name.

    Returns
    -------
    Dataset, dims (selection, measure, target, group)
        The variables of `correlate` (but the adjusted p-values) within the best by the target
        (``selection="target"``) and by the measure (``"measure"``). Without `selection`: `overlap`,
        the share of the best by target that are also best by measure, and `overlap_chance`, that
        share for a measure that knows nothing.

    Raises
    ------
    GenpredictError
        For unknown names or a fraction out of range.

    Notes
    -----
    Selection by the target narrows its range, so correlations within the top are weaker than
    overall for a measure that is equally good everywhere; compare measures, not with the whole.
    """
    if not 0 < fraction <= 1:
        raise GenpredictError(f"fraction must lie in (0, 1], got {fraction}")
    if best not in ("high", "low"):
        raise GenpredictError(f"best must be 'high' or 'low', got {best!r}")
    settings = inference_of(inference, options)
    scores = selected(scores, where)
    rows, columns = measure_columns(scores, measures), target_columns(scores, targets)
    x, y = matrix(rows), matrix(columns)
    upward = np.array([-1.0 if c.name in LESS_IS_BETTER else 1.0 for c in columns])[:, None]
    sign = 1.0 if best == "high" else -1.0
    groups = groups_of(scores, by)
    clusters = cluster_names(scores, settings.cluster)
    codes = checked_codes(scores, clusters, settings)
    with one_blas_thread():
        parts = [
            _within_top(
                x[:, g], y[:, g], sign * x[:, g], upward * y[:, g], fraction, settings,
                None if codes is None else codes[g],
            )
            for g in groups.values()
        ]  # fmt: skip
    table = described(_labelled(parts, labels(rows, columns, list(groups))), settings)
    table = table.assign_attrs(fraction=fraction, best=best, cluster=",".join(clusters))
    for name, long_name in _OVERLAPS.items():
        table[name].attrs = {"long_name": long_name, "units": "1"}
    return table


def _labelled(parts: Sequence[dict[str, Any]], coords: dict[str, Any]) -> xr.Dataset:
    """Put the numbers of the groups side by side."""
    dims = ("selection", *DIMS)
    table = xr.Dataset(
        {
            name: (dims[-numbers.ndim - 1 :], np.stack([part[name] for part in parts], axis=-1))
            for name, numbers in parts[0].items()
        },
        coords=coords | {"selection": np.array(SELECTIONS, dtype=object)},
    )
    return table.assign({name: table[name].astype(np.int64) for name in ("n", "n_clusters")})


def _within_top(
    x: Array,
    y: Array,
    good_x: Array,
    good_y: Array,
    fraction: float,
    settings: Inference,
    codes: NDArray[np.intp] | None,
) -> dict[str, Any]:
    """Correlate within the best of one group; `good_x` and `good_y` grow towards the best."""
    nothing = np.empty((0, x.shape[1]))
    valid = valid_rows(x, y, nothing)
    tops = {
        "target": best_of(np.broadcast_to(good_y[None], valid.shape), valid, fraction),
        "measure": best_of(np.broadcast_to(good_x[:, None], valid.shape), valid, fraction),
    }
    parts = [
        estimate(x, y, nothing, settings, codes=codes, within=tops[name]) for name in SELECTIONS
    ]
    both = {name: np.stack([part[name] for part in parts]) for name in parts[0]}
    return both | overlap(tops["target"], tops["measure"], valid, settings.min_n)


def best_of(good: Array, valid: NDArray[np.bool_], fraction: float) -> NDArray[np.bool_]:
    """Mark the best share along the last axis, and all that tie with the last of them.

    Parameters
    ----------
    good : array, shape (..., n)
    valid : array of bool, shape (..., n)
        What is in the running.
    fraction : float

    Returns
    -------
    array of bool, shape (..., n)

    Examples
    --------
    >>> best_of(np.array([3.0, 1, 3, 2]), np.ones(4, dtype=bool), 0.25)
    array([ True, False,  True, False])
    """
    ordered = -np.sort(-np.where(valid, good, -np.inf), axis=-1)
    count = np.ceil(fraction * valid.sum(-1) - 1e-9).astype(np.intp)
    last = np.take_along_axis(ordered, np.maximum(count - 1, 0)[..., None], -1)
    return np.asarray(valid & (good >= last))


def overlap(
    by_target: NDArray[np.bool_],
    by_measure: NDArray[np.bool_],
    valid: NDArray[np.bool_],
    min_n: int,
) -> dict[str, Array]:
    """Compare two sets of best checkpoints.

    Parameters
    ----------
    by_target, by_measure, valid : array of bool, shape (..., n)
    min_n : int
        NaN where fewer checkpoints are valid.

    Returns
    -------
    dict of array, shape (...)
        `overlap` and `overlap_chance`.
    """
    n = valid.sum(-1).astype(np.float64)
    n[n < max(min_n, 1)] = math.nan
    size = np.where(np.isnan(n), np.nan, by_target.sum(-1))
    return {
        "overlap": (by_target & by_measure).sum(-1) / size,
        "overlap_chance": by_measure.sum(-1) / n,
    }
