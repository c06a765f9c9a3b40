"""Statistics of weights and biases."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genpredict.schema import EXTRA_AXES
from genpredict.spectral.weight_statistics import tensor_statistics, weight_statistics


@pytest.mark.parametrize("shape", [(1,), (2,), (10,), (5, 7), (16, 3, 3, 3), (101, 2)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_statistics_against_numpy(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Mean, variance and quantiles of every tensor of a batch, at any scale."""
    torch.manual_seed(0)
    scale = torch.tensor([1.0, 1e-20, 1e15, 0.0]).view(-1, *[1] * len(shape))
    tensors = (scale * torch.randn(4, *shape)).to(dtype)
    for row, statistics in zip(tensors.double().numpy(), tensor_statistics(tensors), strict=True):
        expected = [row.mean(), row.var(), *np.percentile(row, [0, 25, 50, 75, 100])]
        assert len(EXTRA_AXES["statistic"]) == len(expected)
        np.testing.assert_allclose(statistics, expected, rtol=1e-12, atol=1e-12 * abs(row).max())


def test_batches_against_single_tensors() -> None:
    """A batch gives the bits of its tensors one by one."""
    torch.manual_seed(1)
    tensors = torch.randn(33, 16, 3, 3, 3)
    together = tensor_statistics(tensors)
    for row in (0, 7, 32):
        single = tensor_statistics(tensors[row : row + 1])[0]
        assert single.numpy().tobytes() == together[row].numpy().tobytes()


def test_biases_against_numpy() -> None:
    """Weight first, bias second; NaN where there is no bias, or it is not finite."""
    weights, biases = torch.rand(3, 4, 5), torch.rand(3, 4)
    biases[1], biases[2, 0] = torch.nan, torch.inf
    statistics = weight_statistics(weights, biases)
    np.testing.assert_allclose(statistics[:, 0], tensor_statistics(weights))
    np.testing.assert_allclose(statistics[0, 1], tensor_statistics(biases[:1])[0])
    assert statistics[1:, 1].isnan().all()
