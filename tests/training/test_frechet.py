"""The Fréchet distance between sets of images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from genpredict.training.frechet import frechet_distance


def test_distance_against_scipy() -> None:
    """With scipy's square root of the product of the covariances."""
    draw = torch.Generator().manual_seed(0)
    made = torch.rand(90, 1, 4, 4, generator=draw)
    real = torch.rand(70, 1, 4, 4, generator=draw) @ torch.rand(4, 4, generator=draw)
    first, second = (images.double().flatten(1).numpy() for images in (made, real))
    covariances = np.cov(first.T), np.cov(second.T)
    root = sqrtm(covariances[0] @ covariances[1]).real
    expected = ((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(
        covariances[0] + covariances[1] - 2 * root
    )
    assert frechet_distance(made, real) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(real, made) == pytest.approx(expected, rel=1e-6)


def test_distance_against_theory() -> None:
    """Nothing from itself; c times centred images are (c − 1)² times their variance away."""
    images = torch.randn(200, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    images -= images.mean(0)
    small = torch.nn.functional.avg_pool2d(images, 2).double().flatten(1)
    variance = float(torch.cov(small.T).trace())
    assert frechet_distance(images, images) == pytest.approx(0, abs=1e-6 * variance)
    assert frechet_distance(3 * images, images) == pytest.approx(4 * variance, rel=1e-5)


def test_moments_that_are_not_finite_have_no_distance() -> None:
    """Of one image, of a lost generator, and of numbers whose squares are too large."""
    images = torch.rand(20, 1, 4, 4)
    for lost in (images[:1], images * torch.nan, images * 1e200, 1e-3 * images / 0):
        assert torch.tensor(frechet_distance(lost, images)).isnan()
        assert torch.tensor(frechet_distance(images, lost)).isnan()
