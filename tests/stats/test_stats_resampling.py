"""Resamples as counts: against resamples written out, and scipy.stats.bootstrap, draw for draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from stats_cases import Array, binormal, columns, none_of

from genpredict.inference import Inference
from genpredict.stats import resampling
from genpredict.stats.bounds import resample
from genpredict.stats.coefficients import pearson, spearman
from genpredict.stats.estimation import estimate, methods_of
from genpredict.stats.resampling import Resampler, bootstrap_counts
from genpredict.stats.sample import sample_of

NAMES = ("plcc", "rocc", "krocc")


def resampled(x: Array, y: Array, resamples: int) -> dict[str, Array]:
    """Return PLCC, ROCC and KROCC of resamples."""
    sample = sample_of(x, y, none_of(x.shape[1]))
    return resample(methods_of(sample), sample, Inference(resamples=resamples))


def drawn(n: int, resamples: int, seed: int = 0) -> tuple[Array, Array]:
    """Draw resamples as indices and as counts."""
    counts = list(bootstrap_counts(n, resamples, np.random.default_rng(seed)))
    indices = np.random.default_rng(seed).integers(0, n, (resamples, n))
    return indices, np.concatenate(counts, axis=1)


def test_counts_are_those_of_the_indices_that_scipy_draws() -> None:
    """In blocks as in one go."""
    indices, counts = drawn(7, 40)
    for row, count in zip(indices, counts.T, strict=True):
        np.testing.assert_array_equal(np.bincount(row, minlength=7), count)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batched equals looped: memory limits touch neither draws nor correlations."""
    x, y = columns(np.random.default_rng(0), 3, 25), columns(np.random.default_rng(1), 2, 25, 4)
    whole = resampled(x, y, 60)
    monkeypatch.setattr(resampling, "BLOCK", 7 * 25)
    monkeypatch.setattr(resampling, "RANK_BLOCK", 2 * 25)
    parts = resampled(x, y, 60)
    for name, values in whole.items():
        np.testing.assert_allclose(parts[name], values, rtol=0, atol=1e-13)


@pytest.mark.parametrize("levels", [2, 4, None])
@pytest.mark.parametrize("n", [5, 30])
def test_correlations_of_counts_against_resamples_written_out(n: int, levels: int | None) -> None:
    """PLCC and ROCC of every resample; NaN where a column is constant in it."""
    rng = np.random.default_rng(n)
    x, y = columns(rng, 3, n, levels), columns(rng, 2, n, levels)
    indices, counts = drawn(n, 200)
    columns_ready = Resampler(x, y, none_of(n))
    found = columns_ready.pearson(counts), columns_ready.spearman(counts)
    for b, row in enumerate(indices):
        np.testing.assert_allclose(found[0][..., b], pearson(x[:, row], y[:, row]), atol=1e-12)
        np.testing.assert_allclose(found[1][..., b], spearman(x[:, row], y[:, row]), atol=1e-12)


@pytest.mark.parametrize("levels", [3, None])
def test_partial_correlations_of_counts_against_resamples_written_out(levels: int | None) -> None:
    """Each resample is regressed anew; an indicator that is not drawn drops out."""
    rng = np.random.default_rng(8)
    n = 25
    z = np.concatenate([columns(rng, 1, n, levels), (np.arange(n) < 2)[None] * 1.0])
    x, y = columns(rng, 2, n) + z[0], columns(rng, 2, n) - z[0]
    indices, counts = drawn(n, 100)
    columns_ready = Resampler(x, y, z)
    found = columns_ready.pearson(counts), columns_ready.spearman(counts)
    for b, row in enumerate(indices):
        some = x[:, row], y[:, row], z[:, row]
        np.testing.assert_allclose(found[0][..., b], pearson(*some), atol=1e-9)
        np.testing.assert_allclose(found[1][..., b], spearman(*some), atol=1e-9)


def test_an_outlier_costs_no_digits() -> None:
    """Resamples without it vary a million times less; their sums are taken anew."""
    rng = np.random.default_rng(9)
    x, y = columns(rng, 1, 12), columns(rng, 1, 12)
    x[0, 3] = 1e8
    indices, counts = drawn(12, 100)
    found = Resampler(x, y, none_of(12)).pearson(counts)
    written_out = [pearson(x[:, row], y[:, row])[0, 0] for row in indices]
    np.testing.assert_allclose(found[0, 0], written_out, atol=1e-7)


def test_jackknife_against_leaving_out() -> None:
    """One checkpoint left out in turn is a vector of counts like any other."""
    rng = np.random.default_rng(10)
    x, y = columns(rng, 2, 15), columns(rng, 1, 15, 4)
    methods = methods_of(sample_of(x, y, none_of(15)))
    found = {name: methods[name].left_out(np.arange(15)) for name in ("plcc", "rocc")}
    for i in range(15):
        kept = np.delete(x, i, axis=1), np.delete(y, i, axis=1)
        np.testing.assert_allclose(found["plcc"][..., i], pearson(*kept), atol=1e-12)
        np.testing.assert_allclose(found["rocc"][..., i], spearman(*kept), atol=1e-12)


def statistic(name: str) -> Any:
    """Return a correlation as scipy's bootstrap takes it."""
    test: Any = {"plcc": stats.pearsonr, "rocc": stats.spearmanr, "krocc": stats.kendalltau}[name]
    return lambda x, y: test(x, y).statistic


@pytest.mark.parametrize("method", ["bca", "percentile"])
@pytest.mark.parametrize("name", NAMES)
def test_interval_against_scipy(name: str, method: Any) -> None:
    """The same seed draws the same resamples, so bounds agree to rounding."""
    x, y = binormal(np.random.default_rng(11), 40, 0.6)
    asked = Inference(interval=method, resamples=400, seed=5, permutations=0)
    found = estimate(x, y, none_of(40), asked)
    by_scipy = stats.bootstrap(
        (x[0], y[0]),
        statistic(name),
        paired=True,
        vectorized=False,
        n_resamples=400,
        method={"bca": "BCa"}.get(method, method),
        rng=np.random.default_rng(5),
    ).confidence_interval
    assert found[name + "_lower"][0, 0] == pytest.approx(by_scipy.low, abs=1e-12)
    assert found[name + "_upper"][0, 0] == pytest.approx(by_scipy.high, abs=1e-12)


def test_measures_share_their_resamples() -> None:
    """A measure given twice has the same resamples: its difference is 0 in each of them."""
    x, y = binormal(np.random.default_rng(12), 30, 0.3)
    for values in resampled(np.concatenate([x, x]), y, 50).values():
        np.testing.assert_array_equal(values[0], values[1])
