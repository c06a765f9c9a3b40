"""Weights in files of ``torch.save``, one file or in shards listed by an index."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from genpredict.checkpoints.choosing import choose, find_state_dict, load, why_none
from genpredict.checkpoints.contents import networks_in
from genpredict.checkpoints.finding.natural_order import natural_key
from genpredict.checkpoints.formats.torch_containers import opened
from genpredict.checkpoints.formats.unpickling import check_file
from genpredict.checkpoints.named_tensors import NamedTensors, strip_prefixes
from genpredict.checkpoints.state_dicts import Contents
from genpredict.errors import CheckpointError
from genpredict.sidecars import read_json

if TYPE_CHECKING:
    from torch import Tensor

LARGEST_INDEX = 2**25
"""Bytes of an index: some 100 a tensor."""
LONGEST_NAME = 255
"""Bytes of a file's name, on every common file system."""


def read_torch_tensors(path: Path, network: str = "") -> NamedTensors:
    """Read a network of a file that ``torch.save``, ``torch.jit.save`` or ``pickle.dump`` wrote.

    Parameters
    ----------
    path : Path
        The file.
    network : str
        Which of several, by the key under which it lies.

    Raises
    ------
    CheckpointError
        See `opened` and `find_state_dict`.
    """
    with opened(path) as tree:
        return find_state_dict(tree, path, network)


def peek_networks(path: Path) -> tuple[Contents, str]:
    """Return what a file holds without reading any numbers, and why where that is no network.

    Raises
    ------
    CheckpointError
        See `opened`.
    """
    with opened(path) as tree:
        contents = networks_in(tree)
        return contents, "" if contents.networks else why_none(contents, tree)


def read_sharded(
    index: Path,
    read_shard: Callable[[Path], Mapping[str, Tensor]],
    *,
    within: Path | None = None,
) -> dict[str, Tensor]:
    """Read the shards that an ``*.index.json`` lists, as one checkpoint.

    Order is that of the shards and within them, which is that of the network; the index itself
    is sorted by name.

    Parameters
    ----------
    index : Path
        The index file: its ``weight_map`` says which shard holds which tensor.
    read_shard : callable
        Reads one shard file.
    within : Path, optional
        The source, links resolved: a shard that is a link out of it is not followed.

    Raises
    ------
    CheckpointError
        When the index is malformed, a shard is missing, or a shard lacks a listed tensor.
    """
    weight_map = shard_map(index)
    tensors: dict[str, Tensor] = {}
    for shard in sorted(set(weight_map.values()), key=natural_key):
        _check_link(index, index.parent / shard, within)
        tensors.update(read_shard(index.parent / shard))
    if missing := [name for name in weight_map if name not in tensors]:
        reason = f"{len(missing)} tensors of the index are in no shard, {missing[0]} first"
        raise CheckpointError(index, f"{reason}; fetch the shards again")
    return strip_prefixes({n: tensor for n, tensor in tensors.items() if n in weight_map})


def shard_map(index: Path) -> dict[str, str]:
    """Return tensor name → shard file name, as the index lists them."""
    check_file(index)
    try:
        weight_map = read_json(index, most=LARGEST_INDEX)["weight_map"]
        entries = {str(name): str(shard) for name, shard in weight_map.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = 'not an index of shards (JSON with a "weight_map"); fetch it again'
        raise CheckpointError(index, reason) from error
    for shard in set(entries.values()):
        if not _is_file_name(shard):
            reason = f"names a shard outside its folder ({shard[:80]!r}); do not trust this file"
            raise CheckpointError(index, reason)
    return entries


def _is_file_name(name: str) -> bool:
    """Return whether a text can name a file, and of the same folder."""
    try:
        raw = os.fsencode(name)
    except UnicodeEncodeError:
        return False
    plain = Path(name).name == name and name != ".." and b"\0" not in raw
    return plain and len(raw) <= LONGEST_NAME


def _check_link(index: Path, shard: Path, within: Path | None) -> None:
    """Raise where a shard is a link out of the source."""
    if within is not None and shard.is_symlink() and not shard.resolve().is_relative_to(within):
        raise CheckpointError(
            index,
            f"its shard {shard.name} is a link out of the source, not followed; give the folder "
            f"that holds both as SOURCE",
        )


def read_torch_shards(index: Path, *, within: Path | None = None) -> dict[str, Tensor]:
    """Read a checkpoint that ``torch.save`` wrote in shards; see `read_sharded`."""
    return read_sharded(index, load_shard, within=within)


def load_shard(path: Path) -> dict[str, Tensor]:
    """Read one shard with its names as they are; prefixes go once all shards are together."""
    with opened(path) as tree:
        network = choose(networks_in(tree), tree, path)
        tensors = load(network)
        return dict(zip(network.tensors, tensors.values(), strict=True))
