"""Numbers that must not look surer than they are: constants, ties, covariates, stars, outliers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from stats_cases import Array, none_of, scores_of

from genpredict.inference import Inference
from genpredict.stats import correlate, to_table
from genpredict.stats.bootstrap import bias_correction
from genpredict.stats.bounds import all_bounds
from genpredict.stats.column import tied
from genpredict.stats.estimation import estimate, methods_of
from genpredict.stats.sample import sample_of
from genpredict.stats.tables import choices_text

LIGHT = Inference(permutations=399, resamples=400)


@pytest.mark.parametrize("differing", [1, 2, 5, 9])
def test_nearly_constant_columns_have_no_interval(differing: int) -> None:
    """By any kind of interval; the note counts what differs, and p stays."""
    rng = np.random.default_rng(differing)
    x = np.zeros((1, 30))
    x[0, :differing] = rng.normal(size=differing)
    for kind in ("auto", "percentile", "jackknife", "influence"):
        asked = Inference(interval=kind, permutations=99, resamples=100)
        for columns, what in (((x, rng.normal(size=(1, 30))), "measure"),
                              ((rng.normal(size=(1, 30)), x), "target")):  # fmt: skip
            found = estimate(*columns, none_of(30), asked)
            assert np.isnan(found["plcc_lower"]).all()
            assert np.isnan(found["krocc_upper"]).all()
            assert (
                f"only {differing} of 30 values are another than the {what}'s"
                in found["note"].item()
            )
            assert np.isfinite(found["rocc_pvalue"]).all()


@pytest.mark.parametrize(("n", "differing"), [(25, 11), (30, 13), (100, 10)])
def test_intervals_of_uneven_columns_against_theory(n: int, differing: int) -> None:
    """Ten values that differ are enough: about 5 % of unrelated targets lie outside."""
    rng = np.random.default_rng([n, differing])
    x = np.zeros((40, n))
    x[:, :differing] = rng.normal(size=(40, differing)) + 1
    sample = sample_of(x, rng.normal(size=(40, n)), none_of(n))
    both = {key: method for key, method in methods_of(sample).items() if key != "krocc"}
    for lower, upper in all_bounds(both, sample, Inference(resamples=100)).values():
        assert np.mean((lower > 0) | (upper < 0)) <= 0.09


def test_ties_of_the_bootstrap_within_rounding_are_ties() -> None:
    """Equal resamples that sums in another order round apart shift no interval."""
    estimate_, resampled = np.array(1 / 3), np.array([1 / 3 + 1e-16, 1 / 3 - 1e-16, 0.9, -0.9])
    assert bias_correction(estimate_, resampled) == 0.0


@pytest.mark.parametrize("n", [6, 12, 30])
def test_bca_of_mirrored_ties_is_mirrored(n: int) -> None:
    """With tied values, −x has the interval of x, turned round."""
    rng = np.random.default_rng(n)
    x, y = rng.integers(0, 3, (2, n)).astype(float)
    found = [
        estimate(sign * x[None], y[None], none_of(n), Inference(permutations=0)) for sign in (1, -1)
    ]
    for key in ("plcc", "rocc", "krocc"):
        pairs = [(f[key + "_lower"].item(), f[key + "_upper"].item()) for f in found]
        assert pairs[0] == pytest.approx(
            tuple(-end for end in reversed(pairs[1])), abs=1e-12, nan_ok=True
        )


def test_gaps_that_are_equal_but_for_rounding_are_ties() -> None:
    """99.9 − 92.3 and 99.8 − 92.2; all others keep every digit."""
    gaps = np.array([99.9 - 92.3, 99.8 - 92.2, 1 / 3])
    assert gaps[0] != gaps[1]
    np.testing.assert_array_equal(tied(gaps, 9), [gaps[0], gaps[0], 1 / 3])
    scores = scores_of(30)
    train = np.round(np.linspace(90, 99, 30), 1)
    scores["generalization_gap"] = ("checkpoint", train - np.round(train - 7.6, 1))
    assert len(set(scores["generalization_gap"].values.tolist())) > 1
    assert correlate(scores, permutations=0)["rocc"].sel(target="generalization_gap").isnull().all()


def test_no_permutations_no_p() -> None:
    """NaN, not 1; of many checkpoints and of covariates too."""
    for options in ({}, {"partial": "num_layers"}):
        table = correlate(scores_of(70), permutations=0, interval="fisher", **options)
        for key in ("plcc", "rocc", "krocc"):
            assert table[f"{key}_pvalue"].isnull().all()
            assert table[f"{key}_pvalue_holm"].isnull().all()


def test_every_star_can_be_earned_in_a_large_table() -> None:
    """A perfect measure among hundreds of tests has three stars after Holm."""
    rng = np.random.default_rng(0)
    scores = scores_of(40)
    for i in range(25):
        scores[f"m{i}"] = ("checkpoint", rng.normal(size=40))
    scores["perfect"] = ("checkpoint", scores["test_accuracy"].values * 2.0)
    asked = ["perfect", *(f"m{i}" for i in range(25))]
    table = correlate(scores, measures=asked, by="network", interval="fisher").sel(group="all")
    cell = table.sel(measure="perfect", target="test_accuracy")
    for key in ("plcc", "rocc", "krocc"):
        assert float(cell[f"{key}_pvalue_holm"]) < 0.001


#: n, covariates, how these are drawn, and what measure and target have of them.
LAYOUTS: dict[str, tuple[int, int, str, Callable[[Array], Array]]] = {
    "one strong covariate": (30, 1, "normal", lambda z: 2 * z[0]),
    "one strong covariate, few": (11, 1, "normal", lambda z: 2 * z[0]),
    "one strong covariate, many": (100, 1, "normal", lambda z: 2 * z[0]),
    "a skewed covariate": (30, 1, "lognormal", lambda z: z[0]),
    "nine covariates": (30, 9, "normal", lambda z: z.sum(0)),
    "three networks, few": (11, 2, "indicators", lambda z: 2 * z[0] - z[1]),
    "a U": (30, 1, "normal", lambda z: 1.5 * z[0] ** 2),
    "a U, many": (100, 1, "normal", lambda z: 1.5 * z[0] ** 2),
    "a cube": (30, 1, "normal", lambda z: z[0] ** 3),
    "a product": (30, 2, "normal", lambda z: 2 * z[0] * z[1]),
}


def covariates(rng: np.random.Generator, k: int, n: int, kind: str) -> Array:
    """Draw covariates, shape (k, n)."""
    if kind == "indicators":
        network = rng.permuted(np.arange(n) % (k + 1))
        return np.array([network == level for level in range(k)], dtype=float)
    z = rng.normal(size=(k, n))
    return np.exp(z) if kind == "lognormal" else z


def refused_and_significant(design: str, draws: int) -> tuple[float, dict[str, Array]]:
    """Return the share without p, the p-values of the others, and which intervals exclude 0.

    Each draw of the covariates has five unrelated measures and targets, 25 tables.
    """
    n, k, kind, shape = LAYOUTS[design]
    rng = np.random.default_rng(1)
    tables = []
    for _ in range(draws):
        z = covariates(rng, k, n, kind)
        x, y = shape(z) + rng.normal(size=(2, 5, n))
        tables.append(estimate(x, y, z, LIGHT))
    found = {name: np.array([table[name] for table in tables]) for name in tables[0]}
    refused = np.isnan(found["plcc_pvalue"])
    known = {key: found[f"{key}_pvalue"][~refused] for key in ("plcc", "rocc")}
    for key in ("plcc", "rocc"):
        given = ~np.isnan(found[f"{key}_lower"])
        outside = (found[f"{key}_lower"] > 0) | (found[f"{key}_upper"] < 0)
        known[f"{key} outside"] = outside[given]
    return float(refused.mean()), known


@pytest.mark.parametrize("design", list(LAYOUTS)[:6])
def test_level_of_partial_correlations_against_theory(design: str) -> None:
    """5 % of 3,000 tables that share the covariates alone are significant; few are refused."""
    refused, found = refused_and_significant(design, 120)
    assert refused < 0.1
    for key in ("plcc", "rocc"):
        assert 0.035 <= np.mean(found[key] <= 0.05) <= 0.065
        assert np.mean(found[f"{key} outside"]) <= 0.065


@pytest.mark.parametrize(("design", "least"), [("a U", 0.97), ("a U, many", 1.0),
                                               ("a cube", 0.9), ("a product", 0.9)])  # fmt: skip
def test_a_covariate_that_acts_in_a_curve_is_refused(design: str, least: float) -> None:
    """Linear regression does not hold it fixed, so no p is given, and the note says why."""
    refused, _ = refused_and_significant(design, 15)
    assert refused >= least


def test_far_outliers_do_not_make_uncorrelated_columns_significant() -> None:
    """Student's t with 3 degrees, uncorrelated and dependent: PLCC's p keeps to its level."""
    rng = np.random.default_rng(2)
    significant = []
    for _ in range(250):
        x, y = rng.normal(size=(2, 60)) * np.sqrt(3 / rng.chisquare(3, 60))
        sample = sample_of(x[None], y[None], none_of(60))
        test = methods_of(sample)["plcc"].test()
        orders = rng.permuted(np.tile(np.arange(60), (299, 1)), axis=1)
        exceeded = test.exceeded(orders, np.array([[True]])).item()
        significant.append((1 + exceeded) / 300 <= 0.05)
    assert np.mean(significant) <= 0.085


def test_a_table_says_how_it_was_made() -> None:
    """Conditions, covariates and level: in attributes, in every row of a file, in titles."""
    table = correlate(
        scores_of(30), where="epoch == 90", partial="num_layers", level=0.9, permutations=0
    )
    assert choices_text(table) == "where epoch == 90; num_layers held fixed"
    rows = to_table(table)
    for name, value in (("where", "epoch == 90"), ("partial", "num_layers"), ("level", 0.9)):
        assert table.attrs[name] == value
        assert set(rows[name]) == {value}
