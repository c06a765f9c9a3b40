"""Decoded NATS-Bench archives in ``*.cache.safetensors``: one architecture a file.

A file holds for each network one flat array of each type, ``<row>/F32``, in which its tensors lie
one after the other: some 140 entries in the header for each would take as long to read as the
tensors take to measure. The header's metadata list the networks (what follows the archive's id in
theirs, the archive they come from, what is known of them) and their layouts: name, type and shape
of every tensor, mostly one layout for all. Reading a file gives the very `Checkpoint` objects that
the archive gives, without unpacking and unpickling.

The networks' ids begin with the archive's, ``NATS-sss/000011``: what leads the number stands in
``cache.json`` beside the files.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genpredict.atomic import replacement, write_text
from genpredict.checkpoints.checkpoint import Checkpoint, Metadata
from genpredict.checkpoints.finding.runs import is_plain
from genpredict.checkpoints.formats.safetensors_files import DTYPES, read_array, read_layout
from genpredict.checkpoints.formats.unpickling import check_file
from genpredict.checkpoints.nats.archives import Selection
from genpredict.errors import CheckpointError
from genpredict.schema import KNOWN
from genpredict.sidecars import read_json

if TYPE_CHECKING:
    from torch import Tensor

CACHE_SUFFIX = ".cache.safetensors"
FRONT_FILE = "cache.json"
METADATA_KEY = "genpredict_cache"
FORMAT = 2
_CODES = {name: code for code, name in DTYPES.items()}
_REMEDY = "delete it and run genpredict cache again"


@dataclass(frozen=True)
class _Layout:
    """How the tensors of a network lie in its flat arrays.

    Parameters
    ----------
    names : dict of str to str
        Of every tensor, in order: the name under which it is kept, which is that of the first
        where several are one.
    pieces : dict of str to dict of str to tuple of int
        By type: names and shapes of the tensors that are kept, in order.
    """

    names: dict[str, str]
    pieces: dict[str, dict[str, tuple[int, ...]]]

    @classmethod
    def of(cls, listed: Sequence[Sequence[Any]]) -> _Layout:
        """Make it of ``[name, type, shape]``, or ``[name, kept]``, for every tensor."""
        names, pieces = dict[str, str](), dict[str, dict[str, tuple[int, ...]]]()
        for name, *rest in listed:
            if len(rest) == 1:
                names[name] = rest[0]
                continue
            dtype, shape = rest
            for size in shape:  # no generator: these run millions of times
                if type(size) is not int or size < 0:
                    raise ValueError(f"{name} has the shape {shape!r:.80}")
            names[name] = name
            pieces.setdefault(dtype, {})[name] = tuple(shape)
        return cls(names, pieces)


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
    entries, places, start = _open(path)
    try:
        layouts = [_Layout.of(listed) for listed in entries["layouts"]]
        known = [_checked(entry["metadata"]) for entry in entries["rows"]]
        _check_ids([entry["id"] for entry in entries["rows"]])
        for number, (entry, metadata) in enumerate(zip(entries["rows"], known, strict=True)):
            if selection.has(int(metadata["epoch"]), str(metadata["dataset"])):
                row_id = f"{archive_id}/{entry['id']}"
                layout = str(entry["error"]) if "error" in entry else layouts[entry["layout"]]
                loader = partial(_load, row_id, path, layout, places, number, start)
                yield Checkpoint(row_id, str(entry["source"]), metadata, loader)
    except (KeyError, IndexError, TypeError, ValueError) as error:
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
    """Return the entries, the places of the flat arrays, and where the bytes begin."""
    check_file(path)
    places, metadata, start = read_layout(path)
    try:
        entries: dict[str, Any] = json.loads(metadata[METADATA_KEY])
        known = entries["format"] == FORMAT and isinstance(entries["rows"], list)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(path, f"no cache file, or damaged ({error}); {_REMEDY}") from error
    if not known:
        raise CheckpointError(path, f"a cache of another version of genpredict; {_REMEDY}")
    return entries, places, start


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
    from safetensors.torch import save

    arrays: dict[str, Tensor] = {}
    layouts: list[list[list[Any]]] = []
    rows = [_entry(n, c, archive_id, arrays, layouts) for n, c in enumerate(checkpoints)]
    about = {"format": FORMAT, "source_size": source_size, "selection": selection}
    about |= {"layouts": layouts, "rows": rows}
    # Not by `save_file`: it leaves files of its own when it is killed, and lets nobody else read.
    with replacement(path) as partial_file:
        partial_file.write_bytes(save(arrays, metadata={METADATA_KEY: json.dumps(about)}))


def _entry(
    number: int,
    checkpoint: Checkpoint,
    archive_id: str,
    arrays: dict[str, Tensor],
    layouts: list[list[list[Any]]],
) -> dict[str, Any]:
    """Describe one network, and add its tensors to the arrays of the file; equal views once."""
    import torch

    entry: dict[str, Any] = {
        "id": checkpoint.id.removeprefix(f"{archive_id}/"),
        "source": checkpoint.source,
        "metadata": dict(checkpoint.metadata),
    }
    try:
        loaded = checkpoint.tensors()
    except CheckpointError as error:
        return entry | {"error": error.reason}
    listed: list[list[Any]] = []
    parts: dict[str, list[Tensor]] = {}
    seen: dict[tuple[Any, ...], str] = {}
    for name, tensor in loaded.items():
        view = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        kept = seen.setdefault(view, name) if tensor.numel() else name
        code = _CODES.get(str(tensor.dtype).removeprefix("torch."))
        if code is None:
            return entry | {"error": f"{name} is of type {tensor.dtype}, which no cache can hold"}
        listed.append([name, code, list(tensor.shape)] if kept == name else [name, kept])
        if kept == name:
            parts.setdefault(code, []).append(tensor.reshape(-1))
    arrays.update({f"{number}/{code}": torch.cat(some) for code, some in parts.items()})
    if listed not in layouts:
        layouts.append(listed)
    return entry | {"layout": layouts.index(listed)}


def _load(
    row_id: str,
    path: Path,
    layout: _Layout | str,
    places: Mapping[str, Any],
    number: int,
    start: int,
) -> dict[str, Tensor]:
    """Read the tensors of one network; those that were one stay one.

    The header is parsed once a file: safetensors' own reader would parse it for each network. An
    array is read whole, where a mapped file would come page by page.
    """
    if isinstance(layout, str):
        raise CheckpointError(row_id, layout)
    try:
        kept: dict[str, Tensor] = {}
        with path.open("rb") as file:
            for code, shapes in layout.pieces.items():
                array = read_array(file, places[f"{number}/{code}"], start)
                parts = array.split_with_sizes([math.prod(shape) for shape in shapes.values()])
                for part, (name, shape) in zip(parts, shapes.items(), strict=True):
                    kept[name] = part if len(shape) == 1 else part.view(shape)
        return {name: kept[first] for name, first in layout.names.items()}
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointError(row_id, f"{path} is damaged ({error}); {_REMEDY}") from error


def _checked(metadata: Mapping[str, Any]) -> Metadata:
    """Return the metadata where they are what the schema says of their names."""
    if not isinstance(metadata, dict):
        raise ValueError(f"metadata is a {type(metadata).__name__}")
    for name, value in metadata.items():
        if type(value) not in (str, int, float):
            raise ValueError(f"{name} is a {type(value).__name__}")
        if name not in KNOWN or not is_plain(name, value):
            raise ValueError(f"{name} cannot be {value!r:.80}")
    return dict(metadata)


def _check_ids(ids: Sequence[object]) -> None:
    """Raise unless the networks have names of their own."""
    if not all(isinstance(one, str) and one for one in ids) or len(set(ids)) < len(ids):
        raise ValueError("its networks have no names, or two have one")


def read_front(folder: Path) -> str | None:
    """Return what leads the numbers of a folder's cache files, None where nothing says so."""
    try:
        front = read_json(folder / FRONT_FILE)["front"]
        front.encode()  # half a character leads no id
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return front if isinstance(front, str) else None


def write_front(folder: Path, front: str) -> None:
    """Write what leads the numbers of a folder's cache files."""
    write_text(folder / FRONT_FILE, json.dumps({"front": front}))
