"""Gram matrices of what dead channels leave."""

from __future__ import annotations

import pytest
import torch

from genpredict.spectral.left_grams import left_grams
from genpredict.spectral.spectrum import gram
from genpredict.spectral.unfold import dead_channels, unfold, unfoldings, without

SHAPES = [(16, 16, 3, 3), (24, 3, 3, 3), (3, 40, 1, 1), (64, 2, 5), (10, 64), (64, 10), (130, 150)]
CASES = [(shape, unfolding) for shape in SHAPES for unfolding in unfoldings(shape)]


def damaged(shape: tuple[int, ...], count: int = 12) -> torch.Tensor:
    """Make layers of one shape with more and more channels of next to nothing."""
    generator = torch.Generator().manual_seed(0)
    stack = torch.randn(count, *shape, generator=generator, dtype=torch.float64)
    for row in range(1, count):
        outputs = torch.randperm(shape[0], generator=generator)[: row * shape[0] // 20]
        inputs = torch.randperm(shape[1], generator=generator)[: (count - row) * shape[1] // 30]
        stack[row, outputs] *= 1e-3
        stack[row, :, inputs] *= 0.0 if row % 3 == 0 else 1e-3
    return stack


def lower(grams: torch.Tensor) -> torch.Tensor:
    """Keep the triangle that counts."""
    return grams.tril()


@pytest.mark.parametrize(("shape", "unfolding"), CASES, ids=str)
def test_left_grams_against_the_weights_that_are_left(
    shape: tuple[int, ...], unfolding: str
) -> None:
    """They are those of the weights with dead channels set to zero, whose rows are exactly so."""
    stack = damaged(shape)
    dead = dead_channels(stack, batch_dims=1)
    assert any(bool(mask.any()) for mask in dead)
    full = gram(unfold(stack, unfolding, batch_dims=1))
    left = lower(left_grams(full, stack, unfolding, *dead))
    expected = lower(gram(unfold(without(stack, *dead), unfolding, batch_dims=1)))
    largest = expected.diagonal(dim1=-2, dim2=-1).amax()
    torch.testing.assert_close(left, expected, rtol=0, atol=1e-14 * float(largest))
    assert bool((left[expected == 0] == 0).all())


@pytest.mark.parametrize(("shape", "unfolding"), CASES, ids=str)
def test_left_grams_of_a_batch_against_single_layers(
    shape: tuple[int, ...], unfolding: str
) -> None:
    """A batch gives the bits of its layers one by one."""
    stack = damaged(shape)
    dead = dead_channels(stack, batch_dims=1)
    full = gram(unfold(stack, unfolding, batch_dims=1))
    together = lower(left_grams(full, stack, unfolding, *dead))
    for row in range(len(stack)):
        some = slice(row, row + 1)
        single = left_grams(full[some], stack[some], unfolding, *(mask[some] for mask in dead))
        assert lower(single).numpy().tobytes() == together[some].numpy().tobytes()
