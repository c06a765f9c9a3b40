"""Tasks on a Dask cluster: the bytes of a local run, and a clear end whatever dies."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import zarr
from test_score_job import contents, run, save_archive, save_networks

from genpredict.checkpoints import open_checkpoints
from genpredict.cli import run as run_command
from genpredict.errors import GenpredictError
from genpredict.jobs import dask_engine, units
from genpredict.jobs.dask_engine import connected, score_on_dask
from genpredict.jobs.score_job import Outcome
from genpredict.jobs.spool import Spool
from genpredict.locking import LockedError, locked
from genpredict.scoring import Options
from genpredict.store.writing import lock_of

distributed: Any = pytest.importorskip("distributed")
# what Dask says and leaves behind when its processes are killed is no business of these tests
pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
    pytest.mark.filterwarnings("ignore:.*distributed:"),
]


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give files and archives in five units, one file broken."""
    monkeypatch.setattr(units, "UNIT_ITEMS", 2)
    folder = save_networks(tmp_path / "nets", 6)
    (folder / "n004.pt").write_bytes(b"no checkpoint")
    for index in (3, 77, 4000, 4001):
        save_archive(folder / "nats", index)
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Give a cluster of two processes, which forgives a task no dead worker."""
    import dask

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as cluster,
    ):  # fmt: skip
        yield cluster


def score(path: Path, source: Path, scheduler: str | None, **options: Any) -> Outcome:
    """Score on a cluster."""
    options = {"attrs": {"command": "test"}, "chunk_size": 4, "task_timeout": 120} | options
    chosen = options.pop("options", Options(device="cpu"))
    return score_on_dask(path, open_checkpoints(source), chosen, scheduler=scheduler, **options)


def test_a_cluster_against_this_process(tmp_path: Path, source: Path, cluster: Any) -> None:
    """The same bytes; a rerun has nothing to do; nothing is left beside the store."""
    expected = run(tmp_path / "local.zarr", source, chunk_size=4)
    found = score(tmp_path / "dask.zarr", source, cluster.scheduler_address)
    assert found == expected
    assert contents(tmp_path / "dask.zarr") == contents(tmp_path / "local.zarr")
    assert score(tmp_path / "dask.zarr", source, cluster.scheduler_address).new == 0
    assert sorted(e.name for e in tmp_path.iterdir()) == ["dask.zarr", "local.zarr", "nets"]


def test_a_scheduler_file_and_what_shards_did(tmp_path: Path, source: Path, cluster: Any) -> None:
    """The command finds the scheduler by its file, and takes over what shards have measured."""
    file = tmp_path / "scheduler.json"
    # as ``dask scheduler`` writes it at its start; Client.write_scheduler_file adds what workers
    # report, and fails (TypeError) where one has done a task since it last did
    file.write_text(json.dumps(cluster.scheduler.identity(n_workers=0)))
    path = tmp_path / "s.zarr"
    command = ["score", str(source), "-o", str(path), "--device", "cpu"]
    assert run_command([*command, "--shard", "1/2"]) in (0, 3)
    assert run_command([*command, "--engine", "dask", "--scheduler", str(file)]) == 3
    run(tmp_path / "local.zarr", source, chunk_size=256)
    arrays = {k: v for k, v in contents(path).items() if k != "zarr.json"}
    assert arrays == {k: v for k, v in contents(tmp_path / "local.zarr").items() if k in arrays}


@pytest.mark.skipif(torch.cuda.is_available(), reason="this host has a CUDA device")
def test_the_device_is_that_of_the_workers(tmp_path: Path, source: Path, cluster: Any) -> None:
    """Here there is none: it is the tasks that miss it, not this process; the store names it."""
    path = tmp_path / "s.zarr"
    said = r"5 of 5 units .*device 'cuda' is not available here"
    with pytest.raises(GenpredictError, match=said):
        score(path, source, cluster.scheduler_address, options=Options(device="cuda"))
    assert dict(zarr.open_group(path, mode="r").attrs)["device"] == "cuda"
    with pytest.raises(GenpredictError, match=r"^device 'cuda' is not available here"):
        score(path, source, None, options=Options(device="cuda"))


def kill_worker(unit: units.Unit, **_: Any) -> None:
    """Kill the process that measures the third archive."""
    if any("4000" in item.id for item in unit.items):
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    return MEASURE(unit, **_)


MEASURE = dask_engine._task


def test_a_task_that_always_kills_its_worker(
    tmp_path: Path, source: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are done and kept; the error names it and what is left; a rerun finishes."""
    path = tmp_path / "s.zarr"
    with monkeypatch.context() as patch:
        patch.setattr(dask_engine, "_task", kill_worker)
        said = r"1 of 5 units of work are left to do, first .*004000.*: it killed every worker that"
        with pytest.raises(GenpredictError, match=said + r".*run the same command again to go on"):
            score(path, source, cluster.scheduler_address)
    assert not lock_of(path).exists()
    assert score(path, source, cluster.scheduler_address).done == 9
    run(tmp_path / "local.zarr", source, chunk_size=4)
    assert contents(path) == contents(tmp_path / "local.zarr")


def fail(unit: units.Unit, **_: Any) -> None:
    """Raise, as a worker whose disk is full."""
    raise OSError(28, "No space left on device")


def hang(unit: units.Unit, **_: Any) -> None:
    """Do nothing for longer than anybody waits."""
    time.sleep(20)


def test_tasks_that_fail_or_hang(
    tmp_path: Path, source: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says why, and how much is left; waiting ends after the time-out."""
    path = tmp_path / "s.zarr"
    monkeypatch.setattr(dask_engine, "_task", fail)
    with pytest.raises(GenpredictError, match=r"5 of 5 units .*OSError: .*No space left"):
        score(path, source, cluster.scheduler_address)
    monkeypatch.setattr(dask_engine, "_task", hang)
    said = r"no unit of work was done for 1 s on the Dask cluster; 5 are left to do, first .*go on"
    with pytest.raises(GenpredictError, match=said):
        score(path, source, cluster.scheduler_address, task_timeout=1)


SCHEDULER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.readline()
"""


@pytest.mark.slow
def test_a_lost_scheduler(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the middle: a clear end soon, and a rerun elsewhere finishes."""
    monkeypatch.setattr("genpredict.jobs.dask_board.PATIENCE", 3.0)
    monkeypatch.setattr(dask_engine, "_task", hang)
    script, here = tmp_path / "scheduler.py", Path(__file__).parent
    modules = os.pathsep.join([str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
    script.write_text(SCHEDULER)
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, env={**os.environ, "PYTHONPATH": modules},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        threading.Timer(4, process.kill).start()
        said = r"the Dask scheduler is gone; 5 units of work are left .* a scheduler that runs"
        with pytest.raises(GenpredictError, match=said):
            score(tmp_path / "s.zarr", source, address)
    assert run(tmp_path / "s.zarr", source, chunk_size=4).done == 9


# --- connecting ----------------------------------------------------------------------------------


def test_no_such_scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an address nor a file, and an address where nothing answers."""
    monkeypatch.setattr(dask_engine, "PATIENCE", 0.5)
    with (
        pytest.raises(GenpredictError, match=r"scheduler: 'nowhere' is neither an address such as"),
        connected("nowhere"),
    ):
        pytest.fail("connected")
    with (
        pytest.raises(GenpredictError, match=r"nothing answers at tcp://127\.0\.0\.1:1 "),
        connected("tcp://127.0.0.1:1"),
    ):
        pytest.fail("connected")


def test_a_cluster_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of it dies as it starts: a clear error."""

    def refuse(**_: Any) -> None:
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr(distributed, "LocalCluster", refuse)
    said = r"engine: the cluster of 3 local processes did not start \(Nanny failed to start\.\); "
    with pytest.raises(GenpredictError, match=said + r".*run the same command"), connected(None, 3):
        pytest.fail("connected")


def test_dask_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to get it."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(GenpredictError, match=r"pip install 'genpredict\[distributed\]'"),
        connected(None),
    ):
        pytest.fail("connected")


def test_a_shard_that_is_worked_on(tmp_path: Path, source: Path) -> None:
    """Refused, as for any whole run."""
    spool = Spool.of(tmp_path / "s.zarr", Options(device="cpu").attrs())
    spool.prepare()
    with locked(spool.lock_of("shard-1-of-2")), pytest.raises(LockedError, match="shard-1-of-2"):
        score(tmp_path / "s.zarr", source, None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--shard", "1/2", "--engine", "dask"], "a job array needs no Dask"),
        (["--scheduler", "s.json"], "is of use with --engine dask alone"),
    ],
)
def test_options_that_exclude_each_other(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    """Said before any work."""
    assert run_command(["score", str(source), "-o", str(tmp_path / "s.zarr"), *options]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "s.zarr").exists()
