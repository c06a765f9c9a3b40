"""P-values by permutation: how often shuffled targets correlate at least as strongly.

References
----------
.. [1] E. J. G. Pitman, "Significance tests which may be applied to samples from any populations.
   II. The correlation coefficient test", J. R. Stat. Soc. Suppl. 4 (1937) 225-232.
.. [2] B. Phipson, G. K. Smyth, "Permutation p-values should never be zero", Stat. Appl. Genet. Mol.
   Biol. 9 (2010) 39.
.. [3] J. Besag, P. Clifford, "Sequential Monte Carlo p-values", Biometrika 78 (1991) 301-304.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import permutations as all_orders
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from genpredict.stats.coefficients import Array
from genpredict.stats.sample import Sample

#: Shuffled values held at a time: 32 MB.
BLOCK = 1 << 22
#: A test that fewer than so many of the first permutations have exceeded goes on to the last.
FEW_EXCEEDED = 50

Orders = NDArray[np.intp]
Pairs = NDArray[np.bool_]


class Test(Protocol):
    """A statistic of every measure and target, and of shuffled targets."""

    strength: Array
    """Observed, shape (m, t); NaN where there is none."""
    tail: Array | None
    """P-values that hold far out, in place of further permutations, shape (m, t)."""

    def exceeded(self, orders: Orders, active: Pairs) -> Array:
        """Count the orders, shape (some, n), whose statistic is at least as large, shape (m, t)."""


def permutation_pvalues(
    tests: Mapping[str, Test],
    sample: Sample,
    *,
    permutations: tuple[int, int],
    rng: np.random.Generator,
) -> dict[str, Array]:
    """Test each measure against each target, two-sided, all with the same permutations [1]_.

    p = (1 + #{s* ≥ s})/(1 + permutations) [2]_; where there are no more than `permutations` orders
    in all, each is taken once, and p = #{s* ≥ s}/(number of orders) is exact. Whole clusters change
    places, so that p holds its level when clusters are exchangeable and their members are not.

    Parameters
    ----------
    tests : mapping of str to Test
    sample : Sample
    permutations : pair of int
        Of every test, and of those that few of the first have exceeded: these go on, so that a
        small p becomes exact where it matters [3]_.
    rng : Generator

    Returns
    -------
    dict of array, shape (m, t)
        NaN where a strength is, and everywhere when no permutation is asked for.

    Notes
    -----
    Exact orders with covariates are none: residuals are not exchangeable to the last. So p is then
    counted as of random orders.
    """
    first, last = permutations
    if last == 0 or not tests:
        return {name: np.full(test.strength.shape, np.nan) for name, test in tests.items()}
    if exact := all_taken(sample, last):
        first = last = exact
    certain = sample.independent == 0 and bool(exact)
    counted = {name: _Counted(test, certain, last > first) for name, test in tests.items()}
    done = 0
    while done < last:
        goal = first if done < first else last
        blocks = _every_order(sample) if exact else random_orders(sample, goal - done, rng)
        for orders in blocks:
            for part in counted.values():
                part.add(orders)
        done = goal
        active = [part.narrow() for part in counted.values()]
        if not any(active):
            break
    return {name: part.pvalues() for name, part in counted.items()}


class _Counted:
    """How many permutations each pair has had, and how many of them exceeded."""

    def __init__(self, test: Test, exact: bool, further: bool) -> None:
        self._test, self._exact = test, exact
        self._tail = test.tail if further else None
        self._active: Pairs = ~np.isnan(test.strength)
        self._exceeded = np.where(self._active, 0.0, np.nan)
        self._total = np.zeros(test.strength.shape)

    def add(self, orders: Orders) -> None:
        if self._active.any():
            more = self._test.exceeded(orders, self._active)
            self._exceeded = np.where(self._active, self._exceeded + more, self._exceeded)
            self._total += self._active * len(orders)

    def narrow(self) -> bool:
        """Keep the pairs that few permutations exceeded; say whether there are any."""
        self._active &= self._exceeded < FEW_EXCEEDED
        if self._tail is not None:
            self._active[:] = False
        return bool(self._active.any())

    def pvalues(self) -> Array:
        added = 0 if self._exact else 1  # the observed order is among all orders already
        with np.errstate(invalid="ignore"):  # NaN is meant where nothing was counted
            counted = np.minimum((added + self._exceeded) / (added + self._total), 1.0)
        if self._tail is None or self._exact:
            return counted
        few = self._exceeded < FEW_EXCEEDED
        return np.where(few, np.minimum(counted, self._tail), counted)


def all_taken(sample: Sample, most: int) -> int:
    """Return the number of orders when all of them are taken, 0 where random ones are.

    Clusters of different sizes have no full set of orders: they do not fit each other's places.

    Examples
    --------
    >>> from genpredict.stats.sample import sample_of
    >>> all_taken(sample_of(np.ones((1, 4)), np.ones((1, 4)), np.ones((0, 4))), 100)
    24
    """
    count = sample.clusters
    if count >= 20 or len(set(sample.sizes.tolist())) > 1:
        return 0
    orders = math.factorial(count)
    return orders if orders <= most else 0


def _every_order(sample: Sample) -> Iterator[Orders]:
    places = all_orders(range(sample.clusters))
    yield block_orders(np.array(list(places), dtype=np.intp), sample, None)


def random_orders(sample: Sample, permutations: int, rng: np.random.Generator) -> Iterator[Orders]:
    """Yield blocks of random orders of checkpoints, whole clusters changing places.

    Parameters
    ----------
    sample : Sample
    permutations : int
    rng : Generator

    Yields
    ------
    array of int, shape (some, n)
    """
    size = max(1, BLOCK // sample.n)
    for first in range(0, permutations, size):
        some = min(size, permutations - first)
        places = rng.permuted(np.tile(np.arange(sample.clusters), (some, 1)), axis=1)
        yield block_orders(places, sample, rng)


def block_orders(places: Orders, sample: Sample, rng: np.random.Generator | None) -> Orders:
    """Return orders of checkpoints from orders of their clusters.

    Parameters
    ----------
    places : array of int, shape (some, clusters)
        Which cluster comes to each one's place.
    sample : Sample
    rng : Generator, optional
        Where sizes differ: a larger cluster gives as many neighbouring members as the place has,
        from a random one on, a smaller one is gone round again.

    Returns
    -------
    array of int, shape (some, n)
    """
    if not sample.clustered:
        return places
    came = places[:, sample.codes]
    within = np.arange(sample.n) - sample.starts[sample.codes]
    if rng is not None and np.ptp(sample.sizes) > 0:
        turn = rng.integers(0, sample.sizes[places])
        within = within + turn[:, sample.codes]
    return np.asarray(sample.starts[came] + within % sample.sizes[came])
