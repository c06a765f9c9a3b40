"""Run slices of batched work side by side on the CPU's cores.

torch's batched eigvalsh walks its batch on one thread, and small batched operations gain little
from several. Slices on a pool of threads, each computing on one, gain nearly the number of cores;
torch releases the interpreter during every operation. The result of a slice does not depend on
how many threads there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

Task = Callable[[], None]


def run_tasks(tasks: Sequence[Task], *, device: torch.device) -> None:
    """Run tasks that are independent of each other, in the order given where that is serial.

    Parameters
    ----------
    tasks : sequence of callables
        The longest first, so that the cores finish together.
    device : torch.device
        On the CPU the tasks run on as many threads as `torch.get_num_threads()` says, each of
        which computes single-threaded; elsewhere one after the other.

    Raises
    ------
    Exception
        The first one that a task raises; tasks not yet begun are dropped.
    """
    if device.type != "cpu":
        for task in tasks:
            _without_grad(task)
        return
    with _one_thread_each() as threads:
        if threads == 1 or len(tasks) == 1:
            for task in tasks:
                _without_grad(task)
            return
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            futures = [pool.submit(_without_grad, task) for task in tasks]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


@contextmanager
def _one_thread_each() -> Iterator[int]:
    """Set torch to one thread for the time of a pool; yield the number there was."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


def _without_grad(task: Task) -> None:
    with torch.no_grad():
        task()
