"""P-values by permutation: against all orders written out, and by simulation."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy import stats
from stats_cases import binormal, columns, none_of, pvalues

from genpredict.stats.kendall_method import MOST_KENDALL

TESTS = {"plcc": stats.pearsonr, "rocc": stats.spearmanr, "krocc": stats.kendalltau}


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("levels", [3, None])
@pytest.mark.parametrize("name", TESTS)
def test_few_checkpoints_against_all_orders(name: str, levels: int | None) -> None:
    """Exact: the share of the 120 orders that correlate as strongly."""
    x, y = columns(np.random.default_rng(6), 2, 5, levels)
    found = pvalues(x[None], y[None], none_of(5), 500, rng())
    r = [abs(TESTS[name](x, y[list(order)]).statistic) for order in permutations(range(5))]
    assert found[name][0, 0] == pytest.approx(np.mean(np.array(r) >= r[0] - 1e-9), abs=1e-12)


@pytest.mark.parametrize("n", [40, MOST_KENDALL])
@pytest.mark.parametrize("name", TESTS)
def test_many_checkpoints_against_scipy(name: str, n: int) -> None:
    """For normal data, near the p-value of the usual test."""
    x, y = binormal(np.random.default_rng(n), n, 0.2)
    found = pvalues(x, y, none_of(n), 9999, rng())
    assert found[name][0, 0] == pytest.approx(TESTS[name](x[0], y[0]).pvalue, abs=0.02)


@pytest.mark.parametrize("name", TESTS)
def test_uniform_under_independence_against_theory(name: str) -> None:
    """Skewed measures that have nothing to do with the target: Kolmogorov-Smirnov."""
    independent = np.exp(columns(np.random.default_rng(1), 500, 25))
    y = columns(np.random.default_rng(2), 1, 25) ** 3
    found = pvalues(independent, y, none_of(25), 2000, rng())
    assert stats.kstest(found[name].ravel(), "uniform").pvalue > 0.001


def test_uniform_under_conditional_independence_against_theory() -> None:
    """Measure and target that share a covariate alone; without it, p is far from uniform."""
    generator = np.random.default_rng(3)
    shares: dict[str, list[float]] = {"plcc": [], "rocc": [], "plain": []}
    for _ in range(300):
        z = columns(generator, 1, 30)
        x, y = columns(generator, 1, 30) + 0.7 * z, columns(generator, 1, 30) + 0.7 * z
        found = pvalues(x, y, z, 199, generator)
        assert set(found) == {"plcc", "rocc"}
        for name, pvalue in found.items():
            shares[name].append(pvalue.item())
        plain = pvalues(x, y, none_of(30), 199, generator)
        shares["plain"].append(plain["plcc"].item())
    for name in ("plcc", "rocc"):
        assert stats.kstest(shares[name], "uniform").pvalue > 0.001
    assert stats.kstest(shares["plain"], "uniform").pvalue < 1e-9


def test_never_zero() -> None:
    """(1 + 0)/(1 + permutations) at least (Phipson & Smyth 2010)."""
    x = np.arange(40.0)[None]
    found = pvalues(x, x, none_of(40), 99, rng())
    for name in TESTS:
        assert found[name][0, 0] == 1 / 100


def test_constant_columns_are_nan() -> None:
    """In every coefficient, and without a warning."""
    for n in (10, MOST_KENDALL):
        x = np.stack([np.ones(n), np.arange(n, dtype=float)])
        found = pvalues(x, x[1:], none_of(n), 50, rng())
        for name in TESTS:
            np.testing.assert_array_equal(np.isnan(found[name]), [[True], [False]])
