"""Run a command and account for all of its processes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

#: The command line, in this very interpreter.
GENPREDICT = [sys.executable, "-c", "from genpredict.cli import main; main()"]


@dataclass(frozen=True)
class Usage:
    """What a command used: seconds, CPU seconds of all processes, MB of each at its peak."""

    wall: float
    cpu: float
    peaks: tuple[float, ...] = ()

    def less(self, other: Usage) -> Usage:
        """Return the difference of the times."""
        return Usage(self.wall - other.wall, self.cpu - other.cpu)


def run(command: list[str]) -> Usage:
    """Run a command, one thread a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        peaks: dict[int, float] = {}
        watcher = threading.Thread(target=watch, args=(process, peaks))
        watcher.start()
        _, said = process.communicate()
        watcher.join()
    wall = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{said}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Usage(wall, cpu, tuple(sorted(peaks.values(), reverse=True)))


def watch(process: subprocess.Popen[str], peaks: dict[int, float]) -> None:
    """Note the largest resident set of a process and all below it until it ends (Linux)."""
    while process.poll() is None:
        for pid in descendants(process.pid):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            for line in status.splitlines():
                if line.startswith("VmHWM"):
                    peaks[pid] = int(line.split()[1]) / 1024
        time.sleep(0.2)


def descendants(pid: int) -> list[int]:
    """List a process and all below it."""
    found = [pid]
    for one in found:
        try:
            tasks = list(Path(f"/proc/{one}/task").iterdir())
        except OSError:
            continue
        for task in tasks:
            try:
                found += map(int, (task / "children").read_text().split())
            except OSError:
                continue
    return found
