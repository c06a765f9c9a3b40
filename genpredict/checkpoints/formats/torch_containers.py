"""Open what ``torch.save`` and ``pickle.dump`` write, as a tree of inert things.

`opened` yields the tree of a file; `StoredTensor.load` reads numbers while it is open. Central
directory and records are read from one open file by one reader, so that what is checked is what is
loaded.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from genpredict.checkpoints.formats.inert_pickles import ActingPickleError, InertUnpickler, Step
from genpredict.checkpoints.formats.pickle_costs import (
    TOO_COSTLY,
    TOO_LARGE,
    RefusedPickleError,
    follow_pickles,
)
from genpredict.checkpoints.formats.rebuilding import known_globals
from genpredict.checkpoints.formats.stored_tensors import Source, Storage, StorageType, StoredTensor
from genpredict.checkpoints.formats.unpickling import (
    LEGACY_PICKLES,
    RESAVE,
    check_file,
    foreign_format,
)
from genpredict.checkpoints.memory_limit import limited_memory
from genpredict.errors import CheckpointError

MAGIC = 0x1950A86A20F9469CFC6C
"""The first pickle of torch's older format."""
PROTOCOL = 1001
MEMORY_ROOM = 4 * 2**30
"""Memory that loading may take beyond four times the file."""
MOST_UNPACKED = 2**26
"""Bytes from which on a zip file may not unpack to more than `MOST_RATIO` times its size: torch
itself never compresses, and weights cannot be compressed by much."""
MOST_RATIO = 20
_ZIP_KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LOAD_FROM_BYTES = "torch.storage._load_from_bytes"
_BIG = b"big"
#: Digests of pickles whose costs are known to be bounded, and how many are kept.
_FOLLOWED: set[bytes] = set()
_MOST_FOLLOWED = 4096


class ZipSource(Source):
    """Storages in records of a zip archive."""

    def __init__(self, archive: zipfile.ZipFile, folder: str, names: frozenset[str]) -> None:
        super().__init__()
        self.archive, self.folder, self.names = archive, folder, names
        order = f"{folder}byteorder"
        self.is_big = order in names and archive.read(order).strip() == _BIG

    def read(self, key: str, size: int, dtype: Any) -> bytearray:
        """Return the bytes of a record; zipfile compares its checksum."""
        for place in ("data", "constants", "tensors"):
            name = f"{self.folder}{place}/{key}"
            if name in self.names:
                break
        else:
            raise ValueError(f"storage {key!r:.60} is missing")
        if self.archive.getinfo(name).file_size != size:
            raise ValueError(f"storage {key!r:.60} is not {size:,} bytes long")
        read = bytearray(self.archive.read(name))
        return _swapped(read, dtype) if self.is_big else read


class TailSource(Source):
    """Storages that follow the pickles of torch's older format."""

    def __init__(self, tail: memoryview, keys: list[Any], widths: dict[str, int]) -> None:
        super().__init__()
        self.pieces: dict[str, memoryview] = {}
        at = 0
        for key in keys:
            if at + 8 > len(tail):
                break  # truncated; the storage is missed if it is needed
            (elements,) = struct.unpack_from("<q", tail, at)
            size = elements * widths.get(str(key), 1)
            if elements < 0 or at + 8 + size > len(tail):
                break
            self.pieces[str(key)] = tail[at + 8 : at + 8 + size]
            at += 8 + size

    def read(self, key: str, size: int, dtype: Any) -> bytearray:
        """Return the bytes of a storage."""
        if key not in self.pieces:
            raise ValueError(f"storage {key!r:.60} is missing")
        if len(self.pieces[key]) != size:
            raise ValueError(f"storage {key!r:.60} is not {size:,} bytes long")
        return bytearray(self.pieces[key])


class _LateSource(Source):
    """Stands for the storages of the older format until the end of its pickles is known."""

    def __init__(self) -> None:
        super().__init__()
        self.widths: dict[str, int] = {}
        self.found: TailSource | None = None

    def read(self, key: str, size: int, dtype: Any) -> bytearray:
        """Return the bytes of a storage."""
        if self.found is None:
            raise ValueError("storages are missing")
        return self.found.read(key, size, dtype)


def _swapped(raw: bytearray, dtype: Any) -> bytearray:
    """Return bytes of another machine in this one's order."""
    import numpy as np

    width = dtype.itemsize // (2 if dtype.is_complex else 1)
    return bytearray(np.frombuffer(raw, dtype=f"V{width}").view(f"u{width}").byteswap().tobytes())


def storage_of(pid: Any, source: Source, widths: dict[str, int] | None = None) -> Any:
    """Return what stands for the persistent id of a storage.

    Raises
    ------
    UnpicklingError
        When it is none.
    """
    kind = pid[0] if type(pid) is tuple and pid else None
    if kind == "module" and len(pid) > 1:  # a class with its source, as torch before 1.0 wrote it
        return pid[1]
    if kind != "storage" or not 5 <= len(pid) <= 6:
        raise pickle.UnpicklingError("a persistent id that is no storage")
    _, storage_type, key, _, elements, *view = pid
    if not isinstance(storage_type, StorageType) or type(elements) is not int or elements < 0:
        raise pickle.UnpicklingError("a storage without type or size")
    if widths is not None:
        widths[str(key)] = storage_type.dtype.itemsize
    storage = Storage(source, str(key), storage_type.dtype, elements)
    if view and view[0] is not None:
        _, first, size = view[0]
        if not all(type(n) is int and n >= 0 for n in (first, size)) or first + size > elements:
            raise pickle.UnpicklingError("a part of a storage that it does not have")
        storage = Storage(source, str(key), storage_type.dtype, size, first, elements)
    return storage


def read_pickle(
    pickled: io.BytesIO, persistent: Callable[[Any], Any] | None = None, *, nested: bool = False
) -> Any:
    """Unpickle what comes next in some bytes, inertly."""
    known = dict(known_globals())
    if not nested:
        known[_LOAD_FROM_BYTES] = Step(_LOAD_FROM_BYTES, _load_from_bytes)
    return InertUnpickler(pickled, known, persistent).load()


def load_storage(raw: bytes) -> Storage:
    """Return the storage that a file of torch within another file holds.

    Raises
    ------
    UnpicklingError, ValueError
        When it holds anything else; other errors where the bytes are damaged.
    """
    try:
        return _load_from_bytes(raw)
    except ActingPickleError as error:
        raise pickle.UnpicklingError(f"it asks to run {error!s:.200}") from error


def read_values(path: Path) -> Any:
    """Return what a file of torch holds: numbers, texts, dtypes, tensors in dicts, lists, tuples.

    Raises
    ------
    CheckpointError
        As of `opened`, and when it holds anything else.
    """
    with opened(path) as tree:
        return _plain(tree, path)


def _plain(thing: Any, path: Path) -> Any:
    """Return a tree with its tensors loaded."""
    if isinstance(thing, StoredTensor):
        return thing.load()
    if isinstance(thing, dict):
        return {key: _plain(value, path) for key, value in dict.items(thing)}
    if type(thing) in (list, tuple):
        return type(thing)(_plain(part, path) for part in thing)
    import torch

    if thing is None or type(thing) in (str, bytes, int, float, bool, torch.dtype):
        return thing
    raise CheckpointError(path, f"holds a {type(thing).__name__}, which is no number and no text")


def _load_from_bytes(raw: Any = None) -> Storage:
    """Return the storage that ``pickle.dump`` writes as a file of torch within the file."""
    if not isinstance(raw, bytes | bytearray):
        raise ValueError("a storage that is no bytes")
    check_costs(bytes(raw), LEGACY_PICKLES)
    loaded = read_legacy(bytes(raw), nested=True)
    if not isinstance(loaded, Storage):
        raise ValueError(f"a tensor's storage holds a {type(loaded).__name__}")
    return loaded


def check_costs(pickled: bytes, count: int) -> None:
    """Raise RefusedPickleError on keys that would take ages to hash, and on memos of gigabytes.

    What is wrong with the bytes in other ways is the unpickler's to say. Bytes that were followed
    before are not followed again: files are looked into when they are found and when they are read,
    and networks of one architecture have the same pickle, their numbers lie beside it.
    """
    digest = hashlib.blake2b(pickled, person=b"%d" % count).digest()
    if digest in _FOLLOWED:
        return
    try:
        follow_pickles(io.BytesIO(pickled), count)
    except RefusedPickleError as error:
        if str(error) in (TOO_COSTLY, TOO_LARGE):
            raise
    if len(_FOLLOWED) >= _MOST_FOLLOWED:
        _FOLLOWED.clear()
    _FOLLOWED.add(digest)


def read_legacy(whole: bytes, *, nested: bool = False) -> Any:
    """Return the tree of a file of torch's older format, or of a plain pickle."""
    file = io.BytesIO(whole)
    first = read_pickle(file, nested=nested) if whole[:2] == b"\x80\x02" else None
    if type(first) is not int or first != MAGIC:
        file.seek(0)
        return read_pickle(file, nested=nested)
    if read_pickle(file) != PROTOCOL:
        raise ValueError("of a version that no torch has written")
    read_pickle(file)  # the machine that wrote it
    source = _LateSource()
    tree = read_pickle(file, partial(storage_of, source=source, widths=source.widths))
    keys = read_pickle(file)
    if type(keys) is not list:
        raise ValueError("without its list of storages")
    source.found = TailSource(memoryview(whole)[file.tell() :], keys, source.widths)
    return tree


def read_zip(archive: zipfile.ZipFile, folder: str) -> Any:
    """Return the tree of an archive of ``torch.save`` or ``torch.jit.save``."""
    names = frozenset(archive.namelist())
    source = ZipSource(archive, folder, names)
    pickled = archive.read(f"{folder}data.pkl")
    check_costs(pickled, 1)
    return read_pickle(io.BytesIO(pickled), partial(storage_of, source=source))


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Yield the tree of a file; tensors in it can be loaded until the end of the block.

    Parameters
    ----------
    path : Path
        A file in torch's zip format (of ``torch.save`` or ``torch.jit.save``), in the older format,
        or a plain pickle. Tensors saved on an accelerator come to the CPU.

    Raises
    ------
    CheckpointError
        When the file is missing, empty, truncated, of another format, or asks to run code. Nothing
        that it names has been imported or run.
    """
    check_file(path)
    with path.open("rb") as file, opened_bytes(file, path) as tree:
        yield tree


@contextmanager
def opened_bytes(file: BinaryIO, path: Path) -> Iterator[Any]:
    """Yield the tree of an open file, which is called by a path in errors."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    with reading(path), limited_memory(4 * size + MEMORY_ROOM):
        if _check_format(path, file):
            with zipfile.ZipFile(file) as archive:
                yield read_zip(archive, _check_zip(path, archive))
        else:
            file.seek(0)
            whole = file.read()
            check_costs(whole, LEGACY_PICKLES)
            yield read_legacy(whole)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever reading a pickle raises into an error that names the file and a remedy.

    Raises
    ------
    CheckpointError
        Always, where anything was raised.
    """
    try:
        yield
    except CheckpointError:
        raise
    except ActingPickleError as error:
        raise CheckpointError(
            path,
            f"refused: it asks to run {error!s:.200}, which could do anything; nothing was run. "
            "Weights never need it: do not trust this file",
        ) from error
    except RefusedPickleError as error:
        reason = f"refused: it holds {error}, which no weights need; do not trust this file"
        raise CheckpointError(path, reason) from error
    except Exception as error:  # zipfile and pickle raise what they like on damaged bytes
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> CheckpointError:
    """Explain bytes that do not make a file."""
    text = str(error)
    if text.startswith("Bad CRC-32 for file "):
        text = f"the checksum of {text[20:].strip(chr(39))} does not match"
    detail = (text.strip().splitlines() or [type(error).__name__])[0][:160]
    return CheckpointError(path, f"truncated or damaged ({detail}); fetch it again, or {RESAVE}")


def _check_format(path: Path, file: BinaryIO) -> bool:
    """Return whether a file is a zip archive; raise where it is neither that nor a pickle."""
    head = file.read(512)
    if wrong := foreign_format(head):
        raise CheckpointError(path, f"not a torch file but {wrong}")
    if head.startswith(b"PK"):
        return True
    if head[257:262] == b"ustar" or (not head.startswith(b"\x80") and tarfile.is_tarfile(path)):
        raise CheckpointError(
            path,
            "a tar archive: unpack it, or, where torch before 0.1.10 wrote it, load it with such "
            f"a torch and {RESAVE}; that format cannot be loaded safely",
        )
    if not head.startswith(b"\x80"):
        raise CheckpointError(
            path, f"not a torch file (neither zip nor pickle); {RESAVE}, or pass .safetensors"
        )
    return False


def _check_zip(path: Path, archive: zipfile.ZipFile) -> str:
    """Return the folder of a torch archive; raise where it is none, or lies about its entries."""
    entries = archive.infolist()
    check_sizes(path, entries)
    names = [entry.filename for entry in entries]
    pickles = [name for name in names if name.lower().rpartition("/")[2] == "data.pkl"]
    if not pickles:
        raise CheckpointError(
            path, f"a zip archive, but not one of torch (it holds no data.pkl); {RESAVE}"
        )
    folder = pickles[0][: -len("data.pkl")]
    if len({name.lower() for name in names}) < len(names) or pickles != [f"{folder}data.pkl"]:
        raise CheckpointError(
            path,
            f"refused: it holds {pickles[0]:.60} or another entry twice; do not trust this file",
        )
    if not folder or any(not name.startswith(folder) for name in names):
        raise CheckpointError(
            path, "refused: entries outside its own folder, which torch never writes; do not trust "
            "this file"
        )  # fmt: skip
    return folder


def check_sizes(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Raise on a decompression bomb before anything is unpacked."""
    if any(entry.compress_type not in _ZIP_KINDS for entry in entries):
        raise CheckpointError(path, f"compressed in a way that torch cannot read; {RESAVE}")
    unpacked, packed = sum(entry.file_size for entry in entries), path.stat().st_size
    if unpacked > max(MOST_UNPACKED, MOST_RATIO * packed):
        raise CheckpointError(
            path,
            f"refused: unpacks to {unpacked:,} bytes, {unpacked // packed} times its size, which "
            "no weights do; do not trust this file",
        )
