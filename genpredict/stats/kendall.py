"""Kendall's τ-b, its jackknife, and its bootstrap.

With sgn the sign and C_i = Σ_j sgn(x_i − x_j)·sgn(y_i − y_j) [1]_,

    τ-b = Σ C_i / √(N_x·N_y),    N_x = n² − Σ (sizes of x's tied groups)².

C_i is all that the jackknife needs: without checkpoint i, ΣC falls by 2C_i.

References
----------
.. [1] M. G. Kendall, "The treatment of ties in ranking problems", Biometrika 33 (1945) 239-251.
.. [2] M. G. Kendall, "Rank Correlation Methods", 4th ed., Griffin, 1970, chapter 4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from genpredict.inference import MOST_PAIRWISE
from genpredict.stats.coefficients import Array
from genpredict.stats.kendall_partition import concordance_by_partition
from genpredict.stats.ranked import RankedColumn


def kendall(x: Array, y: Array) -> float:
    """Correlate two columns: KROCC, signed.

    Parameters
    ----------
    x, y : array, shape (n,)

    Returns
    -------
    float
        NaN where a column is constant.

    Examples
    --------
    >>> kendall(np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4]))
    0.6666666666666666
    """
    return _tau(concordance(x, y).sum(), untied_pairs(x), untied_pairs(y))


def kendall_jackknife(x: Array, y: Array) -> Array:
    """Return τ-b without each checkpoint in turn.

    Parameters
    ----------
    x, y : array, shape (n,)

    Returns
    -------
    array, shape (n,)
        NaN where a column becomes constant.
    """
    counts = concordance(x, y)
    left = [untied_pairs(column) - 2 * (len(column) - tied_with(column)) for column in (x, y)]
    with np.errstate(invalid="ignore", divide="ignore"):  # 0/0 = NaN is meant
        return np.asarray((counts.sum() - 2 * counts) / np.sqrt(left[0] * left[1]))


def concordance(x: Array, y: Array) -> Array:
    """Return C_i, by how many other checkpoints are concordant with i than discordant.

    Parameters
    ----------
    x, y : array, shape (n,)

    Returns
    -------
    array, shape (n,)
    """
    if len(x) <= MOST_PAIRWISE:
        return np.asarray((signs(x) * signs(y)).sum(1), dtype=np.float64)
    return concordance_by_partition(RankedColumn(x), RankedColumn(y))


def kendall_left_out(x: Array, y: Array, starts: NDArray[np.intp]) -> Array:
    """Return τ-b without each cluster in turn.

    Parameters
    ----------
    x, y : array, shape (n,)
        In order of clusters; n at most some thousands: all pairs are held in memory.
    starts : array of int, shape (clusters,)
        First row of each cluster.

    Returns
    -------
    array, shape (clusters,)
        NaN where a column becomes constant.

    Notes
    -----
    Without a cluster, any sum over pairs falls by twice its rows' sums, less the pairs within it.
    """
    untied = [np.abs(signs(column)) for column in (x, y)]
    sums = [_without(pairs, starts) for pairs in (signs(x) * signs(y), *untied)]
    with np.errstate(invalid="ignore", divide="ignore"):  # 0/0 = NaN is meant
        return np.asarray(sums[0] / np.sqrt(sums[1] * sums[2]))


def _without(pairs: NDArray[np.float32], starts: NDArray[np.intp]) -> Array:
    rows = np.add.reduceat(pairs.astype(np.float64), starts, axis=0)
    within = np.add.reduceat(rows, starts, axis=1).diagonal()
    return np.asarray(rows.sum() - 2 * rows.sum(1) + within)


def kendall_asymptotic(total: float, x: RankedColumn, y: RankedColumn) -> float:
    """Return the two-sided p of independence from the normal limit, ties in its variance [2]_.

    With S = Σ_{i<j} sgn·sgn and t, u the sizes of tied groups, Var S = (n(n−1)(2n+5) −
    Σ t(t−1)(2t+5) − Σ u(u−1)(2u+5))/18 + Σt(t−1)(t−2)·Σu(u−1)(u−2)/(9n(n−1)(n−2)) +
    Σt(t−1)·Σu(u−1)/(2n(n−1)).

    Parameters
    ----------
    total : float
        Σ C_i = 2S.
    x, y : RankedColumn, of n checkpoints

    Returns
    -------
    float
        NaN where a column is constant.
    """
    if min(len(column.sizes) for column in (x, y)) < 2:
        return float("nan")
    return float(2 * ndtr(-abs(total / 2) / np.sqrt(_null_variance(x, y))))


def kendall_null_error(x: RankedColumn, y: RankedColumn) -> float:
    """Return the standard error of τ-b of unrelated columns, ties included.

    Parameters
    ----------
    x, y : RankedColumn, of n checkpoints

    Returns
    -------
    float
        NaN where a column is constant.
    """
    untied = [_untied(column) / 2 for column in (x, y)]
    if min(untied) == 0:
        return float("nan")
    return float(np.sqrt(_null_variance(x, y) / (untied[0] * untied[1])))


def _null_variance(x: RankedColumn, y: RankedColumn) -> float:
    """Return Var S of `kendall_asymptotic`."""
    n = float(len(x.rank))
    sizes = [column.sizes.astype(np.float64) for column in (x, y)]
    pairs = [float((s * (s - 1)).sum()) for s in sizes]
    triples = [float((s * (s - 1) * (s - 2)).sum()) for s in sizes]
    cubes = [float((s * (s - 1) * (2 * s + 5)).sum()) for s in sizes]
    variance = (n * (n - 1) * (2 * n + 5) - sum(cubes)) / 18
    variance += triples[0] * triples[1] / (9 * n * (n - 1) * (n - 2))
    return variance + pairs[0] * pairs[1] / (2 * n * (n - 1))


def kendall_of_counts(counts: Array, x: RankedColumn, y: RankedColumn) -> float:
    """Return τ-b from C_i; NaN where a column is constant."""
    return _tau(float(counts.sum()), _untied(x), _untied(y))


def _untied(column: RankedColumn) -> float:
    """Return the number of ordered pairs that differ."""
    return len(column.rank) ** 2 - float((column.sizes.astype(np.float64) ** 2).sum())


def kendall_resampled(x: Array, y: Array, counts: NDArray[np.int64]) -> Array:
    """Return τ-b of resamples.

    Parameters
    ----------
    x, y : array, shape (n,)
        n at most some thousands: all pairs are held in memory.
    counts : array, shape (n, resamples)
        How often each checkpoint is drawn.

    Returns
    -------
    array, shape (resamples,)
        NaN where a column is constant in the resample.

    Notes
    -----
    With A_ij = sgn(x_i − x_j)·sgn(y_i − y_j) and counts w, ΣC = wᵀAw: one matrix product for all
    resamples, exact in float32, because every partial sum is a whole number below 2²⁴.
    """
    weights = counts.astype(np.float32)
    concordant = (signs(x) * signs(y)) @ weights
    total = np.einsum("nb,nb->b", concordant, weights, dtype=np.float64)
    untied = [_untied_in_resamples(column, counts) for column in (x, y)]
    with np.errstate(invalid="ignore", divide="ignore"):  # 0/0 = NaN is meant
        return np.asarray(total / np.sqrt(untied[0] * untied[1]))


def signs(values: Array) -> NDArray[np.float32]:
    """Return sgn(v_i − v_j), shape (n, n)."""
    rank = np.unique(values, return_inverse=True)[1]
    return np.asarray(np.sign(rank[:, None] - rank[None, :]), dtype=np.float32)


def tied_with(values: Array) -> NDArray[np.int64]:
    """Return the size of each element's group of equals, itself included."""
    _, inverse, size = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray(size[inverse])


def untied_pairs(values: Array) -> float:
    """Return the number of ordered pairs that differ."""
    size = np.unique(values, return_counts=True)[1].astype(np.float64)
    return float(len(values) ** 2 - (size**2).sum())


def _untied_in_resamples(values: Array, counts: NDArray[np.int64]) -> Array:
    """Return the same for each resample."""
    order = np.argsort(values, kind="stable")
    starts = np.unique(values[order], return_index=True)[1]
    size = np.add.reduceat(counts[order], starts, axis=0).astype(np.float64)
    return np.asarray(counts.sum(0).astype(np.float64) ** 2 - (size**2).sum(0))


def _tau(total: float, untied_x: float, untied_y: float) -> float:
    if untied_x == 0 or untied_y == 0:
        return float("nan")
    return float(np.clip(total / np.sqrt(untied_x * untied_y), -1.0, 1.0))
