"""Numbers and figures of docs/what_can_n_networks_tell.md: power, clusters, families, conventions.

Run: python analysis/what_n_networks_tell.py (a minute on one core)
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

import genpredict
from genpredict import figures
from genpredict.inference import Inference
from genpredict.stats.bounds import all_bounds
from genpredict.stats.coefficients import pearson
from genpredict.stats.estimation import methods_of
from genpredict.stats.power import effective_number
from genpredict.stats.pvalues import all_pvalues
from genpredict.stats.sample import sample_of

ROOT = Path(__file__).resolve().parents[1]
LAYOUTS = ((10, 3), (30, 3), (10, 10))
ALIKE = 0.9


def clustered(rng: np.random.Generator, rows: int, count: int, size: int) -> NDArray[np.float64]:
    """Draw unrelated rows, normal, with an intraclass correlation of 0.9."""
    between = np.repeat(rng.normal(size=(rows, count)), size, axis=1)
    return np.sqrt(ALIKE) * between + np.sqrt(1 - ALIKE) * rng.normal(size=between.shape)


def levels(count: int, size: int) -> tuple[float, float, float]:
    """Return false positives at 5 % as independent and by cluster, and coverage by cluster."""
    rng = np.random.default_rng([count, size])
    x, y = clustered(rng, 60, count, size), clustered(rng, 60, count, size)
    n = count * size
    naive = 2 * ndtr(-np.abs(np.arctanh(pearson(x, y))) * np.sqrt(n - 3))
    sample = sample_of(x, y, np.empty((0, n)), np.repeat(np.arange(count), size))
    methods = {key: methods_of(sample)[key] for key in ("plcc",)}
    pvalues = all_pvalues(methods, sample, Inference(), (999, 999))["plcc"]
    lower, upper = all_bounds(methods, sample, Inference())["plcc"]
    held = (lower < 0) & (upper > 0)
    return float(np.mean(naive <= 0.05)), float(np.mean(pvalues <= 0.05)), float(np.mean(held))


def draw_power() -> None:
    """Draw the smallest correlation that n networks tell from 0, alone and in clusters of three."""
    n = np.unique(np.geomspace(6, 33_000, 80).astype(int))
    alone = [genpredict.detectable_correlation(value) for value in n]
    worth = [effective_number(int(v), max(int(v) // 3, 1), ALIKE, ALIKE) for v in n]
    together = [genpredict.detectable_correlation(value) for value in worth]
    figure, ax = plt.subplots(figsize=(4.6, 3.0), layout="constrained")
    ax.plot(n, alone, color="#0072B2", label="independent networks")
    ax.plot(n, together, color="#D55E00", label="three seeds a setting, nine tenths alike")
    ax.set(xscale="log", ylim=(0, 1), xlabel="number of networks n")
    ax.set_ylabel("smallest correlation\ntold from 0 in 80 % of cases")
    ticks = [10, 32, 100, 1_000, 10_000, 32_768]
    ax.set_xticks(ticks, ["10", "32", "100", "1k", "10k", "33k"])
    ax.xaxis.set_minor_locator(plt.NullLocator())
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=8)
    figures.save(figure, ROOT / "docs" / "what-n-networks-tell.png")
    for value in (11, 32, 100, 385, 1_000, 32_768):
        print(f"n = {value}: {genpredict.detectable_correlation(value):.2f}")


def draw_conventions() -> None:
    """Draw the specification curve of resnet20 in the digits sweep."""
    sweep = genpredict.open_scores(ROOT / "data" / "results" / "digits-sweep.zarr")
    curves = genpredict.multiverse(
        sweep,
        "test_accuracy",
        where="network == 'resnet20'",
        cluster=["network", "optimizer"],
    )
    figures.save(genpredict.plot_multiverse(curves), ROOT / "docs" / "conventions.png", dpi=150)
    estimate = curves["estimate"].isel(group=0)
    print(
        f"{curves.sizes['specification']} specifications, {int(estimate.notnull().sum())} defined"
    )
    print(f"from {float(estimate.min()):+.2f} to {float(estimate.max()):+.2f}")


if __name__ == "__main__":
    draw_power()
    draw_conventions()
    for design in LAYOUTS:
        print(design, "false positives, by cluster, coverage:", levels(*design))
