"""Inputs of the spectral tests: families of random matrices and weights, and the real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from reference import Array

CHECKPOINTS = Path(__file__).parents[3] / "shared" / "data" / "checkpoints"
ARCHIVES = CHECKPOINTS.parent / "nats-sss-mini"
FAMILIES = (
    "random",
    "low_rank",
    "heavy_tailed",
    "near_dead",
    "rank_deficient",
    "decaying",
    "repeated",
)


def matrix_of(family: str, L: int, M: int, seed: int) -> Array:
    """Draw an L x M matrix of a family, float64."""
    rng = np.random.default_rng(seed)
    if family == "random":
        return rng.standard_normal((L, M))
    if family == "low_rank":
        rank = int(rng.integers(1, max(L // 2, 1) + 1))
        signal = rng.standard_normal((L, rank)) @ rng.standard_normal((rank, M))
        return signal + 10 ** rng.uniform(-3, 1) * rng.standard_normal((L, M))
    if family == "heavy_tailed":
        return rng.standard_t(rng.uniform(0.8, 3), size=(L, M))
    if family == "near_dead":
        scale = np.where(rng.random(L) < 0.3, 10 ** rng.uniform(-8, -1, L), 1.0)
        return scale[:, None] * rng.standard_normal((L, M))
    if family == "rank_deficient":
        rank = int(rng.integers(max(L // 2, 1), L + 1))
        return rng.standard_normal((L, rank)) @ rng.standard_normal((rank, M))
    if family == "decaying":
        return _with_spectrum(np.arange(1, L + 1) ** -rng.uniform(0.1, 3), M, rng)
    levels = np.sort(rng.choice([1.0, 2.0, 3.0, 10.0], size=L))[::-1]
    return _with_spectrum(levels, M, rng)


def _with_spectrum(sigma: Array, M: int, rng: np.random.Generator) -> Array:
    L = len(sigma)
    left, _ = np.linalg.qr(rng.standard_normal((L, L)))
    right, _ = np.linalg.qr(rng.standard_normal((M, L)))
    return (left * sigma) @ right.T


def weight_of(shape: tuple[int, ...], seed: int) -> Array:
    """Draw a weight as training leaves it: channels of unequal norm, some dead, some low rank."""
    rng = np.random.default_rng(seed)
    output, inputs = shape[:2]
    weight = rng.standard_normal(shape)
    rank = int(rng.integers(1, 4))
    mixing = rng.standard_normal((output, rank)) @ rng.standard_normal((rank, inputs))
    weight += rng.uniform(0, 2) * mixing.reshape(output, inputs, *[1] * (len(shape) - 2))
    for axis, size in ((0, output), (1, inputs)):
        norms = np.exp(rng.normal(0, 0.5, size))
        dead = rng.random(size) < rng.choice([0.0, 0.2])
        norms[dead] *= rng.choice([0.0, 1e-6, 0.005], size=int(dead.sum()))
        weight *= norms.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return weight


def checkpoint_paths() -> list[Path]:
    """Published checkpoints; empty where ../shared is absent."""
    return sorted(CHECKPOINTS.glob("*/*.*th"))


def layers_of(path: Path) -> list[tuple[str, Array]]:
    """(name, weight) of every parameter with two or more dimensions, float64."""
    loaded = torch.load(path, weights_only=True, map_location="cpu")
    state = loaded.get("state_dict", loaded)
    return [
        (name.removeprefix("module."), value.double().numpy())
        for name, value in state.items()
        if value.ndim >= 2
    ]
