"""A scores Dataset at hand, written as a store that every command opens."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from genpredict.atomic import fresh_name
from genpredict.errors import GenpredictError, StoreError
from genpredict.locking import lock_of, locked
from genpredict.network_columns import add_network_measures
from genpredict.options import measures_of, network_measures_of
from genpredict.outputs import replace_folder, restore_replaced
from genpredict.rows import axis_coords
from genpredict.schema import LAYER_LABELS, NETWORK_MEASURES, STATE
from genpredict.store.reading import check_store
from genpredict.store.writing import CHUNK_SIZE, open_writer


def write_scores(
    scores: xr.Dataset,
    path: str | Path,
    *,
    overwrite: bool = False,
    chunk_size: int = CHUNK_SIZE,
) -> None:
    """Write scores to disk, as `genpredict score -o` does.

    Parameters
    ----------
    scores : Dataset
        As of `score` or `open_scores`, some of its checkpoints or all, with whatever coordinates
        along `checkpoint` were added; also one that was kept as netCDF.
    path : path
        The store to make.
    overwrite : bool
        Replace a store that is there.
    chunk_size : int
        Checkpoints to a Zarr chunk.

    Raises
    ------
    GenpredictError
        When the Dataset holds no scores: a dimension was selected from, a variable is missing, an
        id stands twice.
    StoreError
        When there is a store already and `overwrite` is not set, or something else.

    Examples
    --------
    >>> scores = genpredict.score({"mine": network})  # doctest: +SKIP
    >>> write_scores(scores, "scores.zarr")  # doctest: +SKIP
    """
    path = Path(path).expanduser()
    rows = _rows(scores)
    if not overwrite and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise StoreError(f"{path}: exists; choose another path, or overwrite=True to replace it")
    kept = {name: _plain(value) for name, value in scores.attrs.items() if name != "coordinates"}
    kept["network_measures"] = list(dict.fromkeys([*NETWORK_MEASURES, *network_measures_of(kept)]))
    with _whole_store(path) as half, open_writer(half, kept, chunk_size=chunk_size) as writer:
        for first in range(0, rows.sizes["checkpoint"], chunk_size):
            writer.write(rows.isel(checkpoint=slice(first, first + chunk_size)).load())


@contextmanager
def _whole_store(path: Path) -> Iterator[Path]:
    """Let a block write a store beside its name; the old one may be what the rows are read from."""
    path = path.resolve()
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(lock_of(path)):
            restore_replaced(path)
            if path.exists() and (path.is_file() or any(path.iterdir())):
                check_store(path, any_format=True)  # no other folder is replaced
            half = fresh_name(path)
            try:
                yield half
                replace_folder(half, path)
            finally:
                shutil.rmtree(half, ignore_errors=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the store where it cannot be written."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path}: cannot write: {error.strerror or error}; mend the cause, then write it again"
        ) from error


def _plain(value: Any) -> Any:
    """Return an attribute as JSON can hold it; netCDF gives back numpy's numbers and arrays."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _rows(scores: xr.Dataset) -> xr.Dataset:
    """Return what a store's writer takes: numbers as floats, texts as objects.

    The network measures of every score are computed anew: for scores of old stores have none
    stored, and what stands in the Dataset may be of other layers.

    Raises
    ------
    GenpredictError
        Where that is not what `score` makes.
    """
    if not isinstance(scores, xr.Dataset):
        raise GenpredictError(f"scores: must be a Dataset of score(), got {type(scores).__name__}")
    others = [n for n in network_measures_of(scores.attrs) if n not in NETWORK_MEASURES]
    needed = [*measures_of(scores.attrs), *others, *LAYER_LABELS, *STATE, "checkpoint"]
    if missing := [name for name in needed if name not in scores.variables]:
        raise GenpredictError(
            f"scores: lack {', '.join(missing)}; write what score() or open_scores() returned, "
            f"with checkpoints selected or coordinates added, but not without variables"
        )
    for dim, labels in axis_coords(scores.dims).items():
        if dim not in scores.dims or scores[dim].values.tolist() != labels.tolist():
            raise GenpredictError(
                f"scores: {dim} must be {labels.tolist()}, as score() made it; select along it "
                f"after the scores are written"
            )
    ids = scores["checkpoint"].values.tolist()
    if len(set(ids)) != len(ids):
        repeated = next(name for name in ids if ids.count(name) > 1)
        raise GenpredictError(f"scores: two checkpoints are called {repeated!r}; rename one")
    rows = scores.drop_vars([name for name in NETWORK_MEASURES if name in scores.variables])
    rows = add_network_measures(rows, NETWORK_MEASURES.values())
    rows = rows.drop_vars([name for name in rows.coords if not _is_column(rows[name])])
    return rows.assign({str(name): _as_written(rows[name]) for name in rows.variables})


def _is_column(coordinate: xr.DataArray) -> bool:
    """Return whether a coordinate is stored with the rows; the fixed axes the writer makes."""
    return "checkpoint" in coordinate.dims


def _as_written(column: xr.DataArray) -> xr.DataArray:
    """Return numbers as float64 and texts as objects."""
    if column.dtype.kind in "biu":
        return column.astype(np.float64)
    if column.dtype.kind in "UT":
        return column.astype(object)
    if column.dtype.kind not in "fO":
        raise GenpredictError(
            f"scores: {column.name} is {column.dtype}; a store holds numbers and texts"
        )
    return column
