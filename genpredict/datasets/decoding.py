"""Compressed images to pixels; other sizes, grey and colour."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from genpredict.errors import GenpredictError

if TYPE_CHECKING:
    from PIL.Image import Image

GREY, COLOUR = 1, 3  # channels
_MODES = {GREY: "L", COLOUR: "RGB"}
_GREY_MODES = ("1", "L", "LA", "La")
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")  # more than 8 bits a pixel
_BILINEAR = 2  # Pillow's Resampling.BILINEAR, antialiased
# ITU-R BT.601: brightness of red, green and blue, as Pillow weighs them
_LUMA = (0.299, 0.587, 0.114)


def decode_images(
    sources: Sequence[Path | bytes],
    *,
    where: str,
    image_size: int | None = None,
    channels: int | None = None,
) -> Tensor:
    """Decode PNG, JPEG or other images that Pillow reads.

    Parameters
    ----------
    sources : sequence of Path or of bytes
        Files, or what is in them. At least one.
    where : str
        What error messages call the place that images given as bytes come from.
    image_size : int, optional
        Scale each image to that height and width (bilinear; the aspect ratio is not kept).
    channels : int, optional
        1 for grey, 3 for colour; None takes grey where all images are. Transparency is dropped.

    Returns
    -------
    Tensor, shape (N, channels, height, width), uint8
        Pixels.

    Raises
    ------
    GenpredictError
        If an image is damaged, has more than 8 bits a pixel and channel, or another size than
        the first one while `image_size` is not given; or if Pillow is not installed.
    """
    if channels is None:
        grey = (_is_grey(source, _name(source, where, i)) for i, source in enumerate(sources))
        channels = GREY if all(grey) else COLOUR
    pixels: np.ndarray | None = None
    for index, source in enumerate(sources):
        name = _name(source, where, index)
        image = _decode(source, name, channels, image_size)
        if pixels is None:
            first, pixels = name, np.empty((len(sources), *image.shape), dtype=np.uint8)
        if image.shape != pixels.shape[1:]:
            raise GenpredictError(
                f"{name}: {image.shape[0]} × {image.shape[1]} pixels, but {first} has "
                f"{pixels.shape[1]} × {pixels.shape[2]}; give an image_size to scale all to"
            )
        pixels[index] = image
    if pixels is None:
        raise GenpredictError(f"{where}: no images")
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


def _name(source: Path | bytes, where: str, index: int) -> str:
    return str(source) if isinstance(source, Path) else f"{where}: image {index}"


def _open(source: Path | bytes, name: str) -> Image:
    """Read the header of an image."""
    try:
        from PIL import Image
    except ImportError as error:
        raise GenpredictError(
            "reading image files needs Pillow: pip install 'genpredict[train]'"
        ) from error
    try:
        return Image.open(source if isinstance(source, Path) else io.BytesIO(source))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise GenpredictError(f"{name}: not an image that can be read ({error})") from error


def _is_grey(source: Path | bytes, name: str) -> bool:
    with _open(source, name) as image:
        return image.mode in _GREY_MODES


def _decode(source: Path | bytes, name: str, channels: int, size: int | None) -> np.ndarray:
    """Decode one image to an array of shape (height, width, channels)."""
    with _open(source, name) as file:
        if file.mode in _DEEP_MODES:
            raise GenpredictError(f"{name}: more than 8 bits a pixel; save it with 8")
        try:
            # palettes may hold transparency, which only this way is dropped without a word
            image: Image = file.convert("RGBA") if file.mode in ("P", "PA") else file
            if image.mode != _MODES[channels]:
                image = image.convert(_MODES[channels])
            if size is not None and image.size != (size, size):
                image = image.resize((size, size), resample=_BILINEAR)
            flat = np.frombuffer(image.tobytes(), dtype=np.uint8)
        except (OSError, SyntaxError, ValueError) as error:
            raise GenpredictError(f"{name}: damaged image ({error})") from error
    return flat.reshape(image.height, image.width, channels)


def resize_images(images: Tensor, size: int | None) -> Tensor:
    """Scale images that are all of one size (bilinear, antialiased).

    Parameters
    ----------
    images : Tensor, shape (N, channels, height, width), uint8 or floating point
        Pixels.
    size : int, optional
        Height and width of the result; None leaves the images as they are.

    Returns
    -------
    Tensor, shape (N, channels, size, size), the same type
        Pixels.
    """
    if size is None or images.shape[2:] == (size, size):
        return images
    return interpolate(images, size=(size, size), mode="bilinear", antialias=True)


def set_channels(images: Tensor, channels: int | None) -> Tensor:
    """Repeat grey images to three channels, or weigh colours to one.

    Parameters
    ----------
    images : Tensor, shape (N, 1 or 3, height, width), uint8 or floating point
        Pixels.
    channels : int, optional
        1 or 3; None leaves the images as they are.

    Returns
    -------
    Tensor, shape (N, channels, height, width), the same type
        Pixels.
    """
    if channels is None or images.shape[1] == channels:
        return images
    if channels == COLOUR:
        return images.repeat(1, COLOUR, 1, 1)
    grey = torch.zeros_like(images[:, :1], dtype=torch.float32)
    for channel, weight in enumerate(_LUMA):
        grey.add_(images[:, channel : channel + 1], alpha=weight)
    return grey if images.is_floating_point() else grey.round_().to(images.dtype)
