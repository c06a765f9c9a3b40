"""Turn sources (files, folders, archives) into a lazy sequence of checkpoints."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from genpredict.checkpoints.checkpoint import Checkpoint
from genpredict.checkpoints.finding.folders import Found
from genpredict.checkpoints.finding.manifest import join, read_manifest
from genpredict.checkpoints.finding.recognizers import find_in_file, find_in_folder
from genpredict.checkpoints.finding.runs import read_run_checkpoint
from genpredict.checkpoints.formats.registry import known_suffixes
from genpredict.checkpoints.items import Item
from genpredict.checkpoints.nats.archives import Selection
from genpredict.checkpoints.nats.indices import parse_indices
from genpredict.errors import GenpredictError

if TYPE_CHECKING:
    import pandas as pd

Source = str | Path


@dataclass(frozen=True)
class CheckpointSources:
    """All checkpoints of some sources: iterate over it, or hand its items to workers.

    Parameters
    ----------
    items : list of Item
        One a file or archive, in a fixed order: sources as given, names in natural order.
    warnings : list of str
        What the user should know and no exception says: manifest rows without a file, files
        without a row, links not followed, files given twice.
    metadata_columns : tuple of str
        The columns that a manifest adds.
    """

    items: list[Item]
    warnings: list[str] = field(default_factory=list)
    metadata_columns: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Checkpoint]:
        """Yield every checkpoint, archives decoded one at a time as they are reached."""
        for item in self.items:
            yield from item.read()


def open_checkpoints(
    sources: Source | Iterable[Source],
    *,
    manifest: Source | pd.DataFrame | None = None,
    nats_epochs: int | Iterable[int] | None = None,
    nats_datasets: str | Iterable[str] | None = None,
    indices: str | int | Iterable[int] | None = None,
    network: str = "",
    targets_from_file: bool = False,
) -> CheckpointSources:
    """Find all checkpoints in files, folders and NATS-Bench archives.

    Parameters
    ----------
    sources : path or iterable of paths
        Files and folders, a ``~`` for the home folder, and patterns such as ``"runs/*.pt"``;
        folders are searched with all their subfolders.
    manifest : path or DataFrame, optional
        A CSV file, or a table, with metadata and targets by ``path``; see
        `genpredict.checkpoints.finding.manifest`.
    nats_epochs : int or iterable of int, optional
        Training budgets to take from NATS-Bench archives (of 1, 12, 90, 200); default all.
    nats_datasets : str or iterable of str, optional
        Data sets to take from NATS-Bench archives; default all.
    indices : str, int or iterable of int, optional
        Architectures to take from NATS-Bench archives: ``"0:32768"``, ``"5"``, ``"1,4,9"``,
        ``"0:100:10"``; default all.
    network : str, optional
        Of files that hold several networks, take the one of this name, be it one that is put aside
        otherwise (a moving average, say); default all but those. A source and a path of a manifest
        may also be ``FILE#name``.
    targets_from_file : bool
        Take accuracies and the epoch that a file says of itself (``best_acc``, …) for coordinates
        and targets; a manifest goes before them. Scripts mean many things by such numbers.

    Returns
    -------
    CheckpointSources
        Read are folder listings, first bytes, and of files of torch what they hold; no weights.

    Raises
    ------
    GenpredictError
        When a source is missing, unreadable or of an unknown kind, nothing is found at all, or
        the manifest or a selection is malformed.

    Examples
    --------
    >>> for checkpoint in open_checkpoints("runs"):  # doctest: +SKIP
    ...     print(checkpoint.id, len(checkpoint.tensors()))
    """
    several = [sources] if isinstance(sources, str | Path) else list(sources)
    paths = [path for source in several for path in expanded(source)]
    if not paths:
        raise GenpredictError("sources: none given; name at least one file or folder")
    selection = _selection(nats_epochs, nats_datasets, indices)
    warnings: list[str] = []
    found = _without_repeats(
        _find(paths, selection, warnings, network, targets=targets_from_file), warnings
    )
    _check_found(found, paths, selection, warnings)
    items = _named(found)
    if manifest is None:
        return CheckpointSources(items, warnings)
    table = read_manifest(manifest)
    folders = [path if path.is_dir() else path.parent for path in paths]
    described = {item.id for item in items if item.reader is read_run_checkpoint}
    items, mismatches = join(table, items, folders, described=described)
    return CheckpointSources(items, warnings + mismatches, table.columns)


def expanded(source: Source) -> list[Path]:
    """Return what a source names: what a pattern matches, sorted, else the path itself.

    Raises
    ------
    GenpredictError
        When nothing matches the pattern.
    """
    path = Path(source).expanduser()
    if path.exists() or not any(mark in str(path) for mark in "*?["):
        return [path]
    matches = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    if not matches:
        raise GenpredictError(f"{path}: no file or folder matches this pattern; check it")
    return matches


def _selection(
    epochs: int | Iterable[int] | None,
    datasets: str | Iterable[str] | None,
    indices: str | int | Iterable[int] | None,
) -> Selection:
    """Normalize the options on NATS-Bench archives."""
    if isinstance(epochs, int):
        epochs = (epochs,)
    if isinstance(datasets, str):
        datasets = (datasets,)
    return Selection(
        None if epochs is None else tuple(epochs),
        None if datasets is None else tuple(datasets),
        None if indices is None else parse_indices(indices),
    )


def _find(
    paths: Sequence[Path],
    selection: Selection,
    warnings: list[str],
    network: str,
    *,
    targets: bool,
) -> Iterator[Found]:
    """Yield what every source holds."""
    for path in paths:
        named, wanted = path, network
        if not path.exists() and "#" in path.name:
            path, wanted = (
                path.with_name(path.name.rpartition("#")[0]),
                path.name.rpartition("#")[2],
            )
        if not path.exists():
            path = named
            raise GenpredictError(f"{path}: no such file or folder; check the path")
        if not path.is_dir() and not path.is_file():
            raise GenpredictError(f"{path}: is a pipe or device, not a file; save it to disk first")
        if path.is_dir():
            yield from find_in_folder(path, selection, warnings, wanted, targets=targets)
        else:
            yield from find_in_file(path, selection, wanted, targets=targets)


def _without_repeats(found: Iterable[Found], warnings: list[str]) -> list[Found]:
    """Drop files that are reached twice, with a warning."""
    kept: dict[tuple[Path, str], Found] = {}
    suffixes = known_suffixes()
    for one in found:
        place = one.real_path, one.network
        first = kept.setdefault(place, one)
        if first is one:
            continue
        # caches keep files under numbers, and links to them under their names
        named = [file.path.name.lower().endswith(suffixes) for file in (first, one)]
        if named == [False, True]:
            kept[place] = one
        elif named != [True, False]:
            warnings.append(f"{one.path}: the same file as {first.path}, taken once")
    return list(kept.values())


def _check_found(
    found: Sequence[Found], paths: Sequence[Path], selection: Selection, warnings: list[str]
) -> None:
    """Raise where nothing is found, or indices are asked of sources that have none."""
    if selection != Selection() and not any(one.is_archive for one in found):
        which = " with such an index" if selection.indices is not None else ""
        raise GenpredictError(
            f"no NATS-Bench archive{which} in the sources; nats_epochs, nats_datasets and indices "
            "select from NATS-Bench archives, leave them out for other files"
        )
    if selection.epochs == (1,):
        warnings.append("nats_epochs: archives hold no weights after 1 epoch; take 12, 90 or 200")
    if not found:
        names = ", ".join(map(str, paths))
        notes = "".join(f"; {warning}" for warning in warnings)
        raise GenpredictError(
            f"{names}: no checkpoints found ({' '.join(known_suffixes())} or NATS-Bench archives); "
            f"check the path{notes}"
        )


def _by_bytes(found: Sequence[Found], ids: Sequence[str]) -> list[str]:
    """Tell apart ids that are alike: by the bytes of the files' names, then by numbers."""
    taken = Counter(ids)
    names: list[str] = []
    for one, name in zip(found, ids, strict=True):
        if taken[name] > 1:
            name = os.fsencode(one.path).decode(errors="backslashreplace")
        number = 1
        while (unique := name if number == 1 else f"{name} ({number})") in names:
            number += 1
        names.append(unique)
    return names


def _named(found: Sequence[Found]) -> list[Item]:
    """Make items; where ids clash, put names of the folders above in front."""
    ids = [one.id for one in found]
    fronts = [list(one.above) for one in found]
    while repeated := {name for name, count in Counter(ids).items() if count > 1}:
        clashing = [n for n, name in enumerate(ids) if name in repeated and fronts[n]]
        if not clashing:  # names that are no UTF-8, and look alike: by their bytes
            return [one.item(name) for one, name in zip(found, _by_bytes(found, ids), strict=True)]
        for n in clashing:
            ids[n] = f"{fronts[n].pop()}/{ids[n]}"
    return [one.item(name) for one, name in zip(found, ids, strict=True)]
