"""Scores on disk, read: one xarray Dataset in one Zarr v3 store (docs/design.md 4)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr
import zarr

import genpredict
from genpredict.aggregation import with_network_measures
from genpredict.errors import GenpredictError, StoreError
from genpredict.options import measures_of
from genpredict.rows import axis_coords
from genpredict.schema import (
    COORDINATES,
    EXTRA_COORDINATES,
    FIRST_MEASURES,
    LAYER_LABELS,
    LEDGER,
    STATE,
    TARGETS,
)
from genpredict.sidecars import check_regular
from genpredict.store.arrays import STATES, arrays, check_axes, check_ledger, lazy
from genpredict.store.chunks import DamagedChunkError, check_metadata

#: Version of the layout on disk; another one is refused.
FORMAT = 1
_INCOMPLETE = (
    "being written right now, interrupted or damaged; run the command that made it again to "
    "complete it"
)
_ANEW = "score again with --overwrite, or bring back a copy of it"


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
        _check_memory(stored)
        scores = with_network_measures(_ordered(texts_as_objects(stored)))
        _check_done(path, scores)
    return scores


def _check_done(path: Path, scores: xr.Dataset) -> None:
    """Raise where a row is marked done and its quality is not there, as when a file was lost."""
    entries = ("layer", "unfolding", "factorization", "p")
    lost = (scores["rank"].notnull() & scores["quality"].isnull()).any(entries)
    lost |= scores["Q"].isnull().any(("factorization", "p"))
    lost &= scores["status"] == "done"
    if lost.any():
        row = int(lost.values.argmax())
        raise StoreError(
            f"{path}: {scores['checkpoint'].values[row]} is marked as done, but some of its "
            f"measures are missing; delete status/c/{row // scores.attrs['chunk_size']}, then run "
            f"the command that made the store again to measure these rows anew"
        )


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
    attrs = dict(check_store(path, ledger=False))
    with reading(path):
        found = dict(arrays(path, open_group(path)))
    held = {*measures_of(attrs), *LAYER_LABELS, *STATE}
    if missing := {*held, "checkpoint", *axis_coords()} - set(found):
        raise StoreError(f"{path}: {_INCOMPLETE} ({', '.join(sorted(missing))} missing)")
    guard = partial(reading, path)
    variables = {name: lazy(array, path / name, guard) for name, array in found.items()}
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
    return stored.set_coords([name for name in named if name in found])


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Turn what decoders raise on damaged bytes into an error that names the file.

    Raises
    ------
    StoreError
        When a chunk of the store cannot be decoded, its metadata are none of genpredict's, or what
        it says of its size does not fit into memory.
    """
    try:
        yield
    except (GenpredictError, OSError):
        raise
    except MemoryError as error:
        raise StoreError(
            f"{path}: does not fit into memory ({error}); where it cannot be so large, it is "
            f"damaged: {_ANEW}"
        ) from error
    except Exception as error:  # decoders raise what they like
        chunk = error.chunk if isinstance(error, DamagedChunkError) else _damaged_chunk(path)
        if chunk is None:
            what = str(error).strip() or type(error).__name__
            raise StoreError(f"{path}: {what:.300}; the store is damaged: {_ANEW}") from error
        raise StoreError(
            f"{path}: {chunk.relative_to(path)} is damaged ({error}); delete that file and "
            f"status/c/{_chunk_row(chunk, path)}, then run the command that made the store again "
            f"to measure these rows anew, or --overwrite all"
        ) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Name damage, and disks that cannot be read, where nothing is written.

    Raises
    ------
    StoreError
        As of `damage_named`, and instead of an OSError.
    """
    try:
        with damage_named(path):
            yield
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error}; check the disk") from error


def _damaged_chunk(path: Path) -> Path | None:
    """Return the first chunk of a store that cannot be decoded."""
    try:
        found = dict(arrays(path, open_group(path)))
    except Exception:  # the metadata themselves are damaged
        return None
    for name, array in found.items():
        for chunk in sorted((path / name / "c").rglob("*")):
            parts = chunk.relative_to(path / name / "c").parts
            if chunk.is_file() and all(part.isdecimal() for part in parts):
                try:
                    array.get_block_selection(tuple(map(int, parts)))
                except Exception:  # decoders raise what they like
                    return chunk
    return None


def open_group(path: Path) -> zarr.Group:
    """Open a store's group for reading, of Zarr's version 3 and no other.

    Version 2 knows filters that unpickle; nothing of such a store is read.
    """
    return zarr.open_group(path, mode="r", zarr_format=3, use_consolidated=False)


def _chunk_row(chunk: Path, path: Path) -> str:
    """Return the number of a chunk along the first dimension."""
    return chunk.relative_to(path).parts[2]


def texts_as_objects(stored: xr.Dataset) -> xr.Dataset:
    """Load the texts of a Dataset as Python's own, which every tool knows."""
    texts = {
        name: variable.astype(object)
        for name, variable in stored.variables.items()
        if variable.dtype.kind == "T"
    }
    return stored.assign(texts)


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
    parts = path.with_name(f"{path.name}.parts")
    if not path.exists() and parts.is_dir():
        units = sum(1 for _ in parts.glob("*.npz"))
        raise StoreError(
            f"{path}: no such scores store yet: shards of it are in {parts} ({units} units of work "
            f"done so far); it is made when the last shard is done, or by the same command "
            f"without --shard"
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
    if any_format:
        return attrs
    if attrs["genpredict_format"] != FORMAT:
        raise StoreError(
            f"{path}: made by genpredict {attrs.get('genpredict_version')} in layout "
            f"{attrs['genpredict_format']}, this is {genpredict.__version__} with layout {FORMAT}; "
            f"score again into another store"
        )
    with reading(path):
        _check_contents(path, group, attrs)
    if ledger:
        _check_ledger(path, group)
    return attrs


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


def _check_contents(path: Path, group: zarr.Group, attrs: Mapping[str, Any]) -> None:
    """Raise where what is there is none of genpredict's; what is missing may come yet.

    Rows are marked in `status` last of all: where some are, every measure has its array.
    """
    chunk_size = attrs.get("chunk_size")
    if type(chunk_size) is not int or not 0 < chunk_size < 2**31:
        raise ValueError(f"chunk_size in zarr.json is {chunk_size!r:.80}")
    found = dict(arrays(path, group))
    check_axes(path, found)
    measures = attrs.get("measures", [])
    if not isinstance(measures, list) or not all(isinstance(name, str) for name in measures):
        raise ValueError(f"measures in zarr.json is {measures!r:.80}")
    missing = {*FIRST_MEASURES, *measures, *LAYER_LABELS, "checkpoint"} - set(found)
    marked = "status" in found and any((path / "status" / "c").glob("*"))
    if marked and missing:
        names = ", ".join(sorted(missing))
        raise StoreError(
            f"{path}: interrupted or damaged: rows are marked as done, but arrays of theirs are "
            f"gone ({names} missing); {_ANEW}"
        )


def _ordered(stored: xr.Dataset) -> xr.Dataset:
    """Put variables and coordinates in the order of the schema; a store knows none."""
    names = [*map(str, stored.dims), *COORDINATES, *EXTRA_COORDINATES, *TARGETS]
    names += [*measures_of(stored.attrs), *LAYER_LABELS, *STATE]
    known = [name for name in names if name in stored.variables]
    others = sorted(str(name) for name in stored.variables if name not in known)
    ordered = xr.Dataset({name: stored.variables[name] for name in known + others})
    return ordered.set_coords(list(stored.coords)).assign_attrs(stored.attrs)
