"""Run slices of batched work side by side on the CPU's cores.

torch's batched eigvalsh walks its batch on one thread, and small batched operations gain little
from several. Slices on a pool of threads, each computing on one, gain nearly the number of cores
where they are made of long operations, in which torch releases the interpreter. Short ones spend
more on handing the interpreter to and fro than on their work, and run faster on one thread. The
result of a slice does not depend on how many threads there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial

import torch

Task = Callable[[], None]


class Runner:
    """Runs tasks that are independent of each other; made by `runner`.

    Parameters
    ----------
    threads : int
        The calling one and its helpers.
    helpers : ThreadPoolExecutor, optional
        Threads beside the calling one; without them tasks run one after the other.
    """

    def __init__(self, threads: int = 1, helpers: ThreadPoolExecutor | None = None) -> None:
        self.threads = threads
        self._helpers = helpers

    def __call__(self, tasks: Sequence[Task], *, side_by_side: bool = True) -> None:
        """Run tasks, in the order given where that is serial.

        Parameters
        ----------
        tasks : sequence of callables
            The longest first, so that the cores finish together.
        side_by_side : bool
            False for tasks of short operations, which run one after the other.

        Raises
        ------
        Exception
            The first one that a task raises; tasks not yet begun are dropped.
        """
        waiting = deque(tasks)
        if self._helpers is None or not side_by_side:
            _work(waiting)
            return
        count = min(self.threads, len(tasks)) - 1
        helping = [self._helpers.submit(_work, waiting) for _ in range(count)]
        try:
            _work(waiting)
        finally:
            wait(helping)
        for future in helping:
            future.result()


@contextmanager
def runner(device: torch.device) -> Iterator[Runner]:
    """Yield what runs tasks, on the CPU on as many threads as `torch.get_num_threads()` says.

    Each of them computes single-threaded, and so does this one within. Elsewhere tasks run one
    after the other.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu":
        yield Runner()
        return
    torch.set_num_threads(1)
    pool = partial(ThreadPoolExecutor, initializer=torch.set_num_threads, initargs=(1,))
    try:
        with pool(max(1, threads - 1)) as helpers:  # threads start when they are given a task
            yield Runner(threads, helpers)
    finally:
        torch.set_num_threads(threads)


def _work(waiting: deque[Task]) -> None:
    """Run tasks until none waits; after one that raises, none is begun any more."""
    with torch.inference_mode():
        while True:
            try:
                task = waiting.popleft()
            except IndexError:
                return
            try:
                task()
            except BaseException:
                waiting.clear()
                raise
