"""Singular values by Gram matrices against full SVDs."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import spectral_cases as cases
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genpredict.spectral import singular_values


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    L=st.integers(1, 48),
    power=st.floats(-2, 5),
    family=st.sampled_from(cases.FAMILIES),
    seed=st.integers(0, 2**20),
    scale=st.integers(-6, 6),
)
def test_singular_values_against_reference(
    L: int, power: float, family: str, seed: int, scale: int
) -> None:
    """To 1e-9 of the largest, tall or wide, of every family, ill-conditioned ones too."""
    M = max(1, round(L * 2**power))
    matrix = 10.0**scale * cases.matrix_of(family, min(L, M), max(L, M), seed)
    matrix = matrix if L <= M else matrix.T
    found = singular_values(torch.from_numpy(matrix.copy()))
    expected = reference.singular_values(matrix)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * expected[0])
    assert (np.diff(found.numpy()) <= 0).all()


@pytest.mark.parametrize("condition", [1e3, 1e6, 1e9, 1e12])
def test_small_singular_values_against_theory(condition: float) -> None:
    """A known spectrum comes back though its Gram matrix has lost the small end.

    A Gram matrix is right to about eps·σ_1²/σ, from condition 1e6 on the SVD to rounding.
    """
    rng = np.random.default_rng(0)
    sigma = np.geomspace(1, 1 / condition, 12)
    left, _ = np.linalg.qr(rng.standard_normal((12, 12)))
    right, _ = np.linalg.qr(rng.standard_normal((40, 12)))
    found = singular_values(torch.from_numpy((left * sigma) @ right.T))
    atol = 1e-15 * condition if condition < 1e6 else 1e-10 if condition == 1e6 else 2e-15
    np.testing.assert_allclose(found, sigma, rtol=1e-12, atol=atol)


def test_batched_singular_values_equal_looped_against_theory() -> None:
    """Leading batch dimensions, resolved and unresolved spectra mixed, give what a loop gives."""
    matrices = torch.from_numpy(
        np.stack([cases.matrix_of(cases.FAMILIES[i % 7], 9, 30, i) for i in range(14)])
    ).reshape(2, 7, 9, 30)
    together = singular_values(matrices)
    assert together.shape == (2, 7, 9)
    for i in range(2):
        for j in range(7):
            torch.testing.assert_close(
                together[i, j], singular_values(matrices[i, j]), rtol=1e-12, atol=1e-12
            )


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_not_finite_against_theory(bad: float) -> None:
    """NaN and infinity are refused by name."""
    matrix = torch.ones(3, 4, dtype=torch.float64)
    matrix[1, 2] = bad
    with pytest.raises(ValueError, match="finite"):
        singular_values(matrix)
