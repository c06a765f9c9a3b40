"""Processes killed at random moments: after a rerun, the bytes of an undisturbed run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from test_score_job import contents, open_if_whole, run, save_archive, save_networks

from genpredict.jobs import units

psutil: Any = pytest.importorskip("psutil")
SCRIPT = """
import sys

def main():
    from pathlib import Path
    from genpredict.jobs import units
    from genpredict.checkpoints import open_checkpoints
    from genpredict.errors import GenpredictError
    from genpredict.scoring import Options
    from genpredict.jobs.score_job import score_into

    units.UNIT_ITEMS = 2
    try:
        score_into(
            Path(sys.argv[1]), open_checkpoints(sys.argv[2]), Options(device="cpu"), workers=2,
            chunk_size=4, attrs={"command": "test"}, progress=lambda *n: print(*n, flush=True),
        )
    except GenpredictError as error:
        sys.exit(f"ended: {error}")

if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give files and archives in nine units; broken, cut short and empty ones in the middle."""
    monkeypatch.setattr(units, "UNIT_ITEMS", 2)
    folder = save_networks(tmp_path / "nets", 6)
    (folder / "n002.pt").write_bytes(b"no checkpoint")
    for index in range(12):
        save_archive(folder / "nats", index, seeds=(777, 888), epochs=(12, 90))
    archives = sorted((folder / "nats").iterdir())
    archives[3].write_bytes(archives[3].read_bytes()[:4000])
    archives[5].write_bytes(b"")
    archives[7].write_bytes(b"noise" * 1000)
    return folder


def begin(tmp_path: Path, path: Path, source: Path) -> subprocess.Popen[str]:
    """Start a run with two workers."""
    script = tmp_path / "job.py"
    script.write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, str(script), str(path), str(source)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def workers_of(process: subprocess.Popen[str]) -> list[Any]:
    """Return the pool's processes, once they are there."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


def disturb(process: subprocess.Popen[str], how: str, rng: random.Random) -> str:
    """Wait a moment, then kill the main process or a worker, or press Ctrl-C; return stderr."""
    end = time.monotonic() + rng.uniform(1, 12)
    while time.monotonic() < end and process.poll() is None:
        time.sleep(0.05)
    if how == "worker":
        for worker in workers_of(process)[:1]:
            worker.kill()
    else:
        process.send_signal(signal.SIGKILL if how == "main" else signal.SIGINT)
    children = workers_of(process)
    _, said = process.communicate(timeout=120)
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
    return said


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals as on Linux and macOS")
@pytest.mark.parametrize("how", ["main", "worker", "ctrl-c"])
def test_killed_ten_times_against_an_undisturbed_run(
    tmp_path: Path, source: Path, how: str
) -> None:
    """Nothing marked done is incomplete in between; failures are named; no process is left."""
    run(tmp_path / "whole.zarr", source, chunk_size=4)
    path, rng = tmp_path / "s.zarr", random.Random(how)
    for _ in range(10):
        said = disturb(begin(tmp_path, path, source), how, rng)
        assert "Traceback" not in said
        if (path / "status" / "zarr.json").exists() and (scores := open_if_whole(path)):
            done = scores.isel(checkpoint=(scores["status"] == "done").values)
            assert bool(done["Q"].notnull().all())
    outcome = run(path, source, chunk_size=4)
    assert contents(path) == contents(tmp_path / "whole.zarr")
    names = {name for name, _ in outcome.failures}
    assert names == {"n002.pt", "NATS-sss/000003", "NATS-sss/000005", "NATS-sss/000007"}
