"""Differences of two measures' correlations, and correlations within the top."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from stats_cases import scores_of

from genpredict.errors import GenpredictError
from genpredict.stats import correlate, difference, top_fraction
from genpredict.stats.top import best_of


def two_measures(n: int, gap: float, seed: int) -> xr.Dataset:
    """Make measures a and b of a target, alike but for noise; a is better by less noise."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=n)
    shared = rng.normal(size=n)
    a, b = (y + shared + scale * rng.normal(size=n) for scale in (1.0, 1.0 + gap))
    return xr.Dataset(
        {"a": ("checkpoint", a), "b": ("checkpoint", b)},
        coords={"checkpoint": np.arange(n), "test_accuracy": ("checkpoint", y)},
    )


@pytest.mark.parametrize("interval", ["bca", "percentile"])
def test_difference_against_scipy(interval: Any) -> None:
    """The bootstrap of scipy, of the difference itself, from the same draws."""
    scores = two_measures(30, 1.0, 0)
    found = difference(scores, "a", "b", interval=interval, resamples=300, seed=5).squeeze()

    def gap(name: str) -> Any:
        test: Any = {"plcc": stats.pearsonr, "rocc": stats.spearmanr, "krocc": stats.kendalltau}
        return lambda a, b, y: test[name](a, y).statistic - test[name](b, y).statistic

    columns = tuple(scores[name].values for name in ("a", "b", "test_accuracy"))
    for name in ("plcc", "rocc", "krocc"):
        by_scipy = stats.bootstrap(
            columns,
            gap(name),
            paired=True,
            vectorized=False,
            n_resamples=300,
            method={"bca": "BCa"}.get(interval, interval),
            rng=np.random.default_rng(5),
        ).confidence_interval
        assert float(found[name + "_difference"]) == pytest.approx(gap(name)(*columns), abs=1e-12)
        assert float(found[name + "_lower"]) == pytest.approx(by_scipy.low, abs=1e-12)
        assert float(found[name + "_upper"]) == pytest.approx(by_scipy.high, abs=1e-12)


def test_difference_is_surer_than_two_intervals() -> None:
    """What the measures share cancels: the interval is narrower than either one's own."""
    scores = two_measures(200, 1.0, 1)
    found = difference(scores, "a", "b", resamples=500).squeeze()
    table = correlate(scores, measures=["a", "b"], resamples=500, permutations=0).squeeze()
    width = float(found["plcc_upper"] - found["plcc_lower"])
    own = (table["plcc_upper"] - table["plcc_lower"]).values
    assert width < own.sum() / np.sqrt(2)
    assert float(found["plcc_a"]) == pytest.approx(float(table["plcc"][0]), abs=1e-12)


@pytest.mark.parametrize(("n", "tables", "power"), [(60, 60, 0.5), (1200, 8, 1.0)])
def test_pvalue_of_difference_against_theory(n: int, tables: int, power: float) -> None:
    """Two measures that are equally good differ at 5 % in few tables; a worse one in most."""

    def rejected(gap: float, name: str) -> float:
        found = [
            difference(two_measures(n, gap, s), "a", "b", resamples=300) for s in range(tables)
        ]
        return float(np.mean([table[name].item() < 0.05 for table in found]))

    for name in ("plcc_pvalue", "rocc_pvalue", "krocc_pvalue"):
        assert rejected(0.0, name) <= 0.15
        assert rejected(3.0, name) >= power


def test_difference_of_a_measure_from_itself() -> None:
    """0, with no interval: no resample differs."""
    found = difference(two_measures(30, 1.0, 2), "a", "a", resamples=100).squeeze()
    for name in ("plcc", "rocc", "krocc"):
        assert float(found[name + "_difference"]) == 0
        assert np.isnan(float(found[name + "_lower"]))
        assert np.isnan(float(found[name + "_pvalue"]))


def test_absolute_difference_of_opposites() -> None:
    """A measure and its negative are equally strong, and differ in sign."""
    scores = two_measures(40, 1.0, 3)
    scores["b"] = -scores["a"]
    signed = difference(scores, "a", "b", resamples=100).squeeze()
    absolute = difference(scores, "a", "b", resamples=100, absolute=True).squeeze()
    assert float(signed["plcc_difference"]) == pytest.approx(2 * float(signed["plcc_a"]))
    assert float(absolute["plcc_difference"]) == pytest.approx(0, abs=1e-12)


def test_difference_counts_checkpoints_that_both_measures_have() -> None:
    """By group, too; small ones are NaN."""
    scores = scores_of(30)
    scores["num_layers"][:2] = np.nan
    found = difference(scores, "Q_low_rank_p2", "num_layers", by="network", resamples=50)
    np.testing.assert_array_equal(found["n"].isel(target=0), [28, 9, 9, 10])
    few = difference(scores, "Q_low_rank_p2", "num_layers", by="network", min_n=11, resamples=50)
    assert few["plcc_difference"].isel(group=slice(1, None)).isnull().all()
    assert few.attrs["a"] == "Q_low_rank_p2"


def test_difference_with_covariates() -> None:
    """Partial correlations of each; KROCC has none."""
    scores = scores_of(30)
    found = difference(scores, "Q_raw_p1", "num_layers", partial="num_rank_one", resamples=50)
    table = correlate(scores, partial="num_rank_one", resamples=50, permutations=0)
    np.testing.assert_allclose(
        found["rocc_a"].squeeze(), table["rocc"].sel(measure="Q_raw_p1").squeeze(), atol=1e-12
    )
    assert found["krocc_difference"].isnull().all()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"a": "Q"}, r"a: 'Q' has 4 columns; name one of Q_raw_p1"),
        ({"b": "nothing"}, r"b: no 'nothing' in these scores"),
        ({"interval": "fisher"}, r"interval: Fisher's does not fit two measures of the same"),
    ],
)
def test_difference_refuses(options: dict[str, Any], text: str) -> None:
    """The error names the parameter and the remedy."""
    with pytest.raises(GenpredictError, match=text):
        difference(scores_of(), **({"a": "Q_raw_p1", "b": "num_layers"} | options))


def test_top_fraction_against_subset() -> None:
    """Within the best tenth by accuracy, as if the others were not there."""
    scores = scores_of(100)
    asked: dict[str, Any] = {"interval": "fisher", "permutations": 0}
    found = top_fraction(scores, targets="test_accuracy", **asked)
    cut = np.sort(scores["test_accuracy"].values)[-10]
    subset = correlate(scores.isel(checkpoint=scores["test_accuracy"].values >= cut), **asked)
    for name in ("n", "plcc", "rocc", "krocc"):
        np.testing.assert_allclose(
            found[name].sel(selection="target", target="test_accuracy"),
            subset[name].sel(target="test_accuracy"),
            atol=1e-12,
        )


def test_top_by_measure_and_overlap() -> None:
    """The ten best by a measure, how many of them are among the ten best by accuracy."""
    scores = scores_of(100)
    found = top_fraction(scores, permutations=0, interval="fisher").sel(measure="Q_low_rank_p2")
    quality = scores["Q"].sel(factorization="low_rank", p=2).values
    best = set(np.argsort(-quality)[:10])
    for target, sign in (("test_accuracy", -1), ("generalization_gap", 1)):
        both = best & set(np.argsort(sign * scores[target].values)[:10])
        assert float(found["overlap"].sel(target=target).item()) == len(both) / 10
        assert float(found["overlap_chance"].sel(target=target).item()) == 0.1
    some = sorted(best)
    x, y = quality[some], scores["test_accuracy"].values[some]
    cell = found["plcc"].sel(selection="measure", target="test_accuracy").item()
    assert cell == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)


def test_ties_at_the_edge_are_all_in() -> None:
    """So that the order of files decides nothing; chance grows with the set."""
    good = np.array([1.0, 2, 2, 2, 0])
    np.testing.assert_array_equal(best_of(good, np.ones(5, bool), 0.2), [0, 1, 1, 1, 0])
    np.testing.assert_array_equal(best_of(good, good < 2, 0.5), [1, 0, 0, 0, 0])


def test_perfect_measure_has_the_same_top() -> None:
    """Overlap 1; from the other end, 0."""
    scores = scores_of(40, perfect=("checkpoint", np.zeros(40)))
    scores["perfect"] = scores["test_accuracy"] ** 3
    asked: dict[str, Any] = {
        "measures": "perfect",
        "targets": "test_accuracy",
        "interval": "fisher",
        "permutations": 0,
    }
    assert top_fraction(scores, **asked)["overlap"].sel(measure="perfect").item() == 1
    assert top_fraction(scores, best="low", **asked)["overlap"].sel(measure="perfect").item() == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"fraction": 0.0}, r"fraction must lie in \(0, 1\], got 0.0"),
        ({"best": "left"}, r"best must be 'high' or 'low', got 'left'"),
    ],
)
def test_top_fraction_refuses(options: dict[str, Any], text: str) -> None:
    """The error names the parameter and what it may be."""
    with pytest.raises(GenpredictError, match=text):
        top_fraction(scores_of(), **options)
