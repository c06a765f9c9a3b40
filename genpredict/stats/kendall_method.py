"""Kendall's τ-b: estimate, error and p from one count of all pairs."""

from __future__ import annotations

from functools import cached_property
from itertools import product

import numpy as np

from genpredict.inference import MOST_PAIRWISE
from genpredict.stats import influence
from genpredict.stats.coefficients import Array
from genpredict.stats.kendall import (
    concordance,
    kendall_asymptotic,
    kendall_jackknife,
    kendall_left_out,
    kendall_null_error,
    kendall_of_counts,
    kendall_resampled,
)
from genpredict.stats.kendall_partition import concordance_by_partition
from genpredict.stats.linear_methods import Spearman
from genpredict.stats.methods import Counts, Smooth
from genpredict.stats.permutation import Test
from genpredict.stats.permutation_tests import PairsTest

#: Up to this many checkpoints Kendall's τ is permuted (all pairs of each permutation).
MOST_KENDALL = 64


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

    @cached_property
    def unrelated_errors(self) -> Array:
        """The null distribution's error, ties included; clusters weigh as they do for ρ."""
        x, y, _ = self.sample.ranked
        errors = np.array([[kendall_null_error(one, other) for other in y] for one in x])
        if self.sample.clustered:
            errors = errors * Spearman(self.sample).unrelated_errors * np.sqrt(self.sample.n - 1)
        return errors

    def test(self) -> Test | None:
        """Return the test of τ up to 64 checkpoints; above, its null distribution is normal."""
        if self.sample.n > MOST_KENDALL or self.sample.independent:
            return None
        tail = None if self.sample.clustered else self.asymptotic_pvalues()
        return PairsTest(self.sample.x, self.sample.y, tail)

    def asymptotic_pvalues(self) -> Array:
        """Return p of the normal limit, ties in its variance."""
        return self._passed["pvalue"]
