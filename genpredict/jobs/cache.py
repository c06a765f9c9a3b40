"""`genpredict cache`: NATS-Bench archives unpacked once into files that load at once.

Unpacking takes most of the time that scoring archives takes. Who scores more than once (with
other options, on other devices) unpacks once: one ``*.cache.safetensors`` an architecture, see
`genpredict.checkpoints.nats.cache_files`; the folder is then a source like the archives themselves,
with the same ids, metadata and numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path

from genpredict.atomic import remove_partials
from genpredict.checkpoints import Checkpoint, CheckpointSources, Item
from genpredict.checkpoints.nats.cache_files import (
    CACHE_SUFFIX,
    read_entries,
    write_cached,
    write_front,
)
from genpredict.engine import available_cores, run_in_order
from genpredict.errors import CheckpointError, GenpredictError, StoreError
from genpredict.locking import locked


@dataclass
class CacheOutcome:
    """What a run has cached.

    Parameters
    ----------
    files, networks : int
        Cached in this run.
    kept : int
        Archives that were cached already.
    passed_over : int
        Sources that are no archives: they load at once as they are.
    failures : list of (str, str)
        Archives that could not be read, and why.
    """

    files: int = 0
    networks: int = 0
    kept: int = 0
    passed_over: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Cached:
    """What a worker tells of one archive."""

    files: int = 0
    networks: int = 0
    error: str = ""


def cache_archives(
    sources: CheckpointSources,
    folder: Path,
    *,
    selection: str = "",
    workers: int | None = None,
    progress: Callable[[int, int, int], None] | None = None,
) -> CacheOutcome:
    """Decode archives into a folder of cache files; what is there already is kept.

    Parameters
    ----------
    sources : CheckpointSources
        What holds the archives; other files are passed over.
    folder : Path
        The cache.
    selection : str
        What the sources take of each archive: a cache of something else is made anew.
    workers : int, optional
        Processes; by default one a core.
    progress : callable, optional
        Told of files done, networks done and archives failed after each archive.

    Returns
    -------
    CacheOutcome

    Raises
    ------
    GenpredictError
        When the sources hold no archive, the folder cannot be written or is being written, or a
        worker dies; what is done is kept.
    """
    archives = [item for item in sources.items if not item.rows_known]
    if not archives:
        raise GenpredictError(
            "sources: no archives among them; other files load at once, score them as they are"
        )
    folder = folder.resolve()
    outcome = CacheOutcome(passed_over=len(sources.items) - len(archives))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_name(f"{folder.name}.lock")):
            todo = [item for item in archives if not _is_cached(item, folder, selection)]
            outcome.kept = len(archives) - len(todo)
            for front in {item.id.rpartition("/")[0] for item in todo if not item.is_whole_space}:
                _write_front(folder, front)
                remove_partials(folder / front)
            _run(todo, folder, selection, workers, progress, outcome)
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot write: {error.strerror or error}; what is cached is complete; mend "
            f"the cause, then run the same command again to go on"
        ) from error
    return outcome


def _run(
    todo: list[Item],
    folder: Path,
    selection: str,
    workers: int | None,
    progress: Callable[[int, int, int], None] | None,
    outcome: CacheOutcome,
) -> None:
    """Cache archives on processes, and count."""
    task = partial(cache_archive, folder=folder, selection=selection)
    results = run_in_order(task, todo, workers=workers or available_cores())
    try:
        for number, (item, cached) in enumerate(zip(todo, results, strict=True), start=1):
            outcome.files += cached.files
            outcome.networks += cached.networks
            if cached.error:
                outcome.failures.append((item.id, cached.error))
            if progress is not None:
                done = outcome.kept + outcome.passed_over + number
                progress(done, outcome.networks, len(outcome.failures))
    finally:
        results.close()


def _write_front(folder: Path, front: str) -> None:
    """Make the folder of the archives whose ids begin alike, and note how they begin."""
    place = folder / front
    place.mkdir(parents=True, exist_ok=True)
    if not place.resolve().is_relative_to(folder):
        raise StoreError(f"{place}: leads out of the cache; delete that link")
    write_front(place, front)


def cache_archive(item: Item, *, folder: Path, selection: str) -> _Cached:
    """Decode one archive into its cache file; the single file of a space into one a network."""
    files = networks = 0
    try:
        for archive_id, checkpoints in _by_architecture(item):
            path = _file_of(archive_id, folder)
            if item.is_whole_space:
                _write_front(folder, item.id)
            size = item.size
            write_cached(path, archive_id, checkpoints, source_size=size, selection=selection)
            files, networks = files + 1, networks + len(checkpoints)
    except CheckpointError as error:
        return _Cached(files, networks, str(error))
    return _Cached(files, networks)


def _by_architecture(item: Item) -> Iterator[tuple[str, list[Checkpoint]]]:
    """Yield the id and the networks of every architecture of an archive."""
    if not item.is_whole_space:
        yield item.id, list(item.read())
        return
    for index, group in groupby(item.read(), lambda c: int(c.metadata["architecture_index"])):
        yield f"{item.id}/{index:06d}", list(group)


def _file_of(archive_id: str, folder: Path) -> Path:
    """Return the cache file of an architecture."""
    return folder / f"{archive_id}{CACHE_SUFFIX}"


def _is_cached(item: Item, folder: Path, selection: str) -> bool:
    """Return whether an archive is cached as it is now; that of a whole space never is."""
    path = _file_of(item.id, folder)
    if item.is_whole_space or not path.exists():
        return False
    try:
        entries = read_entries(path)
    except CheckpointError:
        return False
    return (entries.get("source_size"), entries.get("selection")) == (item.size, selection)
