"""One correlation within groups: pooled over them, and whether they differ.

References
----------
.. [1] L. V. Hedges, I. Olkin, "Statistical methods for meta-analysis", Academic Press, 1985,
   chapter 11.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
import xarray as xr
from scipy.special import gammaincc, ndtr, ndtri

from genpredict.errors import GenpredictError
from genpredict.inference import Inference, InferenceOptions, inference_of
from genpredict.stats.clusters import LEAST_CLUSTERS, checked_codes, cluster_names
from genpredict.stats.coefficients import Array
from genpredict.stats.columns import Named, measure_columns, names_of, target_columns
from genpredict.stats.correlations import matrix
from genpredict.stats.estimation import enough, methods_of, shared_rows, valid_rows
from genpredict.stats.groups import ALL, groups_of, selected
from genpredict.stats.intervals import PERFECT
from genpredict.stats.known_coefficients import COEFFICIENTS
from genpredict.stats.labelling import labels, settings_attrs
from genpredict.stats.reasons import nearly_constant
from genpredict.stats.sample import Sample, sample_of
from genpredict.stats.threads import one_blas_thread

_WORDS = {
    "": ", pooled within groups",
    "_lower": ", pooled within groups, lower bound",
    "_upper": ", pooled within groups, upper bound",
    "_pvalue": ", pooled within groups, p-value",
    "_heterogeneity": ", Q statistic of differences between groups",
    "_heterogeneity_pvalue": ", p-value of groups that are all alike",
}


def within_groups(
    scores: xr.Dataset,
    by: Sequence[str] | str,
    *,
    measures: Sequence[Named] | Named | None = None,
    targets: Sequence[Named] | Named | None = None,
    where: str | xr.DataArray | None = None,
    inference: Inference | None = None,
    **options: Unpack[InferenceOptions],
) -> xr.Dataset:
    """Pool the correlations within groups, and test whether groups differ.

    Fixed effects [1]_: with z_g = artanh r_g and its standard error s_g, z = Σ w_g z_g/Σ w_g for
    w_g = 1/s_g²; Q = Σ w_g (z_g − z)² has χ² of one less than the groups where all are alike. What
    tells groups apart enters neither.

    Parameters
    ----------
    scores : Dataset
        As of `score` or `open_scores`.
    by : sequence of str
        Coordinates; each combination of their values is a group.
    measures, targets, where
        As for `correlate`.
    inference : Inference, optional
    **options
        Fields of `Inference` by name: `cluster`, `level`, `min_n`.

    Returns
    -------
    Dataset, dims (measure, target)
        `groups` that count (those with at least `min_n` checkpoints and 5 clusters, and an
        interval of their own), `n` in them, and for each coefficient c: c, c_lower, c_upper,
        c_pvalue, c_heterogeneity, c_heterogeneity_pvalue; NaN where no group counts, and for
        heterogeneity where fewer than two do.

    Raises
    ------
    GenpredictError
        For unknown names, or without a coordinate to group by.
    """
    settings = inference_of(inference, options)
    if not names_of(by):
        raise GenpredictError("by: name a coordinate to group by, such as network")
    scores = selected(scores, where)
    rows, columns = measure_columns(scores, measures), target_columns(scores, targets)
    x, y = matrix(rows), matrix(columns)
    clusters = cluster_names(scores, settings.cluster)
    codes = checked_codes(scores, clusters, settings)
    groups = groups_of(scores, by)
    del groups[ALL]
    with one_blas_thread():
        parts = [
            _transformed(x[:, g], y[:, g], None if codes is None else codes[g], settings)
            for g in groups.values()
        ]
    variables: dict[str, Any] = {
        "groups": np.stack([part["counts"] for part in parts]).sum(0),
        "n": np.stack([part["n"] * part["counts"] for part in parts]).sum(0),
    }
    for key in COEFFICIENTS:
        z = np.stack([part[key] for part in parts])
        errors = np.stack([part[key + "_error"] for part in parts])
        variables |= {key + end: v for end, v in pooled(z, errors, settings.level).items()}
    table = xr.Dataset(
        {name: (("measure", "target"), v) for name, v in variables.items()},
        coords={n: v for n, v in labels(rows, columns, []).items() if n != "group"},
    )
    for key, row in COEFFICIENTS.items():
        for end, words in _WORDS.items():
            table[key + end].attrs = {"long_name": row.long_name + words, "units": "1"}
    return table.assign_attrs(
        settings_attrs(settings), by=",".join(names_of(by)), cluster=",".join(clusters),
        where=where if isinstance(where, str) else "" if where is None else "a mask",
    )  # fmt: skip


def _transformed(x: Array, y: Array, codes: Any, settings: Inference) -> dict[str, Array]:
    """Return artanh r and its standard error of every pair of one group; NaN where it has none."""
    shape = (len(x), len(y))
    nothing = np.empty((0, x.shape[1]))
    numbers = {name: np.zeros(shape) for name in ("counts", "n")}
    numbers |= {key + end: np.full(shape, np.nan) for key in COEFFICIENTS for end in ("", "_error")}
    for block in shared_rows(valid_rows(x, y, nothing)):
        sample = sample_of(
            block.of(x, block.measures),
            block.of(y, block.targets),
            block.of(nothing, slice(None)),
            None if codes is None else codes[block.rows],
        )
        if not enough(sample, settings) or sample.clusters < LEAST_CLUSTERS:
            continue
        at = np.ix_(block.measures, block.targets)
        numbers["n"][at] = sample.n
        for name, values in _of_sample(sample).items():
            numbers[name][at] = values
    numbers["counts"] = (np.isfinite(numbers["plcc_error"])).astype(float)
    return numbers


def _of_sample(sample: Sample) -> dict[str, Array]:
    constant = nearly_constant(sample) != ""
    numbers = {}
    for key, method in methods_of(sample).items():
        errors = method.errors(Inference().interval_for(sample.n, coefficient=key))
        r = method.estimate
        sound = (np.abs(r) < 1 - PERFECT) & (errors > 0) & ~constant
        kept = np.where(sound, r, np.nan)
        numbers[key] = np.arctanh(kept)
        numbers[key + "_error"] = np.where(sound, errors, np.nan) / (1 - kept**2)
    return numbers


def pooled(z: Array, errors: Array, level: float) -> dict[str, Array]:
    """Pool transformed correlations over groups.

    Parameters
    ----------
    z, errors : array, shape (groups, m, t)
        artanh r and its standard error; NaN where a group does not count.
    level : float

    Returns
    -------
    dict of array, shape (m, t)
        By the suffixes of the table.
    """
    weights = np.where(np.isfinite(z), 1 / errors**2, 0.0)
    total, count = weights.sum(0), np.isfinite(z).sum(0)
    safe = np.where(total > 0, total, np.nan)
    mean = np.nansum(weights * np.nan_to_num(z), axis=0) / safe
    half = ndtri((1 + level) / 2) / np.sqrt(safe)
    spread = (weights * (np.nan_to_num(z) - mean) ** 2).sum(0)
    several = count > 1
    freedom = np.where(several, count - 1, 1)
    return {
        "": np.tanh(mean),
        "_lower": np.tanh(mean - half),
        "_upper": np.tanh(mean + half),
        "_pvalue": 2 * ndtr(-np.abs(mean) * np.sqrt(safe)),
        "_heterogeneity": np.where(several, spread, np.nan),
        "_heterogeneity_pvalue": np.where(several, gammaincc(freedom / 2, spread / 2), np.nan),
    }
