"""The Marchenko-Pastur law: the spectrum of a matrix of noise alone, and what lies above it.

The eigenvalues λ = σ²/M of an L × M matrix (L ≤ M) of independent entries of variance s spread
over [s·(1−√β)², s·(1+√β)²], β = L/M.

References
----------
.. [1] V. A. Marčenko, L. A. Pastur, "Distribution of eigenvalues for some sets of random
   matrices", Mathematics of the USSR-Sbornik 1 (1967).
.. [2] M. Gavish, D. L. Donoho, "The optimal hard threshold for singular values is 4/√3", IEEE
   Transactions on Information Theory 60 (2014): the variance from the median eigenvalue.
"""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor

#: Newton steps to the median: three reach rounding for every β.
STEPS = 3


def mp_spikes(singular_values: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Count the eigenvalues above the edge of noise, its variance from the median eigenvalue.

    Parameters
    ----------
    singular_values : Tensor, shape (..., n)
    rows, columns : Tensor, shape (...)
        L ≤ M, the sides of the matrices; n = L.

    Returns
    -------
    Tensor, shape (...)
        Of λ = σ²/M those with λ > s·(1+√β)², where s = median λ/median of the law at s = 1 [2]_.
    """
    beta = rows.to(singular_values.dtype) / columns
    n = singular_values.shape[-1]
    squares = singular_values.square()
    median = (squares[..., (n - 1) // 2] + squares[..., n // 2]) / 2  # in units of 1/M
    edge = median / marchenko_pastur_median(beta) * (1 + beta.sqrt()).square()
    return (squares > edge.unsqueeze(-1)).sum(-1)


def marchenko_pastur_median(beta: Tensor) -> Tensor:
    """Return the median of the Marchenko-Pastur law at variance 1.

    Parameters
    ----------
    beta : Tensor, shape (...), floating point
        L/M, in (0, 1].

    Returns
    -------
    Tensor, shape (...)

    Examples
    --------
    >>> marchenko_pastur_median(torch.tensor([0.5, 1.0], dtype=torch.float64))
    tensor([0.8305, 0.6528], dtype=torch.float64)
    """
    lower, upper = (1 - beta.sqrt()).square(), (1 + beta.sqrt()).square()
    minus, plus, circle = 1 - beta, 1 + beta, 2 * pi * beta
    twice, half = 2 * minus, pi * beta
    median = 1 - 0.347 * beta  # right at 0 and 1
    for _ in range(STEPS):
        above, below = upper - median, median - lower
        width, ratio = (above * below).sqrt(), above / below
        root = ratio.sqrt()
        square = minus * torch.atan((lower * ratio - upper) / (twice * root))
        other = plus * torch.atan((ratio - 1) / (2 * root))
        share = (half + width - other + square) / circle  # of the law below, in closed form
        density = width / (circle * median)
        median = median - (share - 0.5) / density
    return median
