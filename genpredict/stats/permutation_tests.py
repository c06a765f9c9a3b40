"""What permutations test: correlations of columns or residuals, and of all pairs' signs.

References
----------
.. [1] D. Freedman, D. Lane, "A nonstochastic interpretation of reported significance levels", J.
   Business & Econ. Statistics 1 (1983) 292-298.
.. [2] C. J. DiCiccio, J. P. Romano, "Robust permutation tests for correlation and regression
   coefficients", J. Am. Stat. Assoc. 112 (2017) 1211-1220.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from genpredict.stats.coefficients import Array, covariate_basis, unit_residuals
from genpredict.stats.kendall import signs
from genpredict.stats.permutation import BLOCK, Orders, Pairs
from genpredict.stats.sample import Sample

#: Pairs with extremes beyond this are studentized.
MOST_EXTREME = 1.25
#: Correlations as close as this are equal: sums in another order differ by rounding.
EQUAL = 1e-11


class LinearTest:
    """The correlation of columns, or of residuals that are permuted and regressed again [1]_.

    Parameters
    ----------
    x, y, z : array, shape (m, n), (t, n), (k, n)
        Values or ranks of measures, targets and covariates, rows in the sample's order.
    sample : Sample
    robust : bool
        Where a pair has far outliers (max|z_x|·max|z_y|/√n over 1.25, which no permutation
        changes), divide by the standard error under zero correlation: √Σ_g(Σ_{i∈g} x̃ỹ)², g the
        clusters, and by √(1 − r²), as in Student's t. So p tests zero correlation in the limit, not
        only independence [2]_, and without outliers keeps the power of r itself.
    """

    def __init__(self, x: Array, y: Array, z: Array, sample: Sample, *, robust: bool) -> None:
        self._basis = covariate_basis(z if len(z) else None, sample.n)
        self._x, self._y = (unit_residuals(columns, self._basis) for columns in (x, y))
        self._sample = sample
        self.tail: Array | None = None
        self._studentized = robust & (extremes(self._x, self._y) > MOST_EXTREME)
        own = [self._strength(self._x, row[None], self._studentized[:, t]) for t, row in
               enumerate(self._y)]  # fmt: skip
        self.strength = np.concatenate(own, axis=1)

    def exceeded(self, orders: Orders, active: Pairs) -> Array:
        """Count the orders whose statistic is at least as large, shape (m, t)."""
        counts = np.zeros(active.shape)
        wide = self._sample.clustered and bool(self._studentized.any())
        size = max(1, BLOCK // (self._sample.n * (len(self._x) if wide else 1)))
        for t in np.flatnonzero(active.any(0)):
            rows = np.flatnonzero(active[:, t])
            for first in range(0, len(orders), size):
                shuffled = self._y[t][orders[first : first + size]]
                regressed = self._regressed(shuffled)
                null = self._strength(self._x[rows], regressed, self._studentized[rows, t])
                counts[rows, t] += (null >= self.strength[rows, t, None] - EQUAL).sum(1)
        return counts

    def scatter(self, blocks: Iterable[Orders]) -> Array:
        """Return the root mean square of r over orders, given in blocks, shape (m, t)."""
        squares = np.zeros((len(self._x), len(self._y)))
        count = 0
        for orders in blocks:
            count += len(orders)
            for t, row in enumerate(self._y):
                squares[:, t] += ((self._x @ self._regressed(row[orders]).T) ** 2).sum(1)
        return np.asarray(np.sqrt(squares / count))

    def _regressed(self, shuffled: Array) -> Array:
        """Take off what covariates explain of shuffled residuals, and scale to norm 1."""
        if len(self._basis) == 1 and not self._sample.clustered:
            return shuffled
        left = shuffled - (shuffled @ self._basis.T) @ self._basis
        norm = np.linalg.norm(left, axis=1, keepdims=True)
        return left / np.where(norm > EQUAL, norm, np.inf)

    def _strength(self, x: Array, y: Array, studentized: Pairs) -> Array:
        """Return the statistic of every pair of rows, shape (rows of x, rows of y)."""
        strength = np.abs(x @ y.T)
        some = x[studentized]
        if not len(some):
            return strength
        if self._sample.clustered:
            square = (self._sample.per_cluster(some[:, None] * y[None]) ** 2).sum(-1)
        else:
            square = some**2 @ (y**2).T
        square = square * np.maximum(1 - strength[studentized] ** 2, EQUAL)  # so that ±1 is most
        strength[studentized] /= np.sqrt(np.where(square > 0, square, 1.0))
        return np.asarray(strength)


def extremes(x: Array, y: Array) -> Array:
    """Return max|z_x|·max|z_y|/√n of each pair of rows of norm 1, shape (m, t)."""
    n = x.shape[1]
    return np.asarray(np.abs(x).max(1)[:, None] * np.abs(y).max(1)[None] * np.sqrt(n))


class PairsTest:
    """Kendall's τ: ties are the same in every permutation, only Σ sgn·sgn counts.

    Parameters
    ----------
    x, y : array, shape (m, n), (t, n)
        n at most some dozens: all pairs of each permutation are compared.
    tail : array, shape (m, t), optional
        Asymptotic p-values; far out they are the larger ones, for τ is bounded.
    """

    def __init__(self, x: Array, y: Array, tail: Array | None) -> None:
        n = x.shape[1]
        self.tail = tail
        self._x = np.array([signs(column) for column in x]).reshape(len(x), n * n)
        self._y = [signs(column) for column in y]
        observed = np.abs(self._x @ np.array(self._y).reshape(len(y), n * n).T)
        differ = (np.ptp(x, axis=1) > 0)[:, None] & (np.ptp(y, axis=1) > 0)[None]
        self.strength = np.where(differ, observed.astype(np.float64), np.nan)

    def exceeded(self, orders: Orders, active: Pairs) -> Array:
        """Count the orders whose Σ sgn·sgn is at least as large, shape (m, t)."""
        n = orders.shape[1]
        counts = np.zeros(active.shape)
        size = max(1, BLOCK // (n * n))
        for t in np.flatnonzero(active.any(0)):
            rows = np.flatnonzero(active[:, t])
            for first in range(0, len(orders), size):
                some = orders[first : first + size]
                shuffled = self._y[t][some[:, :, None], some[:, None, :]].reshape(len(some), n * n)
                null = np.abs(self._x[rows] @ shuffled.T)  # whole numbers below 2^24: exact
                counts[rows, t] += (null >= self.strength[rows, t, None]).sum(1)
        return counts
