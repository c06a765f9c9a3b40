"""Numbers in HDF5 files: what is there, in the order in which Keras lists it, and nothing else.

Links out of a file and data kept in other files are not followed; what a data set claims is checked
against the file's size before room is made for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from genpredict.checkpoints.finding.natural_order import natural_key
from genpredict.checkpoints.formats.pickle_costs import RefusedPickleError
from genpredict.checkpoints.formats.torch_containers import MOST_RATIO, MOST_UNPACKED

if TYPE_CHECKING:
    from torch import Tensor

MOST_OBJECTS = 200_000
"""Groups and data sets that are looked at."""
MOST_NAMES = 100_000
_KINDS = "fiub"


def arrays_of(group: Any, size: int) -> Iterator[tuple[str, Tensor]]:
    """Yield path and numbers of every data set below a group, as Keras lists them, else by name.

    Parameters
    ----------
    group : h5py.Group
    size : int
        Bytes of the file.

    Raises
    ------
    RefusedPickleError
        Of a data set that claims more than the file can hold, or lies in another one.
    """
    import h5py

    paths: list[str] = []

    def note(path: str, node: Any) -> None:
        if len(paths) > MOST_OBJECTS:
            raise RefusedPickleError(f"more than {MOST_OBJECTS:,} arrays")
        if isinstance(node, h5py.Dataset) and node.dtype.kind in _KINDS:
            paths.append(path)

    group.visititems(note)  # which follows no links
    listed = _listed(group)
    order = {path: number for number, path in enumerate(listed)}
    for path in sorted(paths, key=lambda path: (order.get(path, len(order)), natural_key(path))):
        yield path, _read(group[path], size)


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
    text = text.decode("utf-8", errors="replace") if isinstance(text, bytes) else text
    return text if isinstance(text, str) else ""


def opened_hdf5(file: Path | BinaryIO) -> Any:
    """Open an HDF5 file for reading."""
    import h5py

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
    pieces = [attribute] if attribute in node.attrs else []
    pieces += [p for n in range(1000) if (p := f"{attribute}{n}") in node.attrs]
    texts = [text for piece in pieces for text in node.attrs[piece]]
    return [t.decode("utf-8", errors="replace") if isinstance(t, bytes) else str(t) for t in texts]


def _read(dataset: Any, size: int) -> Tensor:
    """Read the numbers of a data set."""
    import torch

    if dataset.is_virtual or dataset.external:
        raise RefusedPickleError("an array whose numbers lie in another file")
    if dataset.nbytes > max(MOST_UNPACKED, MOST_RATIO * size):
        shape = "x".join(map(str, dataset.shape))
        raise RefusedPickleError(f"an array of {shape}, which the file is too small for")
    array = dataset[()]
    native = array.astype(array.dtype.newbyteorder("="), copy=True)
    return torch.from_numpy(native) if native.ndim else torch.tensor(native.item())
