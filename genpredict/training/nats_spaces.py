"""Which architecture of NATS-Bench a network is: its string, its index, its configuration.

The size space counts its architectures as five digits to the base 8 [1]_. The order of the
topology space follows no rule; only its meta file tells it.

References
----------
.. [1] X. Dong, L. Liu, K. Musial, B. Gabrys, "NATS-Bench: Benchmarking NAS Algorithms for
   Architecture Topology and Size", TPAMI 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from genpredict.checkpoints.nats.archives import FULL_ARCHIVES, META_NAME
from genpredict.checkpoints.nats.unpickling import load_nats_pickle
from genpredict.errors import CheckpointError, GenpredictError
from genpredict.networks.nats_cells import Genotype, parse_cell
from genpredict.networks.nats_size import GENOTYPE
from genpredict.networks.nats_topology import CELLS, CHANNELS

#: Numbers of channels that a cell of the size space may have ([1]_, section 3.2).
WIDTHS = (8, 16, 24, 32, 40, 48, 56, 64)
_CELLS = 5
_SIZE, _TOPOLOGY = "sss", "tss"


@dataclass(frozen=True)
class Architecture:
    """An architecture of one of the two spaces.

    Attributes
    ----------
    text : str
        As the benchmark writes it: ``8:16:24:32:40``, or a cell string.
    index : int
        Its place in the space.
    config : mapping
        What the benchmark records of it, without the number of classes.
    names : tuple of str
        All architectures of the space, in order.
    """

    text: str
    index: int
    config: Mapping[str, str | int]
    names: tuple[str, ...]


def find_architecture(network: str, folder: Path) -> Architecture:
    """Find the architecture that a network's name stands for.

    Parameters
    ----------
    network : str
        As for `build_network`: ``sss:`` and five widths, or ``tss:`` and a cell string.
    folder : Path
        Of the archives. Its meta file, where there is one, tells the order of the space; the
        topology space needs it.

    Returns
    -------
    Architecture

    Raises
    ------
    GenpredictError
        When the network is of neither space, or the meta file is missing, unreadable or without
        this architecture.

    Examples
    --------
    >>> find_architecture("sss:8:8:8:16:32", Path("archives")).index
    11
    """
    space, _, given = network.partition(":")
    if space not in (_SIZE, _TOPOLOGY):
        raise GenpredictError(
            f"network: {network} is of no search space of NATS-Bench, so no archive can hold it; "
            f"take one such as sss:8:8:8:8:8"
        )
    text = given if space == _SIZE else cell_string(parse_cell(given))
    meta = folder / META_NAME
    names = _names(meta) if space == _TOPOLOGY or meta.exists() else size_space()
    try:
        index = names.index(text)
    except ValueError as error:
        raise GenpredictError(_not_there(text, space, meta)) from error
    return Architecture(text, index, _config(space, text), names)


def size_space() -> tuple[str, ...]:
    """List the size space in its order, the last width changing fastest.

    Examples
    --------
    >>> len(size_space()), size_space()[8]
    (32768, '8:8:8:16:8')
    """
    return tuple(":".join(map(str, widths)) for widths in product(WIDTHS, repeat=_CELLS))


def cell_string(genotype: Genotype) -> str:
    """Write a cell as the benchmark does; the inverse of `parse_cell`.

    Examples
    --------
    >>> cell_string((("none",), ("none", "none"), ("skip_connect", "none", "none")))
    '|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|'
    """
    nodes = [
        "|".join(f"{operation}~{source}" for source, operation in enumerate(operations))
        for operations in genotype
    ]
    return "+".join(f"|{node}|" for node in nodes)


def _config(space: str, text: str) -> dict[str, str | int]:
    """Return what either space records of an architecture."""
    if space == _TOPOLOGY:
        return {"channel": CHANNELS, "num_cells": CELLS, "arch_str": text}
    return {
        "name": "infer.shape.tiny",
        "channels": text,
        "arch_str": text,
        "genotype": cell_string(GENOTYPE),
    }


def _names(meta: Path) -> tuple[str, ...]:
    """Read the order of a space from its meta file."""
    if not meta.exists():
        raise GenpredictError(
            f"{meta}: not there, and nothing else tells the index of an architecture of the "
            f"topology space; copy it there from {FULL_ARCHIVES[_TOPOLOGY]} or the archive of the "
            f"same name that ends in -simple"
        )
    content = load_nats_pickle(meta)
    names = content.get("meta_archs") if isinstance(content, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CheckpointError(meta, "no meta file of NATS-Bench; fetch it again")
    return tuple(names)


def _not_there(text: str, space: str, meta: Path) -> str:
    """Say why an architecture has no index."""
    if meta.exists():
        return (
            f"{meta}: lists no architecture {text}; give each search space a folder of its own, "
            f"with the meta file of {FULL_ARCHIVES[space]}"
        )
    return (
        f"network: sss:{text} is not in the size space of NATS-Bench; its widths are of "
        f"{', '.join(map(str, WIDTHS))}"
    )
