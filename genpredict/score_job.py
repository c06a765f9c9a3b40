"""`genpredict score` as a job: sources into a store, resumable, in parallel."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr

from genpredict.checkpoints import CheckpointSources, Item
from genpredict.engine import available_cores, run_in_order
from genpredict.rows import Row, coordinates, join_rows
from genpredict.scoring import Options, measure_checkpoints, read_items
from genpredict.store_writer import CHUNK_SIZE, Writer, open_writer

#: A unit of work ends when its files reach this size (bytes) or number.
UNIT_BYTES = 32 << 20
UNIT_ITEMS = 64
#: Results wait at most this long (seconds) before they are written.
WRITE_EVERY = 20.0
#: From this size of the files on (bytes) several processes repay their start of some seconds.
PARALLEL_FROM = 256 << 20

#: Told after each unit: files done, rows done and failed so far in this run.
Progress = Callable[[int, int, int], None]


@dataclass(frozen=True)
class Unit:
    """Files that one process reads and measures together."""

    items: tuple[Item, ...]

    def __str__(self) -> str:
        first, last = self.items[0].path, self.items[-1].path
        return str(first) if first == last else f"{first} … {last}"


@dataclass(frozen=True)
class Outcome:
    """Rows of the store by state after a run, and how many this run took; why rows failed."""

    done: int
    failed: int
    pending: int
    new: int
    failures: tuple[tuple[str, str], ...] = ()


def score_into(
    path: Path,
    sources: CheckpointSources,
    options: Options,
    *,
    attrs: Mapping[str, Any] | None = None,
    workers: int | None = None,
    chunk_size: int = CHUNK_SIZE,
    overwrite: bool = False,
    retry_failed: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Score checkpoints into a store, going on where an earlier run stopped.

    Parameters
    ----------
    path : Path
        The store.
    sources : CheckpointSources
        What to score.
    options : Options
        How to measure; must equal those of an existing store.
    attrs : mapping, optional
        More attributes of a new store, such as the command.
    workers : int, optional
        Processes; by default one a core where there are more than 256 MB to read, else this one.
    chunk_size : int
        Checkpoints to a Zarr chunk of a new store.
    overwrite, retry_failed : bool
        Start anew; try failed checkpoints again.
    progress : callable, optional
        Told of every unit done.

    Returns
    -------
    Outcome

    Raises
    ------
    GenpredictError
        When the store cannot be used or a worker dies; what is done is kept.
    """
    everything = {**options.attrs(), **(attrs or {})}
    with open_writer(path, everything, overwrite=overwrite, chunk_size=chunk_size) as writer:
        writer.allot(item.id for item in sources.items if item.rows_known)
        _refresh(writer, sources)
        states = _states(writer.status)
        todo = [unit for unit in cut(sources.items) if _is_open(unit, states, retry_failed)]
        finished = len(sources.items) - sum(len(unit.items) for unit in todo)
        run = _Run(writer, chunk_size, progress, finished)
        results = run_in_order(
            partial(measure_unit, options=options), todo, workers=_workers(todo, options, workers)
        )
        try:
            for unit, rows in zip(todo, results, strict=True):
                run.take(unit, rows)
        finally:
            results.close()
            run.flush()
        counts = Counter(writer.status.values())
        failures = tuple(writer.failures())
    return Outcome(
        counts["done"], counts["failed"], counts["pending"], run.done + run.failed, failures
    )


def cut(items: Sequence[Item]) -> Iterator[Unit]:
    """Cut items into units, the same ones for the same items whatever is done already.

    An equal cut makes equal batches, so that a resumed run leaves the same bytes.
    """
    unit: list[Item] = []
    size = 0
    for item in items:
        unit.append(item)
        size += item.size
        if size >= UNIT_BYTES or len(unit) >= UNIT_ITEMS:
            yield Unit(tuple(unit))
            unit, size = [], 0
    if unit:
        yield Unit(tuple(unit))


def measure_unit(unit: Unit, *, options: Options) -> xr.Dataset | None:
    """Read and measure a unit; None where its archives hold no row that is asked for."""
    parts = list(measure_checkpoints(read_items(unit.items), options))
    return join_rows(parts) if parts else None


class _Run:
    """Results on their way into the store, written a chunk or some seconds at a time."""

    def __init__(
        self, writer: Writer, chunk_size: int, progress: Progress | None, files: int
    ) -> None:
        self.writer, self.chunk_size, self.progress = writer, chunk_size, progress
        self.files = files
        self.done = self.failed = 0
        self._waiting: list[xr.Dataset] = []
        self._written = time.monotonic()

    def take(self, unit: Unit, rows: xr.Dataset | None) -> None:
        """Take the rows of a unit; write if enough wait."""
        self.files += len(unit.items)
        if rows is not None:
            self._waiting.append(rows)
            good = int((rows["status"] == "done").sum())
            self.done += good
            self.failed += rows.sizes["checkpoint"] - good
            self._give_up_failed_archives(unit, rows)
        waiting = sum(part.sizes["checkpoint"] for part in self._waiting)
        if waiting >= self.chunk_size or time.monotonic() - self._written > WRITE_EVERY:
            self.flush()
        if self.progress is not None:
            self.progress(self.files, self.done, self.failed)

    def flush(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self.writer.write(join_rows(waiting))
        self._written = time.monotonic()

    def _give_up_failed_archives(self, unit: Unit, rows: xr.Dataset) -> None:
        """Hand the row of an archive that could not be read to the first row it holds now."""
        ids = rows["checkpoint"].values.tolist()
        for item in unit.items:
            if not item.rows_known and item.id in self.writer.status and item.id not in ids:
                mine = (name for name in ids if name.startswith(f"{item.id}/"))
                first = next((name for name in mine if name not in self.writer.status), None)
                if first is not None:
                    self.writer.rename(item.id, first)


def _refresh(writer: Writer, sources: CheckpointSources) -> None:
    """Bring what a manifest says of rows that are done up to date; it may be new or corrected."""
    known = [
        item
        for item in sources.items
        if item.rows_known and sources.metadata_columns and writer.status[item.id] == "done"
    ]
    if known:
        rows = [Row(item.id, str(item.path), item.metadata) for item in known]
        writer.describe(coordinates(rows, sources.metadata_columns))


def _is_open(unit: Unit, states: Callable[[Item], set[str]], retry_failed: bool) -> bool:
    """Return whether a unit has anything to do.

    An archive's rows are allotted all at once and marked done after they are written, so an
    archive with rows of which none is pending is complete.
    """
    wanted = {"pending", "failed"} if retry_failed else {"pending"}
    return any(not (found := states(item)) or found & wanted for item in unit.items)


def _states(status: Mapping[str, str]) -> Callable[[Item], set[str]]:
    """Return a look-up of the states of the rows that an item has so far.

    The rows of an archive have its id in front of theirs.
    """
    by_id: dict[str, set[str]] = defaultdict(set)
    for name, state in status.items():
        by_id[name].add(state)
        for end, letter in enumerate(name):
            if letter == "/":
                by_id[name[:end]].add(state)
    return lambda item: {status[item.id]} if item.rows_known else by_id[item.id]


def _workers(todo: Sequence[Unit], options: Options, workers: int | None) -> int:
    """Return the number of processes that is worth starting."""
    if workers is not None:
        return workers
    size = sum(item.size for unit in todo for item in unit.items)
    if size < PARALLEL_FROM or options.torch_device().type != "cpu":
        return 1
    return available_cores()
