"""Scores on disk, read: one xarray Dataset in one Zarr v3 store (DESIGN, section 4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr
import zarr

import genpredict
from genpredict.aggregation import with_network_measures
from genpredict.errors import StoreError
from genpredict.schema import (
    COORDINATES,
    EXTRA_COORDINATES,
    LAYER_LABELS,
    LAYER_MEASURES,
    STATE,
    TARGETS,
)

#: Version of the layout on disk; another one is refused.
FORMAT = 1
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
        coordinates (DESIGN 4). Layer measures load from disk when they are looked at.

    Raises
    ------
    StoreError
        When there is no such store, or one of another layout.

    Examples
    --------
    >>> scores = open_scores("scores.zarr")  # doctest: +SKIP
    >>> scores["Q"].sel(factorization="low_rank", p=2).to_series().nlargest(3)  # doctest: +SKIP
    """
    with damage_named(Path(path)):
        return with_network_measures(_ordered(texts_as_objects(open_rows(Path(path)))))


def open_rows(path: Path) -> xr.Dataset:
    """Open what a store holds and nothing more; values, texts too, load when they are looked at.

    Raises
    ------
    StoreError
        As of `open_scores`.
    """
    check_store(path)
    try:
        stored: xr.Dataset = xr.open_zarr(path, consolidated=False, chunks=None)
        missing = {*LAYER_MEASURES, *LAYER_LABELS, *STATE, "checkpoint"} - set(stored.variables)
    except (ValueError, KeyError) as error:
        raise StoreError(f"{path}: {_INCOMPLETE} ({error})") from error
    if missing:
        raise StoreError(f"{path}: {_INCOMPLETE} ({', '.join(sorted(missing))} missing)")
    return stored


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Turn what decoders raise on damaged bytes into an error that names the file.

    Raises
    ------
    StoreError
        When a chunk of the store cannot be decoded.
    """
    try:
        yield
    except (RuntimeError, ValueError, KeyError, EOFError) as error:
        chunk = _damaged_chunk(path)
        if chunk is None:
            raise
        raise StoreError(
            f"{path}: {chunk.relative_to(path)} is damaged ({error}); delete that file and "
            f"status/c/{_chunk_row(chunk, path)}, then run the command that made the store again "
            f"to measure these rows anew, or --overwrite all"
        ) from error


def _damaged_chunk(path: Path) -> Path | None:
    """Return the first chunk of a store that cannot be decoded."""
    group = zarr.open_group(path, mode="r")
    for name, array in group.arrays():
        for chunk in sorted((path / name / "c").rglob("*")):
            if chunk.is_file():
                at = [int(part) for part in chunk.relative_to(path / name / "c").parts]
                try:
                    array.get_block_selection(tuple(at))
                except Exception:  # decoders raise what they like
                    return chunk
    return None


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


def check_store(path: Path, *, any_format: bool = False) -> Mapping[str, Any]:
    """Return the attributes of a store.

    Parameters
    ----------
    path : Path
    any_format : bool
        Accept a store of another layout, as before deleting it.

    Raises
    ------
    StoreError
        When there is none, or it is of another layout.
    """
    parts = path.with_name(f"{path.name}.parts")
    if not path.exists() and parts.is_dir():
        raise StoreError(
            f"{path}: no such scores store yet: shards of it are in {parts}; it is made when the "
            f"last shard is done, or by the same command without --shard"
        )
    if not path.exists():
        raise StoreError(f"{path}: no such scores store; make one with `genpredict score`")
    try:
        attrs = dict(zarr.open_group(path, mode="r").attrs)
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise StoreError(f"{path}: not a scores store of genpredict") from error
    if "genpredict_format" not in attrs:
        raise StoreError(f"{path}: a Zarr group, but not a scores store of genpredict")
    if attrs["genpredict_format"] != FORMAT and not any_format:
        raise StoreError(
            f"{path}: made by genpredict {attrs.get('genpredict_version')} in layout "
            f"{attrs['genpredict_format']}, this is {genpredict.__version__} with layout {FORMAT}; "
            f"score again into another store"
        )
    return attrs


def _ordered(stored: xr.Dataset) -> xr.Dataset:
    """Put variables and coordinates in the order of the schema; a store knows none."""
    names = [*stored.dims, *COORDINATES, *EXTRA_COORDINATES, *TARGETS]
    names += [*LAYER_MEASURES, *LAYER_LABELS, *STATE]
    known = [name for name in names if name in stored.variables]
    others = sorted(str(name) for name in stored.variables if name not in known)
    ordered = xr.Dataset({name: stored.variables[name] for name in known + others})
    return ordered.set_coords(list(stored.coords)).assign_attrs(stored.attrs)
