"""MNIST and its kin: grey images in idx files."""

from __future__ import annotations

import gzip
import io
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genpredict.datasets.images import ImageSplit
from genpredict.datasets.locating import OR, DatasetFiles, Layout, Wanted
from genpredict.errors import GenpredictError
from genpredict.sidecars import read_sidecar

NUM_CLASSES = 10
MOST_BYTES = 2**28
"""Unpacked; five times the images that MNIST trains on."""
DIGIT_CLASSES = tuple("0123456789")
FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
)  # fmt: skip
_UINT8 = 0x08  # type code of unsigned bytes
_HEADER = 4  # two zero bytes, type code, number of dimensions


def _names(part: str) -> tuple[str, ...]:
    """Name the files of a part: images, labels; with "-" or ".", packed or not."""
    return tuple(
        OR.join(
            f"{part}-{what}{separator}idx{dimensions}-ubyte{ending}"
            for separator in "-."
            for ending in ("", ".gz")
        )
        for what, dimensions in (("images", 3), ("labels", 1))
    )


def _wanted(name: str, torchvision: str, remedy: str) -> Wanted:
    subfolders = (f"{torchvision}/raw", "raw")
    return Wanted(name, (Layout("idx", _names("train"), _names("t10k"), subfolders),), remedy)


MNIST = _wanted(
    "mnist", "MNIST", "the four .gz files of http://yann.lecun.com/exdb/mnist or a mirror of it."
)
FASHION_MNIST = _wanted(
    "fashion_mnist",
    "FashionMNIST",
    "the four .gz files in data/fashion of https://github.com/zalandoresearch/fashion-mnist.",
)


def read_mnist(located: DatasetFiles, *, class_names: tuple[str, ...]) -> ImageSplit:
    """Read MNIST or Fashion-MNIST from what was found.

    Parameters
    ----------
    located : DatasetFiles
        Images and labels of both parts, idx files, packed by gzip or not.
    class_names : tuple of str
        Names of the ten classes.

    Returns
    -------
    ImageSplit
        Images of shape (N, 1, 28, 28), uint8, in the order of the files.

    Raises
    ------
    GenpredictError
        If a file is damaged, or images and labels do not belong together.
    """
    train, test = (_read_part(*files) for files in (located.train, located.test))
    return ImageSplit(*train, *test, NUM_CLASSES, class_names=class_names)


def _read_part(images_path: Path, labels_path: Path) -> tuple[Tensor, Tensor]:
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels) or not len(images):
        raise GenpredictError(
            f"{images_path}, {labels_path}: shapes {images.shape} and {labels.shape} are not those "
            "of images and their labels; fetch both again"
        )
    if labels.max() >= NUM_CLASSES:
        raise GenpredictError(f"{labels_path}: label {labels.max()}; there are 0 to 9")
    return torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels).to(torch.int64)


def read_idx(path: Path) -> np.ndarray:
    """Read an array of unsigned bytes from an idx file.

    The file holds two zero bytes, a type code, the number of dimensions, each dimension as a
    big-endian number of four bytes, then the values in C order.

    Parameters
    ----------
    path : Path
        The file; packed by gzip where its name ends in ``.gz``.

    Returns
    -------
    ndarray of uint8
        What the file holds.

    Raises
    ------
    GenpredictError
        If the file is damaged, no idx file, or of another type.
    """
    content = _read(path)
    if len(content) < _HEADER or content[:2] != b"\0\0" or content[2] != _UINT8:
        raise GenpredictError(f"{path}: not an idx file of unsigned bytes; fetch it again")
    dimensions = content[3]
    start = _HEADER + 4 * dimensions
    sizes = content[_HEADER:start]
    shape = [int.from_bytes(sizes[i : i + 4], "big") for i in range(0, len(sizes), 4)]
    if len(sizes) != 4 * dimensions or math.prod(shape) != len(content) - start:
        raise GenpredictError(
            f"{path}: truncated or damaged: {len(content)} bytes for shape {shape}; fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


def _read(path: Path) -> bytes:
    """Read a file of bounded size, unpacked where it is packed."""
    try:
        content = read_sidecar(path, most=MOST_BYTES)
        if path.suffix == ".gz":
            with gzip.open(io.BytesIO(content)) as packed:
                content = packed.read(MOST_BYTES + 1)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise GenpredictError(f"{path}: cannot be unpacked or read ({error})") from error
    if len(content) > MOST_BYTES:
        raise GenpredictError(f"{path}: more than {MOST_BYTES:,} bytes unpacked; fetch it again")
    return content
