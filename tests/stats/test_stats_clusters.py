"""Checkpoints that are no independent draws: levels and coverage by simulation, and what is said.

The simulations draw many unrelated measures and targets at once: every pair is a table of its own.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from stats_cases import Array, none_of, pvalues, scores_of

from genpredict.errors import GenpredictError, GenpredictWarning
from genpredict.inference import Inference
from genpredict.stats import correlate, difference, permutation, to_table, top_fraction
from genpredict.stats.bounds import all_bounds
from genpredict.stats.clusters import cluster_codes, intraclass_correlation
from genpredict.stats.coefficients import pearson, ranks
from genpredict.stats.estimation import estimate, methods_of
from genpredict.stats.influence import standard_error
from genpredict.stats.methods import Method, wald_pvalues
from genpredict.stats.pvalues import all_pvalues
from genpredict.stats.sample import sample_of
from genpredict.stats.tables import choices_text

LAYOUTS = [(g, s, icc) for g, s in ((10, 3), (30, 3), (10, 10)) for icc in (0.0, 0.5, 0.9)]
QUICK: dict[str, Any] = {"interval": "jackknife", "permutations": 0}


def clustered(
    rng: np.random.Generator, rows: int, sizes: list[int], icc: float
) -> tuple[Array, Array]:
    """Draw normal rows with an intraclass correlation, and the clusters' codes."""
    codes = np.repeat(np.arange(len(sizes)), sizes)
    between = rng.normal(size=(rows, len(sizes)))[:, codes]
    return np.sqrt(icc) * between + np.sqrt(1 - icc) * rng.normal(size=between.shape), codes


@pytest.mark.parametrize(("count", "size", "icc"), LAYOUTS)
def test_level_and_coverage_of_clusters_against_theory(count: int, size: int, icc: float) -> None:
    """5 % of 1,600 unrelated pairs are significant, p is uniform, 95 % of intervals hold 0."""
    rng = np.random.default_rng([count, size, round(10 * icc)])
    x, codes = clustered(rng, 40, [size] * count, icc)
    y, _ = clustered(rng, 40, [size] * count, icc)
    sample = sample_of(x, y, none_of(count * size), codes)
    both = {key: method for key, method in methods_of(sample).items() if key != "krocc"}
    found = all_pvalues(both, sample, Inference(), (499, 499))
    bounds = all_bounds(both, sample, Inference())
    for key in both:
        assert 0.035 <= np.mean(found[key] <= 0.05) <= 0.065
        assert stats.kstest(found[key].ravel(), "uniform").pvalue > 0.001
        held = (bounds[key][0] < 0) & (bounds[key][1] > 0)
        assert 0.925 <= np.mean(held) <= 0.97
    independent = pearson(x, y)
    naive = 2 * stats.norm.sf(np.abs(np.arctanh(independent)) * np.sqrt(count * size - 3))
    if icc == 0.9:
        assert np.mean(naive <= 0.05) > 0.2  # the same tables, taken as independent


@pytest.mark.parametrize(("count", "size", "icc"), LAYOUTS)
def test_clusters_cover_a_correlation_against_theory(count: int, size: int, icc: float) -> None:
    """PLCC 0.5 between and within clusters: 92.5 to 97 % of 1,600 intervals hold it, and ROCC's."""
    rng = np.random.default_rng([count, size, round(10 * icc)])
    held: dict[str, list[Array]] = {"plcc": [], "rocc": []}
    truth = {"plcc": 0.5, "rocc": 6 / np.pi * np.arcsin(0.25)}
    for _ in range(400):
        (y, *noise), codes = clustered(rng, 5, [size] * count, icc)
        x = y / 2 + np.sqrt(0.75) * np.array(noise)
        sample = sample_of(x, y[None], none_of(count * size), codes)
        methods = methods_of(sample, held)
        for key, (lower, upper) in all_bounds(methods, sample, Inference()).items():
            held[key].append((lower < truth[key]) & (truth[key] < upper))
    for key in truth:
        assert 0.925 <= np.mean(held[key]) <= 0.97


def test_level_of_kendall_and_of_uneven_clusters_against_theory() -> None:
    """KROCC above its permutations, and clusters of 1 to 12 whose blocks do not fit each other."""
    rng = np.random.default_rng(3)
    sizes = [12, 9, 8, 8, 7, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1]
    x, codes = clustered(rng, 30, sizes, 0.7)
    y, _ = clustered(rng, 30, sizes, 0.7)
    sample = sample_of(x, y, none_of(sum(sizes)), codes)
    found = all_pvalues(methods_of(sample), sample, Inference(), (499, 499))
    for key in ("plcc", "rocc", "krocc"):
        assert 0.02 <= np.mean(found[key] <= 0.05) <= 0.075


def test_blocks_of_equal_size_against_all_orders() -> None:
    """Exact: the share of the 24 orders of four pairs that correlate as strongly."""
    rng = np.random.default_rng(1)
    x, y, codes = rng.normal(size=8), rng.normal(size=8), np.repeat(range(4), 2)
    found = pvalues(x[None], y[None], none_of(8), 100, rng, codes)
    blocks = y.reshape(4, 2)
    for key, columns in (("plcc", (x, blocks)), ("rocc", (ranks(x), ranks(y).reshape(4, 2)))):
        orders = [columns[1][list(o)].ravel() for o in permutations(range(4))]
        r = [abs(np.corrcoef(columns[0], order)[0, 1]) for order in orders]
        assert found[key].item() == pytest.approx(np.mean(np.array(r) >= r[0] - 1e-9))


def test_clusters_left_out_against_leaving_out() -> None:
    """Every coefficient without each cluster, ties included."""
    rng = np.random.default_rng(2)
    x, y = rng.integers(0, 6, (2, 30)).astype(float)
    codes = rng.integers(0, 7, 30)
    sample = sample_of(x[None], y[None], none_of(30), codes)
    tests = {"plcc": stats.pearsonr, "rocc": stats.spearmanr, "krocc": stats.kendalltau}
    for key, test in tests.items():
        left = methods_of(sample)[key].left_out(np.arange(7))[0, 0]
        expected = [test(x[codes != g], y[codes != g]).statistic for g in range(7)]
        np.testing.assert_allclose(left, expected, atol=1e-12)


def test_three_clusters_have_no_interval() -> None:
    """However many checkpoints: the note says why; p is still exact, and so at least 1/6."""
    rng = np.random.default_rng(0)
    x, codes = clustered(rng, 2, [30] * 3, 0.9)
    found = estimate(x[:1], x[1:], none_of(90), Inference(), codes=codes)
    assert np.isnan([found[f"{key}_{end}"].item() for key in ("plcc", "rocc", "krocc")
                     for end in ("lower", "upper")]).all()  # fmt: skip
    assert found["note"].item() == "no interval: it takes 5 clusters, and there are 3"
    assert found["plcc_pvalue"].item() >= 1 / 6


def test_intraclass_correlation_against_scipy() -> None:
    """From the F of one-way analysis of variance: (F − 1)/(F + n₀ − 1)."""
    rng = np.random.default_rng(4)
    sizes = [3, 5, 2, 4]
    (values,), codes = clustered(rng, 1, sizes, 0.6)
    f = stats.f_oneway(*(values[codes == g] for g in range(4))).statistic
    usual = (14 - sum(s * s for s in sizes) / 14) / 3
    assert intraclass_correlation(values, codes) == pytest.approx((f - 1) / (f + usual - 1))


def with_runs(**extra: Any) -> xr.Dataset:
    """Make scores of ten runs of three epochs."""
    runs = np.array([f"r{i % 10}" for i in range(30)], dtype=object)
    return scores_of(30).assign_coords(run=("checkpoint", runs), **extra)


def test_repeated_runs_are_clusters_and_the_table_says_so() -> None:
    """By themselves, by name, and not where they are declared independent."""
    scores = with_runs()
    asked: dict[str, Any] = {"measures": "Q_low_rank_p2", "targets": "test_accuracy"} | QUICK
    auto, named = correlate(scores, **asked), correlate(scores, cluster="run", **asked)
    xr.testing.assert_identical(auto, named)
    assert auto.attrs["cluster"] == "run"
    assert auto["n_clusters"].values.max() == 10
    assert np.isfinite(auto["icc_measure"].values[0]).all()
    alone = correlate(scores, cluster=None, **asked)
    assert alone.attrs["cluster"] == ""
    assert (alone["n_clusters"] == alone["n"]).all()
    assert alone["icc_target"].isnull().all()
    table = to_table(auto)
    assert set(table["cluster"]) == {"run"}
    assert set(table["n_clusters"]) == {10}
    assert choices_text(auto) == "clusters by run"


def test_clusters_by_several_coordinates_and_missing_values() -> None:
    """Combinations of values; a checkpoint without one is a cluster of its own."""
    scores = with_runs()
    scores["run"][0] = ""
    codes = cluster_codes(scores, ["run", "epoch"])
    pairs = list(zip(scores["run"].values, scores["epoch"].values, strict=True))
    for i, j in np.ndindex(30, 30):
        alike = i == j or (pairs[i] == pairs[j] and pairs[i][0] != "")
        assert (codes[i] == codes[j]) == alike


def test_seeds_of_one_setting_are_named_in_a_warning() -> None:
    """What repeats, and what to do about it; silent once it is said how they count."""
    scores = scores_of(30).drop_vars("network")
    scores = scores.assign_coords(
        optimizer=("checkpoint", np.array(["sgd", "adam", "sam"] * 10, dtype=object)),
        seed=("checkpoint", np.arange(30)),
    )
    text = r"30 checkpoints are 6 settings of optimizer, epoch with up to 5 seeds each"
    with pytest.warns(GenpredictWarning, match=text):
        table = correlate(scores, **QUICK)
    assert "--cluster optimizer,epoch" in table.attrs["repetition"]
    for cluster in (None, ["optimizer", "epoch"]):
        assert correlate(scores, cluster=cluster, **QUICK).attrs["repetition"] == ""


@pytest.mark.parametrize("kind", ["bca", "percentile", "jackknife", "influence"])
def test_every_interval_takes_clusters(kind: Any) -> None:
    """Each is far wider for copies of ten checkpoints as ten clusters than as a hundred draws."""
    rng = np.random.default_rng(7)
    x, y = np.repeat(rng.normal(size=(2, 12)), 10, axis=1)
    asked = Inference(interval=kind, permutations=0, resamples=300)
    wide, narrow = (
        estimate(x[None], (x + y)[None], none_of(120), asked, codes=codes)
        for codes in (np.repeat(range(12), 10), None)
    )
    for key in ("plcc", "rocc", "krocc"):
        widths = [part[f"{key}_upper"] - part[f"{key}_lower"] for part in (wide, narrow)]
        assert widths[0].item() > 2 * widths[1].item()


def test_a_checkpoint_copied_into_a_cluster_counts_once_by_influence() -> None:
    """Errors of clusters of equal copies are those of the checkpoints alone."""
    rng = np.random.default_rng(8)
    psi = rng.normal(size=50)
    copied = standard_error(np.repeat(psi, 4), np.repeat(np.arange(50), 4))
    assert copied == pytest.approx(standard_error(psi))
    assert wald_pvalues(np.array(0.3), np.array(copied), 49) < 1


def test_difference_and_top_take_clusters() -> None:
    """Whole runs are left out in turn, so the difference is less sure than of thirty draws."""
    scores = with_runs()
    asked = {"targets": "test_accuracy", "permutations": 0}
    wide = difference(scores, "Q_low_rank_p2", "num_layers", targets="test_accuracy").squeeze()
    assert (int(wide["n"]), int(wide["n_clusters"]), wide.attrs["cluster"]) == (30, 10, "run")
    top = top_fraction(scores, fraction=0.5, measures="Q_low_rank_p2", **asked)
    assert top.attrs["cluster"] == "run"
    assert int(top["n_clusters"].max()) <= 10


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"cluster": "runs"}, "cluster: 'runs' is no coordinate along checkpoint; there are"),
        ({"interval": "fisher"}, "interval: Fisher's knows nothing of clusters"),
        ({"permutations": -1}, "permutations must be at least 0, got -1"),
        ({"permutations": "many"}, "permutations must be \"auto\" or a number, got 'many'"),
    ],
)
def test_what_clusters_refuse(options: dict[str, Any], text: str) -> None:
    """The error names the parameter and the remedy."""
    with pytest.raises(GenpredictError, match=text):
        correlate(with_runs(), **options)


def test_errors_of_unrelated_columns_are_found_once_and_by_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A registered function sees a pair and 400 orders of it, whoever asks, block by block."""
    calls = 0

    def counted(x: Array, y: Array) -> float:
        nonlocal calls
        calls += 1
        return float(np.corrcoef(x, y)[0, 1])

    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(size=(1, 45)) + 3, np.zeros((1, 45))], axis=1)
    sample = sample_of(x, rng.normal(size=(1, 90)), none_of(90), np.repeat(np.arange(30), 3))
    methods = methods_of(sample) | {"own": Method(sample, counted)}
    whole = {key: method.unrelated_errors for key, method in methods.items()}
    assert calls == 401
    methods["own"].unrelated_errors  # noqa: B018  # a second time
    assert calls == 401
    monkeypatch.setattr(permutation, "BLOCK", 7 * 90)
    for key, method in (methods_of(sample) | {"own": Method(sample, counted)}).items():
        np.testing.assert_allclose(method.unrelated_errors, whole[key], rtol=0.1)
