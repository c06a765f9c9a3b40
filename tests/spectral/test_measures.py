"""Layer measures of given spectra."""

from __future__ import annotations

import math

import numpy as np
import pytest
import reference
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from genpredict.spectral import (
    condition_number,
    effective_rank,
    frobenius_norm,
    quality,
    spectral_entropy,
    spectral_norm,
    stable_rank,
)


def all_measures(sigma: Tensor, rank: Tensor | None) -> dict[str, Tensor]:
    """Every measure under the oracle's names."""
    return {
        "stable_rank_p1": stable_rank(sigma, p=1),
        "stable_rank_p2": stable_rank(sigma, p=2),
        "condition_number": condition_number(sigma, rank=rank),
        "quality_p1": quality(sigma, p=1, rank=rank),
        "quality_p2": quality(sigma, p=2, rank=rank),
        "effective_rank": effective_rank(sigma),
        "spectral_entropy": spectral_entropy(sigma),
        "spectral_norm": spectral_norm(sigma),
        "frobenius_norm": frobenius_norm(sigma),
    }


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    values=st.lists(st.floats(1e-6, 1e6), max_size=12),
    zeros=st.integers(0, 6),
)
def test_measures_against_reference(values: list[float], zeros: int) -> None:
    """All measures of a low-rank spectrum, zero-padded to n, ranks 0 and 1 among them."""
    sigma = np.sort(np.array(values))[::-1].copy()
    n = max(len(sigma) + zeros, 1)
    padded = torch.zeros(n, dtype=torch.float64)
    padded[: len(sigma)] = torch.from_numpy(sigma)
    found = all_measures(padded, torch.tensor(len(sigma)))
    expected = reference.measures(sigma, n)
    for name, value in found.items():
        assert float(value) == pytest.approx(expected[name], rel=1e-12, abs=1e-14), name


@settings(max_examples=60, deadline=None, derandomize=True)
@given(values=st.lists(st.floats(0, 1e6), min_size=1, max_size=12))
def test_raw_measures_against_reference(values: list[float]) -> None:
    """All measures of a raw spectrum, whose r is n even where it ends in zeros."""
    sigma = np.sort(np.array(values))[::-1].copy()
    found = all_measures(torch.from_numpy(sigma), None)
    expected = reference.measures(sigma, len(sigma))
    for name, value in found.items():
        assert float(value) == pytest.approx(expected[name], rel=1e-12, abs=1e-14), name


def test_entropy_against_scipy() -> None:
    """Spectral entropy is scipy's entropy of the normalised singular values."""
    sigma = torch.tensor([5.0, 3.0, 1.0, 0.25, 0.0], dtype=torch.float64)
    assert float(spectral_entropy(sigma)) == pytest.approx(scipy.stats.entropy(sigma.numpy()))


def test_batched_measures_equal_looped_against_theory() -> None:
    """Leading batch dimensions with mixed ranks give what a loop gives."""
    rng = np.random.default_rng(0)
    rank = torch.from_numpy(rng.integers(0, 9, (3, 5)))
    sigma = torch.from_numpy(-np.sort(-rng.random((3, 5, 8)), axis=-1))
    sigma = torch.where(torch.arange(8) < rank[..., None], sigma, 0.0)
    together = all_measures(sigma, rank)
    for i in range(3):
        for j in range(5):
            for name, value in all_measures(sigma[i, j], rank[i, j]).items():
                torch.testing.assert_close(together[name][i, j], value, rtol=1e-14, atol=0)


def test_limits_against_theory() -> None:
    """Rank 0: 0, 1, 0, 0; rank 1: condition number 0 and quality pi/2 (docs/design.md 3.4)."""
    sigma = torch.tensor([[0.0, 0.0], [2.0, 0.0]], dtype=torch.float64)
    found = all_measures(sigma, torch.tensor([0, 1]))
    assert found["stable_rank_p2"].tolist() == [0.0, 0.5]
    assert found["condition_number"].tolist() == [1.0, 0.0]
    assert found["quality_p1"].tolist() == [0.0, math.pi / 2]
    assert found["effective_rank"].tolist() == [0.0, 1.0]
