"""CIFAR-10 and CIFAR-100: 60,000 colour images of 32 × 32 pixels each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genpredict.datasets.decoding import COLOUR
from genpredict.datasets.images import ImageSplit
from genpredict.datasets.locating import DatasetFiles, Layout, Wanted
from genpredict.datasets.normalization import MAX_PIXEL, Normalization
from genpredict.datasets.parquet import read_parquet
from genpredict.datasets.pickles import load_pickle
from genpredict.errors import GenpredictError

SIDE = 32  # pixels
SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"

# As NATS-Bench trained its networks, given there in levels of 255; the training images have
# mean 125.307, 122.950, 113.865 and standard deviation 62.993, 62.089, 66.705.
CIFAR10_NORMALIZATION = Normalization(
    mean=tuple(level / MAX_PIXEL for level in (125.3, 123.0, 113.9)),
    std=tuple(level / MAX_PIXEL for level in (63.0, 62.1, 66.7)),
)
CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


@dataclass(frozen=True)
class Form:
    """What tells the two data sets apart.

    Attributes
    ----------
    wanted : Wanted
        Where the files lie.
    num_classes : int
        10 or 100.
    label_column : str
        Of the parquet files.
    label_key : str
        Of the pickles.
    meta : str
        Pickle that names the classes.
    names_key : str
        Its entry.
    """

    wanted: Wanted
    num_classes: int
    label_column: str
    label_key: str
    meta: str
    names_key: str


def _parquet(*subfolders: str) -> Layout:
    return Layout("parquet", ("train-*.parquet",), ("test-*.parquet",), subfolders)


def _remedy(name: str, archive: str) -> str:
    return (
        f"`hf download uoft-cs/{name} --repo-type dataset --local-dir data/{name}`, "
        f"or unpack {archive} of {SOURCE}."
    )


CIFAR10 = Form(
    Wanted(
        "cifar10",
        (
            _parquet("plain_text", "data"),
            Layout(
                "pickles",
                tuple(f"data_batch_{number}" for number in range(1, 6)),
                ("test_batch",),
                ("cifar-10-batches-py",),
            ),
        ),
        _remedy("cifar10", "cifar-10-python.tar.gz"),
        ("cifar-10-python.tar.gz",),
    ),
    num_classes=10,
    label_column="label",
    label_key="labels",
    meta="batches.meta",
    names_key="label_names",
)
CIFAR100 = Form(
    Wanted(
        "cifar100",
        (
            _parquet("cifar100", "data", "plain_text"),
            Layout("pickles", ("train",), ("test",), ("cifar-100-python",)),
        ),
        _remedy("cifar100", "cifar-100-python.tar.gz"),
        ("cifar-100-python.tar.gz",),
    ),
    num_classes=100,
    label_column="fine_label",
    label_key="fine_labels",
    meta="meta",
    names_key="fine_label_names",
)


def read_cifar(form: Form, located: DatasetFiles) -> ImageSplit:
    """Read CIFAR-10 or CIFAR-100 from what was found.

    Parameters
    ----------
    form : Form
        `CIFAR10` or `CIFAR100` (its 100 fine classes).
    located : DatasetFiles
        Parquet files or pickles.

    Returns
    -------
    ImageSplit
        Images of shape (N, 3, 32, 32), uint8, in the order of the files.

    Raises
    ------
    GenpredictError
        If a file is damaged or holds something else.
    """
    names: tuple[str, ...] | None
    if located.kind == "parquet":
        parts = [
            read_parquet(files, image_column="img", label_column=form.label_column, channels=COLOUR)
            for files in (located.train, located.test)
        ]
        train, test = ((part.images, part.labels) for part in parts)
        names = parts[0].class_names
    else:
        train, test = (_read_pickles(form, files) for files in (located.train, located.test))
        names = _read_names(form, located.train[0].parent)
    for files, (images, labels) in ((located.train, train), (located.test, test)):
        _check(form, files, images, labels)
    if names is None and form is CIFAR10:
        names = CIFAR10_CLASSES
    return ImageSplit(*train, *test, form.num_classes, class_names=names)


def _read_pickles(form: Form, files: Sequence[Path]) -> tuple[Tensor, Tensor]:
    """Read images, shape (N, 3, 32, 32), and labels, shape (N,), of one part."""
    parts = [_read_pickle(form, path) for path in files]
    images, labels = zip(*parts, strict=True)
    return torch.cat(images), torch.cat(labels)


def _read_pickle(form: Form, path: Path) -> tuple[Tensor, Tensor]:
    content = load_pickle(path)
    pixels, labels = content.get("data"), content.get(form.label_key)
    if not (
        isinstance(pixels, np.ndarray)
        and pixels.dtype == np.uint8
        and pixels.ndim == 2
        and pixels.shape[1] == COLOUR * SIDE**2
    ):
        raise GenpredictError(f"{path}: 'data' must be an array of uint8, shape (N, 3072)")
    if not (
        isinstance(labels, list)
        and len(labels) == len(pixels)
        and all(isinstance(label, int) for label in labels)
    ):
        raise GenpredictError(f"{path}: {form.label_key!r} must be a list of {len(pixels)} numbers")
    images = torch.from_numpy(np.array(pixels, order="C")).view(-1, COLOUR, SIDE, SIDE)
    return images, torch.tensor(labels, dtype=torch.int64)


def _read_names(form: Form, folder: Path) -> tuple[str, ...] | None:
    """Read the names of the classes, where the file that holds them is there."""
    path = folder / form.meta
    if not path.is_file():
        return None
    names = load_pickle(path).get(form.names_key)
    if not isinstance(names, list) or len(names) != form.num_classes:
        raise GenpredictError(f"{path}: {form.names_key!r} must name {form.num_classes} classes")
    return tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)


def _check(form: Form, files: Sequence[Path], images: Tensor, labels: Tensor) -> None:
    if images.shape[1:] != (COLOUR, SIDE, SIDE):
        size = " × ".join(str(side) for side in images.shape[2:])
        raise GenpredictError(
            f"{files[0]}: images of {size} pixels; {form.wanted.name} has {SIDE} × {SIDE}"
        )
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= form.num_classes:
        wrong = lowest if lowest < 0 else highest
        raise GenpredictError(
            f"{files[0]}: label {wrong}; {form.wanted.name} has 0 to {form.num_classes - 1}"
        )
