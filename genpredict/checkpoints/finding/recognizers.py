"""Recognize what lies in a folder, or behind a single path, by what it holds.

`RECOGNIZERS` are asked in turn about each folder; each claims the files that belong to it and
the next sees the rest. A new kind of source (a run folder, say) is one more function in the list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from genpredict.checkpoints.finding.folders import Folder, Found, walk
from genpredict.checkpoints.finding.runs import is_of_run, read_run_checkpoint, recognize_runs
from genpredict.checkpoints.formats.safetensors_files import (
    SAFETENSORS_SUFFIX,
    read_safetensors,
    read_safetensors_shards,
)
from genpredict.checkpoints.formats.torch_files import (
    TORCH_SUFFIXES,
    read_torch_shards,
    read_torch_tensors,
    shard_map,
)
from genpredict.checkpoints.items import Reader, read_single
from genpredict.checkpoints.nats.archives import (
    ARCHIVE_SUFFIX,
    META_NAME,
    Selection,
    archive_index,
    peek_search_space,
    read_archive,
)
from genpredict.checkpoints.nats.cache_files import (
    CACHE_SUFFIX,
    FRONT_FILE,
    read_cached,
    read_front,
)
from genpredict.errors import CheckpointError, GenpredictError

if TYPE_CHECKING:
    from torch import Tensor

HUGGING_FACE_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""Weights of a Hugging Face folder; the first that is there is taken."""

_TRAINER_STATE = re.compile(
    r"(optimizer|optim|scheduler|scaler|training_args|rng_state(_\d+)?)\.(pt|pth|bin)"
)
_SHARD = re.compile(r"(?P<stem>.*)-\d{5}-of-\d{5}(?P<suffix>\.safetensors|\.bin)")
_SHARD_INDEX = re.compile(r"(?P<stem>.*)(?P<suffix>\.safetensors|\.bin)\.index\.json")
_PEEKED_ARCHIVES = 5

Recognizer = Callable[[Folder], Iterator[Found]]
"""Yields what it recognizes in a folder and claims what belongs to it."""


def find_in_folder(root: Path, selection: Selection, warnings: list[str]) -> Iterator[Found]:
    """Yield what a folder and its subfolders hold."""
    for folder in walk(root, selection, warnings):
        for recognize in RECOGNIZERS:
            yield from recognize(folder)


def find_in_file(path: Path, selection: Selection) -> Found:
    """Describe a file that is named as a source.

    Raises
    ------
    GenpredictError
        When its suffix is unknown.
    """
    folder = Folder(path.parent, path.parent, [path.name], selection, [])
    if _SHARD_INDEX.fullmatch(path.name):
        return next(recognize_shards(folder))
    if path.name.endswith(ARCHIVE_SUFFIX):
        return _archive(folder, path.name, peek_search_space(path))
    if path.name.endswith(CACHE_SUFFIX):
        return _cached(folder, path.name, read_front(path.parent))
    if is_of_run(path.resolve()):
        return folder.found(path.name, read_run_checkpoint)
    if reader := _reader(path.name):
        return folder.found(path.name, reader)
    known = " ".join((*TORCH_SUFFIXES, SAFETENSORS_SUFFIX, ARCHIVE_SUFFIX))
    raise GenpredictError(
        f"{path}: unknown kind of file; known are {known} and *.index.json of shards; "
        "rename it if it is one of these"
    )


def recognize_nats(folder: Folder) -> Iterator[Found]:
    """Recognize NATS-Bench archives; the meta file beside them is passed over."""
    names = [name for name in folder.names if name.endswith(ARCHIVE_SUFFIX)]
    folder.claim(names)
    numbered = {name: index for name in names if (index := archive_index(name)) is not None}
    chosen = [name for name in numbered if folder.selection.has_index(numbered[name])]
    peeks = (peek_search_space(folder.path / name) for name in chosen[:_PEEKED_ARCHIVES])
    space = next(filter(None, peeks), None)
    for name in sorted(chosen, key=numbered.__getitem__):
        yield _archive(folder, name, space)
    for name in names:
        if name not in numbered and name != META_NAME:
            yield _archive(folder, name, peek_search_space(folder.path / name))


def recognize_cache(folder: Folder) -> Iterator[Found]:
    """Recognize archives that `genpredict cache` has decoded."""
    names = [name for name in folder.names if name.endswith(CACHE_SUFFIX)]
    if not names:
        return
    folder.claim([*names, FRONT_FILE])
    front = read_front(folder.path)
    for name in names:
        stem = name.removesuffix(CACHE_SUFFIX)
        if not stem.isdecimal() or folder.selection.has_index(int(stem)):
            yield _cached(folder, name, front)


def recognize_hugging_face(folder: Folder) -> Iterator[Found]:
    """Recognize a Hugging Face folder: config.json and weights, one checkpoint."""
    weights = [name for name in HUGGING_FACE_WEIGHTS if name in folder.names]
    if "config.json" not in folder.names or not weights:
        return
    shards = _shards(folder, weights[0])
    folder.claim([*weights, *(part for name in weights for part in _shards(folder, name))])
    name = folder.real_path.name if folder.path == folder.root else folder.relative("")
    reader = _shards_reader(weights[0], folder) or _reader(weights[0])
    if reader is not None:
        yield folder.found(weights[0], reader, id=name, parts=shards)


def recognize_shards(folder: Folder) -> Iterator[Found]:
    """Recognize checkpoints in shards by their index files."""
    for name in list(folder.names):
        if reader := _shards_reader(name, folder):
            shards = _shards(folder, name)
            folder.claim([name, *shards])
            stem = folder.relative(name).removesuffix(".index.json")
            yield folder.found(name, reader, id=stem, parts=shards)


def recognize_files(folder: Folder) -> Iterator[Found]:
    """Recognize single files by suffix; states of optimizers and trainers are passed over."""
    for name in folder.names:
        if not _TRAINER_STATE.fullmatch(name) and (reader := _reader(name)):
            yield folder.found(name, reader)


RECOGNIZERS: tuple[Recognizer, ...] = (
    recognize_runs,
    recognize_nats,
    recognize_cache,
    recognize_hugging_face,
    recognize_shards,
    recognize_files,
)


def _reader(name: str) -> Reader | None:
    """Return what reads a single file, None where the suffix is unknown."""
    suffix = Path(name).suffix.lower()
    if _SHARD.fullmatch(name):
        return partial(read_single, load=_refuse_shard)
    if suffix == SAFETENSORS_SUFFIX:
        return partial(read_single, load=read_safetensors)
    if suffix in TORCH_SUFFIXES:
        return partial(read_single, load=read_torch_tensors)
    return None


def _refuse_shard(path: Path) -> dict[str, Tensor]:
    """Fail on a part of a checkpoint that stands alone."""
    raise CheckpointError(
        path,
        "one shard of several: part of a network; fetch the *.index.json that lists them into "
        "its folder, or pass that as the SOURCE",
    )


def _shards_reader(name: str, folder: Folder) -> Reader | None:
    """Return what reads the shards of an index, None for other files."""
    match = _SHARD_INDEX.fullmatch(name)
    if match is None:
        return None
    is_safetensors = match["suffix"] == SAFETENSORS_SUFFIX
    read = read_safetensors_shards if is_safetensors else read_torch_shards
    return partial(read_single, load=partial(read, within=folder.real_root))


def _shards(folder: Folder, index: str) -> list[str]:
    """List the shards of an index, by its contents and by name; none for other files."""
    match = _SHARD_INDEX.fullmatch(index)
    if match is None:
        return []
    shards = set()
    for name in folder.names:
        shard = _SHARD.fullmatch(name)
        if shard and shard.groups() == match.groups():
            shards.add(name)
    try:
        shards.update(shard_map(folder.path / index).values())
    except CheckpointError:
        return sorted(shards)  # the checkpoint fails when it is read, with this very error
    return sorted(shards)


def _archive(folder: Folder, name: str, space: str | None) -> Found:
    """Describe an archive; its id is ``NATS-<space>/<index>``, or ``NATS-<space>``."""
    index = archive_index(name)
    first = f"NATS-{space}" if space else "NATS"
    archive_id = first if index is None else f"{first}/{index:06d}"
    # a numbered archive is selected already: its item need not carry the indices to a worker
    kept = folder.selection if index is None else replace(folder.selection, indices=None)
    return folder.found(name, partial(read_archive, selection=kept), id=archive_id, archive=True)


def _cached(folder: Folder, name: str, front: str | None) -> Found:
    """Describe a cache file; its id is that of the archive."""
    stem = name.removesuffix(CACHE_SUFFIX)
    archive_id = f"{front}/{stem}" if front else folder.relative(stem)
    kept = replace(folder.selection, indices=None)
    return folder.found(name, partial(read_cached, selection=kept), id=archive_id, archive=True)
