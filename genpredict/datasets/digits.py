"""Handwritten digits that come with scikit-learn: 1,797 real images, no download."""

from __future__ import annotations

import torch

from genpredict.datasets.images import ImageSplit, replace_labels, stratified_order
from genpredict.errors import GenpredictError

NUM_IMAGES = 1797
NUM_CLASSES = 10
_MAX_PIXEL = 16.0  # a pixel counts the ink in a block of 4 × 4


def load_digits(
    *,
    num_train: int | None = None,
    num_test: int = 597,
    seed: int = 0,
    label_noise: float = 0.0,
    generator: torch.Generator | None = None,
) -> ImageSplit:
    """Load the digits, scaled to [0, 1] and split into a training and a test part.

    Both parts hold the ten classes in proportion. For one `seed` and `num_test` the test part
    is always the same, and a smaller training part is a subset of every larger one.

    Parameters
    ----------
    num_train : int, optional
        Number of training images; None takes all that are not test images.
    num_test : int
        Number of test images.
    seed : int
        Seed of the split.
    label_noise : float
        Share of training labels replaced by a wrong one, 0 to 1; see `replace_labels`.
    generator : torch.Generator, optional
        Chooses the labels to replace and their values; needed where `label_noise` is above 0.

    Returns
    -------
    ImageSplit
        Images of shape (N, 1, 8, 8), float32 in [0, 1]; labels 0 to 9.

    Raises
    ------
    GenpredictError
        If the two parts are empty or too large together, `label_noise` is not in [0, 1], or
        there is label noise without a generator.

    References
    ----------
    E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository, 1998; scikit-learn carries its test part.

    Examples
    --------
    >>> split = load_digits(num_train=100)
    >>> split.train_images.shape, split.test_images.shape
    (torch.Size([100, 1, 8, 8]), torch.Size([597, 1, 8, 8]))
    """
    count = NUM_IMAGES - num_test if num_train is None else num_train
    _check_sizes(count, num_test)
    images, labels = _read()
    order = stratified_order(labels, seed=seed)
    test, train = order[:num_test], order[num_test : num_test + count]
    train_labels = labels[train]
    if label_noise != 0:
        train_labels = _add_noise(train_labels, label_noise, generator)
    return ImageSplit(images[train], train_labels, images[test], labels[test], NUM_CLASSES)


def _read() -> tuple[torch.Tensor, torch.Tensor]:
    """Read all images, shape (1797, 1, 8, 8), and labels, shape (1797,), in their own order."""
    from sklearn.datasets import load_digits as read_digits  # takes a second to import

    digits = read_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / _MAX_PIXEL
    return images, torch.tensor(digits.target, dtype=torch.int64)


def _check_sizes(num_train: int, num_test: int) -> None:
    for name, count in (("num_train", num_train), ("num_test", num_test)):
        if count < 1:
            raise GenpredictError(f"{name}: must be at least 1, not {count}")
    if num_train + num_test > NUM_IMAGES:
        raise GenpredictError(
            f"num_train, num_test: {num_train} + {num_test} is more than the {NUM_IMAGES} images"
        )


def _add_noise(
    labels: torch.Tensor, share: float, generator: torch.Generator | None
) -> torch.Tensor:
    if not 0 <= share <= 1:
        raise GenpredictError(f"label_noise: must be between 0 and 1, not {share}")
    if generator is None:
        raise GenpredictError("generator: label_noise above 0 needs one, e.g. torch.Generator()")
    return replace_labels(labels, share=share, num_classes=NUM_CLASSES, generator=generator)
