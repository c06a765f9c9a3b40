"""Labelled images in two parts, stratified order, label noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from genpredict.datasets.normalization import IDENTITY, Normalization
from genpredict.datasets.streaming import centred, pick
from genpredict.errors import GenpredictError


@dataclass(frozen=True)
class ImageSplit:
    """Images to train on and images held out, as tensors, or in files (`FileImages`).

    Attributes
    ----------
    train_images : Tensor, shape (N, channels, height, width), float32 in [0, 1] or uint8
        Images to train on.
    train_labels : Tensor, shape (N,), int64, or (N, num_classes), float32
        Their labels, replaced ones among them where there is label noise. Where an image can
        have several labels, 1 for each that it has and 0 for the others.
    test_images : Tensor, shape (M, channels, height, width), the same type
        Images held out.
    test_labels : Tensor, shape (M,), int64, or (M, num_classes), float32
        Their true labels.
    num_classes : int
        Labels are 0 to `num_classes` − 1.
    normalization : Normalization
        Turns a batch of the images into what a network takes.
    class_names : tuple of str, optional
        Name of each class, where the source tells.
    validation_images, validation_labels : Tensor, optional
        Images held out of those to train on, with their true labels, for choosing settings.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    num_classes: int
    normalization: Normalization = IDENTITY
    class_names: tuple[str, ...] | None = None
    validation_images: Tensor | None = None
    validation_labels: Tensor | None = None

    @property
    def is_multi_label(self) -> bool:
        """Whether an image can have several labels at once."""
        return self.train_labels.ndim == 2


def stratified_order(labels: Tensor, *, seed: int) -> Tensor:
    """Shuffle so that every run of consecutive images holds all classes in proportion.

    The images of a class, in random order, are laid at even distances on [0, 1), each class
    with a random offset; reading all of them from 0 to 1 gives the order. Cutting it anywhere
    yields stratified parts, and shorter parts are nested in longer ones.

    Parameters
    ----------
    labels : Tensor, shape (N,), int64
        Class of each image, 0 or more.
    seed : int
        The same seed gives the same order.

    Returns
    -------
    Tensor, shape (N,), int64
        Indices into `labels`.

    Examples
    --------
    >>> labels = torch.tensor([0, 0, 0, 1, 1, 1])
    >>> labels[stratified_order(labels, seed=0)[:2]].sort().values
    tensor([0, 1])
    """
    generator = torch.Generator().manual_seed(seed)
    place = torch.empty(len(labels), dtype=torch.float64)
    for label in range(int(labels.max()) + 1):
        members = (labels == label).nonzero().squeeze(1)
        shuffled = members[torch.randperm(len(members), generator=generator)]
        offset = torch.rand((), dtype=torch.float64, generator=generator)
        place[shuffled] = (torch.arange(len(members), dtype=torch.float64) + offset) / len(members)
    return place.argsort(stable=True)


def hold_out(split: ImageSplit, count: int, *, seed: int) -> ImageSplit:
    """Hold images out of those to train on, the classes in proportion.

    Parameters
    ----------
    split : ImageSplit
    count : int
        Number of images to hold out.
    seed : int
        Of the choice.

    Returns
    -------
    ImageSplit
        With `validation_images` and `validation_labels`.

    Raises
    ------
    GenpredictError
        If that leaves nothing to train on.
    """
    most = len(split.train_labels) - 1
    if not 1 <= count <= most:
        raise GenpredictError(f"num_validation: must be between 1 and {most}, not {count}")
    order = stratified_order(class_of(split.train_labels), seed=seed)
    held, kept = order[:count].sort().values, order[count:].sort().values
    return replace(
        split,
        train_images=pick(split.train_images, kept),
        train_labels=split.train_labels[kept],
        validation_images=centred(pick(split.train_images, held)),
        validation_labels=split.train_labels[held],
    )


def class_of(labels: Tensor) -> Tensor:
    """Number what `stratified_order` keeps in proportion: classes, or combinations of labels.

    Parameters
    ----------
    labels : Tensor, shape (N,), int64, or (N, num_classes), float32
        Labels of an `ImageSplit`.

    Returns
    -------
    Tensor, shape (N,), int64
        `labels` where each image has one; else which combination of labels it has.

    Examples
    --------
    >>> class_of(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]))
    tensor([1, 0, 1])
    """
    if labels.ndim == 1:
        return labels
    combination: Tensor = torch.unique(labels, dim=0, return_inverse=True)[1]
    return combination


def replace_labels(
    labels: Tensor, *, share: float, num_classes: int, generator: torch.Generator
) -> Tensor:
    """Give a share of the images, chosen at random, a wrong label.

    Exactly round(share · N) labels change, each to one of the other classes with equal chance:
    the share is the share of wrong labels. (Drawing among all classes, as is also done, would
    leave one in `num_classes` of the chosen ones right.)

    Parameters
    ----------
    labels : Tensor, shape (N,), int64
        True labels; left as they are.
    share : float
        Share of labels to replace, 0 to 1.
    num_classes : int
        Number of classes, at least 2.
    generator : torch.Generator
        Source of randomness, on the CPU.

    Returns
    -------
    Tensor, shape (N,), int64
        Labels with the replaced ones.

    Raises
    ------
    GenpredictError
        If `share` is not in [0, 1] or `num_classes` is below 2.

    Examples
    --------
    >>> labels = torch.zeros(10, dtype=torch.int64)
    >>> noisy = replace_labels(
    ...     labels, share=0.3, num_classes=5, generator=torch.Generator().manual_seed(0)
    ... )
    >>> int((noisy != labels).sum())
    3
    """
    if not 0 <= share <= 1:
        raise GenpredictError(f"share: must be between 0 and 1, not {share}")
    if num_classes < 2:
        raise GenpredictError(f"num_classes: must be at least 2, not {num_classes}")
    count = round(share * len(labels))
    chosen = torch.randperm(len(labels), generator=generator)[:count]
    shift = torch.randint(1, num_classes, (count,), generator=generator)
    noisy = labels.clone()
    noisy[chosen] = (labels[chosen] + shift) % num_classes
    return noisy
