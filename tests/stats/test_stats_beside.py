"""Beside a plain correlation: groups pooled, baselines beaten, equivalence, power, all at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from stats_cases import Array, binormal, none_of, scores_of

from genpredict import correlate, detectable_correlation, difference, increment, within_groups
from genpredict.errors import GenpredictError
from genpredict.inference import Inference
from genpredict.stats.differences import compare
from genpredict.stats.pooling import pooled
from genpredict.stats.power import effective_number, power_sentence

QUICK: dict[str, Any] = {"permutations": 0}


def test_pooled_correlation_against_formulas() -> None:
    """Inverse-variance mean of artanh r, and Q against scipy's χ²."""
    z, errors = np.array([0.2, 0.5, 0.9]), np.array([0.1, 0.2, 0.3])
    found = pooled(z[:, None, None], errors[:, None, None], 0.95)
    weights = 1 / errors**2
    mean = (weights * z).sum() / weights.sum()
    assert found[""].item() == pytest.approx(np.tanh(mean))
    assert found["_upper"].item() == pytest.approx(np.tanh(mean + 1.959964 / weights.sum() ** 0.5))
    q = (weights * (z - mean) ** 2).sum()
    assert found["_heterogeneity"].item() == pytest.approx(q)
    assert found["_heterogeneity_pvalue"].item() == pytest.approx(stats.chi2.sf(q, 2))


def test_groups_that_differ_in_level_alone_do_not_correlate() -> None:
    """Simpson's paradox: pooled over all the measure looks strong, within groups it is nothing."""
    rng = np.random.default_rng(0)
    group = np.arange(120) % 4
    scores = scores_of(120).assign_coords(network=("checkpoint", np.array(list("abcd"))[group]))
    scores["m"] = ("checkpoint", 5.0 * group + rng.normal(size=120))
    scores["test_accuracy"] = ("checkpoint", 5.0 * group + rng.normal(size=120))
    asked: dict[str, Any] = {"measures": "m", "targets": "test_accuracy"}
    over_all = correlate(scores, **asked, **QUICK).sel(measure="m").squeeze()
    within = within_groups(scores, "network", **asked).sel(measure="m").squeeze()
    assert float(over_all["rocc_lower"]) > 0.8
    assert float(within["rocc_lower"]) < 0 < float(within["rocc_upper"])
    assert (int(within["groups"]), int(within["n"])) == (4, 120)
    assert float(within["rocc_heterogeneity_pvalue"]) > 0.01
    scores["m"] = ("checkpoint", np.where(group < 2, 1, -1) * scores["test_accuracy"].values)
    mixed = within_groups(scores, "network", **asked).sel(measure="m").squeeze()
    assert np.isnan(mixed["plcc"]) or float(mixed["plcc_heterogeneity_pvalue"]) < 0.05


def test_pooling_needs_a_coordinate() -> None:
    """Named in the error."""
    with pytest.raises(GenpredictError, match="by: name a coordinate to group by"):
        within_groups(scores_of(), [])


def coverage(rho: tuple[float, float], absolute: bool, tables: int) -> float:
    """Return the share of intervals of n = 100 that hold the difference of two correlations."""
    rng = np.random.default_rng(4)
    held = 0
    truth = abs(rho[0]) - abs(rho[1]) if absolute else rho[0] - rho[1]
    asked = Inference(interval="jackknife")
    for _ in range(tables):
        y = rng.normal(size=100)
        x = np.stack([r * y + np.sqrt(1 - r**2) * rng.normal(size=100) for r in rho])
        found = compare(x, y[None], none_of(100), None, asked, absolute, None)
        held += bool(found["plcc_lower"] < truth < found["plcc_upper"])
    return held / tables


@pytest.mark.parametrize("rho", [(0.5, 0.3), (0.4, -0.4), (0.0, 0.5)])
def test_differences_of_strengths_cover_against_theory(rho: tuple[float, float]) -> None:
    """|ρ_a| − |ρ_b| with the estimates' signs, n = 100."""
    assert 0.92 <= coverage(rho, True, 400) <= 0.98


def test_equivalence_against_both_one_sided_tests() -> None:
    """Measures that are nearly one are equivalent; the margin is not earned by a small table."""
    rng = np.random.default_rng(0)
    x, y = binormal(rng, 400, 0.6)
    near: Array = np.concatenate([x, x + rng.normal(size=x.shape) / 50])
    asked = Inference(interval="jackknife")
    alike = compare(near, y, none_of(400), None, asked, False, 0.1)
    assert alike["rocc_equivalence_pvalue"] < 0.01
    apart = compare(np.concatenate([x, rng.normal(size=x.shape)]), y, none_of(400), None,
                    asked, False, 0.1)  # fmt: skip
    assert apart["rocc_equivalence_pvalue"] > 0.5
    scores = scores_of(20)
    table = difference(scores, "Q_raw_p1", "num_layers", targets="test_accuracy", margin=0.05)
    assert float(table["rocc_equivalence_pvalue"].squeeze()) > 0.05
    assert table.attrs["margin"] == 0.05
    with pytest.raises(GenpredictError, match="margin must be positive"):
        difference(scores, "Q_raw_p1", "num_layers", margin=0.0)


def test_increment_is_a_partial_correlation_and_differences() -> None:
    """What `correlate` and `difference` give, side by side; constant baselines are left out."""
    scores = scores_of(60)
    scores["num_rank_one"] = ("checkpoint", np.zeros(60))
    asked: dict[str, Any] = {"targets": "test_accuracy", **QUICK}
    table = increment(scores, ["Q_low_rank_p2"], **asked)
    baselines = ["log_num_parameters", "num_layers", "num_rank_zero"]
    assert table["baseline"].values.tolist() == baselines
    partial = correlate(scores, measures=["Q_low_rank_p2"], partial=baselines, **asked)
    expected = partial["rocc"].sel(measure="Q_low_rank_p2").item()
    assert table["partial_rocc"].item() == pytest.approx(expected)
    one = difference(scores, "Q_low_rank_p2", "num_layers", absolute=True, **asked)
    at = table.sel(baseline="num_layers").squeeze()
    assert float(at["less_rocc_difference"]) == pytest.approx(one["rocc_difference"].item())
    bare = scores.drop_vars("num_parameters").assign(
        num_layers=("checkpoint", np.ones(60)), num_rank_zero=("checkpoint", np.ones(60))
    )
    with pytest.raises(GenpredictError, match="over: no baseline of these networks differs"):
        increment(bare, ["Q_low_rank_p2"], **asked)


def test_simultaneous_intervals_hold_at_once_against_theory() -> None:
    """Of 20 unrelated measures, all intervals contain 0 in about 95 % of tables."""
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(40):
        scores = xr.Dataset(
            {f"m{i}": ("checkpoint", rng.normal(size=50)) for i in range(20)},
            coords={"checkpoint": range(50), "test_accuracy": ("checkpoint", rng.normal(size=50))},
        )
        asked: dict[str, Any] = {"interval": "fisher", "simultaneous": True}
        table = correlate(scores, measures=[*scores.data_vars], **asked, **QUICK)
        ends = [table[f"rocc_simultaneous_{end}"] for end in ("lower", "upper")]
        assert (ends[0] < table["rocc"]).all()
        held += bool(((ends[0] < 0) & (ends[1] > 0)).all())
    assert held / 40 >= 0.85


def test_detectable_correlation_against_simulation() -> None:
    """Eight of ten tables of 30 with that correlation have p below 0.05."""
    rho = detectable_correlation(30)
    rng = np.random.default_rng(6)
    detected = 0
    for _ in range(600):
        x, y = binormal(rng, 30, rho)
        detected += stats.pearsonr(x[0], y[0]).pvalue < 0.05
    assert detected / 600 == pytest.approx(0.8, abs=0.05)
    assert detectable_correlation(3) == 1.0


def test_a_table_says_what_it_can_tell() -> None:
    """Draws, what clusters are worth, and the ceiling that differences within them set."""
    runs = np.array([f"r{i // 3}" for i in range(30)], dtype=object)
    scores = scores_of(30).assign_coords(run=("checkpoint", runs))
    alone = correlate(scores, cluster=None, **QUICK)
    assert power_sentence(alone, "test_accuracy") == (
        "30 checkpoints tell a correlation of 0.49 or more from 0 in 80% of cases"
    )
    accuracy = np.repeat(np.linspace(70, 90, 10), 3) + np.tile([0.0, 1.0, 2.0], 10)
    scores["test_accuracy"] = ("checkpoint", accuracy)
    text = power_sentence(correlate(scores, **QUICK), "test_accuracy")
    assert text.startswith("30 checkpoints in 10 clusters, worth about ")
    assert "of the target's variance, so a measure that is one within each" in text
    assert effective_number(30, 10, 1.0, 1.0) == 10
