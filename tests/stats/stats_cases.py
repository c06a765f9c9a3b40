"""Columns and scores Datasets for the tests of the statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from genpredict.stats.estimation import methods_of
from genpredict.stats.permutation import permutation_pvalues
from genpredict.stats.sample import sample_of

Array = NDArray[np.float64]
NOTHING = np.empty((0, 0))


def none_of(n: int) -> Array:
    """Make a set of no covariates."""
    return np.empty((0, n))


def columns(rng: np.random.Generator, rows: int, n: int, levels: int | None = None) -> Array:
    """Make random columns; with few levels, full of ties."""
    if levels is None:
        return rng.normal(size=(rows, n))
    return rng.integers(0, levels, (rows, n)).astype(float)


def binormal(rng: np.random.Generator, n: int, rho: float) -> tuple[Array, Array]:
    """Draw a measure and a target, bivariate normal with correlation rho, shape (1, n) each."""
    x, noise = rng.normal(size=(2, 1, n))
    return x, rho * x + np.sqrt(1 - rho**2) * noise


def pvalues(
    x: Array, y: Array, z: Array, permutations: int, rng: np.random.Generator, codes: Any = None
) -> dict[str, Array]:
    """Return p-values of PLCC, ROCC and KROCC; KROCC has none with covariates."""
    sample = sample_of(x, y, z, codes)
    tests = {name: test for name, m in methods_of(sample).items() if (test := m.test())}
    return permutation_pvalues(tests, sample, permutations=(permutations, permutations), rng=rng)


def scores_of(n: int = 30, seed: int = 0, **extra: Any) -> xr.Dataset:
    """Make scores with Q over (factorization, p), counts, accuracies, networks and epochs."""
    rng = np.random.default_rng(seed)
    accuracy = rng.normal(80, 5, n)
    quality = accuracy[:, None, None] / 80 + rng.normal(0, 0.05, (n, 2, 2))
    coords = {
        "checkpoint": [f"run{i}" for i in range(n)],
        "factorization": ["raw", "low_rank"],
        "p": [1, 2],
        "network": ("checkpoint", np.array(["a", "b", "c"], dtype=object)[np.arange(n) % 3]),
        "epoch": ("checkpoint", np.where(np.arange(n) % 2, 90.0, 12.0)),
        "num_parameters": ("checkpoint", rng.integers(10_000, 1_000_000, n)),
        "test_accuracy": ("checkpoint", accuracy),
        "generalization_gap": ("checkpoint", rng.normal(10, 3, n)),
    }
    variables = {
        "Q": (("checkpoint", "factorization", "p"), quality),
        "Q_adjusted": (("checkpoint", "factorization", "p"), quality**2),
        "num_layers": ("checkpoint", rng.integers(3, 60, n).astype(float)),
        "num_rank_zero": ("checkpoint", rng.integers(0, 4, n).astype(float)),
        "num_rank_one": ("checkpoint", rng.integers(0, 4, n).astype(float)),
        "status": ("checkpoint", np.array(["done"] * n, dtype=object)),
    }
    return xr.Dataset(variables | extra, coords=coords)
