"""Influence functions: derivatives by a checkpoint's weight, coverage, and speed at large n."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from stats_cases import Array, none_of, scores_of

from genpredict.inference import Inference
from genpredict.stats import correlate
from genpredict.stats.coefficients import pearson
from genpredict.stats.estimation import estimate, methods_of
from genpredict.stats.kendall import kendall_left_out
from genpredict.stats.pvalues import all_pvalues
from genpredict.stats.sample import sample_of


def weighted(name: str, x: Array, y: Array, z: Array, w: Array) -> float:
    """Return a coefficient of weighted checkpoints, by its definition as a functional."""
    w = w / w.sum()
    if name == "krocc":
        pairs = np.outer(w, w)
        signs = [np.sign(column[:, None] - column) for column in (x, y)]
        untied = [(pairs * (sign != 0)).sum() for sign in signs]
        return float((pairs * signs[0] * signs[1]).sum() / np.sqrt(untied[0] * untied[1]))
    columns = [x, y, *z]
    if name == "rocc":
        columns = [
            np.array([(w * (c < v)).sum() + (w * (c == v)).sum() / 2 for v in c]) for c in columns
        ]
    root = np.sqrt(w)
    design = np.stack([np.ones_like(w), *columns[2:]], axis=1) * root[:, None]
    left = [
        c * root - design @ np.linalg.lstsq(design, c * root, rcond=None)[0] for c in columns[:2]
    ]
    return float(left[0] @ left[1] / np.linalg.norm(left[0]) / np.linalg.norm(left[1]))


@pytest.mark.parametrize("covariates", [0, 2])
@pytest.mark.parametrize("name", ["plcc", "rocc", "krocc"])
def test_influence_against_derivatives_by_weight(name: str, covariates: int) -> None:
    """Central differences of the weighted coefficient, ties included."""
    if name == "krocc" and covariates:
        pytest.skip("KROCC has no partial form")
    rng = np.random.default_rng(0)
    z = rng.integers(0, 8, (covariates, 30)).astype(float)
    x, y = rng.integers(0, 7, (2, 30)) + z.sum(0)
    y = y + x // 2
    psi = methods_of(sample_of(x[None], y[None], z))[name].influence(0, 0)
    even, step = np.full(30, 1 / 30), 1e-6
    for i in range(30):
        towards = np.eye(30)[i] - even
        ends = [weighted(name, x, y, z, even + sign * step * towards) for sign in (1, -1)]
        assert psi[i] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=2e-6)
    assert psi.sum() == pytest.approx(0, abs=1e-9)


def draws(rng: np.random.Generator, kind: str, rows: int, n: int) -> Array:
    """Draw unrelated rows of one kind."""
    if kind == "lognormal":
        return np.exp(rng.normal(size=(rows, n)))
    if kind == "t3":
        return rng.standard_t(3, (rows, n))
    values = rng.normal(size=(rows, n))
    return np.round(values) if kind == "tied" else values


@pytest.mark.parametrize("kind", ["normal", "lognormal", "t3", "tied"])
def test_large_tables_keep_level_and_coverage_against_theory(kind: str) -> None:
    """N = 2,001: 5 % of unrelated pairs outside by the interval and significant by p."""
    rng = np.random.default_rng(1)
    x, y = draws(rng, kind, 18, 2001), draws(rng, kind, 18, 2001)
    found = estimate(x, y, none_of(2001), Inference())
    for key in ("plcc", "rocc", "krocc"):
        outside = (found[f"{key}_lower"] > 0) | (found[f"{key}_upper"] < 0)
        assert np.mean(outside) <= 0.1
        assert np.mean(found[f"{key}_pvalue"] <= 0.05) <= 0.1
        assert np.isfinite(found[f"{key}_pvalue"]).all()


def test_large_clusters_count_once_against_their_jackknife() -> None:
    """Errors of 600 clusters of four agree with leaving each out in turn."""
    rng = np.random.default_rng(2)
    base, other = np.repeat(rng.normal(size=(2, 600)), 4, axis=1)
    x, y = base + rng.normal(size=2400) / 2, base + other + rng.normal(size=2400) / 2
    codes = np.repeat(np.arange(600), 4)
    sample = sample_of(x[None], y[None], none_of(2400), codes)
    for key, method in methods_of(sample).items():
        if key == "krocc":
            left = kendall_left_out(x, y, sample.starts)
            expected = np.sqrt(599 * left.var())
        else:
            expected = method.jackknife_errors().item()
        assert method.influence_errors().item() == pytest.approx(expected, rel=0.02)
    pvalues = all_pvalues(methods_of(sample), sample, Inference(), (9999, 9999))
    assert all(p.item() < 1e-6 for p in pvalues.values())


def test_large_tables_are_quick_and_import_no_scipy_stats() -> None:
    """65,536 checkpoints and two groups, in seconds and without a second's import."""
    code = """
import sys, time
sys.path.insert(0, sys.argv[1])
from genpredict.stats import correlate
from stats_cases import scores_of
scores = scores_of(65536)
start = time.process_time()
correlate(scores, by="epoch", targets="test_accuracy")
print(time.process_time())
assert "scipy.stats" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 25


def test_few_and_many_agree_where_they_meet() -> None:
    """At 2,000 checkpoints the bootstrap's bounds are those of the influence functions."""
    scores = scores_of(2000)
    start = time.process_time()
    few, many = (
        correlate(scores, measures="Q_raw_p2", targets="test_accuracy", interval=kind,
                  permutations=0).isel(measure=0).squeeze()
        for kind in ("percentile", "influence")
    )  # fmt: skip
    assert time.process_time() - start < 120
    for key in ("plcc", "rocc", "krocc"):
        for end in ("_lower", "_upper"):
            assert float(few[key + end]) == pytest.approx(float(many[key + end]), abs=0.006)
    assert float(few["plcc"]) == pytest.approx(
        pearson(scores["Q"].values[:, 0, 1][None], scores["test_accuracy"].values[None]).item()
    )
