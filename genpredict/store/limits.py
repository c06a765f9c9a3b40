"""What a store can hold: rows that would break it fail before they are written.

Whatever a reader refuses, the writer never writes: one checkpoint with a million layers, or with a
thousand coordinates of its own, is one failed row, and the others stay readable.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from genpredict.errors import StoreError
from genpredict.row_checks import MOST_LAYERS

#: Rows of a store; NATS-Bench's two spaces have half a million.
MOST_ROWS = 2 * 10**6
#: Rows times layers, to the depth of the deepest network: 4 GiB for a measure of both unfoldings,
#: factorizations and powers.
MOST_ENTRIES = 2**26
#: Coordinates of a store: each is an array of its own.
MOST_COORDINATES = 1000


def check_rows(path: Path, rows: int, depth: int) -> None:
    """Refuse more rows than a store can hold.

    Raises
    ------
    StoreError
        When there are too many, or too many for networks of this depth.
    """
    most = min(MOST_ROWS, MOST_ENTRIES // max(depth, 1))
    if rows > most:
        raise StoreError(
            f"{path}: a store of networks of up to {depth:,} layers holds at most {most:,} "
            f"checkpoints, not {rows:,}; score these sources into several stores"
        )


def fitting(rows: xr.Dataset, *, count: int, depth: int, known: Collection[str]) -> xr.Dataset:
    """Fail the rows that a store cannot hold.

    Parameters
    ----------
    rows : Dataset
        As made by `rows.to_dataset`.
    count, depth : int
        Rows of the store with these, and its layers so far.
    known : collection of str
        Its arrays so far.

    Returns
    -------
    Dataset
        The same where all fit. A row that does not keeps its id, source and reason.
    """
    rows = _of_few_coordinates(rows, known)
    most = min(MOST_LAYERS, max(depth, MOST_ENTRIES // max(count, 1)))
    if rows.sizes["layer"] <= most:
        return rows
    lengths = (rows["layer_name"].values != "").sum(axis=1)
    reasons = [
        f"has {length:,} layers, and this store of {count:,} checkpoints has room for networks of "
        f"up to {most:,}; leave layers out with --exclude, or score it into a store of its own"
        if length > most
        else ""
        for length in lengths.tolist()
    ]
    kept = lengths[lengths <= most].max(initial=0)
    return failed(rows, reasons).isel(layer=slice(0, int(kept)))


def _of_few_coordinates(rows: xr.Dataset, known: Collection[str]) -> xr.Dataset:
    """Fail the rows that bring more coordinates than a store may have, and drop these."""
    names = [str(name) for name, v in rows.coords.items() if v.dims == ("checkpoint",)]
    new = [name for name in names if name not in known]
    too_many = new[max(0, MOST_COORDINATES - len(known)) :]
    if not too_many:
        return rows
    given = np.zeros(rows.sizes["checkpoint"], dtype=bool)
    for name in too_many:
        given |= _is_known(rows[name].values)
    reason = (
        f"brings the coordinate {too_many[0]!r}, and a store holds {MOST_COORDINATES:,} at most; "
        f"score it into a store of its own"
    )
    return failed(rows.drop_vars(too_many), [reason if here else "" for here in given])


def _is_known(column: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return where a coordinate has a value."""
    known: np.ndarray[Any, Any] = column != "" if column.dtype == object else ~np.isnan(column)
    return known


def failed(rows: xr.Dataset, reasons: Sequence[str]) -> xr.Dataset:
    """Fail rows of a Dataset: their measures and layers go, what is known of them stays.

    Parameters
    ----------
    rows : Dataset
        As made by `rows.to_dataset`.
    reasons : sequence of str
        For each row why it has failed, empty where it has not.
    """
    at = np.array([bool(reason) for reason in reasons])
    if not at.any():
        return rows
    changed: dict[str, Any] = {}
    for name, variable in rows.data_vars.items():
        if "checkpoint" in variable.dims and name not in ("status", "error"):
            blank = np.nan if variable.dtype.kind == "f" else ""
            where = xr.DataArray(at, dims="checkpoint")
            changed[str(name)] = variable.where(~where, blank).transpose(*variable.dims)
    sources = rows["source"].values if "source" in rows.coords else rows["checkpoint"].values
    old = zip(rows["status"].values, rows["error"].values, sources, reasons, strict=True)
    marks = [("failed", f"{src}: {why}") if why else (state, text) for state, text, src, why in old]
    for name, column in zip(("status", "error"), zip(*marks, strict=True), strict=True):
        changed[name] = rows[name].copy(data=np.array(column, dtype=object))
    return rows.assign(changed)
