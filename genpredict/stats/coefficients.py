"""Pearson's and Spearman's correlation, plain or partial, of many columns at once.

Arrays in, arrays out. Rows of `x` are measures, rows of `y` targets, rows of `z` covariates; the
last axis is the checkpoints.

References
----------
.. [1] K. Pearson, "Notes on regression and inheritance", Proc. R. Soc. London 58 (1895) 240-242.
.. [2] C. Spearman, "The proof and measurement of association between two things", Am. J.
   Psychology 15 (1904) 72-101.
.. [3] R. A. Fisher, "The distribution of the partial correlation coefficient", Metron 3 (1924)
   329-332.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

#: A residual below this share of the column's norm is rounding: covariates explain the column.
NOTHING_LEFT = 1e-10


def pearson(x: Array, y: Array, z: Array | None = None) -> Array:
    """Correlate each measure with each target: PLCC, signed.

    r = Σ x̃ỹ/√(Σx̃² Σỹ²) [1]_, where x̃ and ỹ are deviations from the mean; with covariates,
    residuals of the least-squares regression on them and a constant [3]_.

    Parameters
    ----------
    x : array, shape (m, n)
    y : array, shape (t, n)
    z : array, shape (k, n), optional
        Covariates.

    Returns
    -------
    array, shape (m, t)
        NaN where a column is constant, or a linear function of the covariates.

    Examples
    --------
    >>> pearson(np.array([[1.0, 2, 3, 4], [1, 1, 1, 1]]), np.array([[1.0, 2, 3, 5]])).round(3)
    array([[0.983],
           [  nan]])
    """
    basis = covariate_basis(z, x.shape[1])
    cosines: Array = unit_residuals(x, basis) @ unit_residuals(y, basis).T
    return np.clip(cosines, -1.0, 1.0)


def ranks(values: Array) -> Array:
    """Rank along the last axis from 1 to n, ties at their average.

    Examples
    --------
    >>> ranks(np.array([10.0, 30, 20, 20]))
    array([1. , 4. , 2.5, 2.5])
    """
    rows = np.reshape(values, (-1, np.shape(values)[-1]))
    return np.reshape([_mid_ranks(row) for row in rows], np.shape(values))


def _mid_ranks(row: Array) -> Array:
    """Rank one column; scipy.stats would cost a second to import."""
    order = np.argsort(row, kind="stable")
    ordered = row[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sizes = np.diff(np.append(starts, len(row)))
    mid_ranks = np.empty(len(row))
    mid_ranks[order] = np.repeat(starts + (sizes + 1) / 2, sizes)
    return mid_ranks


def spearman(x: Array, y: Array, z: Array | None = None) -> Array:
    """Correlate the ranks of each measure with those of each target: ROCC, signed [2]_.

    Parameters
    ----------
    x : array, shape (m, n)
    y : array, shape (t, n)
    z : array, shape (k, n), optional
        Covariates; their ranks are regressed on.

    Returns
    -------
    array, shape (m, t)
        NaN as for `pearson`.

    Notes
    -----
    A partial ρ of 0 is not quite independence given the covariates: ranks of a linear relation are
    not linear in each other, so a covariate that dominates both columns leaves a little of itself
    (0.06 on average where it makes up 80 % of the variance of either, n = 30).

    Examples
    --------
    >>> spearman(np.array([[1.0, 2, 3, 4]]), np.array([[1.0, 4, 3, 90]])).round(3)
    array([[0.8]])
    """
    return pearson(ranks(x), ranks(y), None if z is None else ranks(z))


def unit_residuals(values: Array, basis: Array) -> Array:
    """Take off the part that a basis explains and scale what is left to norm 1.

    Parameters
    ----------
    values : array, shape (m, n)
    basis : array, shape (k + 1, n)
        Of `covariate_basis`.

    Returns
    -------
    array, shape (m, n)
        NaN rows where nothing is left.
    """
    least, most = (find(-1, keepdims=True) for find in (values.min, values.max))
    largest = np.maximum(np.abs(least), np.abs(most))
    centred = values / np.where(largest > 0, largest, 1.0)  # so that squares do not overflow
    centred -= centred.mean(-1, keepdims=True)
    left = centred - centred @ basis[1:].T @ basis[1:] if len(basis) > 1 else centred
    norm = np.linalg.norm(left, axis=-1, keepdims=True)
    nothing = (least == most) | (norm == 0)
    if len(basis) > 1:
        nothing |= norm <= NOTHING_LEFT * np.linalg.norm(centred, axis=-1, keepdims=True)
    left /= np.where(nothing, np.nan, norm)
    return left


def covariate_basis(z: Array | None, n: int) -> Array:
    """Return orthonormal rows that span a constant (first) and the covariates.

    Parameters
    ----------
    z : array, shape (k, n), or None
    n : int

    Returns
    -------
    array, shape (1 + rank of the centred covariates, n)
    """
    constant = np.full((1, n), 1 / np.sqrt(n))
    if z is None or len(z) == 0:
        return constant
    centred = z - z.mean(-1, keepdims=True)
    norm = np.linalg.norm(centred, axis=-1, keepdims=True)
    left, sizes, _ = np.linalg.svd((centred / np.where(norm > 0, norm, 1.0)).T, full_matrices=False)
    return np.concatenate([constant, left.T[sizes > NOTHING_LEFT]])
