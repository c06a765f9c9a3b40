"""Why a number is not given: constants, few clusters, covariates that act in curves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import fdtrc, ndtri

from genpredict.inference import BOOTSTRAP, Inference
from genpredict.stats.clusters import LEAST_CLUSTERS
from genpredict.stats.coefficients import (
    NOTHING_LEFT,
    Array,
    covariate_basis,
    pearson,
    ranks,
    unit_residuals,
)
from genpredict.stats.intervals import PERFECT
from genpredict.stats.known_coefficients import COEFFICIENTS
from genpredict.stats.linear_methods import Spearman
from genpredict.stats.sample import Sample

#: A column that is mostly one value has no interval unless so many values (or clusters) differ;
#: of one that is half one value, these suffice: of 3 among 6, one order in 10 is perfect.
LEAST_DIFFERENT, LEAST_OF_HALF = 10, 4
#: Checkpoints (or clusters) that a bootstrap takes: resamples of fewer are too often constant.
LEAST_RESAMPLED = 10
#: Curvature counts where both F tests fall below the first p and it makes up so much of the
#: correlation, or below the second and holding it fixed moves the correlation by so much.
CURVED_P, SUSPECTED_P, CURVED_SHARE = 0.05, 0.2, 0.1


def nearly_constant(sample: Sample) -> Array:
    """Say for each pair why neither bootstrap nor jackknife can know its spread, "" where they can.

    A column of which most values are equal and fewer than 10 differ: whether the few line up is one
    accident, which every resample repeats. In clusters, those that hold a value that differs count.

    Parameters
    ----------
    sample : Sample

    Returns
    -------
    array of str, shape (m, t)
    """
    texts = [
        [_constancy(row, sample, what) for row in rows]
        for rows, what in ((sample.x, "measure"), (sample.y, "target"))
    ]
    pairs = [[one or other for other in texts[1]] for one in texts[0]]
    return np.array(pairs, dtype=object).reshape(len(sample.x), len(sample.y))


def _constancy(row: Array, sample: Sample, what: str) -> str:
    values, counts = np.unique(row, return_counts=True)
    if len(values) == 1:
        return f"the {what} is constant"
    differs = row != values[counts.argmax()]
    if sample.clustered:
        differs = np.add.reduceat(differs, sample.starts) > 0
    count = int(differs.sum())
    same = len(differs) - count
    if count >= (LEAST_DIFFERENT if count < same else LEAST_OF_HALF) or count > same:
        return ""
    unit = "clusters hold" if sample.clustered else "values are"
    return (
        f"no interval: only {count} of {len(differs)} {unit} another than the {what}'s commonest "
        f"value, {values[counts.argmax()]:g}"
    )


def few_clusters(sample: Sample) -> str:
    """Say that clusters are too few for an interval, "" where they are not."""
    if not sample.clustered or sample.clusters >= LEAST_CLUSTERS:
        return ""
    return f"no interval: it takes {LEAST_CLUSTERS} clusters, and there are {sample.clusters}"


def few_draws(sample: Sample, inference: Inference) -> str:
    """Say that checkpoints or clusters are too few for the interval asked for, "" where not."""
    if inference.interval not in BOOTSTRAP or sample.clusters >= LEAST_RESAMPLED:
        return few_clusters(sample)
    unit = "clusters" if sample.clustered else "checkpoints"
    return (
        f"no interval: the bootstrap takes {LEAST_RESAMPLED} {unit}, and there are "
        f'{sample.clusters}; the interval "jackknife" takes {LEAST_CLUSTERS}'
    )


def unmoved(key: str, table: Mapping[str, Array]) -> Array:
    """Say of pairs that have an estimate and no interval why, shape (m, t).

    Parameters
    ----------
    key : str
        Of a coefficient.
    table : mapping of str to array, shape (m, t)
        Estimates and bounds by the names of the table.

    Returns
    -------
    array of str, shape (m, t)
    """
    missing = np.isfinite(table[key]) & np.isnan(table[key + "_lower"])
    perfect = np.abs(np.nan_to_num(table[key])) >= 1 - PERFECT
    title = COEFFICIENTS[key].title
    texts = np.where(
        perfect,
        f"no interval of {title}: a perfect correlation says nothing of its error",
        f"no interval of {title}: nothing in these checkpoints tells its error",
    )
    return np.asarray(np.where(missing, texts, ""), dtype=object)


def curved(sample: Sample) -> Array:
    """Mark pairs that share a curve in a covariate, which linear regression does not hold fixed.

    Squares, cubes or products of two of the covariates' normal scores, less what the covariates
    explain, must explain both residuals: for certain (F tests at 0.05 each) and more than 0.1 of
    their correlation, or probably (at 0.2) where holding them fixed, too, moves the correlation by
    more than 0.1. Each of the three is asked alone, where it leaves degrees of freedom for that.

    Parameters
    ----------
    sample : Sample

    Returns
    -------
    array of bool, shape (m, t)
    """
    scores = ndtri(ranks(sample.z) / (sample.n + 1)) if len(sample.z) else sample.z
    first, second = np.triu_indices(len(scores), 1)
    curves = scores**2, scores**3, scores[first] * scores[second]
    return np.asarray(np.any([_share(sample, terms) for terms in curves], axis=0))


def _share(sample: Sample, terms: Array) -> Array:
    """Mark pairs of which both residuals depend on terms, shape (k, n), beyond the covariates."""
    nothing = np.zeros((len(sample.x), len(sample.y)), dtype=bool)
    basis = covariate_basis(sample.z, sample.n)
    left = terms - terms @ basis.T @ basis
    extra = covariate_basis(left, sample.n)[1:]
    extra = extra[np.linalg.norm(extra - extra @ basis.T @ basis, axis=1) > NOTHING_LEFT**0.5]
    degrees = sample.n - len(basis) - len(extra)
    if not len(extra) or degrees < 3:
        return nothing
    residuals = [unit_residuals(rows, basis) for rows in (sample.x, sample.y)]
    parts = [rows @ extra.T for rows in residuals]
    explained = [(part**2).sum(1) for part in parts]
    with np.errstate(divide="ignore"):  # explained to the last: p is 0
        tests = [fdtrc(len(extra), degrees, s / len(extra) * degrees / (1 - s)) for s in explained]
    p = np.maximum(tests[0][:, None], tests[1][None])
    shared, r = parts[0] @ parts[1].T, residuals[0] @ residuals[1].T
    left_over = np.sqrt(np.outer(*(np.maximum(1 - s, NOTHING_LEFT) for s in explained)))
    moved = np.abs((r - shared) / left_over - r)
    suspected = (p < SUSPECTED_P) & (moved > CURVED_SHARE)
    return np.asarray(suspected | ((p < CURVED_P) & (np.abs(shared) > CURVED_SHARE)))


def disagreeing(method: Spearman) -> Array:
    """Mark pairs whose partial ρ and correlation of residuals' ranks lie over 0.1 apart.

    Ranks of a linear relation are not linear in each other: covariates that dominate leave some of
    themselves in a partial ρ, and an interval about it would contradict the p-value.

    Parameters
    ----------
    method : Spearman

    Returns
    -------
    array of bool, shape (m, t)
    """
    x, y = method.residual_ranks
    return np.asarray(np.abs(pearson(x, y) - method.estimate) > CURVED_SHARE)
