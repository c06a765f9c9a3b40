"""What each coefficient can do: estimate, replicate, test. One class a coefficient.

Arrays in, arrays out; m measures, t targets, n checkpoints in clusters.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr

from genpredict.inference import MOST_PAIRWISE
from genpredict.stats import influence
from genpredict.stats.coefficients import (
    Array,
    covariate_basis,
    pearson,
    ranks,
    unit_residuals,
)
from genpredict.stats.kendall import (
    concordance,
    concordance_by_partition,
    kendall_asymptotic,
    kendall_jackknife,
    kendall_left_out,
    kendall_of_counts,
    kendall_resampled,
)
from genpredict.stats.permutation import LinearTest, Orders, Pairs, PairsTest, Test, extremes
from genpredict.stats.sample import Sample

#: Up to this many checkpoints Kendall's τ is permuted (all pairs of each permutation).
MOST_KENDALL = 64
#: Checkpoints or clusters left out in turn; above, a random part of them.
MOST_JACKKNIFE = 2000
#: Extremes so mild that r's t distribution holds far out: max|z_x|·max|z_y|/√n at most this.
MILD = 1.0

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


class Pearson(Smooth):
    """Pearson's r, plain or partial."""

    partial = True

    def _estimated(self) -> Array:
        return pearson(self.sample.x, self.sample.y, self.sample.z)

    def resampled(self, counts: Counts) -> Array:
        """Return r of resamples, shape (m, t, some)."""
        return self.sample.resampler.pearson(counts)

    @cached_property
    def _units(self) -> tuple[Array, Array]:
        basis = covariate_basis(self.sample.z, self.sample.n)
        return unit_residuals(self.sample.x, basis), unit_residuals(self.sample.y, basis)

    def influence(self, i: int, t: int) -> Array:
        """Return ψ of r, shape (n,)."""
        return influence.pearson_influence(self._units[0][i], self._units[1][t])

    def test(self) -> Test:
        """Return the test of r, robust to outliers unless all orders are taken (up to 7 draws)."""
        sample = self.sample
        return LinearTest(sample.x, sample.y, sample.z, sample, robust=sample.clusters > 7)

    def asymptotic_pvalues(self) -> Array:
        """Return p by Student's t, or studentized where a column has far outliers."""
        x, y = self._units
        n = self.sample.n
        of_t = _by_t(self.estimate, n - 2 - self.sample.independent)
        mild = extremes(x, y) <= MILD
        square = x**2 @ (y**2).T
        with np.errstate(invalid="ignore", divide="ignore"):  # NaN is meant
            robust = 2 * ndtr(-np.abs(self.estimate) / np.sqrt(square))
        return np.where(mild, of_t, robust)


class Spearman(Smooth):
    """Spearman's ρ, plain or partial."""

    partial = True

    def _estimated(self) -> Array:
        return pearson(*self._ranks)

    @cached_property
    def _ranks(self) -> list[Array]:
        """Centred mid-ranks of measures, targets and covariates."""
        return [
            np.stack([column.centred for column in columns])
            if columns
            else np.empty((0, self.sample.n))
            for columns in self.sample.ranked
        ]

    def resampled(self, counts: Counts) -> Array:
        """Return ρ of resamples, shape (m, t, some)."""
        return self.sample.resampler.spearman(counts)

    def influence(self, i: int, t: int) -> Array:
        """Return ψ of ρ, shape (n,)."""
        x, y, z = self.sample.ranked
        return influence.spearman_influence(x[i], y[t], z)

    @cached_property
    def residual_ranks(self) -> tuple[Array, Array]:
        """Ranks of what least squares on the covariates leaves: probability-scale residuals."""
        sample = self.sample
        if not sample.independent:
            return self._ranks[0], self._ranks[1]
        basis = covariate_basis(sample.z, sample.n)
        x, y = (unit_residuals(columns, basis) for columns in (sample.x, sample.y))
        return tuple(np.where(np.isnan(left), np.nan, ranks(left)) for left in (x, y))  # type: ignore[return-value]  # two rows

    def test(self) -> Test:
        """Return the test of ρ; with covariates, of independence given them."""
        x, y = self.residual_ranks
        return LinearTest(x, y, self.sample.z, self.sample, robust=False)

    def asymptotic_pvalues(self) -> Array:
        """Return p by Student's t."""
        x, y = self.residual_ranks
        return _by_t(pearson(x, y, self.sample.z), self.sample.n - 2 - self.sample.independent)


class Kendall(Smooth):
    """Kendall's τ-b; it has no accepted form for several covariates, so none here."""

    def _estimated(self) -> Array:
        return np.asarray(self._passed["estimate"])

    @cached_property
    def _passed(self) -> dict[str, Array]:
        """Estimate, asymptotic p and standard error, from one count of all pairs a pair."""
        sample = self.sample
        x, y, _ = sample.ranked
        passed = {
            name: np.full((len(x), len(y)), np.nan) for name in ("estimate", "pvalue", "error")
        }
        codes = sample.codes if sample.clustered else None
        for (i, one), (t, other) in product(enumerate(x), enumerate(y)):
            counts = (
                concordance(sample.x[i], sample.y[t])
                if sample.n <= MOST_PAIRWISE
                else concordance_by_partition(one, other)
            )
            passed["estimate"][i, t] = kendall_of_counts(counts, one, other)
            passed["pvalue"][i, t] = kendall_asymptotic(float(counts.sum()), one, other)
            if not np.isnan(passed["estimate"][i, t]):
                psi = influence.kendall_influence(counts, one, other)
                passed["error"][i, t] = influence.standard_error(psi, codes)
        return passed

    def resampled(self, counts: Counts) -> Array:
        """Return τ of resamples, shape (m, t, some)."""
        x, y = self.sample.x, self.sample.y
        return np.array([[kendall_resampled(one, other, counts) for other in y] for one in x])

    def left_out(self, which: Counts) -> Array:
        """Return τ without each of some clusters, shape (m, t, len(which))."""
        sample, shape = self.sample, (*self.estimate.shape, len(which))
        values = np.full(shape, np.nan)
        for i, t in np.argwhere(~np.isnan(self.estimate)):
            pair = sample.x[i], sample.y[t]
            every = (
                kendall_left_out(*pair, sample.starts)
                if sample.clustered
                else kendall_jackknife(*pair)
            )
            values[i, t] = every[which]
        return values

    def influence(self, i: int, t: int) -> Array:
        """Return ψ of τ-b, shape (n,)."""
        x, y, _ = self.sample.ranked
        counts = concordance(self.sample.x[i], self.sample.y[t])
        return influence.kendall_influence(counts, x[i], y[t])

    def influence_errors(self) -> Array:
        """Return standard errors from influence functions, shape (m, t)."""
        return self._passed["error"]

    def test(self) -> Test | None:
        """Return the test of τ up to 64 checkpoints; above, its null distribution is normal."""
        if self.sample.n > MOST_KENDALL or self.sample.independent:
            return None
        tail = None if self.sample.clustered else self.asymptotic_pvalues()
        return PairsTest(self.sample.x, self.sample.y, tail)

    def asymptotic_pvalues(self) -> Array:
        """Return p of the normal limit, ties in its variance."""
        return self._passed["pvalue"]


def _by_t(r: Array, degrees: int) -> Array:
    """Return the two-sided p of a correlation by Student's t."""
    with np.errstate(divide="ignore"):  # r = ±1 has p 0
        strength = np.abs(r) * np.sqrt(degrees / (1 - r**2))
    return np.asarray(2 * stdtr(degrees, -strength))


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
