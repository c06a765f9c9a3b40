"""Damage to a store, named: what decoders and disks raise, in the user's terms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import zarr

from genpredict.errors import GenpredictError, StoreError
from genpredict.store.arrays import arrays, dimensions
from genpredict.store.chunks import DamagedChunkError

#: The remedy where nothing less helps.
ANEW = "score again with --overwrite, or bring back a copy of it"


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
            f"damaged: {ANEW}"
        ) from error
    except Exception as error:  # decoders raise what they like
        chunk = error.chunk if isinstance(error, DamagedChunkError) else _damaged_chunk(path)
        if chunk is None:
            what = str(error).strip() or type(error).__name__
            raise StoreError(f"{path}: {what:.300}; the store is damaged: {ANEW}") from error
        remedy = ANEW
        if (rows := _status_chunk(chunk, path)) is not None:
            remedy = (
                f"delete that file and status/c/{rows}, then run the command that made the store "
                f"again to measure these rows anew, or --overwrite all"
            )
        raise StoreError(
            f"{path}: {chunk.relative_to(path)} is damaged ({error}); {remedy}"
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
        stored = dict(arrays(path, open_group(path)))
    except Exception:  # the metadata themselves are damaged
        return None
    for name, array in stored.items():
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


def _status_chunk(chunk: Path, path: Path) -> int | None:
    """Return the number of the status chunk of the rows of a chunk; None where it has no rows."""
    name, _, number, *_ = chunk.relative_to(path).parts
    group = open_group(path)
    array, status = (cast("zarr.Array[Any]", group[n]) for n in (name, "status"))
    if dimensions(array)[:1] != ("checkpoint",):
        return None
    return int(number) * array.chunks[0] // status.chunks[0]
