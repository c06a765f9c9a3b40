"""Decoded NATS-Bench archives in ``*.cache.safetensors``: one architecture a file.

A file holds the tensors of all its networks, named ``<row>/<tensor>``, and in the header's
metadata a list of the networks: what follows the archive's id in theirs, the archive they come
from, what is known of them, and the order of their tensors. Reading it gives the very
`Checkpoint` objects that the archive gives, without unpacking and unpickling.

The networks' ids begin with the archive's, ``NATS-sss/000011``: what leads the number stands in
``cache.json`` beside the files.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from mmap import ACCESS_COPY, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genpredict.checkpoints.checkpoint import Checkpoint, Metadata
from genpredict.checkpoints.nats import Selection
from genpredict.checkpoints.safetensors_files import read_layout
from genpredict.checkpoints.unpickling import check_file
from genpredict.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

CACHE_SUFFIX = ".cache.safetensors"
FRONT_FILE = "cache.json"
METADATA_KEY = "genpredict_cache"
FORMAT = 1
_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64",
    "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
_REMEDY = "delete it and run genpredict cache again"


def read_cached(
    archive_id: str, path: Path, *, selection: Selection | None = None
) -> Iterator[Checkpoint]:
    """Yield the networks of a cache file, as `read_archive` yields those of the archive.

    Parameters
    ----------
    archive_id : str
        Leads the ids of the networks, e.g. ``NATS-sss/000011``.
    path : Path
        The file.
    selection : Selection, optional
        Which rows to take.

    Raises
    ------
    CheckpointError
        When the file is damaged or no cache.
    """
    selection = selection or Selection()
    entries, layout, start = _open(path)
    try:
        for number, entry in enumerate(entries["rows"]):
            metadata = _checked(entry["metadata"])
            if selection.has(int(metadata["epoch"]), str(metadata["dataset"])):
                row_id = f"{archive_id}/{entry['id']}"
                loader = partial(_load, row_id, path, number, entry, layout, start)
                yield Checkpoint(row_id, str(entry["source"]), metadata, loader)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"its list of networks is damaged ({error!r:.160})"
        raise CheckpointError(path, f"{reason}; {_REMEDY}") from error


def read_entries(path: Path) -> dict[str, Any]:
    """Read what a cache file says of itself: ``source_size``, ``selection`` and ``rows``.

    Raises
    ------
    CheckpointError
        When the file is damaged or no cache.
    """
    return _open(path)[0]


def _open(path: Path) -> tuple[dict[str, Any], dict[str, Any], int]:
    """Return the entries, the layout of the tensors, and where their bytes begin."""
    check_file(path)
    layout, metadata, start = read_layout(path)
    try:
        entries: dict[str, Any] = json.loads(metadata[METADATA_KEY])
        known = entries["format"] == FORMAT and isinstance(entries["rows"], list)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(path, f"no cache file, or damaged ({error}); {_REMEDY}") from error
    if not known:
        raise CheckpointError(path, f"a cache of another version of genpredict; {_REMEDY}")
    return entries, layout, start


def write_cached(
    path: Path,
    archive_id: str,
    checkpoints: Sequence[Checkpoint],
    *,
    source_size: int,
    selection: str,
) -> None:
    """Write the networks of one architecture to a file, whole or not at all.

    Parameters
    ----------
    path : Path
        The file; its folder exists.
    archive_id : str
        What leads the ids of the networks.
    checkpoints : sequence of Checkpoint
        The networks. One that cannot be loaded is cached with the error that says so.
    source_size : int
        Bytes of the archive.
    selection : str
        What was taken of it.

    Raises
    ------
    OSError
        When the disk is full, say; no file is left then.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    rows = [_entry(n, c, archive_id, tensors) for n, c in enumerate(checkpoints)]
    about = {"format": FORMAT, "source_size": source_size, "selection": selection, "rows": rows}
    partial_file = path.with_name(f"{path.name}.partial")
    try:
        save_file(tensors, partial_file, metadata={METADATA_KEY: json.dumps(about)})
        partial_file.replace(path)
    except SafetensorError as error:  # how a full disk shows itself here
        raise OSError(0, str(error), str(path)) from error
    finally:
        partial_file.unlink(missing_ok=True)


def _entry(
    number: int, checkpoint: Checkpoint, archive_id: str, tensors: dict[str, Tensor]
) -> dict[str, Any]:
    """Describe one network, and add its tensors to those of the file; equal views once."""
    entry: dict[str, Any] = {
        "id": checkpoint.id.removeprefix(f"{archive_id}/"),
        "source": checkpoint.source,
        "metadata": dict(checkpoint.metadata),
        "tensors": [],
    }
    seen: dict[tuple[Any, ...], str] = {}
    try:
        loaded = checkpoint.tensors()
    except CheckpointError as error:
        return entry | {"error": error.reason}
    for name, tensor in loaded.items():
        view = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        kept = seen.setdefault(view, name) if tensor.numel() else name
        entry["tensors"].append([name, kept])
        if kept == name:
            tensors[f"{number}/{name}"] = tensor.contiguous().clone()
    return entry


def _load(
    row_id: str,
    path: Path,
    number: int,
    entry: Mapping[str, Any],
    layout: Mapping[str, Any],
    start: int,
) -> dict[str, Tensor]:
    """Map the tensors of one network; those that were one stay one.

    The header is parsed once a file and the file mapped once a network: safetensors' own reader
    would parse it for each, half the time of scoring from a cache.
    """
    if "error" in entry:
        raise CheckpointError(row_id, str(entry["error"]))
    try:
        flat = _mapped(path)
        places = {first: layout[f"{number}/{first}"] for _, first in entry["tensors"]}
        kept = {first: _tensor(flat, place, start) for first, place in places.items()}
        return {name: kept[first] for name, first in entry["tensors"]}
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointError(row_id, f"{path} is damaged ({error}); {_REMEDY}") from error


def _mapped(path: Path) -> Tensor:
    """Return the bytes of a file as a tensor; a copy is made of what is written to."""
    import torch

    with path.open("rb") as file:
        return torch.frombuffer(mmap(file.fileno(), 0, access=ACCESS_COPY), dtype=torch.uint8)


def _tensor(flat: Tensor, place: Mapping[str, Any], start: int) -> Tensor:
    """Return one tensor of a file, checked against its place in it."""
    import torch

    dtype, shape = getattr(torch, _DTYPES[place["dtype"]]), place["shape"]
    first, last = place["data_offsets"]
    sizes = all(type(n) is int and n >= 0 for n in (first, last, *shape))
    if not sizes or math.prod(shape) * dtype.itemsize != last - first:
        raise ValueError(f"shape {shape} does not fit bytes {first} to {last}")
    if start + last > flat.numel():
        raise ValueError(f"bytes {first} to {last} lie beyond the end")
    return flat[start + first : start + last].view(dtype).view(shape)


def _checked(metadata: Mapping[str, Any]) -> Metadata:
    """Return the metadata where they are texts and numbers."""
    if not isinstance(metadata, dict):
        raise ValueError(f"metadata is a {type(metadata).__name__}")
    for name, value in metadata.items():
        if type(value) not in (str, int, float):
            raise ValueError(f"{name} is a {type(value).__name__}")
    return dict(metadata)


def read_front(folder: Path) -> str | None:
    """Return what leads the numbers of a folder's cache files, None where nothing says so."""
    try:
        front = json.loads((folder / FRONT_FILE).read_text(encoding="utf-8"))["front"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return front if isinstance(front, str) else None


def write_front(folder: Path, front: str) -> None:
    """Write what leads the numbers of a folder's cache files."""
    (folder / FRONT_FILE).write_text(json.dumps({"front": front}), encoding="utf-8")
