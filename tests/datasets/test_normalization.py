import numpy as np
import pytest
import torch

from genpredict.datasets.cifar import CIFAR10_NORMALIZATION
from genpredict.datasets.normalization import IDENTITY, Normalization, measure_normalization
from genpredict.errors import GenpredictError

UINT8 = torch.randint(0, 256, (70, 3, 9, 7), dtype=torch.uint8, generator=torch.Generator())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_normalization_against_numpy(dtype):
    """(x − mean) / std in float64; single precision leaves 1e-6."""
    images = UINT8 if dtype == torch.uint8 else UINT8.to(dtype) / 255
    result = CIFAR10_NORMALIZATION(images)
    mean, std = (
        np.array(v)[:, None, None] for v in (CIFAR10_NORMALIZATION.mean, CIFAR10_NORMALIZATION.std)
    )
    expected = (UINT8.numpy() / 255 - mean) / std
    assert result.dtype == torch.float32
    assert np.abs(result.numpy() - expected).max() < 1e-6


def test_identity_leaves_float_images_bit_for_bit():
    images = torch.rand(3, 1, 8, 8)
    assert IDENTITY(images) is images
    assert torch.equal(IDENTITY(UINT8), UINT8.float() * (1 / 255))


def test_one_number_serves_all_channels():
    one, three = Normalization((0.3,), (0.7,)), Normalization((0.3,) * 3, (0.7,) * 3)
    assert torch.equal(one(UINT8), three(UINT8))


def test_measured_against_numpy():
    """Also where the images do not fit in one step; normalized images have mean 0, std 1."""
    images = UINT8.repeat(40, 1, 1, 1)
    images[2000:] //= 3
    measured = measure_normalization(images)
    axes = (0, 2, 3)
    np.testing.assert_allclose(measured.mean, images.numpy().mean(axis=axes) / 255, rtol=1e-12)
    np.testing.assert_allclose(measured.std, images.numpy().std(axis=axes) / 255, rtol=1e-9)
    normalized = measured(images).double()
    assert normalized.mean(dim=axes).abs().max() < 1e-6
    assert (normalized.std(dim=axes) - 1).abs().max() < 1e-5


def test_channel_without_variation_is_only_shifted():
    normalization = measure_normalization(torch.full((5, 1, 4, 4), 51, dtype=torch.uint8))
    assert normalization == Normalization((0.2,), (1.0,))


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ((0.1, 0.2), (1.0,), "one number a channel each, not 2 and 1"),
        ((), (), "one number a channel each, not 0 and 0"),
        ((0.1,), (0.0,), "std: must be above 0"),
        ((0.1,), (float("nan"),), "std: must be above 0"),
    ],
)
def test_wrong_numbers_are_named(mean, std, message):
    with pytest.raises(GenpredictError, match=message):
        Normalization(mean, std)


def test_wrong_number_of_channels_is_named():
    with pytest.raises(GenpredictError, match="images: have 1 channels, the normalization 3"):
        CIFAR10_NORMALIZATION(torch.zeros(2, 1, 4, 4))
