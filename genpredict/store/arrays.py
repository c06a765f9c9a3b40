"""The arrays of a scores store, checked against the schema before any chunk of them is decoded.

A store comes from a disk that may be damaged, or from somebody else. Its metadata are held against
what genpredict writes: known dimensions, types, sizes and codecs, no other; chunks are decoded when
they are looked at, and what decoders then raise is turned into an error that names the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

import numpy as np
import zarr
from xarray import Variable
from xarray.backends import BackendArray
from xarray.core import indexing
from zarr.core.metadata.v3 import ArrayV3Metadata

from genpredict import schema
from genpredict.row_checks import MOST_LAYERS
from genpredict.rows import FIXED_SIZES, axis_coords
from genpredict.schema import LEDGER
from genpredict.store.chunks import check_chunks, check_metadata
from genpredict.store.limits import MOST_ROWS

#: Bounds on what a store can mean, the writer's own.
MOST = {"checkpoint": MOST_ROWS, "layer": MOST_LAYERS}
#: Elements of a chunk; 10,000 checkpoints a chunk make 5 million.
MOST_IN_A_CHUNK = 2**24
#: Characters of what stands where no row is: "" or "pending".
LONGEST_FILL = 100
#: What chunks may be packed with: what genpredict writes, and what a copy made with xarray has.
CODECS = {"bytes", "vlen-utf8", "zstd", "gzip", "blosc", "crc32c"}
KNOWN = {
    "checkpoint": schema.Variable(("checkpoint",), "checkpoint", "", "str"),
    **{
        name: schema.Variable((name,), name, "", "str" if isinstance(labels[0], str) else "float64")
        for name, labels in (schema.AXES | schema.EXTRA_AXES).items()
    },
    **schema.LAYER_LABELS,
    **schema.LAYER_MEASURES,
    **schema.EXTRA_MEASURES,
    **schema.NETWORK_MEASURES,
    **schema.EXTRA_NETWORK_MEASURES,
    **schema.STATE,
    **schema.KNOWN,
}
STATES = {"pending", "done", "failed"}
Guard = Callable[[], AbstractContextManager[None]]


def arrays(path: Path, group: zarr.Group) -> Iterator[tuple[str, zarr.Array[Any]]]:
    """Yield the arrays of a store that lie directly in its folder, by name.

    Raises
    ------
    ValueError
        When the metadata of one are damaged, or are none of genpredict's; names the file.
    """
    for folder in sorted(path.iterdir()):
        if folder.name.startswith(".") or not (folder / "zarr.json").is_file():
            continue
        try:
            check_metadata(folder)
            node = group[folder.name]
            if isinstance(node, zarr.Array):
                _check(folder.name, node)
        except Exception as error:  # zarr raises what it likes on damaged metadata
            what = str(error) or type(error).__name__
            raise ValueError(f"{folder.name}/zarr.json is damaged ({what:.200})") from error
        if isinstance(node, zarr.Array):
            yield folder.name, node


def _check(name: str, array: zarr.Array[Any]) -> None:
    """Raise ValueError where an array is none that genpredict writes under this name."""
    metadata = cast("ArrayV3Metadata", array.metadata)
    dims, known = dimensions(array), KNOWN.get(name)
    kind = "str" if array.dtype.kind in "TO" else "float64"
    if array.dtype.kind not in "TOfiub":
        raise ValueError(f"type {array.dtype}")
    if known is not None and (dims, kind) != (known.dims, known.dtype):
        raise ValueError(f"{kind} over {dims}, not {known.dtype} over {known.dims}")
    if len(dims) != array.ndim:
        raise ValueError(f"{len(dims)} names of {array.ndim} dimensions")
    for dim, size in zip(dims, array.shape, strict=True):
        if size > MOST.get(dim, 10**6) or FIXED_SIZES.get(dim, size) != size:
            raise ValueError(f"{size:,} along {dim}")
    if not 0 < np.prod(array.chunks, dtype=float) <= MOST_IN_A_CHUNK:
        raise ValueError(f"chunks of {array.chunks}")
    if other := {str(codec.to_dict()["name"]) for codec in metadata.codecs} - CODECS:
        raise ValueError(f"codec {', '.join(sorted(other))}")
    if isinstance(fill := array.fill_value, str) and len(fill) > LONGEST_FILL:
        raise ValueError(f"a text of {len(fill):,} characters where no row is")
    if wrong := [n for n in ("long_name", "units") if not isinstance(array.attrs.get(n, ""), str)]:
        raise ValueError(f"its {wrong[0]} is no text")


def dimensions(array: zarr.Array[Any]) -> tuple[str, ...]:
    """Return the names of an array's dimensions."""
    return tuple(str(d) for d in cast("ArrayV3Metadata", array.metadata).dimension_names or ())


def check_axes(path: Path, stored: Mapping[str, zarr.Array[Any]]) -> None:
    """Read the labels of the fixed dimensions, where they are there.

    Raises
    ------
    ValueError
        Where they are others than genpredict's; labels not written yet are none.
    """
    for name, expected in axis_coords(schema.EXTRA_AXES).items():
        if name not in stored:
            continue
        check_chunks(stored[name], path / name, 0)
        labels = np.asarray(stored[name][:]).tolist()
        if labels not in (expected.tolist(), [type(expected.tolist()[0])()] * len(expected)):
            raise ValueError(f"{name} is {labels}, not {expected.tolist()}")


def check_ledger(path: Path, group: zarr.Group) -> None:
    """Read the list of files taken in; raise whatever is wrong with it."""
    for name, kinds in (("size", "iu"), ("checksum", "iu"), ("id", "TO")):
        if f"{LEDGER}/{name}" in group:
            array = cast("zarr.Array[Any]", group[f"{LEDGER}/{name}"])
            if array.ndim != 1 or array.dtype.kind not in kinds:
                raise ValueError(f"{name} is {array.dtype} of {array.ndim} dimensions")
            if not 0 <= array.shape[0] <= MOST["checkpoint"]:
                raise ValueError(f"{array.shape[0]:,} files")
            check_chunks(array, path / LEDGER / name, 0)
            np.asarray(array[:])


def lazy(array: zarr.Array[Any], folder: Path, guard: Guard) -> Variable:
    """Return an array as a variable that reads chunks when they are looked at, and keeps them.

    Parameters
    ----------
    array : zarr.Array
    folder : Path
        Where it lies.
        Texts become Python's own, which every tool knows.
    guard : callable
        Makes the context in which chunks are decoded.
    """
    # wrapped as xarray wraps what it opens itself
    data: Any = indexing.LazilyIndexedArray(_Guarded(array, folder, guard))
    kept: Any = indexing.MemoryCachedArray
    return Variable(dimensions(array), kept(indexing.CopyOnWriteArray(data)), dict(array.attrs))


class _Guarded(BackendArray):
    """Chunks of an array, decoded in a context that turns errors into the user's terms."""

    def __init__(self, array: zarr.Array[Any], folder: Path, guard: Guard) -> None:
        self.array, self.folder, self.guard = array, folder, guard
        is_text = array.dtype.kind == "T"
        self.shape, self.dtype = array.shape, np.dtype(object if is_text else array.dtype)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        """Return a selection; called by xarray."""
        support = indexing.IndexingSupport.OUTER
        return indexing.explicit_indexing_adapter(key, self.shape, support, self._read)

    def _read(self, key: tuple[Any, ...]) -> Any:
        with self.guard():
            check_chunks(self.array, self.folder, self.dtype.itemsize * _selected(key, self.shape))
            cells = np.asarray(self.array.oindex[key])
        return cells.astype(self.dtype, copy=False)


def _selected(key: tuple[Any, ...], shape: tuple[int, ...]) -> int:
    """Return how many elements a selection has."""
    count = 1
    for part, size in zip(key, shape, strict=True):
        if isinstance(part, slice):
            count *= len(range(*part.indices(size)))
        else:
            count *= int(np.size(part))
    return count
