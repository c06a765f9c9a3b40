"""Per-channel normalization of images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from genpredict.errors import GenpredictError

MAX_PIXEL = 255.0  # full brightness of a uint8 image
_IMAGES_A_STEP = 1024  # keeps the int32 copies of `measure` small


@dataclass(frozen=True)
class Normalization:
    """Shift and scale each channel: (x − mean) / std, with x in [0, 1].

    Images of type uint8 are first divided by 255; floating-point images are taken to be in
    [0, 1] already.

    Attributes
    ----------
    mean : tuple of float
        One number a channel, or one for all, as a share of full brightness.
    std : tuple of float
        The same, above 0.

    Raises
    ------
    GenpredictError
        If the two differ in length, are empty, or hold a `std` that is not above 0.

    Examples
    --------
    >>> normalize = Normalization(mean=(0.5,), std=(0.25,))
    >>> normalize(torch.tensor([[[[0, 255]]]], dtype=torch.uint8))
    tensor([[[[-2.,  2.]]]])
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std):
            raise GenpredictError(
                f"mean, std: need one number a channel each, not {len(self.mean)} and "
                f"{len(self.std)}"
            )
        if not all(std > 0 for std in self.std):
            raise GenpredictError(f"std: must be above 0, not {self.std}")

    @property
    def is_identity(self) -> bool:
        """Whether floating-point images stay as they are."""
        return set(self.mean) == {0.0} and set(self.std) == {1.0}

    def __call__(self, images: Tensor) -> Tensor:
        """Normalize images on their device.

        Parameters
        ----------
        images : Tensor, shape (N, channels, height, width), uint8 or floating point
            Left as they are.

        Returns
        -------
        Tensor, the same shape, float32
            Floating-point images under the identity: themselves, as float32.

        Raises
        ------
        GenpredictError
            If the number of channels is not that of `mean`.
        """
        channels = images.shape[-3]
        if len(self.mean) not in (1, channels):
            raise GenpredictError(
                f"images: have {channels} channels, the normalization {len(self.mean)}"
            )
        converted = images.to(torch.float32)
        full = 1.0 if images.is_floating_point() else MAX_PIXEL
        if full == 1.0 and self.is_identity:
            return converted
        scale = _per_channel([1 / (full * std) for std in self.std], images.device)
        shift = _per_channel(
            [-m / s for m, s in zip(self.mean, self.std, strict=True)], images.device
        )
        return (converted * scale).add_(shift)


IDENTITY = Normalization()


def measure_normalization(images: Tensor) -> Normalization:
    """Measure mean and standard deviation (of the population) per channel.

    Parameters
    ----------
    images : Tensor, shape (N, channels, height, width), uint8
        At least one image. The sums are exact.

    Returns
    -------
    Normalization
        A channel without variation takes `std` 1.

    Examples
    --------
    >>> measure_normalization(torch.tensor([0, 51, 102], dtype=torch.uint8).view(3, 1, 1, 1)).mean
    (0.2,)
    """
    total = torch.zeros(images.shape[1], dtype=torch.int64)
    squares = torch.zeros_like(total)
    for start in range(0, len(images), _IMAGES_A_STEP):
        pixels = images[start : start + _IMAGES_A_STEP].to(torch.int32)
        total += pixels.sum(dim=(0, 2, 3))
        squares += pixels.square_().sum(dim=(0, 2, 3))
    count = images.numel() // images.shape[1]
    mean = total.double() / count
    std = (squares.double() / count - mean.square()).clamp_min_(0).sqrt_()
    std[std == 0] = MAX_PIXEL
    return Normalization(tuple((mean / MAX_PIXEL).tolist()), tuple((std / MAX_PIXEL).tolist()))


def _per_channel(numbers: list[float], device: torch.device) -> Tensor:
    """Lay numbers out as (channels, 1, 1), made on the device, so that nothing waits for it."""
    return torch.cat([torch.full((1, 1, 1), number, device=device) for number in numbers])
