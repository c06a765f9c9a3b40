"""Processes killed at random moments: after a rerun, the bytes of an undisturbed run."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from disturbed_jobs import (
    ENGINES,
    FAILURES,
    SOME_FAILED,
    Job,
    Rhythm,
    kill,
    make_sources,
    undisturbed,
)
from test_score_job import contents, open_if_whole

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="signals and processes as on Linux"),
]
INTERRUPTED = 130
#: Jobs begun at most to disturb ten of them in their middle.
TRIES = 40
#: An engine, the rhythm of an undisturbed job on it, and the bytes of its store.
Whole = tuple[str, Rhythm, dict[str, bytes]]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give files and archives in nine units; broken, cut short and empty ones in the middle."""
    return make_sources(tmp_path_factory.mktemp("sources") / "nets")


@pytest.fixture(scope="module", params=list(ENGINES))
def whole(
    request: pytest.FixtureRequest, source: Path, tmp_path_factory: pytest.TempPathFactory
) -> Whole:
    """Give an engine, the rhythm of an undisturbed job on it, and the bytes of its store."""
    return run_undisturbed(request.param, source, tmp_path_factory.mktemp("whole"))


def run_undisturbed(engine: str, source: Path, folder: Path) -> Whole:
    """Run a job to its end, with nothing in its way."""
    if engine == "dask":
        pytest.importorskip("distributed")
    return engine, *undisturbed(folder, source, engine)


def disturb(folder: Path, source: Path, whole: Whole, how: str, times: int) -> None:
    """Begin jobs until so many were disturbed, then run one to its end; check the store always.

    A job that has ended before its moment leaves a whole store; the next one begins anew.
    """
    engine, rhythm, expected = whole
    rng, hits = random.Random(f"{engine} {how}"), 0
    for _ in range(TRIES):
        job = Job(folder, source, engine)
        rhythm.wait(job, rng)
        hit = was_hit(job, engine, kill(job, how))
        check_store(job.store)
        hits += hit
        if hits == times:
            break
        if not hit:
            assert contents(job.store) == expected
            shutil.rmtree(job.store)
    assert hits == times
    job = Job(folder, source, engine)
    assert job.end() == SOME_FAILED
    assert contents(job.store) == expected
    assert all(f"failed: {name}: " in job.said for name in FAILURES)
    left = {"errors.txt", "job.py", "s.zarr"}
    assert {entry.name for entry in folder.iterdir()} == left


def was_hit(job: Job, engine: str, how: str) -> bool:
    """Return whether a job was hit before its end; assert that it then says so in plain words."""
    code, said = job.end(), job.said
    if code == 1:
        assert how == "worker"
        assert "run the same command again to go on" in said
    elif code == INTERRUPTED:
        assert how.startswith("ctrl-c")
        assert "genpredict: interrupted; the same command goes on where it stopped" in said
    elif code == -signal.SIGKILL:
        assert how == "main"
    elif code == -signal.SIGINT:  # pressed as Python was ending, when all was said and done
        assert "; look at it with `genpredict show s.zarr`" in said
        return False
    else:
        assert code == SOME_FAILED
    if engine == "local":
        assert "Traceback" not in said
        return code != SOME_FAILED
    return code != SOME_FAILED or how == "worker"  # Dask starts others


def check_store(path: Path) -> None:
    """Assert that nothing marked done is incomplete."""
    if (path / "status" / "zarr.json").exists() and (scores := open_if_whole(path)) is not None:
        done = scores.isel(checkpoint=(scores["status"] == "done").values)
        assert bool(done["Q"].notnull().all())


HOW = ("main", "worker", "ctrl-c", "ctrl-c of main")


@pytest.mark.slow
@pytest.mark.parametrize("how", HOW)
def test_disturbed_ten_times_against_an_undisturbed_job(
    tmp_path: Path, source: Path, whole: Whole, how: str
) -> None:
    """SIGKILL of the main process or of a worker, Ctrl-C: the bytes of an undisturbed store.

    Ctrl-C goes to all processes of a terminal, SIGINT by hand to the main process alone. In between
    nothing marked done is incomplete; no process is left; in the end all failures are named.
    """
    disturb(tmp_path / "job", source, whole, how, 10)


def test_disturbed_against_an_undisturbed_job(tmp_path: Path, source: Path) -> None:
    """A worker killed, on local processes: a clear end, a rerun finishes."""
    whole = run_undisturbed("local", source, tmp_path / "whole")
    disturb(tmp_path / "job", source, whole, "worker", 1)


CRASHES = Path(__file__).with_name("crash_points.py")


def crash(kind: str, folder: Path, rounds: int) -> int:
    """Kill jobs at random operations on files; return how many."""
    folder.mkdir()
    tests = [str(CRASHES.parent), str(CRASHES.parent.parent), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, str(CRASHES), kind, str(folder), "0", str(rounds)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(tests), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return int(done.stdout)


def test_killed_at_operations_on_files(tmp_path: Path) -> None:
    """Just before a file is written, renamed or removed: the bytes of an undisturbed store."""
    assert crash("whole", tmp_path / "crashes", 4) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whole", "shards", "merge"])
def test_killed_at_many_operations_on_files(tmp_path: Path, kind: str) -> None:
    """Whole jobs, shards that measure or join, merges: the bytes of undisturbed ones."""
    assert crash(kind, tmp_path / "crashes", 60) >= 60
