"""`genpredict score --shard i/n`: one job of an array, no coordinator, any number at once.

A shard measures every n-th unit of work into the spool of the store and locks nothing but itself.
Whichever shard finds that all units are there takes them into the store; a shard that is run
again does what it has not done; a run without ``--shard`` takes what there is and does the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr

from genpredict.checkpoints import CheckpointSources
from genpredict.engine import run_in_order
from genpredict.errors import GenpredictError, StoreError
from genpredict.jobs.score_job import (
    Measured,
    Outcome,
    Progress,
    from_spool,
    number_of_workers,
    score_into,
)
from genpredict.jobs.spool import Spool
from genpredict.jobs.units import Unit, cut, is_open, measure_unit, states_of
from genpredict.locking import LockedError, check_unlocked, lock_of, locked
from genpredict.options import Options
from genpredict.store.writing import CHUNK_SIZE, continued, read_progress

_SHARD = re.compile(r"(\d{1,9})/(\d{1,9})")


@dataclass(frozen=True)
class Shard:
    """One of several equal shares of the work.

    Parameters
    ----------
    index : int
        From 1, as job arrays count.
    count : int
        Shares in all.
    """

    index: int
    count: int

    def __str__(self) -> str:
        return f"shard {self.index} of {self.count}"

    @property
    def name(self) -> str:
        """The shard in a file's name."""
        return f"shard-{self.index}-of-{self.count}"

    def of(self, units: Sequence[Unit]) -> Sequence[Unit]:
        """Return this shard's units: every n-th, so that large networks spread evenly."""
        return units[self.index - 1 :: self.count]


def parse_shard(text: str) -> Shard:
    """Read ``i/n``.

    Raises
    ------
    GenpredictError
        When it has another form, or i is not one of 1 to n.

    Examples
    --------
    >>> parse_shard("3/16")
    Shard(index=3, count=16)
    """
    match = _SHARD.fullmatch(text.strip())
    shard = Shard(int(match[1]), int(match[2])) if match else Shard(0, 0)
    if not 1 <= shard.index <= shard.count:
        raise GenpredictError(
            f"shard: {text!r} must be i/n with i from 1 to n, such as 3/16; where a job array "
            f"counts from 0, add 1"
        )
    return shard


@dataclass(frozen=True)
class Tally:
    """What became of one unit: all that a worker sends back, for the rows are in the spool."""

    done: int = 0
    failures: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, rows: xr.Dataset | None) -> Tally:
        """Count rows."""
        if rows is None:
            return cls()
        columns = (rows[name].values.tolist() for name in ("checkpoint", "status", "error"))
        failures = [
            (name, why) for name, state, why in zip(*columns, strict=True) if state != "done"
        ]
        return cls(rows.sizes["checkpoint"] - len(failures), tuple(failures))


@dataclass
class ShardOutcome:
    """What a shard has done.

    Parameters
    ----------
    done : int
        Checkpoints measured in this run.
    failures : list of (str, str)
        Failed checkpoints of this shard and why, those of earlier runs as well.
    left : int
        Units of other shards that are still to be done.
    store : Outcome, optional
        Of the whole store, where this shard was the last.
    """

    done: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    left: int = 0
    store: Outcome | None = None


def score_shard(
    path: Path,
    sources: CheckpointSources,
    options: Options,
    shard: Shard,
    *,
    attrs: Mapping[str, Any] | None = None,
    workers: int | None = None,
    chunk_size: int = CHUNK_SIZE,
    retry_failed: bool = False,
    progress: Progress | None = None,
) -> ShardOutcome:
    """Score one share of the checkpoints; complete the store where it was the last.

    Parameters
    ----------
    path, sources, options, attrs, workers, chunk_size, retry_failed, progress
        As of `score_into`; sources and options must be those of the other shards.
    shard : Shard
        Which share.

    Returns
    -------
    ShardOutcome

    Raises
    ------
    LockedError
        When this shard is being worked on, or a run without ``--shard`` writes to the store.
    GenpredictError
        When the store or its spool was made in another way or cannot be written, or a worker
        dies; what is done is kept.
    """
    options = continued(path, options)
    everything = {**options.attrs(), **(attrs or {})}
    path, spool = path.resolve(), Spool.of(path, everything)
    check_unlocked(lock_of(path))
    units = list(cut(sources.items, one_by_one=options.needs_data))
    still_open = _open_units(path, everything, units, retry_failed)
    if not still_open:
        spool.discard(units)  # what a process left that was killed after the last write
        spool.tidy()
        return ShardOutcome()
    try:
        spool.prepare()
        with locked(spool.lock_of(shard.name)):
            wanted = {id(unit) for unit in still_open}
            mine = [unit for unit in shard.of(units) if id(unit) in wanted]
            outcome = _measure(mine, spool, options, workers, retry_failed, progress)
            outcome.left = _count_left(path, everything, spool, still_open)
            if not outcome.left:
                outcome.store = _join(path, sources, options, attrs, chunk_size, retry_failed)
    except OSError as error:
        raise StoreError(
            f"{spool.folder}: cannot write: {error.strerror or error}; what is done is kept; mend "
            f"the cause, then run the same command again to go on"
        ) from error
    spool.tidy()
    return outcome


def _measure(
    mine: Sequence[Unit],
    spool: Spool,
    options: Options,
    workers: int | None,
    retry_failed: bool,
    progress: Progress | None,
) -> ShardOutcome:
    """Measure what a shard lacks into the spool."""
    missing = spool.missing(mine, retry_failed=retry_failed)
    outcome = ShardOutcome()
    begun = {id(unit) for unit in missing}
    for unit in mine:
        if id(unit) not in begun:
            outcome.failures += Tally.of(from_spool(unit, spool, options)).failures
    files = sum(len(unit.items) for unit in mine if id(unit) not in begun)
    task = partial(measure_into, spool=spool, options=options)
    tallies = run_in_order(task, missing, workers=number_of_workers(missing, options, workers))
    try:
        for unit, tally in zip(missing, tallies, strict=True):
            files += len(unit.items)
            outcome.done += tally.done
            outcome.failures += tally.failures
            if progress is not None:
                progress(files, outcome.done, len(outcome.failures))
    finally:
        tallies.close()
    return outcome


def _count_left(path: Path, attrs: Mapping[str, Any], spool: Spool, units: Sequence[Unit]) -> int:
    """Count the units that are neither in the spool nor, meanwhile, in the store."""
    missing = spool.missing(units)
    return len(_open_units(path, attrs, missing, False)) if missing else 0


def _open_units(
    path: Path, attrs: Mapping[str, Any], units: Sequence[Unit], retry_failed: bool
) -> list[Unit]:
    """Return the units that are not in the store."""
    status, ledger = read_progress(path, attrs)
    states = states_of(status)
    return [unit for unit in units if is_open(unit, states, ledger, retry_failed=retry_failed)]


def measure_into(unit: Unit, *, spool: Spool, options: Options) -> Tally:
    """Measure a unit into the spool, and tell what became of it."""
    rows = measure_unit(unit, options=options)
    spool.put(unit, rows)
    return Tally.of(rows)


def _join(
    path: Path,
    sources: CheckpointSources,
    options: Options,
    attrs: Mapping[str, Any] | None,
    chunk_size: int,
    retry_failed: bool,
) -> Outcome | None:
    """Take all units from the spool into the store; None where another shard is at it."""
    try:
        return score_into(
            path,
            sources,
            options,
            attrs=attrs,
            chunk_size=chunk_size,
            retry_failed=retry_failed,
            measurer=partial(joined, options=options),
        )
    except LockedError:
        return None


def joined(units: Sequence[Unit], spool: Spool, *, options: Options) -> Measured:
    """Yield units and their rows from the spool."""
    for unit in units:
        yield unit, from_spool(unit, spool, options)
