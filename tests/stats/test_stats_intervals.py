"""Intervals: against scipy, by hand at the edges, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from stats_cases import Array, binormal, none_of

from genpredict.inference import MOST_RESAMPLED, Inference
from genpredict.stats import methods
from genpredict.stats.bootstrap import (
    bca_interval,
    bootstrap_pvalue,
    percentile_interval,
    skewed,
)
from genpredict.stats.bounds import resample
from genpredict.stats.coefficients import pearson, spearman
from genpredict.stats.estimation import estimate, methods_of
from genpredict.stats.intervals import fisher_interval, standard_error, t_interval
from genpredict.stats.kendall import kendall, kendall_jackknife, kendall_resampled
from genpredict.stats.methods import left_out_of
from genpredict.stats.resampling import bootstrap_counts
from genpredict.stats.sample import sample_of

RHO, N, TABLES = 0.5, 100, 1000


@pytest.mark.parametrize("n", [5, 11, 400])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_fisher_against_scipy(n: int, level: float) -> None:
    """The bounds of pearsonr(…).confidence_interval()."""
    x, y = binormal(np.random.default_rng(n), n, -0.4)
    found = estimate(x, y, none_of(n), Inference(interval="fisher", level=level, permutations=0))
    by_scipy = stats.pearsonr(x[0], y[0]).confidence_interval(level)
    assert found["plcc_lower"][0, 0] == pytest.approx(by_scipy.low, abs=1e-12)
    assert found["plcc_upper"][0, 0] == pytest.approx(by_scipy.high, abs=1e-12)


def test_fisher_with_covariates_against_theory() -> None:
    """A covariate costs a checkpoint (Fisher 1924)."""
    r = np.array(0.3)
    one_less = fisher_interval(r, 29, 0.95, coefficient="plcc")
    assert fisher_interval(r, 30, 0.95, coefficient="plcc", covariates=1) == one_less


def test_fisher_needs_more_than_three() -> None:
    """NaN, not an infinite or complex width."""
    assert np.isnan(fisher_interval(np.array([0.3]), 3, 0.95, coefficient="plcc")).all()
    assert np.isnan(fisher_interval(np.array([0.3]), 4, 0.95, coefficient="krocc")).all()


def test_percentile_against_numpy() -> None:
    """Linear interpolation, and resamples without a correlation left out."""
    values = np.random.default_rng(0).normal(size=(2, 999))
    holes = np.concatenate([values, np.full((2, 200), np.nan)], axis=1)
    for end, share in zip(percentile_interval(holes, 0.9), (0.05, 0.95), strict=True):
        np.testing.assert_allclose(end, np.quantile(values, share, axis=1), rtol=1e-12)


def test_no_spread_is_no_interval() -> None:
    """Of a perfect correlation every resample is perfect: that says nothing of its error."""
    x = np.arange(12.0)[None]
    for interval in ("auto", "bca", "percentile"):
        found = estimate(x, x, none_of(12), Inference(interval=interval, permutations=0))
        assert found["note"].item().startswith("no interval of PLCC: a perfect correlation")
        for name in ("plcc", "rocc", "krocc"):
            assert found[name][0, 0] == pytest.approx(1)
            assert np.isnan(found[name + "_lower"][0, 0])
            assert np.isnan(found[name + "_upper"][0, 0])


def test_mostly_undefined_resamples_give_no_interval() -> None:
    """A column with one value that differs is constant in more than a third of the resamples."""
    values = np.full((1, 100), np.nan)
    values[0, :40] = np.linspace(0, 1, 40)
    assert np.isnan(percentile_interval(values, 0.95)).all()
    values[0, :60] = np.linspace(0, 1, 60)
    assert np.isfinite(percentile_interval(values, 0.95)).all()


@pytest.mark.parametrize("accelerated", [None, np.array(0.05)])
def test_pvalue_is_where_the_interval_reaches_zero(accelerated: Array | None) -> None:
    """The interval of level 1 − p has 0 for a bound, to the grain of the resamples."""
    resampled = np.random.default_rng(1).normal(0.3, 0.2, 4000)
    estimate_ = np.array(0.29)
    pvalue = float(bootstrap_pvalue(estimate_, resampled, accelerated))
    assert 0.05 < pvalue < 0.3
    if accelerated is None:
        ends = percentile_interval(resampled, 1 - pvalue)
    else:
        ends = bca_interval(estimate_, resampled, accelerated, 1 - pvalue)
    assert min(abs(float(end)) for end in ends) < 0.002


def test_kind_of_interval_by_n() -> None:
    """The jackknife up to 2,000, influence functions above; bootstraps of KROCC up to 1,000."""
    auto = Inference()
    kinds = [auto.interval_for(n) for n in (MOST_RESAMPLED, MOST_RESAMPLED + 1)]
    assert kinds == ["jackknife", "influence"]
    assert auto.interval_for(2001, coefficient="krocc") == "influence"
    asked = Inference(interval="bca")
    kinds = [asked.interval_for(n, coefficient="krocc") for n in (1000, 1001, 2001)]
    assert kinds == ["bca", "jackknife", "jackknife"]
    assert Inference(interval="fisher").interval_for(5000, coefficient="krocc") == "fisher"


def test_krocc_of_many_against_its_bootstrap() -> None:
    """Above 1,000 checkpoints the jackknife's bounds are near those that a bootstrap would give."""
    x, y = binormal(np.random.default_rng(4), 1500, 0.5)
    asked = Inference(interval="percentile", permutations=0)
    found = estimate(x, y, none_of(1500), asked)
    counts = next(bootstrap_counts(1500, 2000, np.random.default_rng(0)))
    resampled = kendall_resampled(x[0], y[0], counts)
    for end, bound in zip(percentile_interval(resampled, 0.95), ("_lower", "_upper"), strict=True):
        assert found["krocc" + bound][0, 0] == pytest.approx(float(end), abs=0.005)


def test_acceleration_from_a_part_against_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random part of the jackknife values estimates the same skewness, and bounds hardly move."""
    x, y = binormal(np.random.default_rng(5), 600, 0.7)
    sample = sample_of(x, y, none_of(600))
    both = [methods_of(sample)[name] for name in ("plcc", "rocc")]
    whole = [skewed(method.left_out(left_out_of(sample, 0)), 600).item() for method in both]
    monkeypatch.setattr(methods, "MOST_JACKKNIFE", 300)
    part = [skewed(method.left_out(left_out_of(sample, 0)), 600).item() for method in both]
    assert min(map(abs, whole)) > 0.001
    assert part == pytest.approx(whole, abs=0.01)


@pytest.fixture(scope="module")
def coverage() -> dict[str, float]:
    """Give the share of 1,000 bivariate-normal tables whose interval holds the truth."""
    rng = np.random.default_rng(2)
    truth = {
        "plcc": RHO,
        "rocc": 6 / np.pi * np.arcsin(RHO / 2),
        "krocc": 2 / np.pi * np.arcsin(RHO),
    }
    held = {f"{kind} {name}": 0 for kind in ("bca", "percentile", "fisher") for name in truth}
    del held["bca krocc"], held["percentile krocc"]
    held["jackknife krocc"] = 0
    for seed in range(TABLES):
        x, y = binormal(rng, N, RHO)
        asked = Inference(resamples=1000, seed=seed)
        found = {"plcc": pearson(x, y), "rocc": spearman(x, y)}
        tau = np.array(kendall(x[0], y[0]))
        sample = sample_of(x, y, none_of(N))
        both = {name: methods_of(sample)[name] for name in ("plcc", "rocc")}
        resampled = resample(both, sample, asked)
        accelerated = {
            name: skewed(method.left_out(np.arange(N)), N) for name, method in both.items()
        }
        ends = {"fisher krocc": fisher_interval(tau, N, 0.95, coefficient="krocc")}
        left = kendall_jackknife(x[0], y[0])
        ends["jackknife krocc"] = t_interval(tau, standard_error(left), 0.95)
        for name, r in found.items():
            ends["bca " + name] = bca_interval(r, resampled[name], accelerated[name], 0.95)
            ends["percentile " + name] = percentile_interval(resampled[name], 0.95)
            ends["fisher " + name] = fisher_interval(r, N, 0.95, coefficient=name)
        for label, (lower, upper) in ends.items():
            held[label] += bool(lower < truth[label.split()[1]] < upper)
    return {label: count / TABLES for label, count in held.items()}


@pytest.mark.parametrize(
    "label",
    [f"{kind} {name}" for kind in ("bca", "percentile", "fisher") for name in ("plcc", "rocc")]
    + ["fisher krocc", "jackknife krocc"],
)
def test_intervals_cover_the_truth_against_theory(coverage: dict[str, float], label: str) -> None:
    """95 % intervals of n = 100 in 93 to 97 % of the tables."""
    assert 0.93 <= coverage[label] <= 0.97


def test_jackknife_of_kendall_against_simulation() -> None:
    """Its standard error is the spread of τ over many tables, also where data are not normal."""
    rng = np.random.default_rng(3)
    taus, errors = [], []
    for _ in range(300):
        x, y = binormal(rng, 200, 0.6)
        x, y = np.exp(x[0]), np.round(y[0], 1) ** 3
        taus.append(kendall(x, y))
        errors.append(standard_error(kendall_jackknife(x, y)))
    assert np.mean(errors) == pytest.approx(np.std(taus), rel=0.12)
