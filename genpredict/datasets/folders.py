"""Any folder of images: one subfolder a class, or a CSV file that tells the labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genpredict.datasets.annotations import Labelled, list_images, read_annotations
from genpredict.datasets.decoding import COLOUR, decode_images
from genpredict.datasets.images import ImageSplit, class_of, stratified_order
from genpredict.datasets.streaming import FileImages
from genpredict.errors import GenpredictError

FOLDER = "folder"
TRAIN_FOLDER = "train"
TEST_FOLDERS = ("test", "val", "valid", "validation")  # the first that is there counts
HELD_OUT = 0.2  # share of the images that is held out where nothing tells the parts


def read_folder(
    folder: Path,
    *,
    annotations: Path | None = None,
    image_size: int | None = None,
    channels: int | None = None,
    num_test: int | None = None,
    seed: int = 0,
    stream: bool = False,
) -> ImageSplit:
    """Read a folder of images.

    The first of these that fits counts:

    1. `annotations`, a CSV file with the labels (see `read_annotations`);
    2. ``train/<class>/…`` and ``test/<class>/…`` (or ``val``, ``valid``, ``validation``);
    3. the only CSV file that lies in the folder;
    4. ``<class>/…``, from which a part is held out, the classes in proportion.

    Classes are numbered in alphabetical order.

    Parameters
    ----------
    folder : Path
        Where the images lie.
    annotations : Path, optional
        A CSV file.
    image_size : int, optional
        Height and width to scale the images to, needed where they differ in size.
    channels : int, optional
        1 for grey, 3 for colour; None takes grey where all images are.
    num_test : int, optional
        Number of images to hold out where nothing tells the parts; None takes a fifth.
    seed : int
        Seed of that choice.
    stream : bool
        Leave the images in their files (`FileImages`), as squares of `image_size` pixels, in
        colour unless `channels` says otherwise.

    Returns
    -------
    ImageSplit
        Images as uint8. Labels of shape (N, num_classes), float32, where an image can have
        several.

    Raises
    ------
    GenpredictError
        If there are no images, none of the four fits, an image cannot be read or has another
        size than the others, or `num_test` leaves nothing.
    """
    labelled = _list(folder, annotations)
    if not labelled.files:
        raise GenpredictError(f"folder: {folder} holds no images")
    if stream:
        return _in_files(labelled, image_size or 0, channels or COLOUR, num_test, seed)
    images = decode_images(
        labelled.files, where=str(folder), image_size=image_size, channels=channels
    )
    train, test = _parts(labelled, num_test, seed)
    labels = labelled.labels
    names = labelled.class_names
    return ImageSplit(
        images[train], labels[train], images[test], labels[test], len(names), class_names=names
    )


def _in_files(
    labelled: Labelled, side: int, channels: int, num_test: int | None, seed: int
) -> ImageSplit:
    """Return the split with its images unread."""
    train, test = _parts(labelled, num_test, seed)
    images = FileImages(labelled.files, side=side, channels=channels, is_random=True)
    parts: list[Any] = [images.subset(train), images.subset(test).centred()]
    labels, names = labelled.labels, labelled.class_names
    return ImageSplit(
        parts[0], labels[train], parts[1], labels[test], len(names), class_names=names
    )


def _list(folder: Path, annotations: Path | None) -> Labelled:
    """Return files and labels from the first source that fits."""
    if annotations is not None:
        return read_annotations(annotations, folder)
    if (folder / TRAIN_FOLDER).is_dir():
        return _list_two_parts(folder)
    tables = sorted(folder.glob("*.csv"))
    if len(tables) > 1:
        raise GenpredictError(
            f"annotations: {folder} holds {', '.join(t.name for t in tables)}; name the one to use"
        )
    if tables:
        return read_annotations(tables[0], folder)
    classes = _classes(folder)
    files, labels = _list_classes(folder, classes)
    return Labelled(files, labels, None, classes)


def _list_two_parts(folder: Path) -> Labelled:
    test_folder = next((folder / t for t in TEST_FOLDERS if (folder / t).is_dir()), None)
    if test_folder is None:
        raise GenpredictError(f"folder: {folder} holds train/, but neither test/ nor val/")
    classes = _classes(folder / TRAIN_FOLDER)
    if unknown := sorted(set(_classes(test_folder)) - set(classes)):
        raise GenpredictError(f"{test_folder / unknown[0]}: no such class in {TRAIN_FOLDER}/")
    train, train_labels = _list_classes(folder / TRAIN_FOLDER, classes)
    test, test_labels = _list_classes(test_folder, classes)
    if not test:
        raise GenpredictError(f"folder: {test_folder} holds no images")
    is_test = torch.arange(len(train) + len(test)) >= len(train)
    return Labelled(train + test, torch.cat([train_labels, test_labels]), is_test, classes)


def _classes(folder: Path) -> tuple[str, ...]:
    """Name the subfolders, hidden ones apart."""
    names = (p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    classes = tuple(sorted(names))
    if not classes:
        raise GenpredictError(
            f"folder: {folder} holds neither a subfolder for each class nor a CSV file of labels"
        )
    return classes


def _list_classes(folder: Path, classes: tuple[str, ...]) -> tuple[list[Path], Tensor]:
    """List the images of each class, and their labels."""
    files: list[Path] = []
    counts = []
    for name in classes:
        images = list_images(folder / name) if (folder / name).is_dir() else []
        counts.append(len(images))
        files += images
    return files, torch.arange(len(classes)).repeat_interleave(torch.tensor(counts))


def _parts(labelled: Labelled, num_test: int | None, seed: int) -> tuple[Tensor, Tensor]:
    """Return the places of training and test images."""
    if labelled.is_test is not None:
        return (~labelled.is_test).nonzero().squeeze(1), labelled.is_test.nonzero().squeeze(1)
    count = len(labelled.files)
    held_out = round(HELD_OUT * count) if num_test is None else num_test
    if not 1 <= held_out < count:
        raise GenpredictError(f"num_test: must be between 1 and {count - 1}, not {held_out}")
    order = stratified_order(class_of(labelled.labels), seed=seed)
    return order[held_out:].sort().values, order[:held_out].sort().values
