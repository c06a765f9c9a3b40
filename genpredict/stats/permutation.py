"""P-values by permutation: how often shuffled targets correlate at least as strongly.

References
----------
.. [1] E. J. G. Pitman, "Significance tests which may be applied to samples from any populations.
   II. The correlation coefficient test", J. R. Stat. Soc. Suppl. 4 (1937) 225-232.
.. [2] B. Phipson, G. K. Smyth, "Permutation p-values should never be zero", Stat. Appl. Genet. Mol.
   Biol. 9 (2010) 39.
.. [3] D. Freedman, D. Lane, "A nonstochastic interpretation of reported significance levels", J.
   Business & Econ. Statistics 1 (1983) 292-298.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import permutations as all_orders

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from genpredict.stats.coefficients import Array, covariate_basis, ranks, unit_residuals
from genpredict.stats.kendall import signs

#: Shuffled values held at a time: 32 MB.
BLOCK = 1 << 22
#: Up to this many checkpoints Kendall's τ is permuted too (all pairs of each permutation).
MOST_KENDALL = 64
#: Correlations as close as this are equal: sums in another order differ by rounding.
_EQUAL = 1e-11

Orders = NDArray[np.intp]


def permutation_pvalues(
    x: Array, y: Array, z: Array, *, permutations: int, rng: np.random.Generator
) -> dict[str, Array]:
    """Test each measure against each target, two-sided, all with the same permutations [1]_.

    p = (1 + #{|r*| ≥ |r|})/(1 + permutations) [2]_; where there are no more than `permutations`
    orders in all, each is taken once, and p = #{|r*| ≥ |r|}/n! is exact.

    Parameters
    ----------
    x : array, shape (m, n)
    y : array, shape (t, n)
    z : array, shape (k, n)
        Covariates, possibly none.
    permutations : int
    rng : Generator

    Returns
    -------
    dict of array, shape (m, t)
        `plcc`, `rocc`, and `krocc` where there are no covariates. NaN where a correlation is.

    Notes
    -----
    With covariates the residuals of the target are permuted and regressed again [3]_. Kendall's τ
    is permuted up to 64 checkpoints; above, its null distribution is normal for all purposes, and
    p is that of ``scipy.stats.kendalltau``.
    """
    n = x.shape[1]
    tests: dict[str, _Linear | _Pairs] = {
        "plcc": _Linear(x, y, z),
        "rocc": _Linear(ranks(x), ranks(y), ranks(z) if len(z) else z),
    }
    if len(z) == 0 and n <= MOST_KENDALL:
        tests["krocc"] = _Pairs(x, y)
    exact = n < 20 and math.factorial(n) <= permutations
    added = 0 if exact else 1  # the observed order is among all orders already
    total = added
    for orders in _every_order(n) if exact else _random_orders(n, permutations, rng):
        total += len(orders)
        for test in tests.values():
            test.add(orders)
    found = {name: (added + test.exceeded) / total for name, test in tests.items()}
    if len(z) == 0 and "krocc" not in found:
        found["krocc"] = _asymptotic(x, y)
    return found


class _Linear:
    """Counts permutations whose correlation is at least as strong."""

    def __init__(self, x: Array, y: Array, z: Array) -> None:
        self._basis = covariate_basis(z, x.shape[1])
        self._x, self._y = (unit_residuals(columns, self._basis) for columns in (x, y))
        self._strength = np.abs(self._x @ self._y.T)
        self.exceeded = np.where(np.isnan(self._strength), np.nan, 0.0)

    def add(self, orders: Orders) -> None:
        for t, column in enumerate(self._y):
            shuffled = column[orders]
            null = np.abs(self._x @ shuffled.T)
            if len(self._basis) > 1:
                explained = ((shuffled @ self._basis.T) ** 2).sum(1)
                null = null / np.sqrt(np.maximum(1 - explained, _EQUAL))
            self.exceeded[:, t] += (null >= self._strength[:, t, None] - _EQUAL).sum(1)


class _Pairs:
    """The same for Kendall's τ: ties are the same in every permutation, only Σ signs counts."""

    def __init__(self, x: Array, y: Array) -> None:
        n = x.shape[1]
        self._x = np.array([signs(column) for column in x]).reshape(len(x), n * n)
        self._y = [signs(column) for column in y]
        self._strength = np.abs(self._x @ np.array(self._y).reshape(len(y), n * n).T)
        differ = (np.ptp(x, axis=1) > 0)[:, None] & (np.ptp(y, axis=1) > 0)[None]
        self.exceeded = np.where(differ, 0.0, np.nan)

    def add(self, orders: Orders) -> None:
        n = orders.shape[1]
        size = max(1, BLOCK // (n * n))
        for first in range(0, len(orders), size):
            some = orders[first : first + size]
            for t, column in enumerate(self._y):
                shuffled = column[some[:, :, None], some[:, None, :]].reshape(len(some), n * n)
                null = np.abs(self._x @ shuffled.T)  # whole numbers below 2^24: exact
                self.exceeded[:, t] += (null >= self._strength[:, t, None]).sum(1)


def _every_order(n: int) -> Iterator[Orders]:
    yield np.array(list(all_orders(range(n))), dtype=np.intp)


def _random_orders(n: int, permutations: int, rng: np.random.Generator) -> Iterator[Orders]:
    size = max(1, BLOCK // n)
    for first in range(0, permutations, size):
        some = min(size, permutations - first)
        yield rng.permuted(np.tile(np.arange(n), (some, 1)), axis=1)


def _asymptotic(x: Array, y: Array) -> Array:
    found = np.full((len(x), len(y)), np.nan)
    for i, t in np.ndindex(found.shape):
        if np.ptp(x[i]) > 0 and np.ptp(y[t]) > 0:
            found[i, t] = kendalltau(x[i], y[t]).pvalue
    return found
