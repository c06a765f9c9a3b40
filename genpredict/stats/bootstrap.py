"""Intervals from bootstrap resamples: percentile and BCa, and the p-values they turn into.

References
----------
.. [1] B. Efron, "Better bootstrap confidence intervals", J. Am. Stat. Assoc. 82 (1987) 171-185.
.. [2] B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall, 1993:
   Eqs. 14.9, 14.10, 14.15.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

from genpredict.stats.coefficients import Array

#: Share of the resamples that must have a correlation for an interval to be given.
LEAST_DEFINED = 0.5
#: A resample as close to the estimate as this is equal to it: sums in another order round apart.
TIED = 1e-9


def percentile_interval(resampled: Array, level: float) -> tuple[Array, Array]:
    """Return the central quantiles of the resamples.

    Parameters
    ----------
    resampled : array, shape (..., resamples)
        NaN where a resample has no correlation (a column was constant in it): those are left out.
    level : float
        Coverage, such as 0.95.

    Returns
    -------
    lower, upper : array, shape (...)
        NaN where all resamples are equal, so that they say nothing about the spread, and where
        fewer than half of them have a correlation.

    Examples
    --------
    >>> lower, upper = percentile_interval(np.linspace(-1, 1, 101), 0.9)
    >>> round(float(lower), 12), round(float(upper), 12)
    (-0.9, 0.9)
    """
    tail = (1 - level) / 2
    shape = resampled.shape[:-1]
    return _quantiles(resampled, np.full(shape, tail), np.full(shape, 1 - tail))


def bca_interval(
    estimate: Array, resampled: Array, acceleration: Array, level: float
) -> tuple[Array, Array]:
    """Return quantiles corrected for bias and acceleration: BCa [1]_.

    α₁ = Φ(ẑ₀ + (ẑ₀ + z)/(1 − â(ẑ₀ + z))) with z = Φ⁻¹((1 − level)/2), and α₂ with −z ([2]_, 14.10).

    Parameters
    ----------
    estimate : array, shape (...)
        Of the sample itself.
    resampled : array, shape (..., resamples)
        As for `percentile_interval`.
    acceleration : array, shape (...)
        Of `skewed`.
    level : float

    Returns
    -------
    lower, upper : array, shape (...)
        NaN as for `percentile_interval`, and where all resamples lie on one side of the estimate.
    """
    bias = bias_correction(estimate, resampled)
    tail = ndtri((1 - level) / 2)
    with np.errstate(invalid="ignore"):  # ∞ − ∞ where all resamples lie on one side
        alphas = [ndtr(bias + (bias + z) / (1 - acceleration * (bias + z))) for z in (tail, -tail)]
    return _quantiles(resampled, *alphas)


def bias_correction(estimate: Array, resampled: Array) -> Array:
    """Return ẑ₀ = Φ⁻¹(share of resamples below the estimate, ties by half) ([2]_, 14.14)."""
    gap = resampled - estimate[..., None]
    below = (gap < -TIED).sum(-1) + (gap <= TIED).sum(-1)
    defined = (~np.isnan(resampled)).sum(-1)
    share = np.divide(below, 2 * defined, out=np.full(estimate.shape, np.nan), where=defined > 0)
    return np.asarray(ndtri(share))


def skewed(jackknife: Array, n: int) -> Array:
    """Return the acceleration of n checkpoints from some of their jackknife values.

    â = Σ U³/(6 (Σ U²)^1.5), U = mean of the jackknife − its values ([2]_, 14.15): the skewness of U
    over 6√n, and any part of the values estimates a skewness.

    Parameters
    ----------
    jackknife : array, shape (..., some)
        Correlations without each of some checkpoints in turn; NaN ones are left out.
    n : int
        Checkpoints in all.

    Returns
    -------
    array, shape (...)
        0 where all jackknife values are equal.

    Examples
    --------
    >>> skewed(np.array([[0.1, 0.4, 0.4], [0.5, 0.5, 0.5]]), 3).round(3)
    array([0.068, 0.   ])
    """
    there = ~np.isnan(jackknife)
    count = np.maximum(there.sum(-1), 1)
    mean = np.where(there, jackknife, 0.0).sum(-1) / count
    spread = np.where(there, mean[..., None] - jackknife, 0.0)
    square = (spread**2).sum(-1) / count
    cube = (spread**3).sum(-1) / count
    safe = np.where(square > 0, square, 1.0)
    return np.asarray(np.where(square > 0, cube / safe**1.5, 0.0) / (6 * np.sqrt(n)))


def bootstrap_pvalue(estimate: Array, resampled: Array, acceleration: Array | None) -> Array:
    """Return the p-value at which the interval just reaches 0, two-sided.

    The interval turned round: with G the share of resamples below 0 (ties by half) and z =
    Φ⁻¹(G), the level is Φ(z) for the percentile interval, Φ((z − ẑ₀)/(1 + â(z − ẑ₀)) − ẑ₀) for
    BCa ([2]_, 14.10 solved for its argument). Never below 1/(resamples + 1).

    Parameters
    ----------
    estimate : array, shape (...)
    resampled : array, shape (..., resamples)
    acceleration : array, shape (...), optional
        None for the percentile interval.

    Returns
    -------
    array, shape (...)
        NaN where no interval is given.
    """
    z = bias_correction(np.zeros(estimate.shape), resampled)
    with np.errstate(invalid="ignore", divide="ignore"):  # ∞ − ∞: all resamples on one side
        if acceleration is not None:
            bias = bias_correction(estimate, resampled)
            shifted = z - bias
            z = np.where(np.isinf(z), z, shifted / (1 + acceleration * shifted) - bias)
        pvalue = 2 * np.minimum(ndtr(z), ndtr(-z))
    known = ~np.isnan(_spread_out(resampled)[..., 0])
    return np.where(known, np.maximum(pvalue, 1 / (resampled.shape[-1] + 1)), np.nan)


def _spread_out(resampled: Array) -> Array:
    """Sort the resamples; NaN in all where they say nothing of the spread."""
    ordered = np.sort(resampled, axis=-1)  # NaN last
    count = (~np.isnan(ordered)).sum(-1, keepdims=True)
    last = np.take_along_axis(ordered, np.maximum(count - 1, 0), -1)
    few = count < LEAST_DEFINED * resampled.shape[-1]
    flat = last - ordered[..., :1] <= 1e-14
    return np.where(few | flat, np.nan, ordered)


def _quantiles(resampled: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Interpolate quantiles linearly, each pair at its own levels, NaN resamples left out."""
    ordered = _spread_out(resampled)
    count = (~np.isnan(ordered)).sum(-1)
    ends = []
    for share in (low, high):
        unknown = np.isnan(share) | (count == 0)
        place = np.where(unknown, 0.0, share) * np.maximum(count - 1, 0)
        below = np.floor(place).astype(np.intp)
        above = np.minimum(below + 1, np.maximum(count - 1, 0))
        values = [np.take_along_axis(ordered, at[..., None], -1)[..., 0] for at in (below, above)]
        value = values[0] + (values[1] - values[0]) * (place - below)
        ends.append(np.where(unknown, np.nan, value))
    return ends[0], ends[1]
