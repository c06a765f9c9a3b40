"""Correlations of bootstrap and jackknife resamples, without drawing up any resample.

A resample is a vector of counts w: how often each checkpoint is drawn. All sums of Pearson's r
over all resamples are matrix products with the counts. For Spearman's ρ every column is sorted
once; the mid-ranks within a resample are then cumulative sums of the counts. So a resample costs
O(n) a column instead of O(n log n), and all measures share their resamples.

References
----------
.. [1] B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall, 1993.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from genpredict.stats.coefficients import Array
from genpredict.stats.moments import Moments, moments_of

#: Counts (checkpoints × resamples) held at a time: 32 MB.
BLOCK = 1 << 22
#: Mid-ranks of a column held at a time: 2 MB, about what a core caches.
RANK_BLOCK = 1 << 18


def bootstrap_counts(
    n: int, resamples: int, rng: np.random.Generator, *, rows: int = 0
) -> Iterator[NDArray[np.intp]]:
    """Yield blocks of resamples as counts.

    Parameters
    ----------
    n : int
        Checkpoints, or clusters.
    resamples : int
    rng : Generator
        Indices are drawn as ``scipy.stats.bootstrap(paired=True)`` draws them.
    rows : int
        Checkpoints of n clusters; blocks are sized for them.

    Yields
    ------
    array, shape (n, some)

    Examples
    --------
    >>> for block in bootstrap_counts(3, 4, np.random.default_rng(0)):
    ...     print(block.sum(axis=0))
    [3 3 3 3]
    """
    for _, size in _blocks(max(n, rows), resamples):
        drawn = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        yield np.ascontiguousarray(
            np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).T
        )


def jackknife_counts(
    n: int, left_out: NDArray[np.intp], *, rows: int = 0
) -> Iterator[NDArray[np.intp]]:
    """Yield blocks of counts that are 1 but for one checkpoint left out.

    Parameters
    ----------
    n : int
        Checkpoints, or clusters.
    left_out : array of int
        Which to leave out in turn.
    rows : int
        Checkpoints of n clusters; blocks are sized for them.

    Yields
    ------
    array, shape (n, some)
    """
    for first, size in _blocks(max(n, rows), len(left_out)):
        counts = np.ones((n, size), dtype=np.intp)
        counts[left_out[first : first + size], np.arange(size)] = 0
        yield counts


def _blocks(n: int, resamples: int) -> Iterator[tuple[int, int]]:
    size = max(1, BLOCK // n)
    for first in range(0, resamples, size):
        yield first, min(size, resamples - first)


class Resampler:
    """Columns made ready, so that each block of counts gives its correlations quickly.

    Parameters
    ----------
    x : array, shape (m, n)
        Measures.
    y : array, shape (t, n)
        Targets.
    z : array, shape (k, n)
        Covariates, possibly none (k = 0).
    """

    def __init__(self, x: Array, y: Array, z: Array) -> None:
        self._values = _standardized(x), _standardized(y), _standardized(z)
        self._sorted = _sorted(x), _sorted(y), _sorted(z)

    def pearson(self, counts: NDArray[np.intp]) -> Array:
        """Return PLCC of each resample, shape (m, t, resamples).

        Parameters
        ----------
        counts : array, shape (n, resamples)
        """
        weights = counts.astype(np.float64)
        moments = moments_of(*self._values, weights)
        return moments.correlation()

    def spearman(self, counts: NDArray[np.intp]) -> Array:
        """Return ROCC of each resample, shape (m, t, resamples).

        Parameters
        ----------
        counts : array, shape (n, resamples)
        """
        size = max(1, RANK_BLOCK // len(counts))
        parts = [
            _rank_moments(*self._sorted, counts[:, first : first + size].astype(np.float64))
            for first in range(0, counts.shape[1], size)
        ]
        return np.concatenate([part.correlation() for part in parts], axis=-1)


def _standardized(values: Array) -> Array:
    """Centre and scale, so that sums of squares neither overflow nor cancel much."""
    largest = np.abs(values).max(-1, keepdims=True, initial=0.0)
    scaled = values / np.where(largest > 0, largest, 1.0)
    centred = scaled - scaled.mean(-1, keepdims=True)
    deviation = centred.std(-1, keepdims=True)
    constant = values.max(-1, keepdims=True, initial=-np.inf) == values.min(
        -1, keepdims=True, initial=np.inf
    )
    return np.where(constant, 0.0, centred / np.where(deviation > 0, deviation, 1.0))


class _Sorted:
    """A column sorted once, whose mid-ranks within a resample are cumulative sums.

    Notes
    -----
    In a resample with counts w, let W_g be the draws of the g-th group of equals, and c_g those of
    all groups up to it. Its members have mid-rank c_g − (W_g − 1)/2. Twice that less the mean
    (N + 1)/2 of all ranks is the whole number 2c_g − W_g − N, and Σ w·(2c − W − N)² =
    (N³ − Σ W_g³)/3.
    """

    def __init__(self, values: Array) -> None:
        self._order = np.argsort(values, kind="stable")
        first, group = np.unique(values, return_index=True, return_inverse=True)[1:]
        self._group = group
        tied = len(first) < len(values)
        self._starts = np.unique(values[self._order], return_index=True)[1] if tied else None

    def deviations(self, weights: Array) -> tuple[Array, Array]:
        """Return twice the mid-ranks less their mean, shape (n, resamples), and Σ w·squares."""
        drawn = np.take(weights, self._order, axis=0)
        if self._starts is not None:
            drawn = np.add.reduceat(drawn, self._starts, axis=0)
        up_to = np.cumsum(drawn, axis=0)
        total = up_to[-1].copy()
        squares = (total**3 - np.einsum("gb,gb,gb->b", drawn, drawn, drawn)) / 3
        up_to *= 2
        up_to -= drawn
        up_to -= total
        return np.take(up_to, self._group, axis=0), squares


def _sorted(values: Array) -> list[_Sorted]:
    return [_Sorted(column) for column in values]


def _rank_moments(x: list[_Sorted], y: list[_Sorted], z: list[_Sorted], weights: Array) -> Moments:
    """Sum squares and products of mid-ranks."""
    of_y = [column.deviations(weights) for column in y]
    of_z = [column.deviations(weights) for column in z]
    yy, size = np.array([squares for _, squares in of_y]), weights.shape[1]
    weighted_y = [ranks * weights for ranks, _ in of_y]
    weighted_z = [ranks * weights for ranks, _ in of_z]

    def products(ranks: Array, others: list[Array]) -> list[Array]:
        return [np.einsum("nb,nb->b", ranks, other) for other in others]

    xx, xy, xz = np.empty((len(x), size)), np.empty((len(x), len(y), size)), []
    for i, column in enumerate(x):
        ranks, xx[i] = column.deviations(weights)
        xy[i] = products(ranks, weighted_y)
        xz.append(products(ranks, weighted_z))
    yz = [products(ranks, weighted_z) for ranks, _ in of_y]
    zz = [products(ranks, weighted_z) for ranks, _ in of_z]
    k = len(z)
    return Moments(
        xx,
        yy,
        xy,
        np.array(xz).reshape(len(x), k, size),
        np.array(yz).reshape(len(y), k, size),
        np.array(zz).reshape(k, k, size),
    )
