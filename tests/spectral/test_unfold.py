"""Unfoldings and dead channels."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genpredict.spectral import dead_channels, unfold, unfoldings

SHAPES = [(5, 3, 2, 2), (3, 5, 2, 2), (20, 2, 1, 1), (4, 9), (9, 4), (6, 1, 3, 3), (4, 3, 5)]


@pytest.mark.parametrize("shape", [*SHAPES, (1, 6, 3, 3), (2, 3, 2, 2, 2)], ids=str)
def test_unfold_against_reference(shape: tuple[int, ...]) -> None:
    """Every entry lies where the oracle puts it; the unfoldings that exist are the same."""
    weight = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    names = unfoldings(shape)
    assert list(names) == reference.unfoldings(weight)
    for name in names:
        found = unfold(torch.from_numpy(weight), name)
        np.testing.assert_array_equal(found, reference.unfold(weight, name))
        assert found.shape[0] <= found.shape[1]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("unfolding", ["in_channel", "out_channel"])
def test_batched_unfold_equals_looped_against_theory(
    shape: tuple[int, ...], unfolding: str
) -> None:
    """Leading batch dimensions give what a loop gives."""
    weights = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    together = unfold(weights, unfolding, batch_dims=2)
    for i in range(2):
        for j in range(3):
            assert torch.equal(together[i, j], unfold(weights[i, j], unfolding))


def test_unknown_unfolding_against_theory() -> None:
    """Another name is refused with the names there are."""
    with pytest.raises(ValueError, match=r"unfolding must be one of .*got 'rows'"):
        unfold(torch.zeros(2, 2), "rows")


def test_vector_against_theory() -> None:
    """A 1-D parameter is no layer."""
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        unfold(torch.zeros(4))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    norms=st.lists(st.sampled_from([0.0, 1e-9, 0.02, 0.029, 0.031, 0.5, 1, 1, 2]), min_size=2),
    inputs=st.integers(2, 5),
    tolerance=st.sampled_from([0.0, 0.03, 0.3]),
    seed=st.integers(0, 1000),
)
def test_dead_channels_against_reference(
    norms: list[float], inputs: int, tolerance: float, seed: int
) -> None:
    """The masks of both axes equal the oracle's, batched and alone."""
    weight = np.random.default_rng(seed).standard_normal((len(norms), inputs, 2))
    weight *= (np.array(norms) / np.sqrt((weight**2).sum((1, 2))))[:, None, None]
    batch = torch.from_numpy(np.stack([weight, np.zeros_like(weight), weight[::-1]]))
    found = dead_channels(batch, tolerance=tolerance, batch_dims=1)
    for axis in (0, 1):
        for one, mask in zip(batch.numpy(), found[axis], strict=True):
            expected = reference.dead_channels(one, axis, tolerance)
            np.testing.assert_array_equal(mask, expected)


def test_dead_channels_of_a_matrix_against_theory() -> None:
    """Rows and columns of a 2-D weight are its channels; exactly zero is dead at tolerance 0."""
    weight = torch.ones(4, 3)
    weight[2] = 0
    weight[:, 0] *= 1e-3
    assert [mask.tolist() for mask in dead_channels(weight, tolerance=0.0)] == [
        [False, False, True, False],
        [False, False, False],
    ]
    assert dead_channels(weight)[1].tolist() == [True, False, False]
