"""How far a difference of two correlations scatters: its interval, its p, its equivalence."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from genpredict.inference import BOOTSTRAP
from genpredict.stats import influence
from genpredict.stats.bootstrap import (
    bca_interval,
    bootstrap_pvalue,
    percentile_interval,
    skewed,
)
from genpredict.stats.coefficients import Array, spearman
from genpredict.stats.intervals import standard_error
from genpredict.stats.methods import Method, Smooth, left_out_of


class Spread:
    """How far a difference of two correlations scatters, by one kind of interval."""

    def __init__(self, method: Method, kind: str, signs: Array, replicates: Array | None) -> None:
        uneven = bool(method.sample.mostly_one_value.any())
        if uneven and kind in BOOTSTRAP:  # resamples repeat what few values do
            kind, replicates = "jackknife", None
        self._sample, self._kind = method.sample, kind
        self._replicates = None if replicates is None else _gap(replicates, signs)
        self._left = None
        if kind in ("bca", "jackknife"):
            self._left = _gap(method.left_out(left_out_of(method.sample, 0)), signs)
        if self._replicates is not None:
            self._error = float(np.nanstd(self._replicates))
        elif kind == "influence" and isinstance(method, Smooth):
            both = [sign * method.influence(i, 0) for i, sign in enumerate(signs)]
            codes = self._sample.codes if self._sample.clustered else None
            self._error = influence.standard_error(both[0] - both[1], codes)
        else:
            assert self._left is not None
            self._error = float(standard_error(self._left))
        if (uneven or method.outlying.any()) and self._replicates is None and self._error > 0:
            self._error = max(self._error, _unrelated_error(method, signs))

    def interval(self, gap: float, level: float) -> tuple[Any, Any, Any]:
        """Return lower and upper bound and p-value."""
        here = np.asarray(gap)
        if self._replicates is None:
            if not self._error > 0:
                return np.nan, np.nan, np.nan
            degrees = self._sample.degrees
            half = stdtrit(degrees, (1 + level) / 2) * self._error
            return gap - half, gap + half, 2 * stdtr(degrees, -abs(gap) / self._error)
        if self._kind == "percentile" or self._left is None:
            pvalue = bootstrap_pvalue(here, self._replicates, None)
            return *percentile_interval(self._replicates, level), pvalue
        accelerated = skewed(self._left, self._sample.clusters)
        ends = bca_interval(here, self._replicates, accelerated, level)
        return *ends, bootstrap_pvalue(here, self._replicates, accelerated)

    def equivalence(self, gap: float, margin: float) -> float:
        """Return the larger p of the two one-sided tests against ± margin."""
        if not self._error > 0:
            return float(abs(gap) >= margin)
        below = stdtr(self._sample.degrees, -(gap + margin) / self._error)
        above = stdtr(self._sample.degrees, (gap - margin) / self._error)
        return float(max(below, above))


def _unrelated_error(method: Method, signs: Array) -> float:
    """Return how far a less b scatters about 0 where the target is related to neither.

    √(e_a² + e_b² − 2·r·e_a·e_b), e the errors of unrelated columns, r = ROCC of a with b.
    """
    errors = method.unrelated_errors[:, 0] * signs
    x = method.sample.x
    square = errors @ errors - 2 * errors.prod() * spearman(x[:1], x[1:]).item()
    return float(np.sqrt(max(float(square), 0.0)))


def _gap(values: Array, signs: Array) -> Array:
    """Return a less b, each times its sign, of shape (2, 1, ...)."""
    return np.asarray(signs[0] * values[0, 0] - signs[1] * values[1, 0])
