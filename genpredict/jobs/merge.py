"""Join stores that were made apart: the same choices, other checkpoints.

Rows stand in the order of the stores. The new store is made under another name and renamed when
it is complete, so that there is never half of one; memory holds the ids and one chunk of rows.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
import zarr

from genpredict.errors import StoreError
from genpredict.jobs.ledger import read_ledger
from genpredict.jobs.store_writer import CHUNK_SIZE, IDENTITY, Writer, lock_of, open_writer
from genpredict.locking import check_unlocked, locked
from genpredict.rows import join_rows
from genpredict.store import check_store, damage_named, open_rows, texts_as_objects

Prefer = Literal["error", "first", "last"]
#: Choices that say which rows of an archive a store holds; stores that differ in them go together.
SELECTIONS = ("nats_epochs", "nats_datasets", "indices")
#: What a store says of its selection where it was merged from several: equals no run's.
MIXED = "mixed"
_KEPT = ("genpredict_format", "chunk_size", "coordinates")  # the writer's own
_RANK = {"done": 2, "failed": 1, "pending": 0}


@dataclass(frozen=True)
class Place:
    """Where a row stands: the number of its store, and its position there."""

    store: int
    row: int


@dataclass(frozen=True)
class Merged:
    """Rows of a merged store by state, and how many stood in several stores."""

    done: int
    failed: int
    pending: int
    repeated: int


def merge_stores(
    paths: Sequence[Path],
    output: Path,
    *,
    prefer: Prefer = "error",
    overwrite: bool = False,
    attrs: Mapping[str, Any] | None = None,
) -> Merged:
    """Join stores into a new one.

    Parameters
    ----------
    paths : sequence of Path
        Two or more stores. They stay as they are.
    output : Path
        The new store.
    prefer : {"error", "first", "last"}
        Which row counts where two done rows of one id differ. Paths of files (`source`) may
        differ; what one store knows and the other does not is no difference.
    overwrite : bool
        Replace an existing store.
    attrs : mapping, optional
        Attributes that replace those of the first store, such as the command.

    Returns
    -------
    Merged

    Raises
    ------
    StoreError
        When a store cannot be read or is being written, the stores were made in different ways,
        rows of one id differ, or the new store exists or cannot be written.
    """
    output = output.resolve()
    if output in [path.resolve() for path in paths]:
        raise StoreError(f"{output}: is one of the stores to merge; choose another one with -o")
    if output.exists() and not overwrite:
        raise StoreError(f"{output}: exists; choose another store with -o, or --overwrite this one")
    if output.exists():
        check_store(output, any_format=True)  # --overwrite deletes no other folder
    for path in paths:
        check_unlocked(lock_of(path.resolve()))
    everything = {**_joint_attrs(paths), **(attrs or {})}
    half = output.with_name(f"{output.name}.merging")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with locked(lock_of(output)):
            merged = _write(paths, half, everything, prefer)
            _replace(half, output)
    except OSError as error:
        raise StoreError(
            f"{output}: cannot write: {error.strerror or error}; mend the cause, then merge again"
        ) from error
    return merged


def _write(paths: Sequence[Path], half: Path, attrs: Mapping[str, Any], prefer: Prefer) -> Merged:
    """Write all rows into a store that has not its name yet."""
    stores = [open_rows(path) for path in paths]
    places = _places(stores)
    chunk_size = int(check_store(paths[0]).get("chunk_size", CHUNK_SIZE))
    with open_writer(half, attrs, overwrite=True, chunk_size=chunk_size) as writer:
        writer.allot(places)
        for block in _blocks(list(places.items()), chunk_size):
            _write_block(writer, stores, paths, dict(block), prefer)
        if MIXED not in [attrs.get(name) for name in SELECTIONS]:
            for path in paths:
                writer.ledger.add(read_ledger(zarr.open_group(path, mode="r")))
        counts = Counter(writer.status.values())
    repeated = sum(len(found) > 1 for found in places.values())
    return Merged(counts["done"], counts["failed"], counts["pending"], repeated)


def _replace(half: Path, output: Path) -> None:
    """Give a complete store its name; an old one goes away after it has lost its own."""
    old = output.with_name(f"{output.name}.replaced")
    shutil.rmtree(old, ignore_errors=True)
    if output.exists():
        output.rename(old)
    half.rename(output)
    shutil.rmtree(old, ignore_errors=True)


def _joint_attrs(paths: Sequence[Path]) -> dict[str, Any]:
    """Return the attributes of the new store; raise where choices differ."""
    first, *others = (check_store(path) for path in paths)
    joint = {name: value for name, value in first.items() if name not in _KEPT}
    for path, attrs in zip(paths[1:], others, strict=True):
        for name in IDENTITY:
            if attrs.get(name) == first.get(name):
                continue
            if name not in SELECTIONS:
                raise StoreError(
                    f"{path}: made with {name}={attrs.get(name)!r}, but {paths[0]} with "
                    f"{first.get(name)!r}; such numbers are no match: score one of them again"
                )
            joint[name] = MIXED
    for name in ("genpredict_version", "device"):
        joint[name] = ", ".join(dict.fromkeys(str(a.get(name, "")) for a in (first, *others)))
    return joint


def _places(stores: Sequence[xr.Dataset]) -> dict[str, list[Place]]:
    """Return where each id stands, in the order of the stores."""
    places: dict[str, list[Place]] = {}
    for number, store in enumerate(stores):
        for row, name in enumerate(store["checkpoint"].values.tolist()):
            places.setdefault(name, []).append(Place(number, row))
    return places


def _blocks(
    items: list[tuple[str, list[Place]]], size: int
) -> Iterator[list[tuple[str, list[Place]]]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _write_block(
    writer: Writer,
    stores: Sequence[xr.Dataset],
    paths: Sequence[Path],
    block: Mapping[str, list[Place]],
    prefer: Prefer,
) -> None:
    """Write some rows; those that are pending everywhere stay so."""
    loaded = _load(stores, paths, block)
    parts: list[xr.Dataset] = []
    run: list[Place] = []  # rows of one store that stand in no other

    def end_run() -> None:
        if run:
            rows, at = loaded[run[0].store]
            found = rows.isel(checkpoint=[at[place] for place in run])
            parts.append(found.isel(checkpoint=(found["status"] != "pending").values))
            run.clear()

    for name, places in block.items():
        if len(places) > 1 or (run and run[-1].store != places[0].store):
            end_run()
        if len(places) > 1:
            rows = [loaded[p.store][0].isel(checkpoint=[loaded[p.store][1][p]]) for p in places]
            parts.append(_chosen(name, rows, [paths[p.store] for p in places], prefer))
        else:
            run.append(places[0])
    end_run()
    if parts := [part for part in parts if part.sizes["checkpoint"]]:
        writer.write(join_rows(parts))


def _load(
    stores: Sequence[xr.Dataset], paths: Sequence[Path], block: Mapping[str, list[Place]]
) -> dict[int, tuple[xr.Dataset, dict[Place, int]]]:
    """Read the rows of a block, store by store, and say where in that each of them is."""
    wanted: dict[int, list[Place]] = {}
    for places in block.values():
        for place in places:
            wanted.setdefault(place.store, []).append(place)
    found = {}
    for number, places in wanted.items():
        with damage_named(paths[number]):
            rows = stores[number].isel(checkpoint=[place.row for place in places]).load()
        found[number] = texts_as_objects(rows), {place: at for at, place in enumerate(places)}
    return found


def _chosen(
    name: str, rows: Sequence[xr.Dataset], paths: Sequence[Path], prefer: Prefer
) -> xr.Dataset:
    """Return the row that counts of several of one id: done before failed before pending."""
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
                row[variable] = other[variable]
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
    """Return whether values are equal, those that one side does not know apart."""
    mine, theirs = _equal_depth(mine, theirs)
    here, there = _unknown(mine), _unknown(theirs)
    same = (mine == theirs) | ((here | there) if or_unknown else (here & there))
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


def _unknown(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    unknown: np.ndarray[Any, Any] = np.isnan(values) if values.dtype.kind == "f" else values == ""
    return unknown
