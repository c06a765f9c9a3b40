"""Join stores that were made apart: the same choices, other checkpoints or other measures.

Rows stand in the order of the stores. The new store is made under another name and renamed when
it is complete, so that there is never half of one; memory holds the ids and one chunk of rows.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from genpredict.errors import StoreError
from genpredict.jobs.repeated_rows import Prefer, chosen
from genpredict.locking import check_unlocked, lock_of, locked
from genpredict.network_columns import add_network_measures
from genpredict.options import (
    MIXED,
    PROBE_CHOICES,
    SELECTIONS,
    identity_of,
    measures_of,
    network_measures_of,
)
from genpredict.outputs import replace_folder, restore_replaced
from genpredict.rows import join_rows
from genpredict.schema import NETWORK_MEASURES
from genpredict.store.damage import damage_named, open_group
from genpredict.store.ledger import read_ledger
from genpredict.store.reading import (
    check_store,
    open_rows,
)
from genpredict.store.writer import Writer
from genpredict.store.writing import CHUNK_SIZE, open_writer

_WRITTEN = "was written to while it was read; merge again when nothing writes to it"
_KEPT = ("genpredict_format", "chunk_size", "coordinates")  # the writer's own


@dataclass(frozen=True)
class Place:
    """Where a row stands: the number of its store, and its position there."""

    store: int
    row: int


@dataclass(frozen=True)
class Merged:
    """Rows of a merged store by state, and how many stood in several stores.

    `left_out` are measures that some store holds and that some checkpoint has in none.
    """

    done: int
    failed: int
    pending: int
    repeated: int
    left_out: tuple[str, ...] = ()


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
        Which row counts where two done rows of one id differ by more than rounding. Paths of
        files (`source`) may differ; what one store knows and the other does not is no difference.
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
        When a store cannot be read or is being written, at the end as well; when the stores were
        made in different ways, rows of one id differ, or the new store exists or cannot be written.
    """
    output = output.resolve()
    if output in [path.resolve() for path in paths]:
        raise StoreError(f"{output}: is one of the stores to merge; choose another one with -o")
    _check_output(output, overwrite)
    before = [_stamp(path) for path in paths]
    everything = {**_joint_attrs(paths), **(attrs or {})}
    half = output.with_name(f"{output.name}.merging")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with locked(lock_of(output)):
            restore_replaced(output)
            _check_output(output, overwrite)  # a run may have made it meanwhile
            try:
                if half.is_symlink():  # it may lead to another store, which would be cleared
                    half.unlink()
                merged = _write(paths, half, everything, prefer)
                _check_unchanged(paths, before)
                replace_folder(half, output)
            finally:
                shutil.rmtree(half, ignore_errors=True)  # or a full disk would stay full
    except OSError as error:
        raise StoreError(
            f"{output}: cannot write: {error.strerror or error}; mend the cause, then merge again"
        ) from error
    return merged


def _check_output(output: Path, overwrite: bool) -> None:
    """Raise StoreError where something is in the way of the new store."""
    if not output.exists():
        return
    if not overwrite:
        raise StoreError(f"{output}: exists; choose another store with -o, or --overwrite this one")
    check_store(output, any_format=True)  # --overwrite deletes no other folder


def _stamp(path: Path) -> list[tuple[str, int]]:
    """Return when each file of a store was last written.

    Raises
    ------
    StoreError
        While a process is writing to it.
    """
    check_unlocked(lock_of(path.resolve()))
    try:
        return sorted((str(f), f.stat().st_mtime_ns) for f in path.rglob("*") if f.is_file())
    except FileNotFoundError as error:  # replaced between two looks
        raise StoreError(f"{path}: {_WRITTEN}") from error


def _check_unchanged(paths: Sequence[Path], before: Sequence[list[tuple[str, int]]]) -> None:
    """Raise StoreError where a store was written to since its stamp was taken."""
    for path, stamp in zip(paths, before, strict=True):
        if _stamp(path) != stamp:
            raise StoreError(f"{path}: {_WRITTEN}")


def _write(paths: Sequence[Path], half: Path, attrs: Mapping[str, Any], prefer: Prefer) -> Merged:
    """Write all rows into a store that has not its name yet."""
    stores = [open_rows(path) for path in paths]
    places = _places(stores)
    measures, left_out = _joint_measures(stores, places, measures_of)
    of_networks, others_left_out = _joint_measures(stores, places, network_measures_of)
    left_out = [name for name in left_out + others_left_out if name not in NETWORK_MEASURES]
    of_networks = list(dict.fromkeys([*NETWORK_MEASURES, *of_networks]))
    # those of every score are computed anew, for stores of old have none
    dropped = [*left_out, *NETWORK_MEASURES]
    stores = [store.drop_vars(dropped, errors="ignore") for store in stores]
    attrs = {**attrs, "measures": measures, "network_measures": of_networks}
    chunk_size = int(check_store(paths[0]).get("chunk_size", CHUNK_SIZE))
    with open_writer(half, attrs, overwrite=True, chunk_size=chunk_size) as writer:
        writer.allot(places)
        for block in _blocks(list(places.items()), chunk_size):
            _write_block(writer, stores, paths, dict(block), prefer)
        if MIXED not in [attrs.get(name) for name in SELECTIONS]:
            for path in paths:
                writer.ledger.add(read_ledger(open_group(path)))
        counts = Counter(writer.status.values())
    repeated = sum(len(found) > 1 for found in places.values())
    return Merged(counts["done"], counts["failed"], counts["pending"], repeated, tuple(left_out))


def _joint_measures(
    stores: Sequence[xr.Dataset],
    places: Mapping[str, list[Place]],
    held_by: Callable[[Mapping[str, Any]], tuple[str, ...]],
) -> tuple[list[str], list[str]]:
    """Return the measures that every checkpoint has in some store, and those that are left out."""
    held = [held_by({str(key): value for key, value in store.attrs.items()}) for store in stores]
    done = [(store["status"] == "done").values for store in stores]
    combinations = {
        frozenset(place.store for place in some if done[place.store][place.row])
        for some in places.values()
    } - {frozenset()}
    everything = list(dict.fromkeys(name for names in held for name in names))
    joint = [
        name
        for name in everything
        if all(any(name in held[number] for number in some) for some in combinations)
    ]
    return joint, [name for name in everything if name not in joint]


def _joint_attrs(paths: Sequence[Path]) -> dict[str, Any]:
    """Return the attributes of the new store; raise where choices differ."""
    first, *others = (check_store(path) for path in paths)
    joint = {name: value for name, value in first.items() if name not in _KEPT}
    mine = identity_of(first)
    for path, attrs in zip(paths[1:], others, strict=True):
        theirs = identity_of(attrs)
        for name in mine:
            if name in ("measures", "network_measures") or theirs[name] == mine[name]:
                continue
            if name in PROBE_CHOICES and PROBE_CHOICES[name] in (mine[name], theirs[name]):
                if mine[name] == PROBE_CHOICES[name]:  # of the one store that has such measures
                    joint[name] = mine[name] = theirs[name]
                continue
            if name not in SELECTIONS:
                raise StoreError(
                    f"{path}: made with {name}={theirs[name]!r}, but {paths[0]} with "
                    f"{mine[name]!r}; such numbers are no match: score one of them again"
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
            parts.append(chosen(name, rows, [paths[p.store] for p in places], prefer))
        else:
            run.append(places[0])
    end_run()
    if parts := [part for part in parts if part.sizes["checkpoint"]]:
        writer.write(add_network_measures(join_rows(parts), NETWORK_MEASURES.values()))


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
        found[number] = rows, {place: at for at, place in enumerate(places)}
    return found
