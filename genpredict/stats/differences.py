"""Does one measure correlate more than another? Differences of correlations, with intervals.

References
----------
.. [1] R. R. Wilcox, "Comparing Pearson correlations: dealing with heteroscedasticity and
   nonnormality", Commun. Stat. Simul. Comput. 38 (2009) 2220-2234.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import ndtr, ndtri

from genpredict.errors import GenpredictError
from genpredict.stats.coefficients import Array, pearson, spearman
from genpredict.stats.columns import Column, Named, columns_of, covariate_values, target_columns
from genpredict.stats.correlations import LONG_NAMES, matrix
from genpredict.stats.estimation import (
    COEFFICIENTS,
    Interval,
    Settings,
    all_counts,
    enough,
    jackknife,
    kendall_pairs,
    left_out_of,
    resample,
    valid_rows,
)
from genpredict.stats.groups import groups_of, selected
from genpredict.stats.intervals import (
    bca_interval,
    bootstrap_pvalue,
    percentile_interval,
    skewed,
    standard_error,
)
from genpredict.stats.kendall import kendall_jackknife, kendall_resampled
from genpredict.stats.threads import one_blas_thread

STATISTICS = ("_a", "_b", "_difference", "_lower", "_upper", "_pvalue")
_WORDS = {
    "_a": " of a",
    "_b": " of b",
    "_difference": ", a less b",
    "_lower": ", a less b, lower bound",
    "_upper": ", a less b, upper bound",
    "_pvalue": ", a less b, p-value",
}


def difference(
    scores: xr.Dataset,
    a: Named,
    b: Named,
    *,
    targets: Sequence[Named] | Named | None = None,
    by: Sequence[str] | str | None = None,
    where: str | xr.DataArray | None = None,
    interval: Interval = "auto",
    resamples: int = 2000,
    level: float = 0.95,
    min_n: int = 5,
    partial: Sequence[str] | str | None = None,
    absolute: bool = False,
    seed: int = 0,
) -> xr.Dataset:
    """Compare how two measures correlate with a target on the same checkpoints.

    Both correlations are taken of every resample, so that what they share cancels [1]_.

    Parameters
    ----------
    scores : Dataset
        As of `score` or `open_scores`.
    a, b : str or DataArray
        Measures of one column each, such as ``"Q_low_rank_p2"`` and ``"log_num_parameters"``.
    targets, by, where, level, min_n, partial
        As for `correlate`. Only checkpoints of which both measures are known count.
    interval : {"auto", "bca", "percentile"}
        As for `correlate`; above 1,000 checkpoints KROCC's is the jackknife's.
    resamples : int
    absolute : bool
        Compare |correlation|: which measure is the stronger, whatever its direction.
    seed : int

    Returns
    -------
    Dataset, dims (target, group)
        `n`, and for c in plcc, rocc, krocc: c_a, c_b, c_difference (a less b), c_lower, c_upper,
        c_pvalue, two-sided, the level at which the interval just reaches 0. The interval and its
        p-value say that a differs from b; both may still be useless.

    Raises
    ------
    GenpredictError
        For unknown names, measures of several columns, and ``interval="fisher"``, which knows
        nothing of what the two share.
    """
    settings = Settings(interval, resamples, 0, level, min_n, seed)
    if interval == "fisher":
        raise GenpredictError(
            'interval: Fisher\'s does not fit two measures of the same networks; use "bca"'
        )
    scores = selected(scores, where)
    pair = [_single(scores, a, "a"), _single(scores, b, "b")]
    columns = target_columns(scores, targets)
    x, y, z = matrix(pair), matrix(columns), covariate_values(scores, partial)
    groups = groups_of(scores, by)
    names = ["n", *(c + s for c in COEFFICIENTS for s in STATISTICS)]
    values = {name: np.full((len(y), len(groups)), np.nan) for name in names}
    with one_blas_thread():
        for (t, row), (g, some) in product(enumerate(y), enumerate(groups.values())):
            found = _compare(x[:, some], row[None, some], z[:, some], settings, absolute)
            for name, value in found.items():
                values[name][t, g] = value
    coords = {
        "target": np.array([column.label for column in columns], dtype=object),
        "group": np.array(list(groups), dtype=object),
    }
    table = xr.Dataset({n: (("target", "group"), v) for n, v in values.items()}, coords=coords)
    return _described(table, pair, settings, absolute)


def _single(scores: xr.Dataset, one: Named, parameter: str) -> Column:
    columns = columns_of(scores, one, parameter)
    if len(columns) > 1:
        raise GenpredictError(
            f"{parameter}: {columns[0].name!r} has {len(columns)} columns; name one of "
            f"{', '.join(column.label for column in columns)}"
        )
    return columns[0]


def _compare(x: Array, y: Array, z: Array, settings: Settings, absolute: bool) -> dict[str, Any]:
    """Compare the two rows of x, shape (2, n), on one target, shape (1, n)."""
    rows = valid_rows(x, y, z).all((0, 1))
    x, y, z = x[:, rows], y[:, rows], z[:, rows]
    n = x.shape[1]
    found: dict[str, Any] = {"n": n}
    if not enough(z, settings):
        return found
    covariates = z if len(z) else None
    estimates = {"plcc": pearson(x, y, covariates), "rocc": spearman(x, y, covariates)}
    kind = settings.interval_for(n)
    resampled = resample(x, y, z, settings)
    left = jackknife(x, y, z, left_out_of(n, settings)) if kind == "bca" else None
    if covariates is None:
        estimates["krocc"] = kendall_pairs(x, y)
        resampled |= _kendall(x, y, settings, settings.krocc_interval_for(n))
        if settings.krocc_interval_for(n) != "percentile":
            krocc = np.array([[kendall_jackknife(one, y[0])] for one in x])
            left = (left or {}) | {"krocc": krocc}
    for name, both in estimates.items():
        parts = [both, resampled.get(name), left.get(name) if left else None]
        if absolute:
            parts = [None if part is None else np.abs(part) for part in parts]
        gaps = [None if part is None else part[0, 0] - part[1, 0] for part in parts]
        found |= {name + "_a": both[0, 0], name + "_b": both[1, 0], name + "_difference": gaps[0]}
        ends = _interval(np.asarray(gaps[0]), gaps[1], gaps[2], n, settings.level)
        found |= dict(zip((name + "_lower", name + "_upper", name + "_pvalue"), ends, strict=True))
    return found


def _kendall(x: Array, y: Array, settings: Settings, kind: str) -> dict[str, Array]:
    if kind == "jackknife":
        return {}
    counts = all_counts(x.shape[1], settings)
    return {"krocc": np.array([[kendall_resampled(one, y[0], counts)] for one in x])}


def _interval(
    gap: Array, resampled: Array | None, left: Array | None, n: int, level: float
) -> tuple[Any, Any, Any]:
    """Return lower and upper bound and p-value of a difference."""
    if np.isnan(gap):
        return np.nan, np.nan, np.nan
    if resampled is None and left is not None:  # the jackknife alone
        error = standard_error(left)
        half = ndtri((1 + level) / 2) * error
        pvalue = 2 * ndtr(-abs(gap) / error) if error > 0 else np.nan
        return gap - half, gap + half, pvalue
    assert resampled is not None
    if left is None:
        return *percentile_interval(resampled, level), bootstrap_pvalue(gap, resampled, None)
    accelerated = skewed(left, n)
    ends = bca_interval(gap, resampled, accelerated, level)
    return *ends, bootstrap_pvalue(gap, resampled, accelerated)


def _described(
    table: xr.Dataset, pair: Sequence[Column], settings: Settings, absolute: bool
) -> xr.Dataset:
    table = table.assign(n=table["n"].astype(np.int64))
    table["n"].attrs = {"long_name": "number of checkpoints", "units": "1"}
    for c in COEFFICIENTS:
        for s in STATISTICS:
            table[c + s].attrs = {"long_name": LONG_NAMES[c] + _WORDS[s], "units": "1"}
    return table.assign_attrs(
        a=pair[0].label,
        b=pair[1].label,
        absolute=int(absolute),
        interval=settings.interval,
        level=settings.level,
        resamples=settings.resamples,
        seed=settings.seed,
        min_n=settings.min_n,
    )
