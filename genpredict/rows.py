"""Rows of a scores Dataset: one a checkpoint, from batched tensors to labelled arrays."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from genpredict.errors import CheckpointError
from genpredict.row_checks import Row, checked_row, plain
from genpredict.schema import (
    AXES,
    COORDINATES,
    EXTRA_AXES,
    LAYER_LABELS,
    LAYER_MEASURES,
    STATE,
    Measure,
    Variable,
    coordinate,
)

#: Sizes of the dimensions that do not grow.
FIXED_SIZES = {dim: len(labels) for dim, labels in (AXES | EXTRA_AXES).items()}


def to_dataset(
    rows: Sequence[Row],
    measures: Mapping[str, np.ndarray[Any, Any]],
    table: Sequence[Measure] | None = None,
) -> xr.Dataset:
    """Label measures by checkpoint and layer.

    Parameters
    ----------
    rows : sequence of Row
        The checkpoints, in order.
    measures : mapping of str to array
        By name, with one entry along the first axis for each layer of each row that did not fail,
        in order.
    table : sequence of Measure, optional
        What they are; by default those of `schema.LAYER_MEASURES` that are there.

    Returns
    -------
    Dataset
        Dims as in docs/design.md 4; NaN and "" where a network has no such entry. A row whose
        metadata cannot be a coordinate (a text for an epoch) has failed and says so; its measures
        are left out.
    """
    checked = [checked_row(row) for row in rows]
    kept = [
        not after.error
        for before, after in zip(rows, checked, strict=True)
        if not before.error
        for _ in before.layers
    ]
    measures = {name: array[np.array(kept, dtype=bool)] for name, array in measures.items()}
    rows = checked
    where = [(i, j) for i, row in enumerate(rows) for j in range(len(row.layers)) if not row.error]
    at = tuple(np.array(where, dtype=np.intp).reshape(-1, 2).T)
    depth = max((len(row.layers) for row in rows), default=0)
    sizes = {"checkpoint": len(rows), "layer": depth, **FIXED_SIZES}
    variables: dict[str, Any] = {}
    if table is None:
        table = [row for name, row in LAYER_MEASURES.items() if name in measures]
    for measure in table:
        filled = np.full([sizes[dim] for dim in measure.dims], np.nan)
        filled[at] = measures[measure.name]
        variables[measure.name] = (measure.dims, filled, measure.attrs)
    for position, (name, variable) in enumerate(LAYER_LABELS.items()):
        labels = np.full((len(rows), depth), "", dtype=object)
        for i, row in enumerate(rows):
            labels[i, : len(row.layers)] = [plain(layer[position]) for layer in row.layers]
        variables[name] = (variable.dims, labels, variable.attrs)
    status = ["failed" if row.error else "done" for row in rows]
    for name, texts in (("status", status), ("error", [plain(row.error) for row in rows])):
        variables[name] = (("checkpoint",), np.array(texts, dtype=object), STATE[name].attrs)
    dims = {dim for measure in table for dim in measure.dims}
    return xr.Dataset(variables, coords=axis_coords(dims) | _coords(rows))


def join_rows(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """Join rows of several batches one after the other; networks of fewer layers are padded.

    Parameters
    ----------
    parts : sequence of Dataset
        As made by `to_dataset`, at least one. A coordinate that some part lacks is filled up.

    Returns
    -------
    Dataset
    """
    if len(parts) == 1:
        return parts[0]
    rows = [part.sizes["checkpoint"] for part in parts]
    sizes = {
        "checkpoint": sum(rows),
        "layer": max(part.sizes["layer"] for part in parts),
        **FIXED_SIZES,
    }
    variables: dict[str, Any] = {}
    for name, model in _union(parts).items():
        texts = any(part.variables[name].dtype == object for part in parts if name in part)
        fill = "" if texts else np.nan
        values = np.full(
            [sizes[str(dim)] for dim in model.dims], fill, dtype=object if texts else model.dtype
        )
        first = 0
        for part, count in zip(parts, rows, strict=True):
            if name in part.variables:
                here = part.variables[name]
                room = {str(dim): slice(size) for dim, size in here.sizes.items()}
                room["checkpoint"] = slice(first, first + count)
                place = tuple(room[str(dim)] for dim in model.dims)
                values[place] = as_texts(here.values) if texts else here.values
            first += count
        variables[name] = (model.dims, values, model.attrs)
    coords = dict.fromkeys(name for part in parts for name in part.coords)
    dims = {dim for example in _union(parts).values() for dim in example.dims}
    return xr.Dataset(variables, coords=axis_coords(dims)).set_coords(list(coords))


def as_texts(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the numbers of a coordinate as the texts they are beside others; texts as they are."""
    if values.dtype == object:
        return values
    whole = [int(v) if float(v).is_integer() else float(v) for v in values]
    texts = ["" if v != v else str(v) for v in whole]
    return np.array(texts, dtype=object)


def _union(parts: Sequence[xr.Dataset]) -> dict[str, xr.Variable]:
    """Return one example of every variable along `checkpoint`."""
    return {
        str(name): variable
        for part in reversed(parts)
        for name, variable in part.variables.items()
        if "checkpoint" in variable.dims
    }


def axis_coords(dims: Iterable[Hashable] = ()) -> dict[str, Any]:
    """Return the coordinates that label the fixed dimensions, of the extra ones those named."""
    axes = AXES | {dim: labels for dim, labels in EXTRA_AXES.items() if dim in set(dims)}
    return {
        dim: np.array(labels, dtype=object if isinstance(labels[0], str) else None)
        for dim, labels in axes.items()
    }


def coordinates(rows: Sequence[Row], names: Sequence[str]) -> xr.Dataset:
    """Label some coordinates of checkpoints, without any measure.

    Parameters
    ----------
    rows : sequence of Row
        The checkpoints.
    names : sequence of str
        Keys of their metadata; NaN or "" where a row lacks one. Left out where all do.

    Returns
    -------
    Dataset
    """
    columns = {"checkpoint": np.array([plain(row.id) for row in rows], dtype=object)}
    dataset = xr.Dataset(coords=columns)
    for name in names:
        if all(name not in row.metadata for row in rows):
            continue
        variable, values = _column(name, [row.metadata.get(name) for row in rows], rows)
        dataset = dataset.assign_coords({name: ("checkpoint", values, variable.attrs)})
    return dataset


def _coords(rows: Sequence[Row]) -> dict[str, Any]:
    """Return ids, and every coordinate that some row has."""
    coords: dict[str, Any] = {}
    coords["checkpoint"] = np.array([plain(row.id) for row in rows], dtype=object)
    known = [{"source": row.source, **row.metadata} for row in rows]
    names = dict.fromkeys([*COORDINATES, *(name for one in known for name in one)])
    for name in names:
        variable, values = _column(name, [one.get(name) for one in known], rows)
        coords[name] = ("checkpoint", values, variable.attrs)
    return coords


def _column(
    name: str, values: Sequence[Any], rows: Sequence[Row]
) -> tuple[Variable, np.ndarray[Any, Any]]:
    """Return one coordinate: numbers with NaN, or texts with "", where a row does not know it."""
    numeric = all(value is None or not isinstance(value, str) for value in values)
    variable = coordinate(name, numeric=numeric)
    if variable.dtype == "str":
        texts = ["" if value is None else plain(value) for value in values]
        return variable, np.array(texts, dtype=object)
    for row, value in zip(rows, values, strict=True):
        if isinstance(value, str):
            raise CheckpointError(
                row.source, f"{name} must be a number, got {value!r}; correct the manifest"
            )
    return variable, np.array([np.nan if v is None else float(v) for v in values])
