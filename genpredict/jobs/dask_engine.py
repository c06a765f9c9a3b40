"""`genpredict score --engine dask`: units of work as tasks of a Dask cluster.

A task measures a unit into the spool of the store and returns next to nothing; this process takes
the units into the store in their order, as a local run does. So no rows travel through the
scheduler, and what is done is done whoever dies afterwards. Nothing here waits for an answer of
the cluster without a limit: after a task that always kills its worker, Dask's own waiting may
never end.
"""

from __future__ import annotations

import logging
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
from genpredict.jobs.dask_board import LEFT, PATIENCE, Board
from genpredict.jobs.score_job import Measured, Outcome, Progress, from_spool, score_into
from genpredict.jobs.sharding import Tally, measure_into
from genpredict.jobs.spool import Spool
from genpredict.jobs.units import Unit
from genpredict.options import Options
from genpredict.store.writing import CHUNK_SIZE, continued

#: Give up when no unit has been done for so long (seconds).
TASK_TIMEOUT = 3600.0


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
            f"out of memory? {LEFT}, with fewer --workers if memory is short"
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
    board = Board(client, partial(_task, spool=spool, options=options), missing, task_timeout)
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
            f"{reason}; {LEFT}"
        )


def _task(unit: Unit, *, spool: Spool, options: Options) -> Tally:
    """Measure a unit on a worker, whose processes share the cores already."""
    import torch

    torch.set_num_threads(1)
    return measure_into(unit, spool=spool, options=options)
