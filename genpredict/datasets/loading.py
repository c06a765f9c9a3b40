"""Labelled images by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genpredict.datasets.cifar import CIFAR10, CIFAR10_NORMALIZATION, CIFAR100, read_cifar
from genpredict.datasets.decoding import resize_images, set_channels
from genpredict.datasets.digits import NUM_IMAGES, load_digits
from genpredict.datasets.folders import FOLDER, read_folder
from genpredict.datasets.idx import (
    DIGIT_CLASSES,
    FASHION_CLASSES,
    FASHION_MNIST,
    MNIST,
    read_mnist,
)
from genpredict.datasets.images import (
    ImageSplit,
    class_of,
    hold_out,
    replace_labels,
    stratified_order,
)
from genpredict.datasets.locating import DatasetFiles, Wanted, find_files
from genpredict.datasets.normalization import Normalization, measure_normalization
from genpredict.datasets.streaming import FileImages, pick
from genpredict.errors import GenpredictError

DIGITS = "digits"
_READERS: dict[str, tuple[Wanted, Callable[[DatasetFiles], ImageSplit]]] = {
    "cifar10": (CIFAR10.wanted, partial(read_cifar, CIFAR10)),
    "cifar100": (CIFAR100.wanted, partial(read_cifar, CIFAR100)),
    "mnist": (MNIST, partial(read_mnist, class_names=DIGIT_CLASSES)),
    "fashion_mnist": (FASHION_MNIST, partial(read_mnist, class_names=FASHION_CLASSES)),
}
DATASETS = (DIGITS, *_READERS, FOLDER)
"""Names that `load_dataset` knows."""

_NORMALIZATIONS = {"cifar10": CIFAR10_NORMALIZATION}
_NUM_TEST_DIGITS = 597
#: Images in files that mean and standard deviation are measured on.
_MEASURED = 2000


def load_dataset(
    name: str = DIGITS,
    *,
    folder: str | Path | None = None,
    image_size: int | None = None,
    channels: int | None = None,
    limit: int | None = None,
    num_test: int | None = None,
    num_validation: int | None = None,
    seed: int = 0,
    label_noise: float = 0.0,
    noise_seed: int | None = None,
    annotations: str | Path | None = None,
    stream: bool = False,
) -> ImageSplit:
    """Load labelled images, split into a training and a test part.

    Nothing is fetched and nothing is written. Reading CIFAR-10 from parquet files takes a few
    seconds: 60,000 images are decoded.

    Parameters
    ----------
    name : str
        ``digits`` (comes with scikit-learn); ``cifar10`` or ``cifar100`` (Hugging Face's parquet
        files, the python version's pickles, torchvision's folder); ``mnist`` or
        ``fashion_mnist`` (idx files, packed by gzip or not, torchvision's folder); ``folder``,
        any folder of images (see `read_folder`).
    folder : str or Path, optional
        Where the files lie. None looks in the folder that the environment variable
        ``GENPREDICT_DATA`` names, then in ``data`` below the working directory; in each first
        in the subfolder called as the data set. ``folder`` needs it, ``digits`` takes none.
    image_size : int, optional
        Height and width to scale the images to; None leaves them as they are.
    channels : int, optional
        1 for grey, 3 for colour; None leaves the images as they are.
    limit : int, optional
        Train on that many images only, the classes in proportion; smaller choices are subsets
        of larger ones.
    num_test : int, optional
        Test on that many images only, likewise. Where a folder has no test part, and for
        ``digits``, the size of the part that is held out; None then takes a fifth, and 597 of
        the digits.
    num_validation : int, optional
        Hold that many images out of those to train on, likewise; `limit` counts what is left.
        Their labels are never replaced.
    seed : int
        Seed of these choices.
    label_noise : float
        Share of training labels replaced by a wrong one, 0 to 1; see `replace_labels`.
    noise_seed : int, optional
        Seed of the replaced labels; None takes `seed`.
    annotations : str or Path, optional
        CSV file with the labels of a ``folder``; None takes the only one that lies in it.
    stream : bool
        Leave the images of a ``folder`` in their files until a batch needs them, for sets larger
        than the memory: random resized crops of `image_size` to train on, centres to test on.

    Returns
    -------
    ImageSplit
        Images as uint8 with the normalization of the data set: for ``cifar10`` the one of
        NATS-Bench, else measured on all training images. ``digits``: float32 in [0, 1], identity.

    Raises
    ------
    GenpredictError
        If the name is unknown, files are missing (which, where, and how to get them), damaged or
        of another data set, or an option makes no sense.

    Examples
    --------
    >>> split = load_dataset("digits", limit=100)
    >>> split.train_images.shape, split.num_classes
    (torch.Size([100, 1, 8, 8]), 10)
    """
    noise = label_noise, seed if noise_seed is None else noise_seed
    if num_validation is not None:
        whole = load_dataset(
            name,
            folder=folder,
            image_size=image_size,
            channels=channels,
            limit=None if limit is None else limit + num_validation,
            num_test=num_test,
            seed=seed,
            annotations=annotations,
            stream=stream,
        )
        # another seed than that of the order that limit cuts
        return _add_noise(hold_out(whole, num_validation, seed=seed + 1), *noise)
    _check(name, folder, image_size, channels, annotations, stream)
    if name == DIGITS:
        split = _load_digits(limit, num_test, seed, noise)
    elif name == FOLDER:
        split = read_folder(
            Path(folder or ""),
            annotations=None if annotations is None else Path(annotations),
            image_size=image_size,
            channels=channels,
            num_test=num_test,
            seed=seed,
            stream=stream,
        )
    else:
        wanted, read = _READERS[name]
        split = read(find_files(wanted, folder))
    split = _reshape(split, image_size, channels)
    if name == DIGITS:
        return split
    split = replace(split, normalization=_normalization(name, split))
    return _add_noise(_choose(split, limit, num_test, seed), *noise)


def _check(
    name: str,
    folder: str | Path | None,
    image_size: int | None,
    channels: int | None,
    annotations: str | Path | None,
    stream: bool,
) -> None:
    if name not in DATASETS:
        raise GenpredictError(f"name: unknown data set {name!r}; known are {', '.join(DATASETS)}")
    if name == FOLDER and folder is None:
        raise GenpredictError("folder: the data set 'folder' needs one, the folder of the images")
    if name == DIGITS and folder is not None:
        raise GenpredictError("folder: the digits come with scikit-learn; leave it out")
    if folder is not None and not Path(folder).is_dir():
        raise GenpredictError(f"folder: {folder} is no folder")
    if name != FOLDER and annotations is not None:
        raise GenpredictError(f"annotations: only 'folder' takes them, not {name!r}")
    if image_size is not None and image_size < 1:
        raise GenpredictError(f"image_size: must be at least 1, not {image_size}")
    if channels not in (None, 1, 3):
        raise GenpredictError(f"channels: must be 1 (grey) or 3 (colour), not {channels}")
    if stream and (name != FOLDER or image_size is None):
        raise GenpredictError("stream: is for the data set 'folder', and needs an image_size")


def _load_digits(
    limit: int | None, num_test: int | None, seed: int, noise: tuple[float, int]
) -> ImageSplit:
    held_out = _NUM_TEST_DIGITS if num_test is None else num_test
    for option, count, most in (
        ("num_test", held_out, NUM_IMAGES - 1),
        ("limit", limit, NUM_IMAGES - held_out),
    ):
        if count is not None and not 1 <= count <= most:
            raise GenpredictError(f"{option}: must be between 1 and {most}, not {count}")
    return load_digits(
        num_train=limit,
        num_test=held_out,
        seed=seed,
        label_noise=noise[0],
        generator=torch.Generator().manual_seed(noise[1]),
    )


def _reshape(split: ImageSplit, image_size: int | None, channels: int | None) -> ImageSplit:
    """Bring the images to the size and the number of channels asked for."""
    train, test = (
        resize_images(set_channels(images, channels), image_size)
        for images in (split.train_images, split.test_images)
    )
    return replace(split, train_images=train, test_images=test)


def _normalization(name: str, split: ImageSplit) -> Normalization:
    known = _NORMALIZATIONS.get(name)
    if known is not None and len(known.mean) == split.train_images.shape[1]:
        return known
    sample: Any = split.train_images
    if isinstance(sample, FileImages):
        every = max(len(sample) // _MEASURED, 1)
        return measure_normalization(sample.centred()[slice(None, None, every)])
    return measure_normalization(sample)


def _choose(split: ImageSplit, limit: int | None, num_test: int | None, seed: int) -> ImageSplit:
    """Keep so many images of each part, the classes in proportion."""
    train = _first("limit", split.train_labels, limit, seed)
    test = _first("num_test", split.test_labels, num_test, seed)
    return replace(
        split,
        train_images=pick(split.train_images, train),
        train_labels=split.train_labels[train],
        test_images=pick(split.test_images, test),
        test_labels=split.test_labels[test],
    )


def _first(option: str, labels: Tensor, count: int | None, seed: int) -> Tensor | slice:
    """Return the places of the first images in stratified order; all as they are for None."""
    if count is None:
        return slice(None)
    if not 1 <= count <= len(labels):
        raise GenpredictError(f"{option}: must be between 1 and {len(labels)}, not {count}")
    return stratified_order(class_of(labels), seed=seed)[:count]


def _add_noise(split: ImageSplit, share: float, seed: int) -> ImageSplit:
    if share == 0:
        return split
    if split.is_multi_label:
        raise GenpredictError("label_noise: must be 0 where images have several labels")
    if not 0 <= share <= 1:
        raise GenpredictError(f"label_noise: must be between 0 and 1, not {share}")
    noisy = replace_labels(
        split.train_labels,
        share=share,
        num_classes=split.num_classes,
        generator=torch.Generator().manual_seed(seed),
    )
    return replace(split, train_labels=noisy)
