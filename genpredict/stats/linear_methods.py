"""Pearson's r and Spearman's ρ: correlations of values and of ranks, plain or partial."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.special import ndtr, stdtr

from genpredict.stats import influence
from genpredict.stats.coefficients import (
    Array,
    covariate_basis,
    pearson,
    ranks,
    unit_residuals,
)
from genpredict.stats.methods import Counts, Smooth
from genpredict.stats.permutation import Pairs, Test
from genpredict.stats.permutation_tests import MOST_EXTREME, LinearTest, extremes

#: Extremes so mild that r's t distribution holds far out: max|z_x|·max|z_y|/√n at most this.
MILD = 1.0


class _Linear(Smooth):
    """A correlation of columns that are made first: values, or their ranks."""

    partial = True

    @property
    def _tested(self) -> tuple[Array, Array]:
        """Columns whose correlation permutations test, shape (m, n) and (t, n)."""
        raise NotImplementedError

    @cached_property
    def unrelated_errors(self) -> Array:
        """1/√degrees, which all columns share; of clusters, from random block orders."""
        sample = self.sample
        if not sample.clustered:
            return np.full(self.estimate.shape, 1 / np.sqrt(sample.degrees))
        test = LinearTest(*self._tested, sample.z, sample, robust=False)
        return test.scatter(self._some_orders())


class Pearson(_Linear):
    """Pearson's r, plain or partial."""

    def _estimated(self) -> Array:
        return pearson(self.sample.x, self.sample.y, self.sample.z)

    def resampled(self, counts: Counts) -> Array:
        """Return r of resamples, shape (m, t, some)."""
        return self.sample.resampler.pearson(counts)

    @cached_property
    def _units(self) -> tuple[Array, Array]:
        basis = covariate_basis(self.sample.z, self.sample.n)
        return unit_residuals(self.sample.x, basis), unit_residuals(self.sample.y, basis)

    @property
    def _tested(self) -> tuple[Array, Array]:
        return self.sample.x, self.sample.y

    @cached_property
    def outlying(self) -> Pairs:
        """Pairs whose extremes are as far out as those that permutations studentize."""
        return extremes(*self._units) > MOST_EXTREME

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


class Spearman(_Linear):
    """Spearman's ρ, plain or partial."""

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

    @property
    def _tested(self) -> tuple[Array, Array]:
        return self.residual_ranks

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


def _by_t(r: Array, degrees: int) -> Array:
    """Return the two-sided p of a correlation by Student's t."""
    with np.errstate(divide="ignore"):  # r = ±1 has p 0
        strength = np.abs(r) * np.sqrt(degrees / (1 - r**2))
    return np.asarray(2 * stdtr(degrees, -strength))
