"""PLCC, ROCC, KROCC and partial correlations: against scipy, regression residuals, statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from stats_cases import Array, columns, none_of

from genpredict.inference import Inference
from genpredict.stats.coefficients import pearson, ranks, spearman
from genpredict.stats.estimation import estimate
from genpredict.stats.kendall import (
    MOST_PAIRWISE,
    concordance_by_partition,
    kendall,
    kendall_jackknife,
    kendall_resampled,
)
from genpredict.stats.ranked import RankedColumn

LEVELS = [2, 5, None]


def expected(name: str, x: Array, y: Array) -> float:
    """Correlate by scipy; NaN where a column is constant, of which scipy warns."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    test = {"plcc": stats.pearsonr, "rocc": stats.spearmanr, "krocc": stats.kendalltau}[name]
    return float(test(x, y).statistic)


FEW = st.sampled_from([-2.0, -1.0, 0.0, 0.5, 3.0, np.nan])
MANY = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)


@settings(deadline=None, max_examples=150)
@given(st.integers(3, 40).flatmap(lambda n: arrays(float, (4, n), elements=st.one_of(FEW, MANY))))
def test_every_table_against_scipy(table: Array) -> None:
    """Random, tied and NaN-laden: rows with a NaN leave their pair, and n counts the rest."""
    x, y = table[:2], table[2:]
    asked = Inference(min_n=3, interval="fisher", permutations=0)
    found = estimate(x, y, none_of(x.shape[1]), asked)
    for i, j in np.ndindex(2, 2):
        there = ~np.isnan(x[i] + y[j])
        assert found["n"][i, j] == there.sum()
        for name in ("plcc", "rocc", "krocc"):
            if there.sum() < 3:
                assert np.isnan(found[name][i, j])
                continue
            by_scipy = expected(name, x[i][there], y[j][there])
            if name == "plcc" and nearly_constant(x[i][there], y[j][there]):
                continue
            np.testing.assert_allclose(found[name][i, j], by_scipy, rtol=0, atol=1e-12)


def nearly_constant(x: Array, y: Array) -> bool:
    """Say where Pearson's r has lost its digits in any program: spread below 1e-6 of the size."""
    return any(0 < np.ptp(column) < 1e-6 * np.abs(column).max() for column in (x, y))


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("n", [3, 50, MOST_PAIRWISE + 500])
def test_kendall_against_scipy(n: int, levels: int | None) -> None:
    """By comparing all pairs, and by merging above 1,000 checkpoints."""
    x, y = columns(np.random.default_rng(n), 2, n, levels)
    y += x
    assert kendall(x, y) == pytest.approx(expected("krocc", x, y), abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("n", [1, 2, 3, 17, 64, 130])
def test_concordance_against_all_pairs(n: int, levels: int | None) -> None:
    """The merge sort counts what the double sum of signs counts, ties included."""
    x, y = columns(np.random.default_rng(n), 2, n, levels)
    signs = np.sign(x[:, None] - x) * np.sign(y[:, None] - y)
    np.testing.assert_array_equal(
        concordance_by_partition(RankedColumn(x), RankedColumn(y)), signs.sum(1)
    )


@pytest.mark.parametrize("levels", LEVELS)
def test_kendall_jackknife_against_scipy(levels: int | None) -> None:
    """One checkpoint left out in turn."""
    x, y = columns(np.random.default_rng(1), 2, 25, levels)
    left = [expected("krocc", np.delete(x, i), np.delete(y, i)) for i in range(25)]
    np.testing.assert_allclose(kendall_jackknife(x, y), left, atol=1e-12)


@pytest.mark.parametrize("levels", LEVELS)
def test_kendall_resampled_against_scipy(levels: int | None) -> None:
    """Counts give what the same draws, written out, give."""
    rng = np.random.default_rng(2)
    x, y = columns(rng, 2, 20, levels)
    drawn = rng.integers(0, 20, (50, 20))
    counts = np.stack([np.bincount(row, minlength=20) for row in drawn], axis=1)
    written_out = [expected("krocc", x[row], y[row]) for row in drawn]
    np.testing.assert_allclose(kendall_resampled(x, y, counts), written_out, atol=1e-12)


def test_constant_columns_are_nan() -> None:
    """In every coefficient, and without a warning."""
    x, y = np.ones((1, 10)), np.arange(10.0)[None]
    for one, other in ((x, y), (y, x), (x, x)):
        assert np.isnan(pearson(one, other)).all()
        assert np.isnan(spearman(one, other)).all()
        assert np.isnan(kendall(one[0], other[0]))


def test_scale_does_not_matter() -> None:
    """From 1e-200 to 1e200: squares neither overflow nor vanish."""
    x, y = columns(np.random.default_rng(3), 2, 30)[:, None]
    for scale in (1e-200, 1e-6, 1e6, 1e200):
        np.testing.assert_allclose(pearson(scale * x, y), pearson(x, y), rtol=1e-12)


def residuals_by_regression(column: Array, covariates: Array) -> Array:
    """Take off the least-squares fit on covariates and a constant."""
    design = np.vstack([np.ones_like(column), covariates]).T
    return np.asarray(column - design @ np.linalg.lstsq(design, column)[0])


@pytest.mark.parametrize("count", [1, 3])
def test_partial_against_regression_residuals(count: int) -> None:
    """Linear on the values, rank on the ranks."""
    rng = np.random.default_rng(4)
    z = columns(rng, count, 40)
    x, y = (columns(rng, 2, 40) + z.sum(0) for _ in range(2))
    for i, j in np.ndindex(2, 2):
        left = [residuals_by_regression(column, z) for column in (x[i], y[j])]
        assert pearson(x, y, z)[i, j] == pytest.approx(np.corrcoef(*left)[0, 1], abs=1e-12)
        left = [residuals_by_regression(ranks(column), ranks(z)) for column in (x[i], y[j])]
        assert spearman(x, y, z)[i, j] == pytest.approx(np.corrcoef(*left)[0, 1], abs=1e-12)


def test_partial_against_statsmodels() -> None:
    """The correlation of the residuals of two fits, by statsmodels' OLS."""
    api = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed")
    rng = np.random.default_rng(5)
    z = columns(rng, 2, 40)
    x, y = (columns(rng, 1, 40) + z.sum(0) for _ in range(2))
    design = api.add_constant(z.T)
    left = [api.OLS(column[0], design).fit().resid for column in (x, y)]
    assert pearson(x, y, z)[0, 0] == pytest.approx(np.corrcoef(*left)[0, 1], abs=1e-12)


def test_partial_of_redundant_covariates() -> None:
    """One given twice, or constant, changes nothing; one that is the measure leaves NaN."""
    rng = np.random.default_rng(6)
    x, y, z = columns(rng, 3, 30)[:, None]
    redundant = np.concatenate([z, 2 * z + 1, np.ones((1, 30))])
    np.testing.assert_allclose(pearson(x, y, redundant), pearson(x, y, z), rtol=1e-12)
    assert np.isnan(pearson(x, y, 3 * x)).all()
