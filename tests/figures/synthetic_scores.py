"""Scores and correlations in memory, in the layout of `open_scores` and of `correlate`."""

from __future__ import annotations

import numpy as np
import xarray as xr

NETWORKS = ("resnet20", "resnet56", "vgg16_bn")
MEASURES = (
    ("Q", "low_rank", 2.0),
    ("Q", "raw", 1.0),
    ("Q_adjusted", "low_rank", 2.0),
    ("log_num_parameters", "", np.nan),
    ("num_layers", "", np.nan),
)


def scores_of(n: int, *, layers: int = 4, seed: int = 0) -> xr.Dataset:
    """Make scores of n checkpoints; layers beyond a network's depth are NaN."""
    rng = np.random.default_rng(seed)
    group = np.arange(n) % len(NETWORKS)
    epoch = np.where(np.arange(n) // len(NETWORKS) % 2, 90, 12)
    q = 0.1 + 0.1 * group + 0.02 * rng.standard_normal(n)
    q_all = q[:, None, None] * np.array([[1.1, 1.2], [1.05, 1.0]])
    quality = rng.uniform(0.05, 0.6, (n, layers, 2, 2, 2))
    quality[group == 0, layers - 1] = np.nan
    rank = np.where(np.isnan(quality[..., 0, 0]), np.nan, 3.0)
    checkpoint, entry = "checkpoint", ("checkpoint", "layer", "unfolding")
    variables = {
        "Q": ((checkpoint, "factorization", "p"), q_all),
        "Q_adjusted": ((checkpoint, "factorization", "p"), 0.9 * q_all),
        "num_layers": (checkpoint, layers - 1.0 * (group == 0)),
        "quality": ((*entry, "factorization", "p"), quality),
        "rank": (entry, rank),
        "layer_name": (
            (checkpoint, "layer"),
            np.tile(np.array([f"conv{i}.weight" for i in range(layers)], dtype=object), (n, 1)),
        ),
        "status": (checkpoint, np.full(n, "done", dtype=object)),
    }
    coordinates = {
        "checkpoint": [f"runs/net{i:05d}.pth" for i in range(n)],
        "layer": np.arange(layers),
        "unfolding": ["in_channel", "out_channel"],
        "factorization": ["raw", "low_rank"],
        "p": [1, 2],
        "network": (checkpoint, np.array(NETWORKS, dtype=object)[group]),
        "optimizer": (checkpoint, np.array(["sgd", "adam", ""], dtype=object)[group]),
        "epoch": (checkpoint, epoch),
        "learning_rate": (checkpoint, 10 ** rng.uniform(-4, -1, n)),
        "num_parameters": (checkpoint, 10.0 ** (5 + group)),
        "test_accuracy": (checkpoint, 80 + 40 * q + 0.5 * rng.standard_normal(n)),
        "generalization_gap": (checkpoint, 10 + rng.standard_normal(n)),
    }
    return xr.Dataset(variables, coords=coordinates)


def correlations() -> xr.Dataset:
    """Make a table as `correlate` returns, over groups "all", "epoch=12" and "epoch=90"."""
    rng = np.random.default_rng(1)
    dims, shape = ("measure", "target", "group"), (len(MEASURES), 2, 3)
    table = {"n": (dims, np.full(shape, 1234))}
    for name in ("plcc", "rocc", "krocc"):
        value = rng.uniform(-0.9, 0.9, shape)
        pvalue = rng.uniform(0, 0.1, shape)
        table |= {
            name: (dims, value),
            f"{name}_lower": (dims, value - 0.05),
            f"{name}_upper": (dims, value + 0.05),
            f"{name}_pvalue": (dims, pvalue),
            f"{name}_pvalue_bh": (dims, np.minimum(1.5 * pvalue, 1)),
            f"{name}_pvalue_holm": (dims, np.minimum(2 * pvalue, 1)),
        }
    labels = [n + (f"_{f}" if f else "") + (f"_p{p:.0f}" if p > 0 else "") for n, f, p in MEASURES]
    names, factorizations, powers = zip(*MEASURES, strict=True)
    coordinates = {
        "measure": labels,
        "target": ["test_accuracy", "generalization_gap"],
        "group": ["all", "epoch=12", "epoch=90"],
        "name": ("measure", list(names)),
        "factorization": ("measure", list(factorizations)),
        "p": ("measure", list(powers)),
    }
    return xr.Dataset(table, coords=coordinates)
