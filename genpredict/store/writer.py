"""The writer of a store: rows are allotted, then filled in.

See `genpredict.store.writing` for what holds at any moment, and how a writer is had.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import xarray as xr
import zarr
from zarr.core.metadata import ArrayV3Metadata

from genpredict.errors import StoreError
from genpredict.options import measures_of, network_measures_of
from genpredict.outputs import replace_folder
from genpredict.registry import known_measures, known_network_measures
from genpredict.rows import FIXED_SIZES, as_texts, axis_coords
from genpredict.schema import (
    COORDINATES,
    EXTRA_AXES,
    EXTRA_NETWORK_MEASURES,
    LAYER_LABELS,
    NETWORK_MEASURES,
    STATE,
    Variable,
    coordinate,
)
from genpredict.store.arrays import arrays
from genpredict.store.chunks import check_chunks
from genpredict.store.ledger import Ledger
from genpredict.store.limits import check_rows, fitting

#: Layers to a Zarr chunk; a deeper network spans several.
LAYER_CHUNK = 64
#: Rows to a chunk of what has no layers: it is small, and opening a store costs as much as it has
#: files.
ROW_CHUNK = 8192
_ID = Variable(("checkpoint",), "checkpoint", "", "str")


def write_axes(group: zarr.Group, dims: Iterable[str] = ()) -> None:
    """Write the coordinates of the fixed dimensions, again where there are some."""
    for name, values in axis_coords(dims).items():
        kind: Any = str if values.dtype == object else values.dtype
        if name not in group:
            group.create_array(
                name, shape=values.shape, chunks=values.shape, dtype=kind, dimension_names=(name,)
            )
        array = cast("zarr.Array[Any]", group[name])
        if np.asarray(array[:]).tolist() != values.tolist():
            array[:] = values


class Writer:
    """Rows of a locked store: allotted, then filled in.

    Parameters
    ----------
    path : Path
        The store.
    lock : Path
        Its lock file, touched at every write as a sign of life.
    ids : sequence of str
        Rows that a new store begins with: its arrays are made with room for them at once.

    Attributes
    ----------
    status : dict of str to str
        State of every row by checkpoint id, in the order of rows.
    chunk_size : int
        Checkpoints to a Zarr chunk.
    ledger : Ledger
        Files taken in.
    """

    def __init__(self, path: Path, lock: Path, ids: Sequence[str] = ()) -> None:
        self.path, self._lock = path, lock
        self._group = zarr.open_group(path, mode="r+")
        self._arrays = dict(arrays(path, self._group))  # one by one: Ctrl-C leaves no task behind
        for name, array in self._arrays.items():  # nothing is written through a link
            check_chunks(array, path / name, 0)
        self.chunk_size = int(self._group.attrs["chunk_size"])  # type: ignore[arg-type]
        first = [] if "checkpoint" in self._arrays else list(dict.fromkeys(ids))
        check_rows(path, len(first), 0)
        self._row = {name: row for row, name in enumerate(first)}
        self._depth = 0
        self._require("checkpoint", _ID)
        known = known_measures()  # one of another package that is not here has its array, or gets
        measures = {n: known[n] for n in measures_of(self._group.attrs) if n in known}  # it later
        self._list_coordinates(COORDINATES)
        self._of_networks = network_measures_of(self._group.attrs)
        builtin = NETWORK_MEASURES | EXTRA_NETWORK_MEASURES  # of others the first rows tell dims
        of_networks = {name: builtin[name] for name in self._of_networks if name in builtin}
        for table in (LAYER_LABELS, measures, of_networks, STATE, COORDINATES):
            for name, variable in table.items():
                self._require(name, variable)
        if first:
            self._arrays["checkpoint"][:] = np.array(first, dtype=object)
        held = self._texts("checkpoint")
        if "" in held:  # from here on rows were being allotted when the owner died
            held = held[: held.index("")]
        self._row = {name: row for row, name in enumerate(held)}
        depth = max(self._arrays[name].shape[1] for name in LAYER_LABELS)
        self._resize(len(held), depth)
        self.status: dict[str, str] = dict(zip(held, self._texts("status"), strict=True))
        self.ledger = Ledger(self._group)

    def allot(self, ids: Iterable[str]) -> None:
        """Add a pending row for every id that has none, in this order."""
        new = [name for name in dict.fromkeys(ids) if name not in self._row]
        if not new:
            return
        first = len(self._row)
        check_rows(self.path, first + len(new), self._depth)
        self._resize(first + len(new), self._depth)
        self._arrays["checkpoint"][first:] = np.array(new, dtype=object)
        self._row.update({name: first + n for n, name in enumerate(new)})
        self.status.update(dict.fromkeys(new, "pending"))

    def rename(self, old: str, new: str) -> None:
        """Give the row of one id to another, which has none."""
        if new in self._row:
            raise StoreError(f"{self.path}: {new} has a row already, cannot take that of {old}")
        row = self._row.pop(old)
        self._arrays["checkpoint"][row : row + 1] = np.array([new], dtype=object)
        self._row[new] = row
        self.status = {new if name == old else name: s for name, s in self.status.items()}

    def write(self, rows: xr.Dataset) -> None:
        """Fill in rows, allotting those that have no place yet: measures first, status second.

        Parameters
        ----------
        rows : Dataset
            As made by `rows.to_dataset`.

        Raises
        ------
        StoreError
            When there are more rows than a store holds.
        OSError
            When the disk is full, say; what was written stays good.
        """
        before = [self.status.get(name) for name in rows["checkpoint"].values.tolist()]
        worse = (rows["status"] == "failed").values & np.array([s == "done" for s in before], bool)
        rows = rows.isel(checkpoint=~worse)  # a row that is done stays so
        ids: list[str] = rows["checkpoint"].values.tolist()
        if not ids:
            return
        count = len(self._row.keys() | set(ids))
        rows = fitting(rows, count=count, depth=self._depth, known=self._arrays)
        self.allot(ids)
        self._reopen([name for name in ids if self.status[name] == "failed"])
        self._resize(len(self._row), max(self._depth, rows.sizes["layer"]))
        at = np.array([self._row[name] for name in ids])
        rows = rows.drop_vars(
            set(known_network_measures()).difference(self._of_networks), errors="ignore"
        )
        columns = [str(n) for n, v in rows.coords.items() if v.dims == _ID.dims]
        self._list_coordinates(name for name in columns if name != "checkpoint")
        names = [str(n) for n, v in rows.variables.items() if "checkpoint" in v.dims]
        first = [name for name in names if name not in ("checkpoint", "error", "status")]
        for name in self._of_networks:
            self._note_choices(name, rows)
        for name in [*first, "error", "status"]:
            self._fill(name, rows.variables[name], at)
        self.status.update(zip(ids, rows["status"].values.tolist(), strict=True))
        self._lock.touch()

    def describe(self, columns: xr.Dataset) -> None:
        """Write coordinates of rows there are, as made by `rows.coordinates`."""
        at = np.array([self._row[name] for name in columns["checkpoint"].values.tolist()])
        names = [name for name in columns.coords if name != "checkpoint"]
        self._list_coordinates(map(str, names))
        for name in names:
            self._fill(str(name), columns.variables[name], at)

    def _reopen(self, ids: list[str]) -> None:
        """Make failed rows pending before they are filled in anew."""
        if ids:
            at = np.array([self._row[name] for name in ids])
            pending = np.full(len(ids), "pending", dtype=object)
            self._fill("status", xr.Variable(("checkpoint",), pending), at)

    def failures(self) -> Iterator[tuple[str, str]]:
        """Yield the id of every failed row and why it failed."""
        if "failed" in self.status.values():
            for (name, state), error in zip(self.status.items(), self._texts("error"), strict=True):
                if state == "failed":
                    yield name, error

    def _fill(self, name: str, values: xr.Variable, at: np.ndarray[Any, Any]) -> None:
        """Write one variable's rows, one contiguous run of rows at a time.

        Zarr writes the chunks of one call in any order. Rows are marked in their order, a chunk at
        a time, so that those done always come before those pending, and the ledger in turn.
        """
        array = self._require(name, _described(name, values))
        if values.dtype.kind == "f" and array.dtype.kind != "f":
            values = values.copy(data=as_texts(values.values))
        elif values.dtype.kind != "f" and array.dtype.kind == "f":
            array = self._make_texts(name)
        ends = np.diff(at) != 1
        if name == "status":
            ends |= np.diff(at // array.chunks[0]) != 0
        for run in np.split(np.arange(len(at)), np.flatnonzero(ends) + 1):
            place = (slice(int(at[run[0]]), int(at[run[-1]]) + 1),)
            block = values.values[run[0] : run[-1] + 1]
            if "layer" in values.dims:  # to the full depth, over what a deeper network left
                room = [(0, 0)] * block.ndim
                room[1] = (0, self._depth - block.shape[1])
                block = np.pad(block, room, constant_values=array.fill_value)
            array[place] = block

    def _make_texts(self, name: str) -> zarr.Array[Any]:
        """Turn a coordinate that was numbers so far into texts, as if one had always been.

        The two arrays exchange their names in one step: whoever is killed leaves one of them.
        """
        old, half = self._arrays[name], self.path / f".{name}.partial"
        shutil.rmtree(half, ignore_errors=True)
        texts = as_texts(np.asarray(old[:]))
        made = zarr.create_array(
            half,
            zarr_format=3,
            shape=old.shape,
            chunks=old.chunks,
            dtype=str,
            fill_value="",
            dimension_names=("checkpoint",),
            attributes=dict(coordinate(name, numeric=False).attrs),
        )
        made[:] = texts
        replace_folder(half, self.path / name)
        self._arrays[name] = cast("zarr.Array[Any]", self._group[name])
        return self._arrays[name]

    def _texts(self, name: str) -> list[str]:
        return cast("list[str]", np.asarray(self._arrays[name][:]).tolist())

    def _require(self, name: str, variable: Variable) -> zarr.Array[Any]:
        """Return an array, made with the rows there are where it does not exist yet."""
        if name in self._arrays:
            return self._arrays[name]
        rows = self.chunk_size
        if "layer" not in variable.dims:
            rows *= max(1, ROW_CHUNK // rows)
        sizes = {"checkpoint": len(self._row), "layer": self._depth, **FIXED_SIZES}
        chunks = {**FIXED_SIZES, "checkpoint": rows, "layer": LAYER_CHUNK}
        text = variable.dtype == "str"
        fill = "pending" if name == "status" else "" if text else float("nan")
        if extra := set(variable.dims) & set(EXTRA_AXES):
            write_axes(self._group, extra)
        self._arrays[name] = self._group.create_array(
            name,
            shape=tuple(sizes[dim] for dim in variable.dims),
            chunks=tuple(chunks[dim] for dim in variable.dims),
            dtype=str if text else "float64",
            fill_value=fill,
            dimension_names=variable.dims,
            attributes=dict(variable.attrs),
        )
        return self._arrays[name]

    def _note_choices(self, name: str, rows: xr.Dataset) -> None:
        """Write down by which choices a network measure was aggregated."""
        if name in rows.data_vars and name in self._arrays:
            array, given = self._arrays[name], rows[name].attrs
            if new := {key: value for key, value in given.items() if key not in array.attrs}:
                self._arrays[name] = array.update_attributes(new)  # all of them in one write

    def _list_coordinates(self, names: Iterable[str]) -> None:
        """Note which of the arrays are coordinates, before they are made."""
        known = str(self._group.attrs.get("coordinates", "")).split()
        if new := set(names) - set(known):
            self._group.attrs["coordinates"] = " ".join(sorted({*known, *new}))

    def _resize(self, rows: int, depth: int) -> None:
        """Give every array this many rows and layers; the ids, which count the rows, last."""
        self._depth = depth
        for name in sorted(self._arrays, key=lambda name: (name == "checkpoint", name)):
            array = self._arrays[name]
            sizes = {"checkpoint": rows, "layer": depth}
            dims = cast("ArrayV3Metadata", array.metadata).dimension_names or ()
            shape = tuple(sizes.get(d or "", n) for d, n in zip(dims, array.shape, strict=True))
            if shape != array.shape:
                array.resize(shape)


def _described(name: str, values: xr.Variable) -> Variable:
    """Say what the variable of a row is: a measure by itself, a coordinate by the schema."""
    numeric = values.dtype.kind == "f"
    if values.dims == _ID.dims and name not in known_network_measures():
        return coordinate(name, numeric=numeric)
    dims = tuple(str(dim) for dim in values.dims)
    long_name, units = (str(values.attrs.get(label, "")) for label in ("long_name", "units"))
    return Variable(dims, long_name, units, "float64" if numeric else "str")
