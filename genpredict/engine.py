"""Run independent tasks here or on a pool of local processes, results in order."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from genpredict.errors import GenpredictError

Task = TypeVar("Task")
Result = TypeVar("Result")


def available_cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_in_order(
    function: Callable[[Task], Result], tasks: Sequence[Task], *, workers: int
) -> Generator[Result, None, None]:
    """Apply a function to tasks and yield the results in the order of the tasks.

    Parameters
    ----------
    function : callable
        Picklable where `workers` > 1, as are tasks and results.
    tasks : sequence
        Independent of each other.
    workers : int
        1 computes in this process. More start that many processes, which share the cores; at most
        twice as many tasks are under way, so that results do not pile up.

    Yields
    ------
    Result

    Raises
    ------
    GenpredictError
        When a worker process dies, naming the task it may have died of.
    """
    if workers <= 1 or len(tasks) <= 1:
        yield from map(function, tasks)
        return
    pool = ProcessPoolExecutor(
        min(workers, len(tasks)),
        mp_context=get_context("spawn"),
        initializer=_start_worker,
        initargs=(max(1, available_cores() // workers), os.getpid()),
    )
    waiting: deque[tuple[Task, Future[Result]]] = deque()
    task = tasks[0]
    try:
        for task in tasks:
            waiting.append((task, _submit(pool, function, task)))
            if len(waiting) >= 2 * workers:
                yield waiting[0][1].result()
                waiting.popleft()
        while waiting:
            yield waiting[0][1].result()
            waiting.popleft()
    except BrokenProcessPool as error:
        suspects = [one for one, future in waiting if not future.done() or future.exception()]
        suspect = next(iter(suspects), task)
        raise GenpredictError(
            f"a worker process died, perhaps of {suspect} (killed, or out of memory?); what is "
            f"done is kept: run the same command again to go on, with fewer --workers if memory is "
            f"short"
        ) from error
    finally:
        _stop(pool)


def _submit(
    pool: ProcessPoolExecutor, function: Callable[[Task], Result], task: Task
) -> Future[Result]:
    """Hand out a task; a process that this starts leaves Ctrl-C to this one from its first moment.

    Blocked signals stay blocked in a process that is started, and in this one wait.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(function, task)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stop(pool: ProcessPoolExecutor) -> None:
    """End the pool without waiting for tasks whose results nobody wants any more."""
    processes = list((pool._processes or {}).values())  # terminate_workers() comes with 3.14
    if pool._pending_work_items:
        for process in processes:
            process.terminate()
    pool.shutdown(wait=True, cancel_futures=True)


def _start_worker(threads: int, parent: int) -> None:
    """Set up a worker: its share of the cores, Ctrl-C left to the parent, no life without it."""
    import torch

    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: int) -> None:
    """End this process once its parent is gone, even one that was killed."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
