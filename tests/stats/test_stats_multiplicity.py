"""Holm and Benjamini-Hochberg: against the definitions, scipy, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from genpredict.stats import benjamini_hochberg, holm

PVALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30).map(np.array)


@given(PVALUES)
def test_benjamini_hochberg_against_scipy(pvalues: np.ndarray) -> None:
    """Equal to scipy.stats.false_discovery_control."""
    found = benjamini_hochberg(pvalues)
    np.testing.assert_allclose(found, stats.false_discovery_control(pvalues), atol=1e-12)


@given(PVALUES)
def test_holm_against_stepping_down(pvalues: np.ndarray) -> None:
    """Rejects at 5 % what Holm's steps reject, one after the other until the first failure."""
    rejected = np.zeros(len(pvalues), dtype=bool)
    for step, i in enumerate(np.argsort(pvalues, kind="stable")):
        if pvalues[i] * (len(pvalues) - step) > 0.05:
            break
        rejected[i] = True
    np.testing.assert_array_equal(holm(pvalues) <= 0.05, rejected)


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_missing_tests_do_not_count(adjust: object) -> None:
    """NaN stays NaN, and the shape of the table is kept."""
    assert callable(adjust)
    table = np.array([[0.01, np.nan], [0.2, 0.03]])
    found = adjust(table)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(table))
    np.testing.assert_array_equal(found[~np.isnan(table)], adjust(np.array([0.01, 0.2, 0.03])))
    assert np.isnan(adjust(np.full((2, 2), np.nan))).all()


def simulated() -> tuple[np.ndarray, np.ndarray]:
    """Make 2,000 tables of 40 true null hypotheses and 10 false ones."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(2000, 50))
    z[:, 40:] += 3
    return 2 * stats.norm.sf(np.abs(z)), np.arange(50) < 40


def test_benjamini_hochberg_controls_the_false_discovery_rate_against_theory() -> None:
    """At 10 % of 50 tests of which 40 are null: 8 % expected; far more without adjustment."""
    pvalues, null = simulated()

    def rate(tables: np.ndarray) -> float:
        rejected = tables <= 0.1
        return float(np.mean(rejected[:, null].sum(1) / np.maximum(rejected.sum(1), 1)))

    adjusted = np.array([benjamini_hochberg(table) for table in pvalues])
    assert 0.07 < rate(adjusted) < 0.09
    assert rate(pvalues) > 0.2


def test_holm_controls_any_false_rejection_against_theory() -> None:
    """In at most 5 % of the tables, give or take the simulation's own error."""
    pvalues, null = simulated()
    adjusted = np.array([holm(table) for table in pvalues])
    assert 0.03 < float((adjusted[:, null] <= 0.05).any(1).mean()) < 0.06
