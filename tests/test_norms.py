"""Norms of networks against loops over their weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

import genpredict
from genpredict.networks import build_network
from genpredict.norms import norms_of

NETWORKS = {
    "digits": lambda: build_network("digits_cnn"),
    "size space": lambda: build_network("sss:8:16:8:24:8"),
    "mobile": lambda: build_network("mobilenetv2"),
    "mlp": lambda: nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 3)),
    "one output": lambda: nn.Sequential(nn.Conv2d(4, 1, 3), nn.Conv1d(3, 6, 5), nn.Linear(9, 2)),
}


def by_loop(weights: Sequence[torch.Tensor]) -> dict[str, float]:
    """Follow the formulas, one layer after the other."""
    logs = {"frobenius": 0.0, "spectral": 0.0}
    ratio, parameters = 0.0, 0.0
    for weight in weights:
        matrix = weight.detach().double().numpy().reshape(len(weight), -1)
        frobenius = (matrix**2).sum()
        spectral = np.linalg.norm(matrix, 2) ** 2
        logs["frobenius"] += np.log(frobenius)
        logs["spectral"] += np.log(spectral)
        ratio += frobenius / spectral
        parameters += frobenius
    d = len(weights)
    products = {f"log_prod_{name}_norm": value for name, value in logs.items()}
    sums = {f"log_sum_{name}_norm": np.log(d) + value / d for name, value in logs.items()}
    return products | sums | {"fro_over_spec": ratio, "param_norm": parameters}


def test_norms_against_loop() -> None:
    """Five networks, depthwise layers and layers with one output among them."""
    torch.manual_seed(0)
    networks = {name: build() for name, build in NETWORKS.items()}
    scores = genpredict.score(networks)
    for index, network in enumerate(networks.values()):
        expected = by_loop([p for p in network.parameters() if p.ndim > 1])
        for name, value in expected.items():
            assert float(scores[name][index]) == pytest.approx(value, rel=1e-9), name


def test_zero_layers_and_no_layers_against_theory() -> None:
    """The product of norms with a zero is 0, its logarithm −∞; no layers have no norms."""
    zero = norms_of(np.array([2.0, 0.0]), np.array([2.0, 0.0]))
    assert zero["log_prod_spectral_norm"] == zero["log_sum_frobenius_norm"] == -np.inf
    assert zero["fro_over_spec"] == 1
    nothing = norms_of(np.full(3, np.nan), np.full(3, np.nan))
    assert all(np.isnan(value) for value in nothing.values())
