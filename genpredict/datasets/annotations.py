"""Labels of images from a CSV file: one class each, or 0 and 1 for each of many."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from genpredict.errors import GenpredictError

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm",
)  # fmt: skip
# Titles of columns, in small letters; without one of the first, the first column names the image.
FILE_COLUMNS = ("image name", "image", "file", "filename", "file_name", "path", "patch names")
LABEL_COLUMNS = ("majority vote label", "label", "class", "target")
PART_COLUMNS = ("partition", "split")
TRAIN_PARTS = ("train", "training")
TEST_PARTS = (("test", "testing"), ("val", "valid", "validation"))  # the first found counts


class Labelled(NamedTuple):
    """Image files and what is known of them.

    Attributes
    ----------
    files : list of Path
        The images.
    labels : Tensor, shape (N,), int64, or (N, classes), float32
        Class of each image, or 1 for each label that it has and 0 for the others.
    is_test : Tensor, shape (N,), bool, or None
        Whether an image belongs to the test part; None where nothing tells.
    class_names : tuple of str
        Names of the classes.
    """

    files: list[Path]
    labels: Tensor
    is_test: Tensor | None
    class_names: tuple[str, ...]


def read_annotations(path: Path, folder: Path) -> Labelled:
    """Read labels from a CSV file with one row an image.

    One column names the image (``Image Name``, ``image``, ``file``, …, else the first): a path
    relative to the folder, or a file name that occurs once below it. A column ``Majority Vote
    Label``, ``label``, ``class`` or ``target`` holds the class; where there is none, all
    columns left are labels that an image has (1) or has not (0). A column ``Partition`` or
    ``split`` says ``train`` or ``test`` (without the latter, ``val``); other rows are left out.

    Parameters
    ----------
    path : Path
        The CSV file.
    folder : Path
        Below it lie the images.

    Returns
    -------
    Labelled
        Rows in the order of the file. Classes are numbered in the order of their names, as
        numbers where all are; labels in the order of the columns.

    Raises
    ------
    GenpredictError
        If the file cannot be read, has no rows or no labels, or names images that are not there.

    Examples
    --------
    MHIST: ``Image Name,Majority Vote Label,Number of Annotators …,Partition``. ADP:
    ``Patch Names,E,E.M,E.M.S,…``.
    """
    titles, rows = _read_rows(path)
    file_title = _find(titles, FILE_COLUMNS) or titles[0]
    part_title, label_title = _find(titles, PART_COLUMNS), _find(titles, LABEL_COLUMNS)
    if part_title is not None:
        rows = _rows_of_parts(path, rows, part_title)
    files = _find_files(path, folder, [row[file_title] for row in rows])
    if label_title is not None:
        labels, names = _one_label([row[label_title] for row in rows])
    else:
        names = tuple(title for title in titles if title not in (file_title, part_title))
        labels = _many_labels(path, rows, names)
    is_test = None
    if part_title is not None:
        is_test = torch.tensor([row[part_title].lower() not in TRAIN_PARTS for row in rows])
    return Labelled(files, labels, is_test, names)


def list_images(folder: Path) -> list[Path]:
    """List the image files below a folder, known by their suffixes, in alphabetical order."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def _read_rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Read titles and rows; blanks around cells are dropped."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            cells = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise GenpredictError(f"{path}: cannot be read as CSV ({error})") from error
    if len(cells) < 2:
        raise GenpredictError(f"{path}: needs a line of titles and a row for each image")
    titles = cells[0]
    for number, row in enumerate(cells[1:], start=1):
        if len(row) != len(titles):
            raise GenpredictError(
                f"{path}: row {number} has {len(row)} cells, the titles are {len(titles)}"
            )
    return titles, [dict(zip(titles, row, strict=True)) for row in cells[1:]]


def _find(titles: Sequence[str], known: Sequence[str]) -> str | None:
    """Return the title of the first known column that is there."""
    by_name = {title.lower(): title for title in titles}
    return next((by_name[name] for name in known if name in by_name), None)


def _rows_of_parts(path: Path, rows: list[dict[str, str]], title: str) -> list[dict[str, str]]:
    """Keep the rows of the training part and of the first test part that is there."""
    present = {row[title].lower() for row in rows}
    test = next((parts for parts in TEST_PARTS if present & set(parts)), ())
    if not test or not present & set(TRAIN_PARTS):
        raise GenpredictError(
            f"{path}: column {title!r} must say train or test, but says only "
            f"{', '.join(sorted(present))}"
        )
    return [row for row in rows if row[title].lower() in (*TRAIN_PARTS, *test)]


def _find_files(table: Path, folder: Path, names: list[str]) -> list[Path]:
    """Find each image by its path below the folder, or else by its name."""
    images = list_images(folder)
    by_path = {path.relative_to(folder).as_posix(): path for path in images}
    by_name: dict[str, list[Path]] = {}
    for path in images:
        by_name.setdefault(path.name, []).append(path)
    files, missing = [], []
    for name in names:
        matches = [by_path[name]] if name in by_path else by_name.get(name, [])
        if len(matches) > 1:
            raise GenpredictError(
                f"{table}: {name} lies in several folders ({matches[0].parent}, "
                f"{matches[1].parent}); write the path below {folder}"
            )
        missing += [] if matches else [name]
        files += matches
    if missing:
        raise GenpredictError(
            f"{table}: {len(missing)} of {len(names)} images are not below {folder}, the first is "
            f"{missing[0]!r}"
        )
    return files


def _one_label(cells: list[str]) -> tuple[Tensor, tuple[str, ...]]:
    distinct = set(cells)
    if all(cell.isdecimal() for cell in distinct):
        names = sorted(distinct, key=int)
    else:
        names = sorted(distinct)
    number = {name: index for index, name in enumerate(names)}
    return torch.tensor([number[cell] for cell in cells]), tuple(names)


def _many_labels(path: Path, rows: list[dict[str, str]], names: tuple[str, ...]) -> Tensor:
    value = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0}
    wrong = next((name for name in names for row in rows if row[name] not in value), None)
    if wrong is not None or not names:
        raise GenpredictError(
            f"{path}: no column of labels: none is called {', '.join(LABEL_COLUMNS)}, and "
            + (f"column {wrong!r} holds more than 0 and 1" if names else "nothing else is there")
        )
    return torch.tensor([[value[row[name]] for name in names] for row in rows])
