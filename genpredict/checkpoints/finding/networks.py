"""Which files of a folder are networks, which are parts or copies of one, and which are neither."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from genpredict.checkpoints.checkpoint import Metadata
from genpredict.checkpoints.file_targets import accuracies
from genpredict.checkpoints.finding.folders import Folder, Found
from genpredict.checkpoints.formats.registry import (
    Format,
    format_of,
    known_suffixes,
    read_file,
    why_unknown,
)
from genpredict.checkpoints.formats.safetensors_files import (
    read_safetensors_shards,
)
from genpredict.checkpoints.formats.suffixes import BIN, SAFETENSORS, TORCH
from genpredict.checkpoints.formats.torch_files import read_torch_shards
from genpredict.checkpoints.items import Reader, read_single
from genpredict.errors import CheckpointError
from genpredict.extensions import resolve

if TYPE_CHECKING:
    from torch import Tensor

    from genpredict.checkpoints.state_dicts import Contents

HUGGING_FACE_STEMS = ("model", "diffusion_pytorch_model", "pytorch_model")
"""Stems of weights in a Hugging Face folder; the first that is there is taken."""
COMPANIONS = frozenset(
    (
        ".json", ".csv", ".tsv", ".txt", ".md", ".rst", ".yaml", ".yml", ".toml", ".ini", ".cfg",
        ".log", ".py", ".ipynb", ".sh", ".html", ".css", ".js", ".xml", ".png", ".jpg", ".jpeg",
        ".gif", ".svg", ".pdf", ".lock", ".partial", ".gz", ".parquet", ".nc", ".sqlite",
        ".gitignore", ".gitattributes", ".tfevents", ".jsonl", ".bib", ".tex", ".proto", ".c",
        ".prototxt", ".whl",
    )
)  # fmt: skip
"""Suffixes of what lies beside checkpoints; such files are passed over without a word."""
_VARIANT = r"(?:\.(?P<variant>[\w-]+))?"
_SHARD = re.compile(r"(?P<stem>.*?)-\d{5}-of-\d{5}(?P<suffix>\.safetensors|\.bin)")
_SHARD_INDEX = re.compile(rf"(?P<stem>.*)(?P<suffix>\.safetensors|\.bin)\.index{_VARIANT}\.json")
_COPY = re.compile(
    r"(?:tf_model|flax_model|rust_model|consolidated|model|pytorch_model|diffusion_pytorch_model|"
    r"(?:diffusion_)?flax_model|open_clip_(?:pytorch_)?model)(?:[.-][\w.-]+)?\."
    r"(?:safetensors|bin|h5|msgpack|ot|onnx|pth|pt|ckpt|gguf|index\.json)(?:\.index[\w.]*\.json)?"
)
_TRAINER_STATE = re.compile(
    r"(?:optimizer|optim|scheduler|scaler|training_args|rng_state(?:_\d+)?)\.(?:pt|pth|bin)"
)
_PARALLEL = re.compile(r"(?:consolidated|mp_rank|model_part|tp_rank)[._](?P<rank>\d+)\b.*")
_PARALLEL_SUFFIXES = (*TORCH, SAFETENSORS)


def shard_index(name: str) -> bool:
    """Return whether a name is that of an index of shards.

    Examples
    --------
    >>> shard_index("model.safetensors.index.json")
    True
    >>> shard_index("model.safetensors.index.fp16.json"), shard_index("model.safetensors")
    (True, False)
    """
    return _SHARD_INDEX.fullmatch(name) is not None


def shard_of(name: str, index: str) -> bool:
    """Return whether a file is one of an index's shards, by their names."""
    shard, listed = _SHARD.fullmatch(name), _SHARD_INDEX.fullmatch(index)
    if shard is None or listed is None or shard["suffix"] != listed["suffix"]:
        return False
    ends = ("", f".{listed['variant']}") if listed["variant"] else ("",)
    return any(shard["stem"] == f"{listed['stem']}{end}" for end in ends)


def shards_reader(name: str, within: Path) -> Reader | None:
    """Return what reads the shards of an index, which lie within a folder; None for other files."""
    match = _SHARD_INDEX.fullmatch(name)
    if match is None:
        return None
    is_safetensors = match["suffix"] == SAFETENSORS
    read = read_safetensors_shards if is_safetensors else read_torch_shards
    return partial(read_single, load=partial(read, within=within))


def weights_of(names: Sequence[str]) -> str | None:
    """Return the file (or index) of a Hugging Face folder's weights, None where there is none.

    Whole precision goes before variants (fp16, …), safetensors before torch's own format.

    Examples
    --------
    >>> weights_of(["config.json", "model.fp16.safetensors", "pytorch_model.bin"])
    'pytorch_model.bin'
    """
    of_weights = (SAFETENSORS, f"{SAFETENSORS}.index.json", BIN, f"{BIN}.index.json")
    plain = [f"{stem}{suffix}" for stem in HUGGING_FACE_STEMS for suffix in of_weights]
    if chosen := next((name for name in plain if name in names), None):
        return chosen
    variants = [name for name in names if shard_index(name) and _COPY.fullmatch(name)]
    single = re.compile(rf"(?:{'|'.join(HUGGING_FACE_STEMS)})\.[\w-]+(?:\.safetensors|\.bin)")
    variants += [name for name in names if single.fullmatch(name) and not _SHARD.fullmatch(name)]
    return next(iter(variants), None)


def is_copy_of_weights(name: str) -> bool:
    """Return whether a file beside a Hugging Face folder's weights holds them again.

    Examples
    --------
    >>> is_copy_of_weights("model.fp16.safetensors"), is_copy_of_weights("tf_model.h5")
    (True, True)
    >>> is_copy_of_weights("adapter_model.safetensors"), is_copy_of_weights("config.json")
    (False, False)
    """
    return _COPY.fullmatch(name) is not None


def model_parallel(names: Iterable[str]) -> list[str]:
    """Return the files that hold a slice of every weight each, where there are several."""
    parts = [
        name for name in names if _PARALLEL.fullmatch(name) and name.endswith(_PARALLEL_SUFFIXES)
    ]
    ranks = {match["rank"] for name in parts if (match := _PARALLEL.fullmatch(name))}
    return parts if len(ranks) > 1 else []


def describe_file(folder: Folder, name: str, *, alone: bool) -> list[Found] | None:
    """Describe the networks of a file.

    Parameters
    ----------
    folder : Folder
        Where it lies.
    name : str
        Its name.
    alone : bool
        Whether it was named as a source by itself: then it fails where it holds no network, and is
        passed over otherwise.

    Returns
    -------
    list of Found or None
        None where it is of no known kind.
    """
    path = folder.path / name
    if not alone and _TRAINER_STATE.fullmatch(name):
        folder.passed.empty.append(f"{folder.relative(name)} (by its name the state of a trainer)")
        return None
    if _SHARD.fullmatch(name):
        return [folder.found(name, partial(read_single, load=_refuse_shard))]
    looks_like_one = name.lower().endswith(known_suffixes())
    if not alone and not looks_like_one and Path(name).suffix.lower() in COMPANIONS:
        return None
    try:
        row = format_of(path)
    except CheckpointError:  # empty, or not to be read: said where it is read
        row = None
        if not (alone or looks_like_one):
            return None
    if row is None and not looks_like_one:
        if alone and path.stat().st_size and "compressed" in why_unknown(path):
            return [folder.found(name, partial(read_single, load=read_file))]
        if not alone:
            folder.passed.unknown[Path(name).suffix.lower() or "without a suffix"] += 1
        return None
    if row is None or not row.peek:
        return [folder.found(name, partial(read_single, load=read_file))]
    return _networks(folder, name, row, alone=alone)


def _networks(folder: Folder, name: str, row: Format, *, alone: bool) -> list[Found]:
    """Describe each network of a file that may hold several."""
    single = [folder.found(name, partial(read_single, load=read_file))]
    try:
        contents, reason = _peek(folder.path / name, row)
    except CheckpointError:  # said again, as the reason of a failed row, when it is read
        return single
    said: Metadata = accuracies(contents.numbers) if folder.targets else {}
    return [
        replace(one, metadata=said)
        for one in _chosen(folder, name, contents, reason, single, alone=alone)
    ]


def _chosen(
    folder: Folder,
    name: str,
    contents: Contents,
    reason: str,
    single: list[Found],
    *,
    alone: bool,
) -> list[Found]:
    """Return which of the networks of a file are checkpoints; say where there are none."""
    wanted = folder.network
    if wanted and (contents.named(wanted) is not None or len(contents.networks) > 1):
        chosen = [wanted]  # where it is not there, the reader says what is
    elif alone or any(network.is_named_so() for network in contents.networks):
        chosen = [network.name for network in contents.networks]
    else:
        chosen, reason = [], "tensors of which none is called a weight"
    if not chosen:
        if alone or contents.is_strange:
            return single
        folder.passed.empty.append(f"{folder.relative(name)} ({reason.partition(';')[0]:.100})")
        return []
    if chosen == [""] or (len(chosen) == 1 and chosen != [wanted]):
        return single
    return [
        folder.found(name, partial(read_single, load=partial(read_file, network=one)), network=one)
        for one in chosen
    ]


def _peek(path: Path, row: Format) -> tuple[Contents, str]:
    contents: tuple[Contents, str] = resolve(row.peek, row.name)(path)
    return contents


def _refuse_shard(path: Path) -> dict[str, Tensor]:
    """Fail on a part of a checkpoint that stands alone."""
    raise CheckpointError(
        path,
        "one shard of several: part of a network; fetch the *.index.json that lists them into "
        "its folder, or pass that as the SOURCE",
    )
