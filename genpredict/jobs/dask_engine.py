"""`genpredict score --engine dask`: units of work as tasks of a Dask cluster.

A task measures a unit into the spool of the store and returns next to nothing; this process takes
the units into the store in their order, as a local run does. So no rows travel through the
scheduler, and what is done is done whoever dies afterwards. Nothing here waits for an answer of
the cluster without a limit: after a task that always kills its worker, Dask's own waiting may
never end.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from genpredict.checkpoints import CheckpointSources
from genpredict.engine import available_cores
from genpredict.errors import GenpredictError
from genpredict.jobs.score_job import Measured, Outcome, Progress, from_spool, score_into
from genpredict.jobs.sharding import Tally, measure_into
from genpredict.jobs.spool import Spool
from genpredict.jobs.units import Unit
from genpredict.options import Options
from genpredict.store.writing import CHUNK_SIZE, continued

#: Give up when no unit has been done for so long (seconds).
TASK_TIMEOUT = 3600.0
#: Tasks handed to the scheduler beyond those that are done.
WINDOW = 256
#: How long (seconds) a cluster may take to answer, and a connection to come back.
PATIENCE = 30.0
#: Between two looks at the tasks (seconds).
POLL = 0.05
_LEFT = "what is done is kept: run the same command again to go on"


def score_on_dask(
    path: Path,
    sources: CheckpointSources,
    options: Options,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    task_timeout: float = TASK_TIMEOUT,
    attrs: Mapping[str, Any] | None = None,
    chunk_size: int = CHUNK_SIZE,
    overwrite: bool = False,
    retry_failed: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Score checkpoints into a store on a Dask cluster; as `score_into`, to the byte.

    Parameters
    ----------
    path, sources, options, attrs, chunk_size, overwrite, retry_failed, progress
        As of `score_into`. The store's folder and the sources must be on a file system that all
        workers share, under the same paths.
    scheduler : str, optional
        Address of a scheduler (``tcp://host:8786``) or the path of its scheduler file; by default
        a cluster of local processes.
    workers : int, optional
        Processes of a local cluster; by default one a core.
    task_timeout : float
        Give up when no unit has been done for so long (seconds); waiting for the first worker
        counts as well.

    Returns
    -------
    Outcome

    Raises
    ------
    GenpredictError
        When there is no such scheduler, it is lost, a task fails or kills its worker, or nothing
        is done for too long; the message says what is left. What is done is kept.
    """
    if not overwrite:
        options = continued(path, options)
    if scheduler is not None:
        options = _OnWorkers.of(options)
    Spool.of(path, {**options.attrs(), **(attrs or {})}).check_idle()
    with connected(scheduler, workers) as client:
        return score_into(
            path,
            sources,
            options,
            attrs=attrs,
            chunk_size=chunk_size,
            overwrite=overwrite,
            retry_failed=retry_failed,
            progress=progress,
            measurer=partial(
                measure_on,
                client=client,
                options=options,
                retry_failed=retry_failed,
                task_timeout=task_timeout,
            ),
        )


class _OnWorkers(Options):
    """Options for workers on other hosts: this one need not have their device.

    Each worker finds the device by itself; the store records what was asked for.
    """

    @classmethod
    def of(cls, options: Options) -> _OnWorkers:
        """Return the same choices."""
        return cls(**{f.name: getattr(options, f.name) for f in fields(options) if f.init})

    def attrs(self) -> dict[str, Any]:
        """Return the choices as they are written into a Dataset."""
        return Options.attrs(replace(self, device="cpu")) | {"device": self.device}


@contextmanager
def connected(scheduler: str | None, workers: int | None = None) -> Iterator[Any]:
    """Connect to a scheduler, or start a cluster of local processes, for the time of a block.

    Yields
    ------
    distributed.Client

    Raises
    ------
    GenpredictError
        When Dask is not installed, there is no such scheduler, or a process dies as it starts.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise GenpredictError(
            "engine: dask is not installed; pip install 'genpredict[distributed]', or take "
            "--engine local"
        ) from error
    if scheduler is None:
        with (
            _local_cluster(distributed, workers or available_cores()) as cluster,
            distributed.Client(cluster, timeout=PATIENCE) as client,
        ):
            yield client
        return
    where = {"address": scheduler} if "://" in scheduler else {"scheduler_file": scheduler}
    if "scheduler_file" in where and not Path(scheduler).is_file():
        raise GenpredictError(
            f"scheduler: {scheduler!r} is neither an address such as tcp://host:8786 nor a "
            f"scheduler file; start one with dask-scheduler --scheduler-file"
        )
    try:
        client = distributed.Client(**where, timeout=PATIENCE)
    except (OSError, TimeoutError, ValueError, KeyError) as error:
        raise GenpredictError(
            f"scheduler: nothing answers at {scheduler} ({str(error) or type(error).__name__}); "
            f"check the address, and that the scheduler runs"
        ) from error
    try:
        yield client
    finally:
        client.close(timeout=PATIENCE)


def _local_cluster(distributed: Any, workers: int) -> Any:
    """Start a cluster of local processes.

    Raises
    ------
    GenpredictError
        When one of them dies as it starts.
    """
    try:
        return distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
    except (RuntimeError, OSError, TimeoutError) as error:
        raise GenpredictError(
            f"engine: the cluster of {workers} local processes did not start ({error}); killed, or "
            f"out of memory? {_LEFT}, with fewer --workers if memory is short"
        ) from error


def measure_on(
    units: Sequence[Unit],
    spool: Spool,
    *,
    client: Any,
    options: Options,
    retry_failed: bool = False,
    task_timeout: float = TASK_TIMEOUT,
) -> Measured:
    """Measure units on a cluster, save those in the spool; yield all in order.

    After a unit that could not be done, files still go into the store; archives wait in the spool
    for the next run, so that the rows of the store stand in the order of the sources.

    Yields
    ------
    tuple of (Unit, Dataset or None)

    Raises
    ------
    GenpredictError
        When some units could not be done, after the others are.
    """
    spool.prepare()
    missing = spool.missing(units, retry_failed=retry_failed)
    board = _Board(client, partial(_task, spool=spool, options=options), missing, task_timeout)
    blocked = False
    try:
        for unit in units:
            if not board.wait_for(unit):
                blocked = True
            elif not blocked or all(item.rows_known for item in unit.items):
                yield unit, from_spool(unit, spool, options)
    finally:
        board.close()
    if board.failures:
        unit, reason = next(iter(board.failures.values()))
        raise GenpredictError(
            f"{len(board.failures)} of {len(units)} units of work are left to do, first {unit}: "
            f"{reason}; {_LEFT}"
        )


def _task(unit: Unit, *, spool: Spool, options: Options) -> Tally:
    """Measure a unit on a worker, whose processes share the cores already."""
    import torch

    torch.set_num_threads(1)
    return measure_into(unit, spool=spool, options=options)


class _Board:
    """Tasks under way on a cluster, a bounded number at a time.

    Parameters
    ----------
    client : distributed.Client
    task : callable
        To be called with each unit.
    units : sequence of Unit
    task_timeout : float
        Seconds.

    Attributes
    ----------
    failures : dict of int to (Unit, str)
        Units that could not be done, by the id of the object, and why.
    """

    def __init__(self, client: Any, task: Any, units: Sequence[Unit], task_timeout: float) -> None:
        self._client, self._task, self._timeout = client, task, task_timeout
        self._queue = deque(units)
        self._under_way: dict[int, tuple[Unit, Any]] = {}
        self._open = {id(unit) for unit in units}
        self._last = self._connected = time.monotonic()
        self.failures: dict[int, tuple[Unit, str]] = {}

    def wait_for(self, unit: Unit) -> bool:
        """Wait until a unit is done; return False where it cannot be."""
        while id(unit) in self._open:
            self._fill()
            if not self._collect():
                self._check_cluster()
                time.sleep(POLL)
        return id(unit) not in self.failures

    def close(self) -> None:
        """Let go of all tasks."""
        for _, future in self._under_way.values():
            future.release()
        self._under_way.clear()

    def _fill(self) -> None:
        """Hand out tasks."""
        while self._queue and len(self._under_way) < WINDOW:
            unit = self._queue.popleft()
            key = f"genpredict-{uuid.uuid4().hex}"
            future = self._client.submit(self._task, unit, key=key, pure=False)
            self._under_way[id(unit)] = unit, future

    def _collect(self) -> bool:
        """Take note of tasks that have ended; return whether there were any."""
        ended = [
            (unit, future)
            for unit, future in self._under_way.values()
            if future.status in ("finished", "error")
        ]
        for unit, future in ended:
            del self._under_way[id(unit)]
            self._open.discard(id(unit))
            if future.status == "error":
                self.failures[id(unit)] = unit, _reason(future)
            future.release()
        if ended:
            self._last = time.monotonic()
        return bool(ended)

    def _check_cluster(self) -> None:
        """Raise when the scheduler is gone, or nothing happens any more."""
        now, left = time.monotonic(), len(self._open)
        lost = any(future.status == "cancelled" for _, future in self._under_way.values())
        if self._client.status == "running" and not lost:
            self._connected = now
        elif lost or self._client.status == "closed" or now - self._connected > PATIENCE:
            raise GenpredictError(
                f"the Dask scheduler is gone; {left} units of work are left to do; {_LEFT}, with a "
                f"scheduler that runs"
            )
        if now - self._last > self._timeout:
            first = next(iter(self._under_way.values()))[0]
            raise GenpredictError(
                f"no unit of work was done for {self._timeout:.0f} s on the Dask cluster; {left} "
                f"are left to do, first {first}; has it workers, and do they see these files? "
                f"{_LEFT}, with a longer --task-timeout if that is right"
            )


def _reason(future: Any) -> str:
    """Say why a task failed."""
    try:
        error = future.exception(timeout=PATIENCE)
    except Exception as failed:  # the cluster may be in any state
        error = failed
    if type(error).__name__ == "KilledWorker":
        return (
            "it killed every worker that tried it (out of memory, or a crash); score it alone with "
            "--engine local to see why, or give the workers more memory"
        )
    return f"{type(error).__name__}: {error}" if error is not None else "no reason was given"
