"""What a coefficient can do: estimate, replicate, test; and one that is known by its function.

Arrays in, arrays out; m measures, t targets, n checkpoints in clusters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from genpredict.stats import influence
from genpredict.stats.coefficients import Array
from genpredict.stats.permutation import Orders, Pairs, Test, random_orders
from genpredict.stats.sample import Sample

#: Checkpoints or clusters left out in turn; above, a random part of them.
MOST_JACKKNIFE = 2000
#: Random orders that tell how far a coefficient of unrelated columns scatters.
UNRELATED_ORDERS = 400

Counts = NDArray[np.intp]
PairFunction = Callable[[Array, Array], float]


class Method:
    """A coefficient of a sample; what a subclass does not know better is done by its function.

    Parameters
    ----------
    sample : Sample
    function : callable, optional
        Of two columns, shape (n,); returns a number.
    """

    #: Whether it has a form with covariates.
    partial = False

    def __init__(self, sample: Sample, function: PairFunction | None = None) -> None:
        self.sample = sample
        self._function = function

    @cached_property
    def estimate(self) -> Array:
        """The coefficient of each measure and target, shape (m, t); NaN where undefined."""
        if self.sample.independent and not self.partial:
            return np.full((len(self.sample.x), len(self.sample.y)), np.nan)
        return self._estimated()

    def _estimated(self) -> Array:
        return self._of_rows(np.arange(self.sample.n))

    def _of_rows(self, rows: NDArray[np.intp]) -> Array:
        assert self._function is not None
        x, y = self.sample.x[:, rows], self.sample.y[:, rows]
        pairs = [[self._function(one, other) for other in y] for one in x]
        return np.array(pairs, dtype=np.float64).reshape(len(x), len(y))

    def resampled(self, counts: Counts) -> Array:
        """Return the coefficient of resamples, shape (m, t, some), of counts, shape (n, some)."""
        rows = np.arange(self.sample.n)
        parts = [self._of_rows(np.repeat(rows, count)) for count in counts.T]
        return np.stack(parts, axis=-1)

    def left_out(self, which: Counts) -> Array:
        """Return the coefficient without each of some clusters, shape (m, t, len(which))."""
        parts = [self.resampled(counts) for counts in self.sample.left_out(which)]
        return np.concatenate(parts, axis=-1)

    def jackknife_errors(self) -> Array:
        """Return standard errors from leaving out each cluster in turn, shape (m, t)."""
        left = self.left_out(left_out_of(self.sample, 0))
        return np.asarray(np.sqrt((self.sample.clusters - 1) * left.var(-1)))

    def influence_errors(self) -> Array:
        """Return standard errors, shape (m, t): the jackknife's, where no influence is known."""
        return self.jackknife_errors()

    @property
    def outlying(self) -> Pairs:
        """Pairs whose estimate hangs on a few far values, shape (m, t)."""
        return np.zeros(self.estimate.shape, dtype=bool)

    @cached_property
    def unrelated_errors(self) -> Array:
        """How far the coefficient of unrelated columns scatters about 0, shape (m, t)."""
        test = FunctionTest(self)
        squares = [test.squares(order) for orders in self._some_orders() for order in orders]
        return np.asarray(np.sqrt(np.mean(squares, axis=0)))

    def _some_orders(self) -> Iterator[Orders]:
        """Yield random orders, a block at a time."""
        rng = np.random.default_rng(UNRELATED_ORDERS)
        return random_orders(self.sample, UNRELATED_ORDERS, rng)

    def errors(self, kind: str) -> Array:
        """Return standard errors that few values cannot make too small, shape (m, t).

        Where half the values of a column are equal, or a few lie far out, whether these line up
        is one accident. Leaving checkpoints out in turn repeats it, and would find errors near 0;
        so they are at least (1 − r²) times those of unrelated columns.

        Parameters
        ----------
        kind : {"jackknife", "influence"}

        Returns
        -------
        array, shape (m, t)
        """
        errors = self.jackknife_errors() if kind == "jackknife" else self.influence_errors()
        shaky = self.sample.mostly_one_value | self.outlying
        if not shaky.any():
            return errors
        least = (1 - self.estimate**2) * self.unrelated_errors
        return np.asarray(np.where(shaky & (errors > 0), np.maximum(errors, least), errors))

    def test(self) -> Test | None:
        """Return what permutations test, or None where p is asymptotic."""
        return FunctionTest(self)

    def asymptotic_pvalues(self) -> Array:
        """Return p-values without permutations, shape (m, t), of independent checkpoints."""
        return wald_pvalues(self.estimate, self.influence_errors(), self.sample.degrees)


class Smooth(Method):
    """A coefficient whose influence function is known."""

    def influence(self, i: int, t: int) -> Array:
        """Return the influence of each checkpoint on measure i and target t, shape (n,)."""
        raise NotImplementedError

    def influence_errors(self) -> Array:
        """Return standard errors from influence functions, shape (m, t)."""
        errors = np.full(self.estimate.shape, np.nan)
        codes = self.sample.codes if self.sample.clustered else None
        for i, t in np.argwhere(~np.isnan(self.estimate)):
            errors[i, t] = influence.standard_error(self.influence(i, t), codes)
        return errors


class FunctionTest:
    """The absolute value of a coefficient that is known by its function alone."""

    def __init__(self, method: Method) -> None:
        self._method = method
        self.tail: Array | None = None
        self.strength = np.abs(method.estimate)

    def exceeded(self, orders: Orders, active: Pairs) -> Array:
        """Count the orders whose coefficient is at least as strong, shape (m, t)."""
        counts = np.zeros(active.shape)
        function, sample = self._method._function, self._method.sample
        assert function is not None
        for i, t in np.argwhere(active):
            null = [abs(function(sample.x[i], sample.y[t][order])) for order in orders]
            counts[i, t] = (np.array(null) >= self.strength[i, t] - 1e-11).sum()
        return counts

    def squares(self, order: Orders) -> Array:
        """Return the squared coefficient of targets in another order, shape (m, t)."""
        function, sample = self._method._function, self._method.sample
        assert function is not None
        return np.array([[function(x, y[order]) ** 2 for y in sample.y] for x in sample.x])


def wald_pvalues(estimate: Array, errors: Array, degrees: int) -> Array:
    """Return the p at which the interval of `intervals.t_interval` just reaches 0."""
    with np.errstate(divide="ignore", invalid="ignore"):  # ±1, and where there is no error
        strength = np.arctanh(np.abs(estimate)) * (1 - estimate**2) / errors
    return np.asarray(2 * stdtr(degrees, -strength))


def left_out_of(sample: Sample, seed: int) -> Counts:
    """Return which clusters the jackknife leaves out in turn: all, or 2,000 at random."""
    if sample.clusters <= MOST_JACKKNIFE:
        return np.arange(sample.clusters)
    return np.random.default_rng([seed, 2]).choice(sample.clusters, MOST_JACKKNIFE, replace=False)
