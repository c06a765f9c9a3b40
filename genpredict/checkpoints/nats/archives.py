"""NATS-Bench archives with weights: one file per architecture, or one file for all.

One decoding of a file yields every network in it: training budgets ("hp", here ``epoch``) ×
data sets × seeds. The accuracies are those recorded after the last epoch. Which split is the test
split depends on the data set (`TEST_SPLIT`), as in the benchmark's own tables:

=================  ===============  ==========
data set           test             validation
=================  ===============  ==========
``cifar10``        ``ori-test``     (none: trained on it)
``cifar10-valid``  ``ori-test``     ``x-valid``
``cifar100``       ``x-test``       ``x-valid``
``ImageNet16-120`` ``x-test``       ``x-valid``
=================  ===============  ==========

Where an archive lacks the split ``x-test`` altogether, as those that genpredict exports from its
own runs do, ``ori-test`` is taken: there the test images were never divided.

``num_parameters`` is counted on the weights. ``flops`` is the file's figure, in millions.
"""

from __future__ import annotations

import bz2
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genpredict.checkpoints.checkpoint import Checkpoint
from genpredict.checkpoints.nats.storages import StoredTensor, read_tensors
from genpredict.checkpoints.nats.unpickling import (
    MAX_RATIO,
    MAX_UNPACKED_BYTES,
    MAX_WHOLE_SPACE_BYTES,
    load_nats_pickle,
)
from genpredict.errors import CheckpointError, GenpredictError
from genpredict.layers.constants import is_statistic

if TYPE_CHECKING:
    from torch import Tensor
from genpredict.checkpoints.nats.archive_rows import (
    TEST_SPLIT,
    ArchiveRow,
    archive_rows,
    recorded_metrics,
)

ARCHIVE_SUFFIX = ".pickle.pbz2"
META_NAME = "meta.pickle.pbz2"
EPOCHS = (1, 12, 90, 200)
FULL_ARCHIVES = {"sss": "NATS-sss-v1_0-50262-full", "tss": "NATS-tss-v1_0-3ffb9-full"}
_ARCHIVE_NAME = re.compile(r"(\d{1,6})\.pickle\.pbz2")
_WITHOUT_WEIGHTS = 1
# the key and, after a few bytes of pickle between them, the first characters of its value
_ARCHITECTURE = re.compile(rb"arch_str.{1,8}?(\d+:\d+|\|[a-z_]+)", re.DOTALL)
_PEEK_BYTES = 4096


@dataclass(frozen=True)
class Selection:
    """Which rows of an archive to take; None takes all.

    Parameters
    ----------
    epochs : tuple of int, optional
        Training budgets, of 1, 12, 90 and 200.
    datasets : tuple of str, optional
        Data sets by the benchmark's names.
    indices : frozenset of int, optional
        Architecture indices.
    """

    epochs: tuple[int, ...] | None = None
    datasets: tuple[str, ...] | None = None
    indices: frozenset[int] | None = None

    def __post_init__(self) -> None:
        if unknown := [epoch for epoch in self.epochs or () if epoch not in EPOCHS]:
            known = ", ".join(map(str, EPOCHS))
            raise GenpredictError(
                f"nats_epochs: {unknown[0]} is no training budget of NATS-Bench; take of {known}"
            )
        if unknown_names := [name for name in self.datasets or () if name not in TEST_SPLIT]:
            known = ", ".join(TEST_SPLIT)
            raise GenpredictError(
                f"nats_datasets: {unknown_names[0]!r} is no data set of NATS-Bench; take of {known}"
            )

    def has_index(self, index: int) -> bool:
        """Return whether the architecture is among those asked for."""
        return self.indices is None or index in self.indices

    def has(self, epoch: int, dataset: str) -> bool:
        """Return whether the row is among those asked for."""
        return (self.epochs is None or epoch in self.epochs) and (
            self.datasets is None or dataset in self.datasets
        )


def archive_index(name: str) -> int | None:
    """Return the architecture index in an archive's file name, None for other names.

    Examples
    --------
    >>> archive_index("000011.pickle.pbz2"), archive_index("meta.pickle.pbz2")
    (11, None)
    """
    match = _ARCHIVE_NAME.fullmatch(name)
    return int(match[1]) if match else None


def search_space(architecture: str) -> str:
    """Return ``sss`` (size) or ``tss`` (topology) by the form of an architecture string."""
    return "tss" if "|" in architecture else "sss"


def peek_search_space(path: Path) -> str | None:
    """Tell the search space from an archive's first bytes, None where they do not show it."""
    try:
        with bz2.open(path, "rb") as file:
            head = file.read(_PEEK_BYTES)
    except (OSError, EOFError):
        return None
    match = _ARCHITECTURE.search(head)
    return search_space(match[1].decode()) if match else None


def read_archive(
    archive_id: str, path: Path, *, selection: Selection | None = None
) -> Iterator[Checkpoint]:
    """Decode one file and yield its networks, ordered by epoch, data set and seed.

    Parameters
    ----------
    archive_id : str
        Leads the ids of the networks, e.g. ``NATS-sss/000011``.
    path : Path
        An archive of one architecture, or the single file of a whole space.
    selection : Selection, optional
        Which rows to take.

    Yields
    ------
    Checkpoint
        With id ``<archive_id>/<dataset>/<epoch>/<seed>`` (the single file puts the architecture
        index before the data set).

    Raises
    ------
    CheckpointError
        When the file cannot be read, is no archive, or holds no weights at all.
    """
    selection = selection or Selection()
    decoded = load_nats_pickle(path, max_bytes=_most_bytes(path))
    if not isinstance(decoded, dict):
        raise CheckpointError(path, "not a NATS-Bench archive; fetch it again")
    try:
        if "arch2infos" in decoded:
            yield from _all_architectures(archive_id, path, decoded, selection)
        else:
            rows = archive_rows(decoded)
            _check_name(path, rows)
            decoded.clear()
            yield from _checkpoints(archive_id, path, rows, selection)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = f"not a NATS-Bench archive, or of an unknown form ({error!r:.160})"
        raise CheckpointError(path, f"{reason}; fetch it again") from error


def _most_bytes(path: Path) -> int:
    """Return to how many bytes a file may unpack."""
    if archive_index(path.name) is not None or not path.is_file():
        return MAX_UNPACKED_BYTES
    return min(MAX_WHOLE_SPACE_BYTES, MAX_UNPACKED_BYTES + MAX_RATIO * path.stat().st_size)


def _all_architectures(
    archive_id: str, path: Path, decoded: dict[str, Any], selection: Selection
) -> Iterator[Checkpoint]:
    """Yield the networks of the single file, architecture by architecture."""
    infos = decoded["arch2infos"]
    if not infos:
        raise CheckpointError(
            path, "a meta file, which holds no networks; pass the folder that holds the archives"
        )
    rows = {
        index: archive_rows(infos[index]) for index in sorted(infos) if selection.has_index(index)
    }
    if rows and not any(_has_weights(row) for group in rows.values() for row in group):
        raise _no_weights(path, next(iter(rows.values())))
    for index in list(rows):
        yield from _checkpoints(f"{archive_id}/{index:06d}", path, rows.pop(index), selection)


def _check_name(path: Path, rows: list[ArchiveRow]) -> None:
    """Raise where the file's name and its contents disagree on the architecture."""
    named = archive_index(path.name)
    if named is not None and rows and rows[0].index != named:
        reason = f"named {named} but holds architecture {rows[0].index}; fetch it again"
        raise CheckpointError(path, reason)


def _checkpoints(
    archive_id: str, path: Path, rows: list[ArchiveRow], selection: Selection
) -> Iterator[Checkpoint]:
    """Yield the selected rows; each row's weights are let go once its Checkpoint is."""
    if not any(_has_weights(row) for row in rows):
        raise _no_weights(path, rows)
    rows = [row for row in rows if selection.has(row.epoch, row.dataset)]
    while rows:
        row = rows.pop(0)
        if _has_weights(row) or row.epoch != _WITHOUT_WEIGHTS:
            yield _checkpoint(f"{archive_id}/{row.dataset}/{row.epoch}/{row.seed}", path, row)


def _has_weights(row: ArchiveRow) -> bool:
    """Return whether the row's weights are in the archive."""
    return bool(row.result.get("net_state_dict"))


def _no_weights(path: Path, rows: list[ArchiveRow]) -> CheckpointError:
    """Say that an archive is of the simple kind, and which one to fetch."""
    full = FULL_ARCHIVES[search_space(rows[0].architecture)] if rows else "-full"
    return CheckpointError(
        path, f"holds results but no weights (a -simple archive); fetch the {full} archive"
    )


def _checkpoint(row_id: str, path: Path, row: ArchiveRow) -> Checkpoint:
    """Make the Checkpoint of a row; the weights stay packed until asked for."""
    weights = row.result.get("net_state_dict") or {}
    metadata: dict[str, str | float | int] = {
        "network": row.architecture,
        "architecture_index": row.index,
        "search_space": search_space(row.architecture),
        "dataset": row.dataset,
        "epoch": row.epoch,
        "seed": row.seed,
    }
    metadata |= recorded_metrics(row)
    if weights:
        metadata["num_parameters"] = _count(weights)
    return Checkpoint(row_id, str(path), metadata, partial(_load, row_id, path, weights))


def _load(row_id: str, path: Path, weights: Mapping[str, Any]) -> dict[str, Tensor]:
    """Unpack the weights of one row."""
    if not weights:
        raise CheckpointError(row_id, f"{path} holds no weights for this row; fetch it again")
    try:
        return read_tensors(weights)
    except Exception as error:  # a storage is a pickle: anything can be wrong with it
        detail = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        reason = f"its weights in {path} are damaged or unsafe, nothing was run ({detail})"
        raise CheckpointError(row_id, f"{reason}; fetch the archive again") from error


def _count(weights: Mapping[str, Any]) -> int:
    """Count the parameters of packed weights."""
    return sum(
        record.numel()
        for name, record in weights.items()
        if isinstance(record, StoredTensor) and not is_statistic(name)
    )
