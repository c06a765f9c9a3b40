"""Influence functions: by how much a checkpoint's weight moves a coefficient, ties included.

With the coefficient θ as a functional of the distribution, and ψ_i its derivative in the direction
of checkpoint i [1]_, the standard error of θ is √(G/(G − 1) · Σ_g (Σ_{i∈g} ψ_i)²)/n, g the clusters
(each checkpoint its own where they are independent). One pass over the data takes the place of
thousands of resamples.

References
----------
.. [1] F. R. Hampel, "The influence curve and its role in robust estimation", J. Am. Stat. Assoc. 69
   (1974) 383-393.
.. [2] C. Croux, C. Dehon, "Influence functions of the Spearman and Kendall correlation measures",
   Stat. Methods & Applications 19 (2010) 497-515.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genpredict.stats.coefficients import Array
from genpredict.stats.ranked import RankedColumn


def pearson_influence(x: Array, y: Array) -> Array:
    """Return ψ of Pearson's r: x̃ỹ − r·(x̃² + ỹ²)/2, of standardized values or residuals.

    Parameters
    ----------
    x, y : array, shape (n,)
        Deviations or residuals of norm 1, as of `unit_residuals`.

    Returns
    -------
    array, shape (n,)

    Examples
    --------
    >>> x = np.array([1.0, -1.0]) / np.sqrt(2)
    >>> pearson_influence(x, x).round(12)
    array([0., 0.])
    """
    r = x @ y
    return np.asarray(len(x) * (x * y - r / 2 * (x**2 + y**2)))


def spearman_influence(
    x: RankedColumn, y: RankedColumn, z: list[RankedColumn] | None = None
) -> Array:
    """Return ψ of Spearman's ρ, plain or partial, with the ranks' own derivative [2]_.

    With u, v the centred mid-ranks over n (or what regression on those of the covariates leaves of
    them), ρ = N/√(D_x·D_y), N = mean(uv), D_x = mean(u²).

    Parameters
    ----------
    x, y : RankedColumn
    z : list of RankedColumn, optional
        Covariates.

    Returns
    -------
    array, shape (n,)
    """
    u, u_on_z = _residual(x.centred, z or [])
    v, v_on_z = _residual(y.centred, z or [])
    n = len(u)

    def moved(column: RankedColumn, slopes: Array, other: Array) -> Array:
        own = column.moved_by(other)
        for slope, covariate in zip(slopes, z or [], strict=True):
            own = own - slope * covariate.moved_by(other)
        return own

    numerator, d_x, d_y = u @ v / n, u @ u / n, v @ v / n
    of_numerator = u * v - numerator + moved(x, u_on_z, v) + moved(y, v_on_z, u)
    of_x = u**2 - d_x + 2 * moved(x, u_on_z, u)
    of_y = v**2 - d_y + 2 * moved(y, v_on_z, v)
    root = np.sqrt(d_x * d_y)
    return np.asarray(of_numerator / root - numerator / root / 2 * (of_x / d_x + of_y / d_y))


def _residual(column: Array, covariates: list[RankedColumn]) -> tuple[Array, Array]:
    """Return what least squares on covariates leaves of a column, and its slopes."""
    if not covariates:
        return column, np.empty(0)
    design = np.stack([one.centred for one in covariates], axis=1)
    slopes = np.linalg.lstsq(design, column, rcond=None)[0]
    return np.asarray(column - design @ slopes), np.asarray(slopes)


def kendall_influence(counts: Array, x: RankedColumn, y: RankedColumn) -> Array:
    """Return ψ of Kendall's τ-b = T/√(N_x·N_y), means over ordered pairs.

    Parameters
    ----------
    counts : array, shape (n,)
        C_i of `genpredict.stats.kendall`.
    x, y : RankedColumn, of n checkpoints

    Returns
    -------
    array, shape (n,)
    """
    n = len(x.rank)
    signs = counts / n
    untied_x, untied_y = (1 - column.tied_with / n for column in (x, y))
    total, n_x, n_y = signs.mean(), untied_x.mean(), untied_y.mean()
    root = np.sqrt(n_x * n_y)
    of_ties = (untied_x - n_x) / n_x + (untied_y - n_y) / n_y
    return np.asarray(2 * (signs - total) / root - total / root * of_ties)


def standard_error(influence: Array, codes: NDArray[np.intp] | None = None) -> float:
    """Return √(G/(G − 1) · Σ_g (Σ_{i∈g} ψ_i)²)/n.

    Parameters
    ----------
    influence : array, shape (n,)
    codes : array of int, shape (n,), optional
        Cluster of each checkpoint, from 0; each its own where left out.

    Returns
    -------
    float

    Examples
    --------
    >>> standard_error(np.array([1.0, -1.0]))
    1.0
    """
    sums = influence if codes is None else np.bincount(codes, weights=influence)
    return float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / len(influence))
