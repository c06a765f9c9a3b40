"""Measure checkpoints in batches: rows of measures, of failed ones the reason."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import xarray as xr

from genpredict.checkpoints import Checkpoint, Item
from genpredict.checkpoints.state_dicts import EMPTY_TENSORS
from genpredict.errors import CheckpointError
from genpredict.estimators import Estimator
from genpredict.layers import Layer, Selection, sort_tensors
from genpredict.layers.room import check_room
from genpredict.options import Options
from genpredict.probing import Prober
from genpredict.row_checks import MOST_LAYERS, Row, too_many_layers
from genpredict.rows import join_rows, to_dataset
from genpredict.spectral import measure_weights

#: Weights held in memory at a time, in elements: 64 MiB of float32.
BATCH_WEIGHTS = 1 << 24
#: Networks at hand are in memory anyway: so many times more of them make a batch.
AT_HAND = 16


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
            self.notes += [
                f"{checkpoint.source}: {note}" for note in network_notes(tensors, chosen)
            ]
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


def network_notes(tensors: Mapping[str, Any], chosen: Selection) -> list[str]:
    """Return what must be said of a network that is scored all the same."""
    notes = list(getattr(tensors, "notes", ()))
    if chosen.quantized:
        whole = chosen.measured + chosen.quantized
        notes.append(
            f"{chosen.quantized:,} of {whole:,} entries of its weights are quantized and cannot be "
            "measured: the scores are those of the rest"
        )
    return notes
