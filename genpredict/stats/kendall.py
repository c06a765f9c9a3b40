"""Kendall's τ-b, its jackknife, and its bootstrap.

With sgn the sign and C_i = Σ_j sgn(x_i − x_j)·sgn(y_i − y_j) [1]_,

    τ-b = Σ C_i / √(N_x·N_y),    N_x = n² − Σ (sizes of x's tied groups)².

C_i is all that the jackknife needs: without checkpoint i, ΣC falls by 2C_i.

References
----------
.. [1] M. G. Kendall, "The treatment of ties in ranking problems", Biometrika 33 (1945) 239-251.
.. [2] W. R. Knight, "A computer method for calculating Kendall's tau with ungrouped data", J. Am.
   Stat. Assoc. 61 (1966) 436-439.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genpredict.stats.coefficients import Array

#: Up to this many checkpoints, all pairs are compared at once, and τ is bootstrapped.
MOST_PAIRWISE = 1000


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
    return _tau(concordance(x, y).sum(), _untied(x), _untied(y))


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
    left = [_untied(column) - 2 * (len(column) - _tied_with(column)) for column in (x, y)]
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
    return concordance_by_merging(x, y)


def concordance_by_merging(x: Array, y: Array) -> Array:
    """Return C_i in O(n log² n), in the manner of Knight [2]_: a merge sort that counts.

    Parameters
    ----------
    x, y : array, shape (n,)

    Returns
    -------
    array, shape (n,)

    Notes
    -----
    Ordered by x (then y), a checkpoint that comes later counts as greater in x. In blocks of 2, 4,
    8, … the right half is compared with the left. Equals in x are so counted as concordant; they
    are taken off in the end.
    """
    n = len(x)
    order = np.lexsort((y, x))
    rank = np.unique(y[order], return_inverse=True)[1].astype(np.int64)
    found = np.zeros(n, dtype=np.int64)
    width = 1
    while width < n:
        found += _compare_halves(rank, width)
        width *= 2
    in_order = np.empty(n)
    in_order[order] = found
    joint = np.unique(np.stack([x, y]), axis=1, return_inverse=True, return_counts=True)
    return in_order - (_tied_with(x) - joint[2][joint[1].ravel()])


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
    untied = [_untied_resampled(column, counts) for column in (x, y)]
    with np.errstate(invalid="ignore", divide="ignore"):  # 0/0 = NaN is meant
        return np.asarray(total / np.sqrt(untied[0] * untied[1]))


def _compare_halves(rank: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Compare each block's right half with its left one: the sum of signs for every element."""
    n = len(rank)
    at = np.arange(n)
    block, right = at // (2 * width), (at // width) % 2 == 1
    key = block * n + rank  # sorts by block, then by rank
    found = np.zeros(n, dtype=np.int64)
    for side, other, sign in ((right, ~right, 1), (~right, right, -1)):
        others = np.sort(key[other])
        first = np.searchsorted(others, block[side] * n)
        last = np.searchsorted(others, (block[side] + 1) * n)
        below = np.searchsorted(others, key[side], "left") - first
        above = last - np.searchsorted(others, key[side], "right")
        found[side] = sign * (below - above)
    return found


def signs(values: Array) -> NDArray[np.float32]:
    """Return sgn(v_i − v_j), shape (n, n)."""
    rank = np.unique(values, return_inverse=True)[1]
    return np.asarray(np.sign(rank[:, None] - rank[None, :]), dtype=np.float32)


def _tied_with(values: Array) -> NDArray[np.int64]:
    """Return the size of each element's group of equals, itself included."""
    _, inverse, size = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray(size[inverse])


def _untied(values: Array) -> float:
    """Return the number of ordered pairs that differ."""
    size = np.unique(values, return_counts=True)[1].astype(np.float64)
    return float(len(values) ** 2 - (size**2).sum())


def _untied_resampled(values: Array, counts: NDArray[np.int64]) -> Array:
    """Return the same for each resample."""
    order = np.argsort(values, kind="stable")
    starts = np.unique(values[order], return_index=True)[1]
    size = np.add.reduceat(counts[order], starts, axis=0).astype(np.float64)
    return np.asarray(counts.sum(0).astype(np.float64) ** 2 - (size**2).sum(0))


def _tau(total: float, untied_x: float, untied_y: float) -> float:
    if untied_x == 0 or untied_y == 0:
        return float("nan")
    return float(np.clip(total / np.sqrt(untied_x * untied_y), -1.0, 1.0))
