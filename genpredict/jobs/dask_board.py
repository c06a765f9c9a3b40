"""Tasks under way on a Dask cluster, a bounded number at a time."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Sequence
from typing import Any

from genpredict.errors import GenpredictError
from genpredict.jobs.units import Unit

#: Tasks handed to the scheduler beyond those that are done.
WINDOW = 256
#: How long (seconds) a cluster may take to answer, and a connection to come back.
PATIENCE = 30.0
#: Between two looks at the tasks (seconds).
POLL = 0.05
LEFT = "what is done is kept: run the same command again to go on"


class Board:
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
                f"the Dask scheduler is gone; {left} units of work are left to do; {LEFT}, with a "
                f"scheduler that runs"
            )
        if now - self._last > self._timeout:
            first = next(iter(self._under_way.values()))[0]
            raise GenpredictError(
                f"no unit of work was done for {self._timeout:.0f} s on the Dask cluster; {left} "
                f"are left to do, first {first}; has it workers, and do they see these files? "
                f"{LEFT}, with a longer --task-timeout if that is right"
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
