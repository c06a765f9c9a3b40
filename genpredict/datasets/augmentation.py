"""Random flips, crops and holes for a whole batch at once, on its device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from genpredict.datasets.normalization import MAX_PIXEL
from genpredict.errors import GenpredictError


@dataclass(frozen=True)
class Augmentation:
    """Flip, then crop, then cut holes; each image draws for itself.

    Attributes
    ----------
    flip : bool
        Mirror left to right with chance 1/2.
    crop_padding : int
        Add that many rows and columns of zeros on each side, then take a window of the old
        size: all (2 · crop_padding + 1)² windows are equally likely. 0: no crop.
    cutout_holes : int
        Number of square holes; they may overlap.
    cutout_length : int
        Side of a hole, in pixels. Its centre lies anywhere in the image with equal chance, so
        what sticks out is clipped.
    cutout_fill : tuple of float
        What fills a hole, as a share of full brightness: one number a channel, or one for all.
        With the mean of the data set a hole is zero after normalization, as in the reference;
        uint8 images take the nearest level.

    Raises
    ------
    GenpredictError
        If a number is negative or `cutout_length` is below 1.

    References
    ----------
    T. DeVries, G. W. Taylor, "Improved Regularization of Convolutional Neural Networks with
    Cutout", arXiv:1708.04552, 2017.

    Examples
    --------
    >>> images = torch.full((2, 3, 32, 32), 200, dtype=torch.uint8)
    >>> augment = Augmentation(flip=True, crop_padding=4)
    >>> augment(images, torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3, 32, 32])
    """

    flip: bool = False
    crop_padding: int = 0
    cutout_holes: int = 0
    cutout_length: int = 16
    cutout_fill: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        for name, least in (("crop_padding", 0), ("cutout_holes", 0), ("cutout_length", 1)):
            if getattr(self, name) < least:
                raise GenpredictError(
                    f"{name}: must be at least {least}, not {getattr(self, name)}"
                )

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augment a batch; nothing waits for the device.

        Parameters
        ----------
        images : Tensor, shape (N, channels, height, width), uint8 or floating point
            Pixels before normalization; left as they are.
        generator : torch.Generator
            Source of randomness, on the device of the images.

        Returns
        -------
        Tensor, the same shape, type and device
            `images` itself where there is nothing to do.

        Raises
        ------
        GenpredictError
            If images and generator are on different devices, or `cutout_fill` has another
            number of channels.
        """
        if not len(images):
            return images
        draws = self.draw(images.shape, generator, device=images.device)
        if draws.flips is not None or draws.offsets is not None:
            images = take_windows(images, draws.flips, draws.offsets, padding=self.crop_padding)
        if draws.centres is not None:
            holes = hole_mask(draws.centres, images.shape, length=self.cutout_length)
            images = torch.where(holes, self._fill(images), images)
        return images

    def draw(
        self, shape: tuple[int, ...], generator: torch.Generator, *, device: torch.device
    ) -> Draws:
        """Draw all that is random for a batch of images of this shape (N, C, H, W)."""
        if generator.device != device:
            raise GenpredictError(
                f"generator: is on {generator.device}, the images on {device}; make it there with "
                f"torch.Generator({str(device)!r})"
            )
        count, _, *size = shape

        def uniform(high: int, *shape: int) -> Tensor:
            return torch.randint(high, shape, generator=generator, device=device)

        padding, holes = self.crop_padding, self.cutout_holes
        return Draws(
            flips=uniform(2, count) if self.flip else None,
            offsets=uniform(2 * padding + 1, count, 2) if padding else None,
            centres=torch.stack([uniform(side, count, holes) for side in size], dim=2)
            if holes
            else None,
        )

    def _fill(self, images: Tensor) -> Tensor:
        """Return what fills holes, shape (1 or channels, 1, 1), in the type of the images."""
        if len(self.cutout_fill) not in (1, images.shape[1]):
            raise GenpredictError(
                f"cutout_fill: has {len(self.cutout_fill)} numbers, the images have "
                f"{images.shape[1]} channels"
            )
        exact = images.is_floating_point()
        levels = self.cutout_fill if exact else [round(x * MAX_PIXEL) for x in self.cutout_fill]
        parts = [images.new_full((1, 1, 1), level) for level in levels]
        return torch.cat(parts)


class Draws(NamedTuple):
    """What is random in the augmentation of N images; None where it is left out.

    Attributes
    ----------
    flips : Tensor, shape (N,), int64
        1 to mirror, 0 not to.
    offsets : Tensor, shape (N, 2), int64
        First row and column of the window in the padded image, 0 to 2 · padding.
    centres : Tensor, shape (N, holes, 2), int64
        Row and column of the holes' centres.
    """

    flips: Tensor | None
    offsets: Tensor | None
    centres: Tensor | None


def take_windows(
    images: Tensor, flips: Tensor | None, offsets: Tensor | None, *, padding: int
) -> Tensor:
    """Mirror the chosen images, pad all with zeros, take one window of each.

    Every row of the result is a run of W pixels of the padded images or of their mirror images,
    which lie one behind the other in memory. So a row is found by where it starts, and the batch
    is one `index_select` among all runs of W pixels, an overlapping view that costs no memory.

    Parameters
    ----------
    images : Tensor, shape (N, C, H, W)
        Pixels.
    flips : Tensor, shape (N,), int64, or None
        1 to mirror an image, 0 not to.
    offsets : Tensor, shape (N, 2), int64, or None
        First row and column of the window in the padded image.
    padding : int
        Rows and columns of zeros on each side; 0 where there are no offsets.

    Returns
    -------
    Tensor, shape (N, C, H, W)
        New memory.
    """
    count, channels, height, width = images.shape
    padded_width = width + 2 * padding
    plane = (height + 2 * padding) * padded_width  # pixels of one channel
    sources = [images] if flips is None else [images, images.flip(-1)]
    # in C order, whatever the order of the images in memory
    padded = torch.cat([pad(source, (padding,) * 4) for source in sources]).contiguous()
    runs = padded.as_strided((padded.numel() - width + 1, width), (1, 1))
    image = torch.arange(count, device=images.device)
    if flips is not None:
        image = image + count * flips
    starts = image * (channels * plane)
    if offsets is not None:
        starts = starts + offsets[:, 0] * padded_width + offsets[:, 1]
    channel = torch.arange(channels, device=images.device) * plane
    row = torch.arange(height, device=images.device) * padded_width
    starts = starts.view(-1, 1, 1) + channel.view(-1, 1) + row
    return runs.index_select(0, starts.flatten()).view_as(images)


def hole_mask(centres: Tensor, shape: tuple[int, ...], *, length: int) -> Tensor:
    """Mark the pixels of square holes.

    A hole takes rows y − ⌊length/2⌋ to y − ⌊length/2⌋ + length − 1 around its centre (y, x),
    columns likewise, as far as they are in the image.

    Parameters
    ----------
    centres : Tensor, shape (N, holes, 2), int64
        Row and column of each centre.
    shape : tuple of int
        Of the images, (N, C, H, W).
    length : int
        Side of a hole, in pixels.

    Returns
    -------
    Tensor, shape (N, 1, H, W), bool
        True in the holes.
    """
    first = centres - length // 2

    def inside(axis: int) -> Tensor:
        place = torch.arange(shape[2 + axis], device=centres.device)
        distance = place - first[:, :, axis, None]
        return (distance >= 0) & (distance < length)

    rows, columns = inside(0), inside(1)  # (N, holes, H), (N, holes, W)
    return (rows.unsqueeze(3) & columns.unsqueeze(2)).any(dim=1, keepdim=True)
