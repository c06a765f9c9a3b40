"""One row where several stores hold a checkpoint: the best, or an error where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from genpredict.errors import StoreError

#: Which of several done rows of one id counts.
Prefer = Literal["error", "first", "last"]
_RANK = {"done": 2, "failed": 1, "pending": 0}
#: Measures that differ by less, as a share of the number, or by less, as a share of the row's
#: largest of that measure, are equal but for rounding, which machines and versions do otherwise.
RELATIVE, OF_LARGEST = 1e-9, 1e-12


def chosen(
    name: str, rows: Sequence[xr.Dataset], paths: Sequence[Path], prefer: Prefer
) -> xr.Dataset:
    """Return the row that counts of several of one id: done before failed before pending.

    Parameters
    ----------
    name : str
        The id.
    rows : sequence of Dataset
        One row each.
    paths : sequence of Path
        The stores they stand in.
    prefer : {"error", "first", "last"}
        Which counts where two done rows differ.

    Returns
    -------
    Dataset
        One row; none where all are pending.

    Raises
    ------
    StoreError
        Where done rows differ and no preference is given.
    """
    states = [row["status"].item() for row in rows]
    best = max(states, key=_RANK.__getitem__)
    kept = [n for n, state in enumerate(states) if state == best]
    order = list(reversed(kept)) if prefer == "last" else kept
    if best == "pending":
        return rows[0].isel(checkpoint=[])
    if best == "failed" or len(kept) == 1:
        return rows[order[0]]
    return _agreed(name, [rows[n] for n in order], [paths[n] for n in order], prefer)


def _agreed(
    name: str, rows: Sequence[xr.Dataset], paths: Sequence[Path], prefer: Prefer
) -> xr.Dataset:
    """Return the first of several done rows, with what the others know besides.

    Raises
    ------
    StoreError
        Where they differ and no preference is given.
    """
    row = rows[0].copy()
    for path, other in zip(paths[1:], rows[1:], strict=True):
        for variable in [v for v in other.variables if "checkpoint" in other[v].dims]:
            if variable in ("checkpoint", "source"):
                continue
            is_coordinate = variable in other.coords
            if variable not in row.variables or (
                is_coordinate and _unknown(row[variable].values).all()
            ):
                row[variable] = _of_depth(other[variable].variable, row.sizes["layer"])
                row = row.set_coords(variable) if is_coordinate else row
            elif prefer == "error" and not _equal(
                row[variable].values, other[variable].values, or_unknown=is_coordinate
            ):
                raise StoreError(
                    f"{name}: {variable} differs between {paths[0]} and {path}; say which "
                    f"counts with --prefer first or last"
                )
    return row


def _equal(mine: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any], *, or_unknown: bool) -> bool:
    """Return whether the values of a coordinate, or of a measure but for rounding, are equal.

    Those that one side does not know (`or_unknown`, of coordinates), or neither, count as equal.
    """
    mine, theirs = _equal_depth(mine, theirs)
    here, there = _unknown(mine), _unknown(theirs)
    same = (mine == theirs) | ((here | there) if or_unknown else (here & there))
    if not or_unknown and mine.dtype.kind == theirs.dtype.kind == "f":
        largest = np.abs(mine).max(initial=0.0, where=np.isfinite(mine))
        same |= np.isclose(mine, theirs, rtol=RELATIVE, atol=OF_LARGEST * largest)
    return bool(same.all())


def _equal_depth(*values: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """Pad rows to the deeper network."""
    if values[0].ndim < 2:
        return list(values)
    depth = max(v.shape[1] for v in values)
    fill: Any = "" if values[0].dtype.kind == "O" else np.nan
    padded = []
    for value in values:
        room = [(0, 0), (0, depth - value.shape[1]), *[(0, 0)] * (value.ndim - 2)]
        padded.append(np.pad(value, room, constant_values=fill))
    return padded


def _of_depth(values: xr.Variable, depth: int) -> xr.Variable:
    """Cut or pad a row to a number of layers; what is cut is padding."""
    if "layer" not in values.dims:
        return values
    values = values.isel(layer=slice(depth))
    fill: Any = "" if values.dtype.kind == "O" else np.nan
    padded: xr.Variable = values.pad(layer=(0, depth - values.sizes["layer"]), constant_values=fill)
    return padded


def _unknown(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    unknown: np.ndarray[Any, Any] = np.isnan(values) if values.dtype.kind == "f" else values == ""
    return unknown
