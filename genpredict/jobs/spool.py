"""Rows on their way into a store from several machines: one file a unit of work.

Many processes cannot add rows to one Zarr store: two writers in one chunk lose rows silently, and
the rows of an archive are known only once it is decoded. So whoever measures a unit leaves its
rows in a file of their own beside the store, whole or not at all (written under another name,
then renamed), and one process takes them into the store in the order of the units. The store then
holds the same bytes as if that process had measured everything; shared file systems need no locks
for it; and a unit that two processes measure by mistake gives the same file twice.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from genpredict.atomic import replacement
from genpredict.errors import StoreError
from genpredict.jobs.units import Unit
from genpredict.locking import LockedError, check_unlocked, locked
from genpredict.options import identity_of
from genpredict.sidecars import check_regular, read_json

_IDENTITY_FILE = "identity.json"
_HEADER = "header"
#: Bytes of the rows of a unit at most: 64 archives have some 10 MB.
_MOST_BYTES = 1 << 30
# What shows in a file's name, so that counting reads nothing.
_GOOD, _WITH_FAILURES = ".npz", ".failed.npz"


@dataclass(frozen=True)
class Spool:
    """Files of finished units beside a store.

    Parameters
    ----------
    folder : Path
        Where they lie: ``<store>.parts``.
    identity : str
        How the rows are made, as JSON (`options.identity_of`): rows made in another way are not
        found.
    """

    folder: Path
    identity: str

    @classmethod
    def of(cls, store: Path, attrs: Mapping[str, Any]) -> Spool:
        """Return the spool of a store, for a run with these attributes."""
        store = store.resolve()
        identity = json.dumps(identity_of(attrs), sort_keys=True)
        return cls(store.with_name(f"{store.name}.parts"), identity)

    def check(self) -> None:
        """Check that what lies in the folder, if anything, was made in the same way.

        Raises
        ------
        StoreError
            When it was not, naming what differs.
        """
        try:
            old = identity_of(read_json(self.folder / _IDENTITY_FILE))
        except OSError:  # nothing there, or a place that cannot be written either
            return
        except (ValueError, TypeError) as error:
            raise StoreError(f"{self.folder}: damaged; delete this folder") from error
        new = json.loads(self.identity)
        for name in new:
            if old.get(name) != new[name]:
                raise StoreError(
                    f"{self.folder}: shards were made with {name}={old.get(name)!r}, asked for "
                    f"{new[name]!r}; choose another store with -o, or delete this folder"
                )

    def prepare(self) -> None:
        """Make the folder, or check what is in it.

        Raises
        ------
        StoreError
            As `check`.
        OSError
            When it cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.names()
        self.check()
        _write_whole(self.folder / _IDENTITY_FILE, self.identity.encode())

    def names(self) -> set[str]:
        """List the files there are; read once to look many units up.

        Raises
        ------
        StoreError
            When the folder is a link: it may lead to somebody's own.
        """
        if self.folder.is_symlink():
            raise StoreError(f"{self.folder}: is a link, not the folder of shards; delete it")
        return {e.name for e in os.scandir(self.folder)} if self.folder.is_dir() else set()

    def missing(self, units: Sequence[Unit], *, retry_failed: bool = False) -> list[Unit]:
        """Return the units that have no file, or one with failed rows where these are retried."""
        names, wanted = self.names(), (_GOOD,) if retry_failed else (_GOOD, _WITH_FAILURES)
        if not names:
            return list(units)
        keys = [self._key(unit) for unit in units]
        return [
            unit
            for unit, key in zip(units, keys, strict=True)
            if not any(key + suffix in names for suffix in wanted)
        ]

    def put(self, unit: Unit, rows: xr.Dataset | None) -> None:
        """Keep the rows of a unit; None where it holds none.

        Raises
        ------
        OSError
            When the disk is full, say; no file is left then.
        """
        failed = rows is not None and bool((rows["status"] == "failed").any())
        stem = self.folder / self._key(unit)
        _write_whole(stem.with_name(stem.name + (_WITH_FAILURES if failed else _GOOD)), rows)
        stale = stem.with_name(stem.name + (_GOOD if failed else _WITH_FAILURES))
        stale.unlink(missing_ok=True)

    def get(self, unit: Unit) -> xr.Dataset | None:
        """Return the rows of a unit, None where it holds none.

        Raises
        ------
        KeyError
            When there is no file, or a damaged one.
        """
        for suffix in (_GOOD, _WITH_FAILURES):
            file = self.folder / f"{self._key(unit)}{suffix}"
            try:
                return _read(file)
            except FileNotFoundError:
                continue
            except Exception as error:  # zipfile, zlib, numpy and JSON raise what they like
                raise KeyError(f"{file}: damaged") from error
        raise KeyError(str(unit))

    def lock_of(self, shard: str) -> Path:
        """Return the lock file of a shard."""
        return self.folder / f"{shard}.lock"

    def check_idle(self) -> None:
        """Raise LockedError while a process works on a shard."""
        for lock in sorted(self.folder.glob("*.lock")):
            check_unlocked(lock)

    def discard(self, units: Sequence[Unit]) -> None:
        """Delete the files of units, outdated ones as well; they are in the store now."""
        names = self.names()
        ours = {_digest([item.id for item in unit.items]) for unit in units} if names else set()
        for name in names:
            if name.partition("-")[0] in ours:
                (self.folder / name).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Delete the folder where nothing is left in it but what dead processes left.

        A process that begins in the same moment keeps its lock, its files and so the folder.
        """
        names = self.names()
        if not names or any(name.endswith(_GOOD) for name in names):
            return
        try:
            for lock in self.folder.glob("*.lock"):
                with locked(lock):  # and so removed
                    pass
            for name in self.names():
                if name.endswith((".partial", _IDENTITY_FILE)):
                    (self.folder / name).unlink(missing_ok=True)
            self.folder.rmdir()
        except (LockedError, OSError):
            return

    def _key(self, unit: Unit) -> str:
        """Return a name for a unit: its files, then their sizes and how they are measured."""
        items = [(i.id, i.size, i.rows_known, sorted(i.metadata.items())) for i in unit.items]
        return f"{_digest([item.id for item in unit.items])}-{_digest([self.identity, items])}"


def _digest(parts: object) -> str:
    return hashlib.sha256(repr(parts).encode(errors="backslashreplace")).hexdigest()[:32]


def _write_whole(file: Path, content: xr.Dataset | bytes | None) -> None:
    """Write a file under another name, to disk, and only then by its own."""
    with replacement(file) as partial, partial.open("wb") as handle:
        if isinstance(content, bytes):
            handle.write(content)
        else:
            np.savez_compressed(handle, allow_pickle=False, **_arrays(content))
        handle.flush()
        os.fsync(handle.fileno())


def _arrays(rows: xr.Dataset | None) -> dict[str, Any]:
    """Return a Dataset as arrays of numbers: a header, then every variable; texts as JSON."""
    names = [] if rows is None else [str(name) for name in rows.variables]
    header: dict[str, Any] = {"empty": rows is None, "variables": []}
    arrays: dict[str, Any] = {}
    for number, name in enumerate(names):
        assert rows is not None  # else there are no names
        variable = rows.variables[name]
        text = variable.dtype.kind == "O"
        header["variables"].append(
            {
                "name": name, "dims": variable.dims, "shape": variable.shape, "text": text,
                "attrs": variable.attrs, "coordinate": name in rows.coords,
            }
        )  # fmt: skip
        arrays[f"v{number}"] = _bytes(variable.values.ravel().tolist()) if text else variable.values
    return {_HEADER: _bytes(header), **arrays}


def _read(file: Path) -> xr.Dataset | None:
    """Read what `_arrays` made."""
    check_regular(file, most=_MOST_BYTES)
    with file.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
        header = json.loads(arrays[_HEADER].tobytes())
        if header["empty"]:
            return None
        variables, coords = {}, []
        for number, entry in enumerate(header["variables"]):
            values = arrays[f"v{number}"]
            if entry["text"]:
                texts = json.loads(values.tobytes())
                values = np.empty(len(texts), dtype=object)
                values[:] = texts
                values = values.reshape(entry["shape"])
            variables[entry["name"]] = (tuple(entry["dims"]), values, entry["attrs"])
            coords += [entry["name"]] if entry["coordinate"] else []
    return xr.Dataset(variables).set_coords(coords)


def _bytes(value: object) -> np.ndarray[Any, Any]:
    """Return JSON as an array of bytes."""
    return np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)
