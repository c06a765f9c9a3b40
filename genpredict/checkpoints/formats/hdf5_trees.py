"""Numbers in HDF5 files: what is there, in the order in which Keras lists it, and nothing else.

Links out of a file and data kept in other files are not followed; what a data set claims is checked
against the file's size before room is made for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from genpredict.checkpoints.finding.natural_order import natural_key
from genpredict.checkpoints.formats.hdf5_heaps import check_heaps
from genpredict.checkpoints.formats.pickle_costs import RefusedPickleError
from genpredict.checkpoints.formats.torch_containers import MOST_RATIO, MOST_UNPACKED

if TYPE_CHECKING:
    from torch import Tensor

MOST_OBJECTS = 200_000
"""Groups and data sets that are looked at."""
MOST_NAMES = 100_000
DEEPEST = 100
"""Groups in each other."""
_KINDS = "fiub"


def arrays_of(
    group: Any, size: int, *, skip: frozenset[str] = frozenset()
) -> Iterator[tuple[str, Tensor]]:
    """Yield path and numbers of every data set below a group, as Keras lists them, else by name.

    Parameters
    ----------
    group : h5py.Group
    size : int
        Bytes of the file.
    skip : frozenset of str
        Names of groups and data sets that are not looked at.

    Raises
    ------
    RefusedPickleError
        Of data sets that claim more than the file can hold, or lie in another one, and of groups
        nested as no network is.
    """
    sizes = dict(_datasets(group, skip))
    claimed = sum(sizes.values())
    if claimed > max(MOST_UNPACKED, MOST_RATIO * size):
        raise RefusedPickleError(f"arrays of {claimed:,} bytes, which the file is too small for")
    order = {path: number for number, path in enumerate(_listed(group))}
    for path in sorted(sizes, key=lambda path: (order.get(path, len(order)), natural_key(path))):
        yield path, _read(group[path])


def _datasets(group: Any, skip: frozenset[str]) -> Iterator[tuple[str, int]]:
    """Yield path and bytes of each data set once, whatever the links within the file.

    Links out of it are not followed. (h5py's own `visititems` takes a time that grows with the
    square of the depth.)
    """
    import h5py

    pending: list[tuple[str, Any, int]] = [("", group, 0)]
    seen: set[tuple[int, int]] = set()
    while pending:
        front, node, depth = pending.pop()
        if depth > DEEPEST:
            raise RefusedPickleError(f"groups more than {DEEPEST} deep")
        for name in node:
            if name in skip or not isinstance(node.get(name, getlink=True), h5py.HardLink):
                continue
            child = node[name]
            facts = h5py.h5o.get_info(child.id)
            if (place := (facts.fileno, facts.addr)) in seen:
                continue
            seen.add(place)
            if len(seen) > MOST_OBJECTS:
                raise RefusedPickleError(f"more than {MOST_OBJECTS:,} arrays and groups")
            if isinstance(child, h5py.Group):
                pending.append((f"{front}{name}/", child, depth + 1))
            elif isinstance(child, h5py.Dataset) and child.dtype.kind in _KINDS:
                yield f"{front}{name}", child.nbytes


def own_group(group: Any, name: str) -> Any:
    """Return a group within a group, None where there is none or a link would lead to it."""
    import h5py

    if not name or "/" in name or not isinstance(group.get(name, getlink=True), h5py.HardLink):
        return None
    inner = group[name]
    return inner if isinstance(inner, h5py.Group) else None


def text_attribute(node: Any, name: str) -> str:
    """Return a text that is an attribute of a group; empty where there is none."""
    text = node.attrs.get(name, "")
    return _plain(text) if isinstance(text, bytes | str) else ""


def opened_hdf5(file: Path | BinaryIO) -> Any:
    """Open an HDF5 file for reading.

    Raises
    ------
    ValueError
        When it is damaged so that reading it would not end.
    """
    import h5py

    if isinstance(file, Path):
        with file.open("rb") as content:
            check_heaps(content)
    else:
        check_heaps(file)
    return h5py.File(file, "r")


def _listed(group: Any) -> list[str]:
    """Return the paths of weights in the order of the layers, as Keras 1 and 2 wrote them."""
    paths: list[str] = []
    for layer in _names(group, "layer_names"):
        if (inner := own_group(group, layer)) is not None:
            paths += [f"{layer}/{weight}" for weight in _names(inner, "weight_names")]
    return paths[:MOST_NAMES]


def _names(node: Any, attribute: str) -> list[str]:
    """Return an attribute that is a list of texts, in pieces where it was too long for one."""
    import numpy as np

    pieces = [attribute] if attribute in node.attrs else []
    pieces += [p for n in range(1000) if (p := f"{attribute}{n}") in node.attrs]
    texts = [text for piece in pieces for text in np.atleast_1d(node.attrs[piece]).tolist()]
    return [_plain(text) for text in texts if isinstance(text, bytes | str)]


def _plain(text: bytes | str) -> str:
    """Return a text without what is no UTF-8."""
    encoded = text.encode("utf-8", errors="replace") if isinstance(text, str) else text
    return encoded.decode("utf-8", errors="replace")


def _read(dataset: Any) -> Tensor:
    """Read the numbers of a data set."""
    import torch

    if dataset.is_virtual or dataset.external:
        raise RefusedPickleError("an array whose numbers lie in another file")
    array = dataset[()]
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return torch.from_numpy(native) if native.ndim else torch.tensor(native.item())
