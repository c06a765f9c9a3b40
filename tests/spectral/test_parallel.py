"""Tasks side by side: all of them once, errors as they are, the number of threads as it was."""

from __future__ import annotations

import threading
from collections import Counter
from functools import partial

import pytest
import torch

from genpredict.spectral.parallel import runner

CPU = torch.device("cpu")


@pytest.mark.parametrize("side_by_side", [True, False])
def test_every_task_runs_once_on_one_thread_each(threads: int, side_by_side: bool) -> None:
    """Also where there are fewer tasks than threads, or none."""
    for count in (0, 1, 2, 7, 100):
        done: Counter[int] = Counter()
        within: set[int] = set()

        def task(number: int, done: Counter[int] = done, within: set[int] = within) -> None:
            done[number] += 1
            within.add(torch.get_num_threads())

        with runner(CPU) as run:
            assert run.threads == threads
            run([partial(task, number) for number in range(count)], side_by_side=side_by_side)
        assert done == Counter(range(count))
        assert within <= {1}
        assert torch.get_num_threads() == threads


def test_tasks_run_at_the_same_time(threads: int) -> None:
    """As many as there are threads wait for each other and get through."""
    barrier = threading.Barrier(threads, timeout=30)
    with runner(CPU) as run:
        run([lambda: barrier.wait() and None] * threads)
    assert not barrier.broken


@pytest.mark.parametrize("error", [ValueError, MemoryError, KeyboardInterrupt])
def test_an_error_comes_out_and_what_is_not_begun_is_dropped(
    threads: int, error: type[BaseException]
) -> None:
    """On whichever thread it was; the number of threads is what it was."""
    begun: list[int] = []

    def task(number: int) -> None:
        begun.append(number)
        if number == 2:
            raise error("of task 2")

    with pytest.raises(error, match="of task 2"), runner(CPU) as run:
        run([partial(task, number) for number in range(1000)])
    assert len(begun) < 1000
    assert torch.get_num_threads() == threads


def test_a_runner_can_run_again_after_an_error(threads: int) -> None:
    """Nothing is left over of the tasks that were dropped."""
    done: list[int] = []

    def fail() -> None:
        raise ValueError

    with runner(CPU) as run:
        with pytest.raises(ValueError):
            run([fail, *[partial(done.append, 0)] * 10])
        done.clear()
        run([partial(done.append, number) for number in range(10)])
    assert sorted(done) == list(range(10))
