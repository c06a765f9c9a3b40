"""Why a number is not given: constants, few clusters, covariates that act in curves."""

from __future__ import annotations

import numpy as np
from scipy.special import fdtrc, ndtri

from genpredict.stats.clusters import LEAST_CLUSTERS
from genpredict.stats.coefficients import (
    NOTHING_LEFT,
    Array,
    covariate_basis,
    pearson,
    ranks,
    unit_residuals,
)
from genpredict.stats.methods import Spearman
from genpredict.stats.permutation import Pairs
from genpredict.stats.sample import Sample

#: A column that is mostly one value has no interval unless so many values (or clusters) differ.
LEAST_DIFFERENT = 10
#: Curvature counts where both F tests fall below this p, and it moves the correlation by so much.
CURVED_P, CURVED_SHARE = 0.2, 0.1


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


def mostly_one_value(sample: Sample) -> Pairs:
    """Mark pairs of which more than half the values of a column are equal, shape (m, t)."""
    shares = [
        [np.unique(row, return_counts=True)[1].max() / sample.n for row in rows]
        for rows in (sample.x, sample.y)
    ]
    return np.asarray((np.array(shares[0]) > 0.5)[:, None] | (np.array(shares[1]) > 0.5)[None])


def _constancy(row: Array, sample: Sample, what: str) -> str:
    values, counts = np.unique(row, return_counts=True)
    if len(values) == 1:
        return f"the {what} is constant"
    differs = row != values[counts.argmax()]
    if sample.clustered:
        differs = np.add.reduceat(differs, sample.starts) > 0
    count = int(differs.sum())
    if count >= LEAST_DIFFERENT or count >= len(differs) - count:
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


def curved(sample: Sample) -> Array:
    """Mark pairs that share a covariate's square, so that linear regression does not hold it fixed.

    Squares of the covariates' normal scores, less what the covariates explain, must explain both
    residuals (F tests at 0.2 each), and move their correlation by more than 0.1.

    Parameters
    ----------
    sample : Sample

    Returns
    -------
    array of bool, shape (m, t)
    """
    nothing = np.zeros((len(sample.x), len(sample.y)), dtype=bool)
    basis = covariate_basis(sample.z, sample.n)
    squares = ndtri(ranks(sample.z) / (sample.n + 1)) ** 2 if len(sample.z) else sample.z
    left = squares - squares @ basis.T @ basis
    extra = covariate_basis(left, sample.n)[1:]
    extra = extra[np.linalg.norm(extra - extra @ basis.T @ basis, axis=1) > NOTHING_LEFT**0.5]
    degrees = sample.n - len(basis) - len(extra)
    if not len(extra) or degrees < 3:
        return nothing
    parts = [unit_residuals(rows, basis) @ extra.T for rows in (sample.x, sample.y)]
    explained = [(part**2).sum(1) for part in parts]
    with np.errstate(divide="ignore"):  # explained to the last: p is 0
        tests = [fdtrc(len(extra), degrees, s / len(extra) * degrees / (1 - s)) for s in explained]
    both = (tests[0] < CURVED_P)[:, None] & (tests[1] < CURVED_P)[None]
    return np.asarray(both & (np.abs(parts[0] @ parts[1].T) > CURVED_SHARE))


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
