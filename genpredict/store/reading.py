"""Scores on disk, read: one xarray Dataset in one Zarr v3 store (docs/design.md 4)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

import genpredict
from genpredict.errors import StoreError
from genpredict.network_columns import with_network_measures
from genpredict.options import measures_of, network_measures_of
from genpredict.outputs import replaced
from genpredict.rows import axis_coords
from genpredict.schema import (
    FIRST_MEASURES,
    KNOWN,
    LAYER_LABELS,
    LEDGER,
    STATE,
)
from genpredict.sidecars import check_regular
from genpredict.store.arrays import STATES, arrays, check_axes, check_ledger, lazy
from genpredict.store.chunks import check_metadata
from genpredict.store.damage import ANEW, open_group, reading

#: Version of the layout on disk; another one is refused.
FORMAT = 1
#: Network measures that are a number for every checkpoint that is done.
_ALWAYS = ("Q", "Q_adjusted", "num_layers", "num_rank_zero", "num_rank_one")
_INCOMPLETE = (
    "being written right now, interrupted or damaged; run the command that made it again to "
    "complete it"
)


def open_scores(path: str | Path) -> xr.Dataset:
    """Open a scores store.

    Parameters
    ----------
    path : path
        A store made by ``genpredict score``.

    Returns
    -------
    Dataset
        Network measures (`Q` first) and layer measures as variables, metadata and targets as
        coordinates (docs/design.md 4). Layer measures load from disk when they are looked at.

    Raises
    ------
    StoreError
        When there is no such store, or one of another layout.

    Examples
    --------
    >>> scores = open_scores("scores.zarr")  # doctest: +SKIP
    >>> scores["Q"].sel(factorization="low_rank", p=2).to_series().nlargest(3)  # doctest: +SKIP
    """
    path = Path(path)
    stored = open_rows(path)
    with reading(path):
        if "Q" not in stored.variables:
            _check_memory(stored)
        scores = with_network_measures(_ordered(stored))
        _check_done(path, scores)
    return scores


def _check_done(path: Path, scores: xr.Dataset) -> None:
    """Raise where a row is marked done and its measures are not there, as when a file was lost."""
    done = scores["status"].values == "done"
    lost = np.zeros_like(done)
    for name in _ALWAYS:
        is_missing = np.isnan(scores[name].values)
        lost |= is_missing.any(axis=tuple(range(1, is_missing.ndim))) & done
    lost |= _of_lost_chunks(path, scores) & done
    if lost.any():
        row = int(lost.argmax())
        status = cast("zarr.Array[Any]", open_group(path)["status"])
        chunk = row // status.chunks[0]
        raise StoreError(
            f"{path}: {scores['checkpoint'].values[row]} is marked as done, but some of its "
            f"measures are missing; delete status/c/{chunk}, then run the command that made the "
            f"store again to measure these rows anew"
        )


def _of_lost_chunks(path: Path, scores: xr.Dataset) -> NDArray[np.bool_]:
    """Mark the rows of chunks that some measures have and others lack; reads no chunk.

    Every entry of a network has all of `FIRST_MEASURES`, and a chunk without any entry no file.
    """
    sets = {name: _chunks(path / name, scores[name].ndim) for name in FIRST_MEASURES}
    of_entries = [chunks for name, chunks in sets.items() if "unfolding" in scores[name].dims]
    everywhere = set.intersection(*of_entries)
    somewhere = set.union(*sets.values())
    lost = np.zeros(scores.sizes["checkpoint"], dtype=bool)
    size = scores.attrs["chunk_size"]
    for row in {row for row, _ in somewhere - everywhere}:
        lost[row * size : (row + 1) * size] = True
    return lost


def _chunks(folder: Path, ndim: int) -> set[tuple[int, int]]:
    """List the chunks of a measure by their rows and layers."""
    rest = "/0" * (ndim - 2)
    chunks = set()
    for row in _numbers(f"{folder}/c"):
        for layer in _numbers(f"{folder}/c/{row}"):
            if os.path.isfile(f"{folder}/c/{row}/{layer}{rest}"):  # noqa: PTH113 - many of them
                chunks.add((row, layer))
    return chunks


def _numbers(folder: str) -> list[int]:
    try:
        return [int(name) for name in os.listdir(folder) if name.isdecimal()]  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []


def _check_memory(stored: xr.Dataset) -> None:
    """Raise MemoryError where network measures need more memory than this machine has."""
    needed = stored["quality"].nbytes + stored["stable_rank"].nbytes
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        gigabytes = (round(n / 1e9) for n in (needed, there))
        raise MemoryError("{:,} GB where this machine has {:,} GB".format(*gigabytes))


def open_rows(path: Path) -> xr.Dataset:
    """Open what a store holds and nothing more; values, texts too, load when they are looked at.

    Raises
    ------
    StoreError
        As of `open_scores`; also later, when what is looked at cannot be decoded.
    """
    attrs, by_name = _checked_store(path)
    attrs = dict(attrs)
    held = {*measures_of(attrs), *network_measures_of(attrs), *LAYER_LABELS, *STATE}
    if missing := {*held, "checkpoint", *axis_coords()} - set(by_name):
        raise StoreError(f"{path}: {_INCOMPLETE} ({', '.join(sorted(missing))} missing)")
    guard = partial(reading, path)
    variables = {name: lazy(array, path / name, guard) for name, array in by_name.items()}
    named = str(attrs.pop("coordinates", "")).split()
    try:
        stored = xr.Dataset(variables, attrs=attrs)
    except ValueError as error:  # sizes that differ, as while rows are being added
        raise StoreError(f"{path}: {_INCOMPLETE} ({error})") from error
    with reading(path):
        if other := set(stored["status"].values.tolist()) - STATES:
            raise ValueError(f"status is {min(other)!r:.80}")
        if any(
            stored[name].values.tolist() != axis.tolist() for name, axis in axis_coords().items()
        ):
            raise StoreError(f"{path}: {_INCOMPLETE} (labels missing)")
    return stored.set_coords([name for name in named if name in by_name])


def check_store(path: Path, *, any_format: bool = False, ledger: bool = True) -> Mapping[str, Any]:
    """Return the attributes of a store.

    Parameters
    ----------
    path : Path
    any_format : bool
        Accept a store of another layout, as before deleting it.
    ledger : bool
        Read the list of files taken in as well, which only jobs need.

    Raises
    ------
    StoreError
        When there is none, or it is of another layout.
    """
    attrs, group = _attributes_of(path)
    if any_format:
        return attrs
    _check_format(path, attrs)
    with reading(path):
        _check_contents(path, attrs, dict(arrays(path, group)))
    if ledger:
        _check_ledger(path, group)
    return attrs


def _checked_store(path: Path) -> tuple[Mapping[str, Any], dict[str, zarr.Array[Any]]]:
    """Return the attributes and the arrays of a store, checked as by `check_store`."""
    attrs, group = _attributes_of(path)
    _check_format(path, attrs)
    with reading(path):
        stored = dict(arrays(path, group))
        _check_contents(path, attrs, stored)
    return attrs, stored


def _attributes_of(path: Path) -> tuple[Mapping[str, Any], zarr.Group]:
    """Open a store; raise StoreError where there is none."""
    parts = path.with_name(f"{path.name}.parts")
    if not path.exists() and parts.is_dir():
        units = sum(1 for _ in parts.glob("*.npz"))
        raise StoreError(
            f"{path}: no such scores store yet: shards of it are in {parts} ({units} units of work "
            f"done so far); it is made when the last shard is done, or by the same command "
            f"without --shard"
        )
    if not path.exists() and (old := replaced(path)).is_dir():
        raise StoreError(
            f"{path}: was being replaced when that was broken off; run the same command again, or "
            f"rename {old} to have the old one back"
        )
    if not path.exists():
        raise StoreError(f"{path}: no such scores store; make one with `genpredict score`")
    try:
        if path.is_dir():
            check_regular(path / "zarr.json")
        group = open_group(path)
        attrs = dict(group.attrs)
    except Exception as error:  # zarr raises what it likes on damaged metadata
        raise StoreError(
            f"{path}: not a scores store of genpredict (Zarr v3), or its zarr.json is damaged; "
            f"choose another path"
        ) from error
    if "genpredict_format" not in attrs:
        raise StoreError(f"{path}: a Zarr group, but not a scores store of genpredict")
    return attrs, group


def _check_format(path: Path, attrs: Mapping[str, Any]) -> None:
    """Raise StoreError for a store of a layout that is not known."""
    if attrs["genpredict_format"] != FORMAT:
        raise StoreError(
            f"{path}: made by genpredict {attrs.get('genpredict_version')} in layout "
            f"{attrs['genpredict_format']}, this is {genpredict.__version__} with layout {FORMAT}; "
            f"score again into another store"
        )


def _check_ledger(path: Path, group: zarr.Group) -> None:
    """Raise where the list of files taken in cannot be read; it can be done without."""
    try:
        if (path / LEDGER / "zarr.json").is_file():
            check_metadata(path / LEDGER)
            check_ledger(path, group)
    except Exception as error:  # zarr and decoders raise what they like
        what = str(error).strip() or type(error).__name__
        raise StoreError(
            f"{path}: the list of its files, {LEDGER}, is damaged ({what:.200}); delete the folder "
            f"{path / LEDGER}, then run the same command again"
        ) from error


def _check_contents(
    path: Path, attrs: Mapping[str, Any], stored: Mapping[str, zarr.Array[Any]]
) -> None:
    """Raise where what is there is none of genpredict's; what is missing may come yet.

    Rows are marked in `status` last of all: where some are, every measure has its array.
    """
    chunk_size = attrs.get("chunk_size")
    if type(chunk_size) is not int or not 0 < chunk_size < 2**31:
        raise ValueError(f"chunk_size in zarr.json is {chunk_size!r:.80}")
    check_axes(path, stored)
    missing = {*FIRST_MEASURES, *LAYER_LABELS, "checkpoint"} - set(stored)
    for key in ("measures", "network_measures"):
        names = attrs.get(key, [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"{key} in zarr.json is {names!r:.80}")
        missing |= set(names) - set(stored)
    marked = "status" in stored and any((path / "status" / "c").glob("*"))
    if marked and missing:
        names = ", ".join(sorted(missing))
        raise StoreError(
            f"{path}: interrupted or damaged: rows are marked as done, but arrays of theirs are "
            f"gone ({names} missing); {ANEW}"
        )


def _ordered(stored: xr.Dataset) -> xr.Dataset:
    """Put variables and coordinates in the order of the schema; a store knows none."""
    names = [*map(str, stored.dims), *KNOWN]
    names += [*measures_of(stored.attrs), *LAYER_LABELS, *STATE]
    known = [name for name in names if name in stored.variables]
    others = sorted(str(name) for name in stored.variables if name not in known)
    ordered = xr.Dataset({name: stored.variables[name] for name in known + others})
    return ordered.set_coords(list(stored.coords)).assign_attrs(stored.attrs)
