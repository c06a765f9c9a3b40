"""`genpredict score` as a job: sources into a store, resumable, in parallel."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr

from genpredict.checkpoints import CheckpointSources
from genpredict.engine import available_cores, run_in_order
from genpredict.jobs.spool import Spool
from genpredict.jobs.units import Unit, cut, is_open, measure_unit, states_of
from genpredict.options import Options
from genpredict.row_checks import Row
from genpredict.rows import coordinates, join_rows
from genpredict.schema import LAYER_MEASURES
from genpredict.store.ledger import Stamp, changed, stamp_of
from genpredict.store.writer import Writer
from genpredict.store.writing import CHUNK_SIZE, continued, open_writer

#: Results wait at most this long (seconds), or until they fill so many chunks, to be written.
WRITE_EVERY = 20.0
WRITE_CHUNKS = 4
#: From this size of the files on (bytes) several processes repay their start of some seconds.
PARALLEL_FROM = 256 << 20

#: Told after each unit: files done, rows done and failed so far in this run.
Progress = Callable[[int, int, int], None]
#: Units and their rows, in the order of the units; ends early where the rest cannot be had.
Measured = Generator[tuple[Unit, xr.Dataset | None], None, None]
#: Measures units, or takes their rows from the spool where they are there already.
Measurer = Callable[[Sequence[Unit], Spool], Measured]


@dataclass(frozen=True)
class Outcome:
    """Rows of the store by state after a run, and how many this run took; why rows failed.

    Warnings name files that have changed since they were scored.
    """

    done: int
    failed: int
    pending: int
    new: int
    failures: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()


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
    measurer: Measurer | None = None,
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
    measurer : callable, optional
        Does the work somewhere else than on local processes.

    Returns
    -------
    Outcome

    Raises
    ------
    GenpredictError
        When the store cannot be used or a worker dies; what is done is kept.
    """
    if not overwrite:
        options = continued(path, options)
    everything = {**options.attrs(), **(attrs or {})}
    spool = Spool.of(path, everything)
    if measurer is None:
        measurer = partial(
            measure_here, options=options, workers=workers, retry_failed=retry_failed
        )
        spool.check_idle()
    if not overwrite:
        spool.check()
    new: dict[str, Any] = {"overwrite": overwrite, "chunk_size": chunk_size}
    new["ids"] = [item.id for item in sources.items if item.rows_known]
    with open_writer(path, everything, **new) as writer:
        units = list(cut(sources.items, one_by_one=options.needs_data))
        if overwrite:
            spool.discard(units)
        outcome = _complete(writer, sources, units, measurer, spool, retry_failed, progress)
        spool.discard(units)
    spool.tidy()
    return _noting_age(outcome, path, options)


def _noting_age(outcome: Outcome, path: Path, options: Options) -> Outcome:
    """Warn where a store was made before some of the measures of every score."""
    younger = [name for name in LAYER_MEASURES if name not in options.measures]
    if not younger:
        return outcome
    warning = (
        f"{path}: made before there were {', '.join(younger)}; its new rows have none either; to "
        f"add them, score the same sources into another store, and merge the two"
    )
    return replace(outcome, warnings=(*outcome.warnings, warning))


def _complete(
    writer: Writer,
    sources: CheckpointSources,
    units: Sequence[Unit],
    measurer: Measurer,
    spool: Spool,
    retry_failed: bool,
    progress: Progress | None,
) -> Outcome:
    """Measure what a store lacks, and write it."""
    writer.allot(item.id for item in sources.items if item.rows_known)
    _refresh(writer, sources)
    states, ledger = states_of(writer.status), writer.ledger
    scored = [i for i in sources.items if states(i) and "pending" not in states(i)]
    # those of a run that died before it could note them
    ledger.add({i.id: stamp_of(i.path, i.size) for i in scored if i.id not in ledger.stamps})
    todo, rest = list[Unit](), list[Unit]()
    for unit in units:
        here = is_open(unit, states, ledger.stamps, retry_failed=retry_failed)
        (todo if here else rest).append(unit)
    kept = [(i.id, i.path, i.size) for unit in rest for i in unit.items]
    warnings = changed(ledger.stamps, kept)
    finished = len(sources.items) - sum(len(unit.items) for unit in todo)
    run = _Run(writer, progress, finished)
    results = measurer(todo, spool)
    try:
        for unit, rows in results:
            run.take(unit, rows)
    finally:
        results.close()
        run.flush()
    counts = Counter(writer.status.values())
    return Outcome(
        counts["done"],
        counts["failed"],
        counts["pending"],
        run.done + run.failed,
        tuple(writer.failures()),
        tuple(warnings),
    )


def measure_here(
    units: Sequence[Unit],
    spool: Spool,
    *,
    options: Options,
    workers: int | None,
    retry_failed: bool = False,
) -> Measured:
    """Measure units in this process or on a pool of local ones, save those in the spool.

    Parameters
    ----------
    units : sequence of Unit
    spool : Spool
        Where shards have left rows.
    options : Options
    workers : int, optional
        Processes.
    retry_failed : bool
        Measure units of the spool again that hold failed rows.

    Yields
    ------
    tuple of (Unit, Dataset or None)
    """
    missing = spool.missing(units, retry_failed=retry_failed)
    to_measure = set(map(id, missing))
    measure = partial(measure_unit, options=options)
    fresh = run_in_order(measure, missing, workers=number_of_workers(missing, options, workers))
    try:
        for unit in units:
            if id(unit) in to_measure:
                yield unit, next(fresh)
            else:
                yield unit, from_spool(unit, spool, options)
    finally:
        fresh.close()


def from_spool(unit: Unit, spool: Spool, options: Options) -> xr.Dataset | None:
    """Return the rows of a unit from its file, measured anew where that is damaged."""
    try:
        return spool.get(unit)
    except KeyError:
        return measure_unit(unit, options=options)


class _Run:
    """Results on their way into the store, written a chunk or some seconds at a time."""

    def __init__(self, writer: Writer, progress: Progress | None, files: int) -> None:
        self.writer, self.progress = writer, progress
        self.files = files
        self.done = self.failed = 0
        self._waiting: list[xr.Dataset] = []
        self._taken: dict[str, Stamp] = {}
        self._written = time.monotonic()

    def take(self, unit: Unit, rows: xr.Dataset | None) -> None:
        """Take the rows of a unit; write if enough wait."""
        self.files += len(unit.items)
        self._taken |= {item.id: stamp_of(item.path, item.size) for item in unit.items}
        if rows is not None:
            self._waiting.append(rows)
            good = int((rows["status"] == "done").sum())
            self.done += good
            self.failed += rows.sizes["checkpoint"] - good
            self._give_up_failed_archives(unit, rows)
        waiting = sum(part.sizes["checkpoint"] for part in self._waiting)
        full = waiting >= WRITE_CHUNKS * self.writer.chunk_size
        if full or time.monotonic() - self._written > WRITE_EVERY:
            self.flush()
        if self.progress is not None:
            self.progress(self.files, self.done, self.failed)

    def flush(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, []
        taken, self._taken = self._taken, {}  # forgotten where the rows cannot be written
        if waiting:
            self.writer.write(join_rows(waiting))
        self.writer.ledger.add(taken)
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


def number_of_workers(todo: Sequence[Unit], options: Options, workers: int | None) -> int:
    """Return the number of processes that is worth starting."""
    if workers is not None:
        return workers
    size = sum(item.size for unit in todo for item in unit.items)
    if size < PARALLEL_FROM or options.torch_device().type != "cpu":
        return 1
    return available_cores()
