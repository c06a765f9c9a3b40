"""Jobs of the command line in processes of their own, to be disturbed in their middle."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from test_score_job import contents, save_archive, save_networks

psutil: Any = pytest.importorskip("psutil")
JOB = """
import sys
import time
from contextlib import contextmanager

from genpredict.cli import console, run
from genpredict.jobs import units

@contextmanager
def telling(total):
    print("begun", flush=True)
    yield tell

def tell(*numbers):
    print(*numbers, flush=True)
    time.sleep(0.2)  # a middle that is long beside the start, so that kills land in it

if __name__ == "__main__":
    units.UNIT_ITEMS = 2
    console.job_progress = telling
    sys.exit(run(sys.argv[1:]))
"""
#: Where a job ends when it is over, left to itself: some checkpoints failed.
SOME_FAILED = 3
FAILURES = ("n002.pt", "NATS-sss/000003", "NATS-sss/000005", "NATS-sss/000007")
ENGINES = {"local": (), "dask": ("--engine", "dask", "--task-timeout", "100")}


def make_sources(folder: Path) -> Path:
    """Write files and archives in nine units; broken, cut short and empty ones in the middle."""
    save_networks(folder, 6)
    (folder / "n002.pt").write_bytes(b"no checkpoint")
    for index in range(12):
        save_archive(folder / "nats", index, seeds=(777, 888), epochs=(12, 90))
    archives = sorted((folder / "nats").iterdir())
    archives[3].write_bytes(archives[3].read_bytes()[:4000])
    archives[5].write_bytes(b"")
    archives[7].write_bytes(b"noise" * 1000)
    return folder


class Job:
    """A running ``genpredict score`` that tells when it has begun, and of every unit.

    Parameters
    ----------
    folder : Path
        Where it runs; the store is ``s.zarr`` in it.
    source : Path
        What it scores.
    engine : {"local", "dask"}
        Two worker processes of either.
    """

    def __init__(self, folder: Path, source: Path, engine: str = "local") -> None:
        folder.mkdir(exist_ok=True)
        self.store, self.errors = folder / "s.zarr", folder / "errors.txt"
        script = folder / "job.py"
        script.write_text(JOB)
        command = [sys.executable, "job.py", "score", str(source), "-o", "s.zarr"]
        command += ["--device", "cpu", "--chunk-size", "4", "--workers", "2", *ENGINES[engine]]
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                command, cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True,
                start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
        assert self.line() == "begun", self.said

    def line(self) -> str:
        """Wait for the next word of the job; empty when it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip()

    @property
    def said(self) -> str:
        """What the job has said on stderr."""
        return self.errors.read_text()

    @property
    def workers(self) -> list[Any]:
        """The worker processes there are."""
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
            return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        except psutil.Error:
            return []

    def end(self) -> int:
        """Wait for the end of the job and of its workers; return its exit code."""
        workers = self.workers
        code = self.process.wait(timeout=300)
        assert self.process.stdout is not None
        self.process.stdout.close()
        _, alive = psutil.wait_procs(workers, timeout=60)
        for worker in alive:
            worker.kill()
        assert not alive
        return code


@dataclass
class Rhythm:
    """How long an undisturbed job takes (seconds): to its first unit, to the next one, in all."""

    first: float
    unit: float
    units: int

    def wait(self, job: Job, rng: random.Random) -> None:
        """Wait for a random moment in the middle of a job, or for its end."""
        if rng.random() < 0.3:
            time.sleep(rng.uniform(0, self.first))
            return
        for _ in range(rng.randint(1, self.units // 2)):  # fewer are left where a job goes on
            if not job.line():
                return
        time.sleep(rng.uniform(0, self.unit))


def undisturbed(folder: Path, source: Path, engine: str) -> tuple[Rhythm, dict[str, bytes]]:
    """Run a job to its end; return its rhythm and the bytes of its store."""
    job = Job(folder, source, engine)
    start, times = time.monotonic(), list[float]()
    while job.line():
        times.append(time.monotonic() - start)
    assert job.end() == SOME_FAILED, job.said
    unit = (times[-1] - times[0]) / (len(times) - 1)
    return Rhythm(times[0], unit, len(times)), contents(job.store)


def kill(job: Job, how: str) -> str:
    """Kill a job, or one of its workers, or press Ctrl-C; return how, empty where it is over."""
    workers = job.workers
    if job.process.poll() is not None or (how == "worker" and not workers):
        return ""
    if how == "worker":
        workers[0].kill()
    elif how == "ctrl-c":
        os.killpg(job.process.pid, signal.SIGINT)
    else:
        job.process.send_signal(signal.SIGKILL if how == "main" else signal.SIGINT)
    return how
