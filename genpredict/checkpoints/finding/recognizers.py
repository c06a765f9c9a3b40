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

from genpredict.checkpoints.finding.folders import Folder, Found, PassedOver, walk
from genpredict.checkpoints.finding.networks import (
    describe_file,
    is_copy_of_weights,
    model_parallel,
    shard_index,
    shard_of,
    shards_reader,
    weights_of,
)
from genpredict.checkpoints.finding.runs import is_of_run, read_run_checkpoint, recognize_runs
from genpredict.checkpoints.formats.registry import known_suffixes
from genpredict.checkpoints.formats.suffixes import CKPT, SAFETENSORS
from genpredict.checkpoints.formats.torch_files import shard_map
from genpredict.checkpoints.formats.unread import (
    refuse_distributed,
    refuse_shards,
    refuse_unzipped,
)
from genpredict.checkpoints.items import read_single
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

_PEEKED_ARCHIVES = 5

Recognizer = Callable[[Folder], Iterator[Found]]
"""Yields what it recognizes in a folder and claims what belongs to it."""


def find_in_folder(
    root: Path,
    selection: Selection,
    warnings: list[str],
    network: str = "",
    *,
    targets: bool = False,
) -> Iterator[Found]:
    """Yield what a folder and its subfolders hold; say what is passed over."""
    passed = PassedOver()
    for folder in walk(root, selection, warnings, network, targets=targets, passed=passed):
        for recognize in RECOGNIZERS:
            yield from recognize(folder)
    warnings += passed.warnings(root)


def find_in_file(
    path: Path, selection: Selection, network: str = "", *, targets: bool = False
) -> list[Found]:
    """Describe a file that is named as a source: one checkpoint, or as many as it holds.

    Raises
    ------
    GenpredictError
        When it is of no known kind.
    """
    folder = Folder(path.parent, path.parent, [path.name], selection, [], network, targets)
    if shard_index(path.name):
        return list(recognize_shards(folder))
    if path.name.endswith(ARCHIVE_SUFFIX):
        return [_archive(folder, path.name, peek_search_space(path))]
    if path.name.endswith(CACHE_SUFFIX):
        return [_cached(folder, path.name, read_front(path.parent))]
    if is_of_run(path.resolve()):
        return [folder.found(path.name, read_run_checkpoint)]
    described = describe_file(folder, path.name, alone=True)
    if described is None:
        known = " ".join((*known_suffixes(), ARCHIVE_SUFFIX))
        raise GenpredictError(
            f"{path}: unknown kind of file; known are {known} and *.index.json of shards, "
            "whatever their suffix"
        )
    return described


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
    """Recognize a Hugging Face folder: config.json and weights, one checkpoint.

    Copies in other precisions, for other frameworks and in other folders are not counted again.
    """
    if "model_index.json" in folder.names:  # a pipeline: its networks lie in the folders below
        folder.claim([name for name in folder.names if name.endswith((SAFETENSORS, CKPT))])
    chosen = weights_of(folder.names)
    if "config.json" not in folder.names or chosen is None:
        return
    shards = _shards(folder, chosen)
    copies = [name for name in folder.names if is_copy_of_weights(name)]
    folder.claim([chosen, *shards, *copies])
    folder.skip(("openvino", "onnx", "original", "coreml", "tflite", "gguf"))
    name = folder.real_path.name if folder.path == folder.root else folder.relative("")
    reader = shards_reader(chosen, folder.real_root)
    if reader is not None:
        yield folder.found(chosen, reader, id=name, parts=shards)
        return
    for one in describe_file(folder, chosen, alone=True) or []:
        yield replace(one, id=name, above=folder.above(name))


def recognize_parts(folder: Folder) -> Iterator[Found]:
    """Recognize files that are only parts of a network, and fail as one."""
    distributed = [name for name in folder.names if name.endswith(".distcp")]
    parallel = model_parallel(folder.names)
    for parts, refuse in ((distributed, refuse_distributed), (parallel, refuse_shards)):
        if parts:
            folder.claim(parts)
            reader = partial(read_single, load=refuse)
            yield folder.found(parts[0], reader, parts=parts[1:])
    if {"data.pkl", "version"} <= set(folder.names):
        folder.claim(list(folder.names))
        folder.skip(("data", ".data"))
        yield folder.found("data.pkl", partial(read_single, load=refuse_unzipped))


def recognize_shards(folder: Folder) -> Iterator[Found]:
    """Recognize checkpoints in shards by their index files."""
    for name in list(folder.names):
        if reader := shards_reader(name, folder.real_root):
            shards = _shards(folder, name)
            folder.claim([name, *shards])
            stem = re.sub(r"\.index(\.[\w-]+)?\.json$", "", folder.relative(name))
            yield folder.found(name, reader, id=stem, parts=shards)


def recognize_files(folder: Folder) -> Iterator[Found]:
    """Recognize single files by what they hold; those without a network are counted."""
    for name in folder.names:
        described = describe_file(folder, name, alone=False)
        if described is not None:
            yield from described


RECOGNIZERS: tuple[Recognizer, ...] = (
    recognize_runs,
    recognize_nats,
    recognize_cache,
    recognize_hugging_face,
    recognize_shards,
    recognize_parts,
    recognize_files,
)


def _shards(folder: Folder, index: str) -> list[str]:
    """List the shards of an index, by its contents and by name; none for other files."""
    if not shard_index(index):
        return []
    shards = {name for name in folder.names if shard_of(name, index)}
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
