"""Images in parquet files, in the layout of Hugging Face's image data sets."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from genpredict.datasets.decoding import decode_images
from genpredict.errors import GenpredictError

if TYPE_CHECKING:
    import pyarrow.parquet

_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.parquet$")
_ROWS_A_STEP = 1024


class ParquetImages(NamedTuple):
    """What a set of parquet files holds.

    Attributes
    ----------
    images : Tensor, shape (N, channels, height, width), uint8
        Pixels.
    labels : Tensor, shape (N,), int64
        Class of each image.
    class_names : tuple of str or None
        Names of the classes, where the files tell.
    """

    images: Tensor
    labels: Tensor
    class_names: tuple[str, ...] | None


def read_parquet(
    files: Sequence[Path], *, image_column: str, label_column: str, channels: int
) -> ParquetImages:
    """Read images and labels from the shards of one part of a data set.

    Parameters
    ----------
    files : sequence of Path
        Shards, in order.
    image_column : str
        Column of structs {bytes, path}; `bytes` holds a PNG or JPEG file.
    label_column : str
        Column of whole numbers.
    channels : int
        1 for grey, 3 for colour.

    Returns
    -------
    ParquetImages
        All rows of all shards.

    Raises
    ------
    GenpredictError
        If a shard is missing or damaged, a column is not there, an image or label is empty or
        cannot be decoded, or pyarrow is not installed.
    """
    _check_shards(files)
    images, labels = [], []
    names: tuple[str, ...] | None = None
    for path in files:
        file = _open(path)
        _check_columns(file, path, (image_column, label_column))
        names = names or _class_names(file, label_column)
        try:
            for batch in file.iter_batches(_ROWS_A_STEP, columns=[image_column, label_column]):
                coded, numbers = (batch.column(c).to_pylist() for c in (image_column, label_column))
                labels.append(_labels(numbers, path, label_column))
                images.append(
                    decode_images(_bytes(coded, path), where=str(path), channels=channels)
                )
        except OSError as error:
            raise GenpredictError(f"{path}: truncated or damaged ({error})") from error
    if not images:
        raise GenpredictError(f"{files[0]}: holds no rows")
    return ParquetImages(torch.cat(images), torch.cat(labels), names)


def _check_shards(files: Sequence[Path]) -> None:
    """Raise where the names tell of a shard that is not there."""
    for path in files:
        if match := _SHARD.search(path.name):
            count = int(match[2])
            present = {p.name for p in files}
            prefix = path.name[: match.start()]
            for number in range(count):
                name = f"{prefix}-{number:05d}-of-{match[2]}.parquet"
                if name not in present:
                    raise GenpredictError(f"{path.parent / name}: shard missing; fetch it too")


def _open(path: Path) -> pyarrow.parquet.ParquetFile:
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError as error:
        raise GenpredictError(
            f"{path}: reading parquet files needs pyarrow: pip install 'genpredict[train]'"
        ) from error
    try:
        return parquet.ParquetFile(path)
    except (OSError, ArrowInvalid) as error:
        raise GenpredictError(f"{path}: not a parquet file, or damaged ({error})") from error


def _check_columns(file: pyarrow.parquet.ParquetFile, path: Path, columns: tuple[str, ...]) -> None:
    present = file.schema_arrow.names
    for column in columns:
        if column not in present:
            raise GenpredictError(
                f"{path}: no column {column!r}, only {', '.join(present)}; is it another data set?"
            )


def _class_names(file: pyarrow.parquet.ParquetFile, column: str) -> tuple[str, ...] | None:
    """Read the names of the classes from the metadata that Hugging Face adds."""
    raw = (file.schema_arrow.metadata or {}).get(b"huggingface")
    try:
        names = json.loads(raw)["info"]["features"][column]["names"] if raw else None
    except (ValueError, KeyError, TypeError):  # a comment of the file, not its data
        return None
    return tuple(str(name) for name in names) if names else None


def _labels(numbers: list[object], path: Path, column: str) -> Tensor:
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise GenpredictError(f"{path}: column {column!r} must hold whole numbers of 0 or more")
    return torch.tensor(numbers, dtype=torch.int64)


def _bytes(coded: list[object], path: Path) -> list[bytes]:
    """Return the files in a column of structs, or of bytes alone."""
    files = [cell["bytes"] if isinstance(cell, dict) else cell for cell in coded]
    contents = [cell for cell in files if isinstance(cell, bytes)]
    if len(contents) != len(files):
        raise GenpredictError(f"{path}: a row without image bytes; fetch the file again")
    return contents
