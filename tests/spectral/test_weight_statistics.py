"""Statistics of weights and biases."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genpredict.spectral.weight_statistics import STATISTICS, tensor_statistics


@pytest.mark.parametrize("shape", [(1,), (2,), (10,), (5, 7), (16, 3, 3, 3), (101, 2)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_statistics_against_numpy(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Mean, variance and quantiles of every tensor of a batch, at any scale."""
    torch.manual_seed(0)
    scale = torch.tensor([1.0, 1e-20, 1e15, 0.0]).view(-1, *[1] * len(shape))
    tensors = (scale * torch.randn(4, *shape)).to(dtype)
    for row, statistics in zip(tensors.double().numpy(), tensor_statistics(tensors), strict=True):
        expected = [row.mean(), row.var(), *np.percentile(row, [0, 25, 50, 75, 100])]
        assert len(STATISTICS) == len(expected)
        np.testing.assert_allclose(statistics, expected, rtol=1e-12, atol=1e-12 * abs(row).max())


def test_batches_against_single_tensors() -> None:
    """A batch gives the bits of its tensors one by one."""
    torch.manual_seed(1)
    tensors = torch.randn(33, 16, 3, 3, 3)
    together = tensor_statistics(tensors)
    for row in (0, 7, 32):
        single = tensor_statistics(tensors[row : row + 1])[0]
        assert single.numpy().tobytes() == together[row].numpy().tobytes()
