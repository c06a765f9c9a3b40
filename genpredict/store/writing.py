"""Scores on disk, written: row by row, safe to kill at any moment.

Rows are only ever added. A row's measures are written first and its `status` second, so that
nothing marked done is incomplete; files are replaced atomically; one process writes at a time.
The arrays hold no clock times, so that a run that was killed and resumed leaves the same bytes as
one that was not.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from errno import ENOTDIR
from pathlib import Path
from typing import Any, cast

import numpy as np
import xarray as xr
import zarr

from genpredict.errors import GenpredictError, StoreError
from genpredict.locking import lock_of, locked
from genpredict.options import Options, identity_of
from genpredict.outputs import restore_replaced
from genpredict.store.damage import damage_named, open_group
from genpredict.store.ledger import Stamp, read_ledger
from genpredict.store.reading import FORMAT, check_store
from genpredict.store.writer import Writer, write_axes

CHUNK_SIZE = 256


@contextmanager
def open_writer(
    path: Path,
    attrs: Mapping[str, Any],
    *,
    overwrite: bool = False,
    chunk_size: int = CHUNK_SIZE,
    ids: Sequence[str] = (),
) -> Iterator[Writer]:
    """Create a store, or continue one, and hold its lock.

    Parameters
    ----------
    path : Path
        The store's folder.
    attrs : mapping
        The choices of the run; those of `options.IDENTITY` must equal an existing store's.
    overwrite : bool
        Delete an existing store first.
    chunk_size : int
        Checkpoints to a Zarr chunk, for a new store.
    ids : sequence of str
        Rows that a new store begins with, pending.

    Yields
    ------
    Writer

    Raises
    ------
    StoreError
        When the folder is something else, cannot be written, is being written to, or was made
        with other choices.
    """
    path = path.resolve()  # one lock for a store, whatever links lead to it
    if _holds_something(path):
        check_store(path, any_format=overwrite)
    try:
        if path.parent.exists() and not path.parent.is_dir():
            raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), str(path.parent))
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(lock_of(path)) as lock:
            path.mkdir(exist_ok=True)
            if overwrite:
                _clear(path)
            if _holds_something(path):
                _check_identity(path, check_store(path), attrs)
            else:
                layout = {"genpredict_format": FORMAT, "chunk_size": chunk_size}
                zarr.create_group(path, zarr_format=3, attributes={**attrs, **layout})
            # xarray imports Dask at its first variable; broken off in there by Ctrl-C it could not
            # be used any more to write the rows that wait: so before there are any
            xr.Variable((), 0)
            _remove_partial_files(path)
            write_axes(zarr.open_group(path, mode="r+"))
            with damage_named(path):
                writer = Writer(path, lock, ids)
            yield writer
    except OSError as error:
        raise StoreError(
            f"{path}: cannot write: {error.strerror or error}; everything marked done is complete; "
            f"mend the cause, then run the same command again to go on"
        ) from error


def read_progress(path: Path, attrs: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Stamp]]:
    """Read how far a store is, without its lock.

    Parameters
    ----------
    path : Path
        The store; there need not be one.
    attrs : mapping
        The choices of the run; those of `options.IDENTITY` must equal the store's.

    Returns
    -------
    tuple of (dict of str to str, dict of str to Stamp)
        The state of every row by id, and what the files taken in were.

    Raises
    ------
    StoreError
        As of `open_writer`.
    """
    if not _holds_something(path):
        return {}, {}
    _check_identity(path, check_store(path), attrs)
    with damage_named(path):
        try:
            group = open_group(path)
            arrays = [cast("zarr.Array[Any]", group[name]) for name in ("checkpoint", "status")]
            ids, states = (cast("list[str]", np.asarray(array[:]).tolist()) for array in arrays)
        except KeyError:  # made a moment ago
            return {}, {}
        return dict(zip(ids, states, strict=False)), read_ledger(group)  # it may be growing


def continued(path: Path, options: Options) -> Options:
    """Return the options by which a store is continued, where there is one: with its measures.

    Raises
    ------
    StoreError
        When measures are asked for that it does not hold, or it is no store.
    """
    if not _holds_something(path):
        return options
    try:
        return options.continuing(check_store(path, ledger=False))
    except StoreError:
        raise
    except GenpredictError as error:
        raise StoreError(f"{path}: {error}") from error


def _holds_something(path: Path) -> bool:
    """Return whether a path is there and more than a folder with files half written."""
    if not path.is_dir():
        return path.exists()
    return any(entry.suffix != ".partial" for entry in path.iterdir())


def _clear(path: Path) -> None:
    """Delete what is in a store: first what marks rows as done, last what marks it as a store.

    So a deletion that is cut short leaves a store of which nothing is believed.
    """
    order = {"status": 0, "zarr.json": 2}
    for entry in sorted(path.iterdir(), key=lambda entry: order.get(entry.name, 1)):
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _remove_partial_files(path: Path) -> None:
    """Remove what a killed owner was making: files half written, folders with nothing in them.

    The files that those were to replace are whole, or get their names back; Zarr warns of folders
    that are no arrays.
    """
    for entry in sorted(path.rglob("*.partial")):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    for entry in path.iterdir():
        if entry.name.endswith(".replaced"):
            restore_replaced(path / entry.name.removeprefix(".").removesuffix(".replaced"))
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.is_dir() and not any(entry.iterdir()):
            entry.rmdir()


def _check_identity(path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    before, now = identity_of(old), identity_of(new)
    if "definitions" in new and before["definitions"] != now["definitions"]:
        raise StoreError(
            f"{path}: made by genpredict {old.get('genpredict_version')}, whose measures are "
            f"defined otherwise (definitions {before['definitions']}, now {now['definitions']}); "
            f"choose another store with -o, --overwrite this one, or go on with that version"
        )
    for name in [name for name in now if name in new]:
        if before[name] != now[name]:
            raise StoreError(
                f"{path}: made with {name}={before[name]!r}, asked for {now[name]!r}; choose "
                f"another store with -o, or --overwrite this one"
            )
