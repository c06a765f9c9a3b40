"""The weights of one layer, found again: in a file, a folder, an archive, or behind a store."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from genpredict.checkpoints import Checkpoint, open_checkpoints
from genpredict.errors import GenpredictError
from genpredict.estimators import Estimator
from genpredict.layers import Layer, select_layers
from genpredict.options import METHOD, PATTERNS, Options
from genpredict.scoring import score
from genpredict.spectral import unfoldings
from genpredict.store.reading import open_scores

if TYPE_CHECKING:
    import xarray as xr

_MOST_NAMES = 8


@dataclass(frozen=True)
class Network:
    """One checkpoint with its measures.

    Parameters
    ----------
    checkpoint : Checkpoint
    layers : list of Layer
    measures : Dataset
        Its row of a scores Dataset, without the dimension `checkpoint`.
    method : Options
        How it was measured.
    others : int
        Checkpoints in the source beside this one.
    """

    checkpoint: Checkpoint
    layers: list[Layer]
    measures: xr.Dataset
    method: Options
    others: int


class Chosen(NamedTuple):
    """One unfolding of one layer, with its measures (without `layer`, `unfolding`)."""

    network: Network
    layer: Layer
    unfolding: str
    measures: xr.Dataset


def open_network(source: Path, name: str | None, estimator: Estimator | None) -> Network:
    """Open one checkpoint of a source, or the one that a row of a store was made of.

    Parameters
    ----------
    source : Path
        A scores store, or a checkpoint file, a folder or an archive.
    name : str, optional
        Id of the checkpoint, or a part of it that no other id has; by default the first.
    estimator : {"global", "reference"}, optional
        By default the store's, "global" without a store.

    Returns
    -------
    Network

    Raises
    ------
    GenpredictError
        When there is no such checkpoint, the weights behind a store are gone, or they cannot be
        measured.
    """
    if (source / "zarr.json").exists():
        return _from_store(source, name, estimator)
    checkpoint, others = _from_files(source, name)
    return _measured(checkpoint, Options(estimator or "global"), others)


def _measured(checkpoint: Checkpoint, method: Options, others: int) -> Network:
    """Measure a network now."""
    choices = method.chosen(METHOD)
    scores = score({checkpoint.id: checkpoint.tensors()}, **choices).isel(checkpoint=0)
    if scores["status"] == "failed":
        raise GenpredictError(str(scores["error"].item()))
    return Network(checkpoint, _layers(checkpoint, method), scores, method, others)


def _layers(checkpoint: Checkpoint, method: Options) -> list[Layer]:
    tensors = checkpoint.tensors()
    patterns = method.chosen(PATTERNS)
    return select_layers(tensors, **patterns)[0]


def _from_files(source: Path, name: str | None) -> tuple[Checkpoint, int]:
    """Return a checkpoint of a file, folder or archive, and how many others there are at least."""
    items = open_checkpoints(source).items
    place = 0
    if name is not None and len(items) > 1:  # ids of an archive's rows start with the archive's
        inside = [i for i, item in enumerate(items) if name.startswith(f"{item.id}/")]
        place = inside[0] if inside else _place([item.id for item in items], name, source)
    rows = list(items[place].read())
    if not rows:
        raise GenpredictError(f"{source}: holds no checkpoint")
    ids = [checkpoint.id for checkpoint in rows]
    row = 0 if name is None or name in items[place].id else _place(ids, name, source)
    return rows[row], len(items) + len(rows) - 2


def _place(ids: Sequence[str], name: str, source: Path) -> int:
    """Return the index of the id that is this name, or the only one that has it as a part."""
    if name in ids:
        return ids.index(name)
    fitting = [i for i, checkpoint in enumerate(ids) if name in checkpoint]
    if len(fitting) == 1:
        return fitting[0]
    near = [ids[i] for i in fitting] or list(ids)
    raise GenpredictError(
        f"--checkpoint: {name!r} fits {len(fitting) or 'none'} of the checkpoints in {source}; "
        f"name one of {_few(near)}"
    )


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _from_store(path: Path, name: str | None, estimator: Estimator | None) -> Network:
    """Return a row of a store with the weights it was made of."""
    scores = open_scores(path)
    scores = scores.isel(checkpoint=(scores["status"] == "done").values)
    ids = [str(label) for label in scores["checkpoint"].values]
    if not ids:
        raise GenpredictError(f"{path}: no checkpoint is done; see `genpredict show {path}`")
    row = scores.isel(checkpoint=0 if name is None else _place(ids, name, path))
    method = _method(scores.attrs)
    checkpoint = _found_again(path, row, method.estimator)
    if estimator is not None and estimator != method.estimator:
        patterns = method.chosen(PATTERNS)
        return _measured(checkpoint, Options(estimator, **patterns), len(ids) - 1)
    layers = _layers(checkpoint, method)
    names = [str(label) for label in row["layer_name"].values if label]
    if names != [layer.name for layer in layers]:
        raise GenpredictError(
            f"{checkpoint.source}: holds other layers than {checkpoint.id} in {path}; it has "
            f"changed since, so score it again"
        )
    return Network(checkpoint, layers, row, method, len(ids) - 1)


def _method(attrs: dict[Any, Any]) -> Options:
    """Return how a store was measured; which measures it holds is of no account here."""
    others = ("measures", "network_measures")
    return Options.from_attrs({n: value for n, value in attrs.items() if n not in others})


def _found_again(store: Path, row: xr.Dataset, estimator: str) -> Checkpoint:
    """Find the weights of a row: where `source` says, or below the paths of the score command."""
    name = str(row["checkpoint"].item())
    for place in _places(row):
        if not place.exists():
            continue
        items = open_checkpoints(place).items
        for checkpoint in (read for item in items for read in item.read()):
            if checkpoint.id == name or (len(items) == 1 and items[0].rows_known):
                return replace(checkpoint, id=name)
    source = str(row["source"].item()) or "an unknown place"
    raise GenpredictError(
        f"{store}: the weights of {name!r} are no longer where they were read ({source}, seen from "
        f"{Path.cwd()}), and a store holds measures alone; go to the folder where `genpredict "
        f"score` ran, or name the weights: `genpredict figure spectrum FILE_OR_FOLDER "
        f"--checkpoint {shlex.quote(Path(name).name)} --estimator {estimator}`"
    )


def _places(row: xr.Dataset) -> Iterator[Path]:
    """Yield where the weights may be: where they were read, or below the paths of the command."""
    name = str(row["checkpoint"].item())
    if source := str(row["source"].item()):
        yield Path(source)
    for argument in shlex.split(str(row.attrs.get("command", ""))):
        if argument.endswith(name):
            yield Path(argument)
        yield Path(argument) / name


def choose_layer(network: Network, name: str | None, unfolding: str | None) -> Chosen:
    """Return a layer and one of its unfoldings.

    Parameters
    ----------
    network : Network
    name : str, optional
        With or without the ending ``.weight``. By default the convolution with the most signal:
        the highest low-rank rank, the first of equals; any layer where there is no convolution.
    unfolding : {"in_channel", "out_channel"}, optional
        By default out_channel where the layer has it.

    Returns
    -------
    Chosen

    Raises
    ------
    GenpredictError
        When there is no such layer or it has no such unfolding.
    """
    names = [layer.name for layer in network.layers]
    if name is None:
        index = _most_signal(network, unfolding)
    elif name in names or f"{name}.weight" in names:
        index = names.index(name if name in names else f"{name}.weight")
    else:
        near = [known for known in names if name in known] or names
        raise GenpredictError(
            f"--layer: {name!r} is no layer of {network.checkpoint.id}; name one of {_few(near)}"
        )
    layer = network.layers[index]
    has = unfoldings(tuple(layer.weight.shape))
    chosen = unfolding or ("out_channel" if "out_channel" in has else has[0])
    if chosen not in has:
        raise GenpredictError(
            f"--unfolding: {layer.name} of shape {tuple(layer.weight.shape)} has no {chosen} "
            f"unfolding of two rows or more, only {', '.join(has)}"
        )
    measures = network.measures.isel(layer=index).sel(unfolding=chosen)
    return Chosen(network, layer, chosen, measures)


def _most_signal(network: Network, unfolding: str | None) -> int:
    """Return the index of the layer with the highest rank."""
    rank = network.measures["rank"]
    rank = (
        rank.sel(unfolding="out_channel").fillna(rank.sel(unfolding="in_channel"))
        if unfolding is None
        else rank.sel(unfolding=unfolding)
    )
    ranks = rank.values[: len(network.layers)]
    conv = np.array([layer.kind == "conv" for layer in network.layers]) & np.isfinite(ranks)
    if not np.isfinite(ranks).any():
        raise GenpredictError(
            f"--unfolding: no layer of {network.checkpoint.id} has a {unfolding} unfolding"
        )
    return int(np.nanargmax(np.where(conv, ranks, np.nan) if conv.any() else ranks))
