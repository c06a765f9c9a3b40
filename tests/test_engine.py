"""Tasks on processes: the same results in the same order, and no process left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from genpredict.engine import available_cores, run_in_order
from genpredict.errors import GenpredictError


def square(task: int) -> int:
    """Take the longer the earlier the task, so that results come in another order."""
    time.sleep(0.05 * max(0, 3 - task))
    return task**2


def refuse(task: int) -> int:
    """Raise an error of the tasks' own."""
    if task == 2:
        raise GenpredictError(f"task {task}: no")
    return task


def die(task: int) -> int:
    """Be killed, as by a system short of memory."""
    if task == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def note(folder: Path, task: int) -> int:
    """Leave a file that tells that the task was begun, and by which process."""
    (folder / f"{task}-{os.getpid()}").touch()
    return task


def slow(task: int) -> int:
    """Take much longer than anybody will wait."""
    if task:
        time.sleep(600)
    return task


def threads(_: int) -> int:
    """Return the number of threads that torch uses."""
    import torch

    return torch.get_num_threads()


def descendants() -> set[int]:
    """Return the worker processes of this one that live."""
    return {process.pid for process in multiprocessing.active_children() if process.pid}


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    """Whatever happened in a test: its workers are gone."""
    before = descendants()
    yield
    assert descendants() <= before


def test_here_the_order_is_that_of_the_tasks() -> None:
    """One worker computes in this process, task by task as results are asked for."""
    begun: list[int] = []
    results = run_in_order(lambda task: begun.append(task) or task**2, [3, 1, 2], workers=1)
    assert begun == []
    assert next(results) == 9
    assert begun == [3]
    assert list(results) == [1, 4]


def test_no_tasks() -> None:
    """Nothing to do starts nothing."""
    assert list(run_in_order(square, [], workers=4)) == []


def test_one_task_starts_no_process(tmp_path: Path) -> None:
    """It would cost seconds and gain nothing."""
    assert list(run_in_order(partial(note, tmp_path), [7], workers=4)) == [7]
    assert (tmp_path / f"7-{os.getpid()}").exists()


def test_processes_against_this_process(tmp_path: Path) -> None:
    """Two workers: equal results in the order of the tasks, from two other processes."""
    tasks = list(range(12))
    assert list(run_in_order(square, tasks, workers=2)) == [task**2 for task in tasks]


def test_tasks_under_way_are_bounded(tmp_path: Path) -> None:
    """At most twice as many as workers are handed out beyond the results taken."""
    results = run_in_order(partial(note, tmp_path), list(range(40)), workers=2)
    for taken in range(1, 4):
        assert next(results) == taken - 1
        time.sleep(0.3)
        names = [entry.name.split("-") for entry in tmp_path.iterdir()]
        assert len(names) <= taken + 4
        assert str(os.getpid()) not in {pid for _, pid in names}
    results.close()


def test_workers_share_the_cores() -> None:
    """Each takes its part of the threads, at least one."""
    assert set(run_in_order(threads, [0, 1, 2], workers=2)) == {max(1, available_cores() // 2)}


def test_an_error_of_a_task_comes_through() -> None:
    """As itself, after the results before it."""
    results = run_in_order(refuse, list(range(8)), workers=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(GenpredictError, match="task 2: no"):
        next(results)


TEXT = (
    r"a worker process died, perhaps of \d+ \(killed, or out of memory\?\); what is done is kept: "
    r"run the same command again to go on, with fewer --workers if memory is short"
)


@pytest.mark.faults
def test_a_killed_worker_is_a_clear_error() -> None:
    """The error names the task and the remedy."""
    with pytest.raises(GenpredictError, match=TEXT):
        list(run_in_order(die, [0, 1, 2, 3], workers=2))


@pytest.mark.faults
def test_a_worker_killed_while_the_consumer_is_busy_is_a_clear_error() -> None:
    """Also where the death is met in handing out the next task."""
    results = run_in_order(die, [0, *[2] * 3, 1, *[3] * 40], workers=2)

    def consume() -> None:
        for _ in results:
            time.sleep(0.4)

    with pytest.raises(GenpredictError, match=TEXT):
        consume()


@pytest.mark.faults
def test_workers_killed_while_idle_are_a_clear_error() -> None:
    """All tasks handed out are done, none of them is to blame; a task is still to be done."""
    results = run_in_order(square, list(range(3, 40)), workers=2)
    assert next(results) == 9
    time.sleep(0.5)
    for pid in descendants():
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.5)
    with pytest.raises(GenpredictError, match=r"a worker process died.*run the same command again"):
        list(results)


def test_a_consumer_that_stops_leaves_no_process() -> None:
    """Ctrl-C while tasks of ten minutes are under way: all is over at once."""
    results = run_in_order(slow, list(range(8)), workers=2)

    def consume() -> None:
        for _ in results:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), closing(results):
        consume()
    assert not descendants()


ORPHANS = """
import os, sys, time
from pathlib import Path
from genpredict.engine import run_in_order

def work(task):
    Path(os.environ["FOLDER"], str(os.getpid())).touch()
    time.sleep(600)

if __name__ == "__main__":
    list(run_in_order(work, [1, 2], workers=2))
"""


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that waits to be buried does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.faults
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
def test_workers_of_a_killed_parent_end(tmp_path: Path) -> None:
    """They do not go on for ever with nobody to take their results."""
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    folder = tmp_path / "pids"
    folder.mkdir()
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "FOLDER": str(folder)},
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: len(list(folder.iterdir())) == 2)
    parent.kill()
    parent.wait()
    workers = [int(entry.name) for entry in folder.iterdir()]
    wait_for(lambda: not any(map(is_alive, workers)))


def wait_for(happens: object, seconds: float = 60) -> None:
    """Wait until something has happened."""
    end = time.monotonic() + seconds
    while not happens():  # type: ignore[operator]
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)
