"""Small data sets on disk, written by other means than genpredict's readers use."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def random_images(count: int, height: int = 32, width: int = 32, channels: int = 3) -> np.ndarray:
    """Return random pixels, shape (count, height, width, channels)."""
    return np.random.default_rng(count).integers(
        0, 256, (count, height, width, channels), dtype=np.uint8
    )


def png(image: np.ndarray) -> bytes:
    """Encode an image of shape (height, width, 1 or 3) without loss."""
    buffer = io.BytesIO()
    Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(
    path: Path,
    images: np.ndarray,
    labels: Sequence[int],
    *,
    label_column: str = "label",
    names: Sequence[str] | None = None,
) -> None:
    """Write images as Hugging Face does: img{bytes, path} and a column of labels."""
    import pyarrow as pa
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(
        {
            "img": [{"bytes": png(image), "path": f"{i}.png"} for i, image in enumerate(images)],
            label_column: list(labels),
            "coarse_label": [0] * len(labels),
        }
    )
    if names is not None:
        features = {label_column: {"names": list(names), "_type": "ClassLabel"}}
        info = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": info})
    parquet.write_table(table, path, row_group_size=3)


def _text(value: bytes) -> bytes:
    """Write a text as Python 2 does."""
    if len(value) < 256:
        return b"U" + bytes([len(value)]) + value
    return b"T" + struct.pack("<i", len(value)) + value


def _number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _array(array: np.ndarray) -> bytes:
    """Write an array of bytes as numpy for Python 2 does, protocol 2."""
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + _text(b"b")
    dtype = b"cnumpy\ndtype\n" + _text(b"u1") + b"K\x00K\x01\x87R"
    dtype += b"(K\x03" + _text(b"|") + b"NNN" + _number(-1) * 2 + b"K\x00tb"
    shape = b"".join(_number(size) for size in array.shape) + b"\x86"
    state = b"(K\x01" + shape + dtype + b"\x89" + _text(array.tobytes()) + b"t"
    return made + b"\x87R" + state + b"b"


def python2_pickle(content: dict[bytes, object]) -> bytes:
    """Write a dict of texts, lists of numbers or texts and arrays as Python 2 does."""
    items = b""
    for key, value in content.items():
        items += _text(key)
        if isinstance(value, np.ndarray):
            items += _array(value)
        elif isinstance(value, list):
            cells = (_number(v) if isinstance(v, int) else _text(v) for v in value)
            items += b"](" + b"".join(cells) + b"e"
        else:
            assert isinstance(value, bytes)
            items += _text(value)
    return b"\x80\x02}(" + items + b"u."


def flat(images: np.ndarray) -> np.ndarray:
    """Lay images out as CIFAR's pickles do: (count, 3072), all red first."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)


def idx(array: np.ndarray) -> bytes:
    """Write an array of bytes as an idx file."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an image of shape (height, width, 1 or 3) as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(image))
