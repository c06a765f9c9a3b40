"""Checkpoints in, labelled measures out.

Layers of many checkpoints are gathered until they fill a batch and measured in one call, equal
shapes together (`genpredict.spectral.measure_weights`); the numbers then go back to their
(checkpoint, layer) in an xarray Dataset by the names of `genpredict.schema`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

import genpredict
from genpredict.checkpoints import Checkpoint, CheckpointSources, Item, open_checkpoints
from genpredict.checkpoints.finding.sources import expanded
from genpredict.checkpoints.state_dicts import (
    EMPTY_TENSORS,
    NamedTensors,
    strip_prefixes,
    without_prefixes,
)
from genpredict.errors import CheckpointError, GenpredictError
from genpredict.layers import Layer, Selection, module_types, sort_tensors
from genpredict.layers.room import check_room
from genpredict.network_columns import with_network_measures
from genpredict.options import DEAD_TOLERANCE, NULL_TOLERANCE, NUM_IMAGES, Estimator, Options
from genpredict.probing import Prober
from genpredict.progress import tracked
from genpredict.row_checks import MOST_LAYERS, Row, too_many_layers
from genpredict.rows import join_rows, to_dataset
from genpredict.spectral import measure_weights
from genpredict.targets import Targets, with_targets

if TYPE_CHECKING:
    import pandas as pd

#: Weights held in memory at a time, in elements: 64 MiB of float32.
BATCH_WEIGHTS = 1 << 24
#: Networks at hand are in memory anyway: so many times more of them make a batch.
AT_HAND = 16

Network: TypeAlias = nn.Module | Mapping[str, Tensor]
Scorable: TypeAlias = str | Path | Network


def score(
    sources: Scorable | Sequence[Scorable] | Mapping[str, Network],
    *,
    manifest: str | Path | pd.DataFrame | None = None,
    targets: Targets | None = None,
    output: str | Path | None = None,
    overwrite: bool = False,
    progress: bool | None = None,
    measures: Sequence[str] | str = (),
    data: str = "",
    data_folder: str | Path = "",
    num_images: int = NUM_IMAGES,
    initial: str | Path = "",
    estimator: str = "global",
    dtype: str = "float64",
    device: str = "auto",
    include: Sequence[str] | str = (),
    exclude: Sequence[str] | str = (),
    also: Sequence[str] | str = (),
    network: str = "",
    dead_tolerance: float = DEAD_TOLERANCE,
    null_tolerance: float = NULL_TOLERANCE,
) -> xr.Dataset:
    """Measure networks in memory.

    Parameters
    ----------
    sources : path, Module, state dict, or a sequence or mapping of them
        Files, folders, patterns such as ``"runs/*.pt"`` and archives as of `open_checkpoints`;
        networks at hand are named by the keys of a mapping, else "0", "1", ….
    manifest : path or DataFrame, optional
        CSV with metadata and targets of the files; or the table itself, with a column ``path``.
    targets : mapping or DataFrame, optional
        Accuracies by checkpoint, e.g. ``{"a.pt": 91.2}``, as of `with_targets`.
    output : path, optional
        Also write the scores to this store, as `write_scores` does; every command opens it.
    overwrite : bool
        Replace a store that is there.
    progress : bool, optional
        Show a bar; by default in Jupyter and at an interactive prompt.
    measures : str or sequence of str
        Names and groups of measures, added to those of every score.
    data, data_folder : str
        Data set and folder of its files, as of `load_dataset`, for measures that need images; where
        none is asked for, all of them.
    num_images : int
        So many of its training images, the classes in proportion, drawn with seed 0.
    initial : path
        File of the weights before training; runs of `train` keep theirs.
    estimator : {"global", "reference"}
        The exact EVBMF or the released code's.
    dtype : {"float64", "float32"}
        Arithmetic of Gram matrices and eigenvalues.
    device : str
        "auto" takes CUDA where there is one.
    include, exclude, also : str or sequence of str
        Patterns on layer names: only these, not these, these too.
    network : str
        Which network to take of files that hold several.
    dead_tolerance, null_tolerance : float
        What EVBMF sets aside (docs/design.md 3.3).

    Returns
    -------
    Dataset
        Dims checkpoint, layer, unfolding, factorization, p; network measures (Q first) and layer
        measures as variables; metadata and targets as coordinates. A checkpoint that cannot be
        read or measured is a row with `status` "failed" and the reason in `error`.

    Raises
    ------
    GenpredictError
        When a source does not exist, an option, a measure or a checkpoint of `targets` is unknown,
        or the store cannot be made.

    Warns
    -----
    UserWarning
        Of rows of the manifest without a file, files without a row, files that are passed over,
        and of what cannot be measured or told of a network.

    Examples
    --------
    >>> scores = score({"tiny": nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3))})
    >>> scores["layer_name"].values.tolist()
    [['0.weight', '1.weight']]
    >>> dict(scores["Q"].sizes)
    {'checkpoint': 1, 'factorization': 2, 'p': 2}
    """
    options = Options.measuring(
        measures,
        data=data,
        data_folder=str(data_folder),
        num_images=num_images,
        initial=str(initial),
        estimator=estimator,
        dtype=dtype,
        device=device,
        include=_several(include),
        exclude=_several(exclude),
        also=_several(also),
        dead_tolerance=dead_tolerance,
        null_tolerance=null_tolerance,
    )
    attrs = options.attrs()
    known = len(sources) if isinstance(sources, Mapping) and not _is_state_dict(sources) else None
    checkpoints = tracked(
        _checkpoints(sources, manifest, network), title="scoring", total=known, progress=progress
    )
    at_hand = isinstance(sources, nn.Module | Mapping)
    factor = AT_HAND if at_hand else 1
    parts = list(measure_checkpoints(checkpoints, options, batch_weights=factor * BATCH_WEIGHTS))
    if not parts:
        raise GenpredictError("sources: nothing to score in them")
    scores = with_network_measures(join_rows(parts).assign_attrs(attrs), options.network_rows)
    if targets is not None:
        scores = with_targets(scores, targets)
    if output is not None:
        genpredict.write_scores(scores, output, overwrite=overwrite)
    return scores


def _several(patterns: Sequence[str] | str) -> tuple[str, ...]:
    return (patterns,) if isinstance(patterns, str) else tuple(patterns)


def measure_checkpoints(
    checkpoints: Iterable[Checkpoint | Row],
    options: Options,
    *,
    batch_weights: int | None = None,
) -> Iterator[xr.Dataset]:
    """Measure checkpoints, a bounded number of weights at a time.

    Parameters
    ----------
    checkpoints : iterable of Checkpoint (or Row, for one that failed to open)
        Loaded one at a time, as they are reached.
    options : Options
    batch_weights : int, optional
        Elements of weights to gather before they are measured; by default `BATCH_WEIGHTS`.

    Yields
    ------
    Dataset
        Rows in the order of `checkpoints`, without network measures.
    """
    prober = Prober(options.probes, options)
    batch = _Batch(options, prober)
    for checkpoint in checkpoints:
        batch.add(checkpoint)
        if batch.weights >= (batch_weights or BATCH_WEIGHTS):
            yield batch.measure()
            batch = _Batch(options, prober)
    if batch.rows:
        yield batch.measure()
    prober.warn()


def read_items(items: Iterable[Item]) -> Iterator[Checkpoint | Row]:
    """Yield the checkpoints of items; a Row with its error for one that cannot be opened."""
    for item in items:
        try:
            yield from item.read()
        except Exception as error:  # whatever one file does, the others go on
            yield Row(item.id, str(item.path), item.metadata, error=_reason(item.path, error))


def _reason(source: str | Path, error: Exception) -> str:
    """Return the message of an error, with the file where that is not in it."""
    if isinstance(error, CheckpointError):
        return str(error)
    what = f"{type(error).__name__}: {error}"
    return str(CheckpointError(source, f"cannot be read ({what}); re-save it, or leave it out"))


def _too_much(row: Row, layers: Sequence[Layer], error: Exception) -> str:
    """Say which layer a checkpoint that could not be measured has as its largest."""
    largest = max(layers, key=lambda layer: layer.weight.numel())
    what = (str(error).splitlines() or [type(error).__name__])[0]
    shape = " x ".join(map(str, largest.weight.shape))
    reason = f"cannot be measured ({what:.300}); its largest layer, {largest.name}, is {shape}"
    remedy = "score it on a larger machine, or leave the layer out with --exclude"
    return str(CheckpointError(row.source, f"{reason}: {remedy}"))


class _Batch:
    """Checkpoints gathered until there are enough weights for one call."""

    def __init__(self, options: Options, prober: Prober) -> None:
        self.options, self.prober = options, prober
        self.rows: list[Row] = []
        self.layers: list[list[Layer]] = []
        self.notes: list[str] = []
        self.weights = 0

    def add(self, checkpoint: Checkpoint | Row) -> None:
        """Load a checkpoint; one that cannot be loaded becomes a failed row."""
        if isinstance(checkpoint, Row):
            self._append(checkpoint, [])
            return
        row = Row(checkpoint.id, checkpoint.source, checkpoint.metadata)
        try:
            tensors = checkpoint.tensors()
            chosen = self._select(checkpoint, tensors)
            layers = chosen.layers
            row.numbers = self.prober.numbers(checkpoint, tensors, layers)
            self.notes += [f"{checkpoint.source}: {note}" for note in _notes(tensors, chosen)]
            if "num_parameters" not in row.metadata:
                row.metadata = {**row.metadata, "num_parameters": chosen.num_parameters}
        except Exception as error:  # whatever one file does, the others go on
            row.error = _reason(checkpoint.source, error)
            layers = []
        self._append(row, layers)

    def _select(self, checkpoint: Checkpoint, tensors: Mapping[str, Any]) -> Selection:
        options = self.options
        chosen = sort_tensors(
            tensors, include=options.include, exclude=options.exclude, also=options.also
        )
        whole = chosen.measured + chosen.quantized
        if chosen.quantized > chosen.measured:
            raise CheckpointError(
                checkpoint.source,
                f"quantized: only {chosen.measured:,} of {whole:,} entries of its weights can be "
                "measured; measure the network before quantization",
            )
        if not chosen.layers:
            raise CheckpointError(checkpoint.source, _why_no_layers(tensors, chosen))
        if len(chosen.layers) > MOST_LAYERS:  # the row would fail, once all were measured
            raise CheckpointError(checkpoint.source, too_many_layers(len(chosen.layers)))
        if self.options.torch_device().type == "cpu":
            check_room(chosen.layers, checkpoint.source)
        return chosen

    def _append(self, row: Row, layers: list[Layer]) -> None:
        row.layers = [
            (layer.name, layer.kind, "x".join(map(str, layer.weight.shape))) for layer in layers
        ]
        self.rows.append(row)
        self.layers.append(layers)
        self.weights += sum(layer.weight.numel() for layer in layers)

    def measure(self) -> xr.Dataset:
        """Measure all layers and label the numbers; a checkpoint that cannot be measured fails."""
        for note in self.notes:
            warnings.warn(note, stacklevel=4)
        try:
            return self._measure_at_once()
        except (MemoryError, RuntimeError) as error:  # torch's own, of memory and of algorithms
            if len(self.rows) > 1:
                return join_rows([batch.measure() for batch in self._one_by_one()])
            (row,), (layers,) = self.rows, self.layers
            if not layers:
                raise
            alone = _Batch(self.options, self.prober)
            alone.add(Row(row.id, row.source, row.metadata, error=_too_much(row, layers, error)))
            return alone.measure()

    def _one_by_one(self) -> Iterator[_Batch]:
        """Yield a batch of its own for every checkpoint."""
        for row, layers in zip(self.rows, self.layers, strict=True):
            alone = _Batch(self.options, self.prober)
            alone._append(row, layers)
            yield alone

    def _measure_at_once(self) -> xr.Dataset:
        """Measure all layers in one call."""
        options = self.options
        layers = [layer for layers in self.layers for layer in layers]
        found = measure_weights(
            [layer.weight for layer in layers],
            measures=options.rows,
            biases=[layer.bias for layer in layers],
            estimator=cast("Estimator", options.estimator),
            dtype=getattr(torch, options.dtype),
            device=options.torch_device(),
            dead_tolerance=options.dead_tolerance,
            null_tolerance=options.null_tolerance,
        )
        keep = self._fail_not_finite(found.finite.cpu().numpy() == 1)
        arrays = {name: values.cpu().numpy()[keep] for name, values in found.items()}
        scores = to_dataset(self.rows, arrays, options.rows)
        done = scores["status"].values == "done"
        for probe in options.probes:
            numbers = np.array([row.numbers.get(probe.name, np.nan) for row in self.rows])
            scores[probe.name] = ("checkpoint", np.where(done, numbers, np.nan), probe.attrs)
        return scores

    def _fail_not_finite(self, finite: Any) -> Any:
        """Fail the checkpoints that hold NaN or infinity; mark the layers of the others."""
        first = 0
        keep = finite.copy()
        for row in self.rows:
            here = slice(first, first + len(row.layers))
            first = here.stop
            bad = [
                name
                for (name, _, _), good in zip(row.layers, finite[here], strict=True)
                if not good
            ]
            if bad:
                keep[here] = False
                row.error = str(
                    CheckpointError(
                        row.source,
                        f"layer {bad[0]} holds NaN or infinite weights, or some too large to square"
                        + (f" (and {len(bad) - 1} more layers)" if len(bad) > 1 else "")
                        + "; the training diverged or the file is damaged",
                    )
                )
        return keep


def _why_no_layers(tensors: Mapping[str, Any], chosen: Selection) -> str:
    """Say why none of the tensors of a checkpoint is a layer."""
    if tensors and all(tensor.numel() == 0 for tensor in tensors.values()):
        return EMPTY_TENSORS
    return (
        f"none of its {len(chosen.left_out)} tensors is a layer; see why with "
        f"`genpredict show --layers`, and take others in with --include"
    )


def _notes(tensors: Mapping[str, Any], chosen: Selection) -> list[str]:
    """Return what must be said of a network that is scored all the same."""
    notes = list(getattr(tensors, "notes", ()))
    if chosen.quantized:
        whole = chosen.measured + chosen.quantized
        notes.append(
            f"{chosen.quantized:,} of {whole:,} entries of its weights are quantized and cannot be "
            "measured: the scores are those of the rest"
        )
    return notes


def _checkpoints(
    sources: Scorable | Sequence[Scorable] | Mapping[str, Network],
    manifest: str | Path | pd.DataFrame | None,
    network: str,
) -> Iterator[Checkpoint | Row]:
    """Yield the checkpoints of paths and of networks at hand, in order."""
    named = list(_named(sources))
    paths = [source for _, source in named if isinstance(source, str | Path)]
    if manifest is not None and not paths:
        raise GenpredictError("manifest: describes files, but there is no path among the sources")
    found = CheckpointSources([])
    if paths:
        found = open_checkpoints(paths, manifest=manifest, network=network)
    for warning in found.warnings:
        warnings.warn(warning, stacklevel=4)
    items = found.items
    if len(paths) == len(named):
        yield from read_items(items)
        return
    for name, source in named:
        if isinstance(source, str | Path):
            folders = expanded(source)
            yield from read_items(
                item for item in items if any(_is_in(item.path, path) for path in folders)
            )
        else:
            module = source if isinstance(source, nn.Module) else None
            loader = partial(_tensors, str(name), source)
            yield Checkpoint(str(name), str(name), {}, loader, module)


def _is_in(path: Path, source: Path) -> bool:
    return path == source or source in path.parents


def _named(
    sources: Scorable | Sequence[Scorable] | Mapping[str, Network],
) -> Iterable[tuple[str | int, Any]]:
    """Pair every source with its name: the key of a mapping, else its position."""
    if isinstance(sources, str | Path | nn.Module) or _is_state_dict(sources):
        return [(0, sources)]
    if isinstance(sources, Mapping):
        if paths := [name for name, source in sources.items() if isinstance(source, str | Path)]:
            raise GenpredictError(
                f"sources: a mapping names networks at hand, but {paths[0]!r} is a path; give "
                f"paths in a list, they are named by themselves"
            )
        return sources.items()
    return enumerate(sources)


def _is_state_dict(source: object) -> bool:
    return isinstance(source, Mapping) and any(isinstance(v, Tensor) for v in source.values())


def _tensors(name: str, network: Network) -> Mapping[str, Tensor]:
    """Return the tensors of a Module or state dict."""
    if isinstance(network, nn.Module):
        state = network.state_dict()
        tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
        return without_prefixes(tensors, module_types(network))
    if isinstance(network, NamedTensors):
        return network
    if _is_state_dict(network):
        return strip_prefixes({k: v for k, v in network.items() if isinstance(v, Tensor)})
    raise CheckpointError(
        name, f"cannot score a {type(network).__name__}; give a path, a Module or a state dict"
    )
