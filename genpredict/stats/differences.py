"""Does one measure correlate more than another? Differences of correlations, with intervals.

References
----------
.. [1] R. R. Wilcox, "Comparing Pearson correlations: dealing with heteroscedasticity and
   nonnormality", Commun. Stat. Simul. Comput. 38 (2009) 2220-2234.
.. [2] D. J. Schuirmann, "A comparison of the two one-sided tests procedure and the power approach
   for assessing the equivalence of average bioavailability", J. Pharmacokinetics &
   Biopharmaceutics 15 (1987) 657-680.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, Unpack

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from genpredict.errors import GenpredictError
from genpredict.inference import BOOTSTRAP, Inference, InferenceOptions, inference_of
from genpredict.stats.bounds import interval_kind, resample
from genpredict.stats.clusters import checked_codes, cluster_names
from genpredict.stats.coefficients import Array
from genpredict.stats.column import Column
from genpredict.stats.columns import Named, columns_of, names_of, target_columns
from genpredict.stats.correlations import matrix
from genpredict.stats.covariates import covariate_values
from genpredict.stats.estimation import enough, methods_of, valid_rows
from genpredict.stats.groups import groups_of, selected, where_text
from genpredict.stats.known_coefficients import COEFFICIENTS
from genpredict.stats.labelling import settings_attrs
from genpredict.stats.reasons import few_draws, nearly_constant
from genpredict.stats.sample import sample_of
from genpredict.stats.spread import Spread
from genpredict.stats.threads import one_blas_thread

#: What the table says of each coefficient, by suffix.
STATISTICS = {
    "_a": " of a",
    "_b": " of b",
    "_difference": ", a less b",
    "_lower": ", a less b, lower bound",
    "_upper": ", a less b, upper bound",
    "_pvalue": ", a less b, p-value",
    "_equivalence_pvalue": ", p-value of a difference as large as the margin",
}


def difference(
    scores: xr.Dataset,
    a: Named,
    b: Named,
    *,
    targets: Sequence[Named] | Named | None = None,
    by: Sequence[str] | str | None = None,
    where: str | xr.DataArray | None = None,
    partial: Sequence[str] | str | None = None,
    absolute: bool = False,
    margin: float | None = None,
    inference: Inference | None = None,
    **options: Unpack[InferenceOptions],
) -> xr.Dataset:
    """Compare how two measures correlate with a target on the same checkpoints.

    Both correlations are taken of every resample, so that what they share cancels [1]_.

    Parameters
    ----------
    scores : Dataset
        As of `score` or `open_scores`.
    a, b : str or DataArray
        Measures of one column each, such as ``"Q_low_rank_p2"`` and ``"log_num_parameters"``.
    targets, by, where, partial
        As for `correlate`. Only checkpoints of which both measures are known count.
    absolute : bool
        Compare |correlation|: which measure is the stronger, whatever its direction. Signs are
        those of the estimates, in every resample.
    margin : float, optional
        Differences smaller than this do not matter; adds c_equivalence_pvalue of two one-sided
        tests [2]_: below 0.05, a and b are equivalent within the margin.
    inference : Inference, optional
    **options
        Fields of `Inference` by name. Clusters are resampled whole, or left out in turn.

    Returns
    -------
    Dataset, dims (target, group)
        `n`, `n_clusters`, and for each coefficient c of plcc, rocc, krocc: c_a, c_b, c_difference
        (a less b), c_lower, c_upper, c_pvalue, two-sided, the level at which the interval just
        reaches 0. The interval and its p-value say that a differs from b; both may still be
        useless.

    Raises
    ------
    GenpredictError
        For unknown names, measures of several columns, a margin that is not positive, and
        ``interval="fisher"``, which knows nothing of what the two share.

    Notes
    -----
    Of normal tables of 100 checkpoints, 92 to 97 % of the 95 % intervals hold the true difference,
    signed and of strengths. Two measures of which neither correlates are the exception: their
    strengths differ by less than their correlations scatter, and intervals of |a| − |b| hold 0 in
    up to 100 %. Where a, b or the target is nearly constant there is no interval, as in
    `correlate`.
    """
    settings = inference_of(inference, options)
    if settings.interval == "fisher":
        raise GenpredictError(
            'interval: Fisher\'s does not fit two measures of the same networks; use "bca"'
        )
    if margin is not None and not margin > 0:
        raise GenpredictError(f"margin must be positive, such as 0.1, got {margin}")
    scores = selected(scores, where)
    pair = [_single(scores, a, "a"), _single(scores, b, "b")]
    columns = target_columns(scores, targets)
    x, y, z = matrix(pair), matrix(columns), covariate_values(scores, partial)
    clusters = cluster_names(scores, settings.cluster)
    codes = checked_codes(scores, clusters, settings)
    groups = groups_of(scores, by)
    table = _empty_table((len(y), len(groups)), with_margin=margin is not None)
    with one_blas_thread():
        for (t, row), (g, some) in product(enumerate(y), enumerate(groups.values())):
            within = None if codes is None else codes[some]
            compared = compare(
                x[:, some], row[None, some], z[:, some], within, settings, absolute, margin
            )
            for name, number in compared.items():
                table[name][t, g] = number
    labels = {"target": [column.label for column in columns], "group": list(groups)}
    return _labelled(table, labels).assign_attrs(
        settings_attrs(settings),
        a=pair[0].label,
        b=pair[1].label,
        absolute=int(absolute),
        margin=float("nan") if margin is None else margin,
        cluster=",".join(clusters),
        partial=",".join(names_of(partial)),
        where=where_text(where),
    )


def _empty_table(shape: tuple[int, int], *, with_margin: bool) -> dict[str, Array]:
    """Return NaN for every number of the table, by name."""
    statistics = [s for s in STATISTICS if with_margin or s != "_equivalence_pvalue"]
    names = ["n", "n_clusters", *(c + s for c in COEFFICIENTS for s in statistics)]
    return {name: np.full(shape, np.nan) for name in names}


def _single(scores: xr.Dataset, one: Named, parameter: str) -> Column:
    columns = columns_of(scores, one, parameter)
    if len(columns) > 1:
        raise GenpredictError(
            f"{parameter}: {columns[0].name!r} has {len(columns)} columns; name one of "
            f"{', '.join(column.label for column in columns)}"
        )
    return columns[0]


def compare(
    x: Array,
    y: Array,
    z: Array,
    codes: NDArray[np.intp] | None,
    settings: Inference,
    absolute: bool,
    margin: float | None,
) -> dict[str, Any]:
    """Compare two measures on one target.

    Parameters
    ----------
    x : array, shape (2, n)
    y : array, shape (1, n)
    z : array, shape (k, n)
        Covariates, possibly none.
    codes : array of int, shape (n,), optional
    settings : Inference
    absolute : bool
    margin : float, optional

    Returns
    -------
    dict of str to number
    """
    rows = valid_rows(x, y, z).all((0, 1))
    some = None if codes is None else codes[rows]
    sample = sample_of(x[:, rows], y[:, rows], z[:, rows], some)
    compared: dict[str, Any] = {"n": sample.n, "n_clusters": sample.clusters}
    if not enough(sample, settings):
        return compared
    methods = methods_of(sample)
    kinds = {key: interval_kind(key, sample, settings) for key in methods}
    redrawn = {key: methods[key] for key, kind in kinds.items() if kind in BOOTSTRAP}
    replicates = resample(redrawn, sample, settings)
    refused = bool(few_draws(sample, settings)) or bool((nearly_constant(sample) != "").any())
    for key, method in methods.items():
        a, b = method.estimate[:, 0]
        compared |= {key + "_a": a, key + "_b": b, key + "_difference": a - b}
        signs = np.sign([a, b]) if absolute else np.ones(2)
        gap = signs[0] * a - signs[1] * b
        compared[key + "_difference"] = gap
        if np.isnan(gap) or refused:
            continue
        spread = Spread(method, kinds[key], signs, replicates.get(key))
        ends = spread.interval(gap, settings.level)
        compared |= dict(zip((key + "_lower", key + "_upper", key + "_pvalue"), ends, strict=True))
        if margin is not None:
            compared[key + "_equivalence_pvalue"] = spread.equivalence(gap, margin)
    return compared


def _labelled(numbers: dict[str, Array], labels: dict[str, list[str]]) -> xr.Dataset:
    """Put numbers over targets and groups into a Dataset, with what they mean."""
    table = xr.Dataset(
        {name: (("target", "group"), cells) for name, cells in numbers.items()},
        coords={dim: np.array(names, dtype=object) for dim, names in labels.items()},
    )
    counts = {"n": "number of checkpoints", "n_clusters": "number of clusters"}
    table = table.assign({name: table[name].astype(np.int64) for name in counts})
    for name, long_name in counts.items():
        table[name].attrs = {"long_name": long_name, "units": "1"}
    for key, row in COEFFICIENTS.items():
        for statistic, words in STATISTICS.items():
            if key + statistic in table:
                table[key + statistic].attrs = {"long_name": row.long_name + words, "units": "1"}
    return table
