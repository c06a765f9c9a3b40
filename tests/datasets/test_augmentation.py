import time

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from genpredict.datasets.augmentation import Augmentation, Draws, hole_mask, take_windows
from genpredict.errors import GenpredictError

ALL = Augmentation(flip=True, crop_padding=4, cutout_holes=2, cutout_length=7, cutout_fill=(0.4,))
CPU = torch.device("cpu")


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _images(dtype=torch.uint8, shape=(12, 3, 32, 32)):
    images = torch.randint(1, 256, shape, generator=_generator(9), dtype=torch.uint8)
    return images if dtype == torch.uint8 else images.to(dtype) / 255


def _one_by_one(images: np.ndarray, draws: Draws, augmentation: Augmentation, fill) -> np.ndarray:
    """Augment image by image, pixel by pixel, as the definition says."""
    result = np.zeros_like(images)
    height, width = images.shape[2:]
    padding, half = augmentation.crop_padding, augmentation.cutout_length // 2
    for n in range(len(images)):
        image = images[n, :, :, ::-1] if draws.flips is not None and draws.flips[n] else images[n]
        top, left = (0, 0) if draws.offsets is None else draws.offsets[n].tolist()
        for y in range(height):
            for x in range(width):
                row, column = y + top - padding, x + left - padding
                if 0 <= row < height and 0 <= column < width:
                    result[n, :, y, x] = image[:, row, column]
        for cy, cx in [] if draws.centres is None else draws.centres[n].tolist():
            for y in range(cy - half, cy - half + augmentation.cutout_length):
                for x in range(cx - half, cx - half + augmentation.cutout_length):
                    if 0 <= y < height and 0 <= x < width:
                        result[n, :, y, x] = fill
    return result


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("shape", [(12, 3, 32, 32), (5, 1, 8, 13)])
@pytest.mark.parametrize(
    "augmentation",
    [
        ALL,
        Augmentation(flip=True),
        Augmentation(crop_padding=3),
        Augmentation(cutout_holes=1, cutout_length=16, cutout_fill=(0.4,)),
        Augmentation(
            flip=True, crop_padding=1, cutout_holes=3, cutout_length=1, cutout_fill=(0.4,)
        ),
    ],
)
def test_batch_against_one_by_one(augmentation, dtype, shape):
    """Same draws, same pixels, bit for bit; 0.4 of full brightness is level 102."""
    images = _images(dtype, shape)
    before = images.clone()
    draws = augmentation.draw(images.shape, _generator(), device=CPU)
    fill = 102 if dtype == torch.uint8 else np.float32(0.4)
    expected = _one_by_one(images.numpy(), draws, augmentation, fill)
    result = augmentation(images, _generator())
    assert result.dtype == dtype
    assert torch.equal(result, torch.from_numpy(expected))
    assert torch.equal(images, before)


def test_holes_take_a_color_of_their_own():
    """With the mean per channel as `cutout_fill`, a hole covering all is that colour."""
    fill = (0.2, 0.4, 0.6)
    augmentation = Augmentation(cutout_holes=1, cutout_length=200, cutout_fill=fill)
    result = augmentation(_images(), _generator())
    assert result.flatten(2).unique(dim=2).tolist() == [[[51], [102], [153]]] * 12


def test_not_contiguous_images_and_other_strides():
    images = _images().permute(0, 1, 3, 2)
    assert torch.equal(ALL(images, _generator()), ALL(images.contiguous(), _generator()))
    last = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(ALL(last, _generator()), ALL(images.contiguous(), _generator()))


def test_nothing_to_do_returns_the_images():
    images = _images()
    assert Augmentation()(images, _generator()) is images
    assert ALL(images[:0], _generator()).shape == (0, 3, 32, 32)


def test_generator_decides_all():
    """Same seed, same result, whatever the global state; another seed, another result."""
    images = _images()
    first = ALL(images, _generator(1))
    torch.rand(3)
    assert torch.equal(first, ALL(images, _generator(1)))
    assert not torch.equal(first, ALL(images, _generator(2)))


def test_windows_are_equally_likely_against_theory():
    """All 81 windows of 4 pixels' padding: chi-square over 81,000 images at 80 degrees."""
    count = 81_000
    draws = Augmentation(crop_padding=4).draw((count, 3, 32, 32), _generator(), device=CPU)
    window = draws.offsets[:, 0] * 9 + draws.offsets[:, 1]
    observed = window.bincount(minlength=81).double()
    assert len(observed) == 81
    assert ((observed - 1000) ** 2 / 1000).sum() < 125  # 1 in 1,000 is above 124.8


def test_images_draw_for_themselves_against_theory():
    """Half are mirrored; a flip tells nothing of window or of the next image's flip."""
    count = 40_000
    draws = ALL.draw((count, 3, 32, 32), _generator(3), device=CPU)
    flips = draws.flips.double()
    bound = 4 / count**0.5
    assert abs(flips.mean() - 0.5) < bound / 2
    others = [draws.offsets[:, 0], draws.offsets[:, 1], draws.centres[:, 0, 0], flips.roll(1)]
    for other in others:
        assert abs(torch.corrcoef(torch.stack([flips, other.double()]))[0, 1]) < bound
    first, second = draws.centres[:, 0, 0].double(), draws.centres[:, 1, 0].double()
    assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1]) < bound


def test_area_of_holes_against_theory():
    """Length 16, side 32, centre anywhere: 196 pixels on average.

    Centre y covers min(y + 8, 32) − max(y − 8, 0) rows; the mean over 32 centres is 14; two
    independent axes give a mean area of 196 pixels.
    """
    rows = np.array([min(y + 8, 32) - max(y - 8, 0) for y in range(32)])
    assert rows.mean() == 14
    spread = np.outer(rows, rows).std()
    count = 20_000
    shape = (count, 1, 32, 32)
    draws = Augmentation(cutout_holes=1).draw(shape, _generator(), device=CPU)
    area = hole_mask(draws.centres, shape, length=16).sum(dim=(1, 2, 3)).double()
    assert area.max() == 256
    assert area.min() == 64
    assert abs(area.mean() - 196) < 4 * spread / count**0.5


class _NoWaiting(TorchDispatchMode):
    """Fail on every operation that waits for the device or copies to or from it."""

    FORBIDDEN = ("_local_scalar_dense", "nonzero", "masked_select", "lift_fresh", "equal", "item")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name not in self.FORBIDDEN, f"{name} waits for the device"
        if name in ("_to_copy", "copy_"):
            assert "device" not in (kwargs or {}), f"{name} moves to another device"
        if name == "index":
            assert all(i is None or i.dtype != torch.bool for i in args[1]), "mask waits"
        return func(*args, **(kwargs or {}))


def test_nothing_waits_for_the_device():
    """No number, mask or copy goes through the host; the guard itself catches one that does."""
    images = _images()
    with _NoWaiting():
        ALL(images, _generator())
        with pytest.raises(AssertionError, match="waits for the device"):
            images.sum().item()
        with pytest.raises(AssertionError, match="mask waits"):
            images[images > 3]


def test_kernels_need_no_values():
    """They run where tensors have no values at all: shapes never depend on data."""
    images = torch.empty(4, 3, 32, 32, device="meta", dtype=torch.uint8)
    numbers = torch.empty(4, 2, device="meta", dtype=torch.int64)
    assert take_windows(images, numbers[:, 0], numbers, padding=4).shape == images.shape
    assert hole_mask(numbers.view(4, 1, 2), images.shape, length=3).shape == (4, 1, 32, 32)


def test_a_batch_costs_as_much_as_some_reversals():
    """256 images of CIFAR's size, flip and crop: nine reversals of them; image by image, hundreds.

    Taken by turns, since other work on the machine slows both.
    """
    images = _images(shape=(256, 3, 32, 32))
    augmentation, generator = Augmentation(flip=True, crop_padding=4), _generator()
    augmented, reversed_ = [], []
    for _ in range(60):
        augmented.append(seconds_of(lambda: augmentation(images, generator)))
        reversed_.append(seconds_of(lambda: images.flip(-1)))
    assert min(augmented) < 40 * min(reversed_)


def seconds_of(work):
    """Return how long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop_padding": -1}, "crop_padding: must be at least 0, not -1"),
        ({"cutout_holes": -2}, "cutout_holes: must be at least 0, not -2"),
        ({"cutout_length": 0}, "cutout_length: must be at least 1, not 0"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(GenpredictError, match=message):
        Augmentation(**options)


def test_wrong_fill_is_named():
    augmentation = Augmentation(cutout_holes=1, cutout_fill=(0.1, 0.2))
    with pytest.raises(GenpredictError, match=r"cutout_fill: has 2 numbers, .* 3 channels"):
        augmentation(_images(), _generator())


def test_generator_of_another_device_is_named():
    images = torch.empty(2, 3, 8, 8, device="meta")
    with pytest.raises(GenpredictError, match="generator: is on cpu, the images on meta"):
        ALL(images, _generator())
