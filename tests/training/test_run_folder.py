"""Run folders: what damage says, what a kill leaves, one process at a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import xarray as xr
from broken_runs import Interrupter, assert_same_result
from safetensors.torch import load_file

import genpredict
from genpredict.checkpoints import open_checkpoints
from genpredict.checkpoints.finding.runs import HISTORY, RUN_FILE, initial_of
from genpredict.errors import GenpredictError
from genpredict.locking import locked
from genpredict.networks import build_network
from genpredict.training import Run, complete, sweep, train
from genpredict.training.run_folder import STATE, SUMMARY

TINY: dict[str, Any] = {
    "optimizer": "rmsgd",
    "epochs": 2,
    "num_train": 60,
    "batch_size": 30,
    "threads": 1,
    "checkpoint_epochs": (1,),
}
#: Files that such a run writes, in this order: settings, initial weights, history of epoch 0, then
#: for each of two epochs history, checkpoint and state, then the summary.
WRITES = 10


class Killed(BaseException):
    """Ends a run as SIGKILL would: nothing catches it."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that nothing has disturbed."""
    return train(tmp_path_factory.mktemp("whole"), **TINY)


def copied(run: Run, folder: Path) -> Run:
    """Copy a run, to damage it."""
    for path in run.path.rglob("*"):
        if path.is_file():
            target = folder / run.id / path.relative_to(run.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return Run(folder / run.id)


@pytest.mark.faults
@pytest.mark.parametrize("write", range(WRITES))
def test_a_kill_between_any_two_writes_changes_nothing(
    tmp_path: Path, whole: Run, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    """With a file half put in its place, too; the same call ends with the same bits."""
    replace, count = Path.replace, 0

    def replace_or_die(path: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count > write:
            raise Killed
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace_or_die)
        with pytest.raises(Killed):
            train(tmp_path, **TINY)
    assert len(list(tmp_path.rglob("*.partial"))) == 1
    assert_same_result(train(tmp_path, **TINY), whole)
    assert not list(tmp_path.rglob("*.partial"))


def test_a_run_writes_as_often_as_the_test_before_believes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file is on the disk before it takes its place."""
    replace, sync = Path.replace, os.fsync
    heard: list[str] = []

    def heard_sync(handle: int) -> None:
        heard.append("sync")
        sync(handle)

    def heard_replace(path: Path, target: Path) -> Path:
        heard.append("replace")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", heard_sync)
    monkeypatch.setattr(Path, "replace", heard_replace)
    train(tmp_path, **TINY)
    assert heard == ["sync", "replace"] * WRITES


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"epochs": 3}', b"3"])
def test_a_damaged_summary_is_named(tmp_path: Path, whole: Run, content: bytes) -> None:
    """With what to do about it; as the outcome of a sweep it stops no other run."""
    run = copied(whole, tmp_path)
    (run.path / SUMMARY).write_bytes(content)
    with pytest.raises(GenpredictError, match=r"summary\.json: damaged \(.+\); delete the folder"):
        _ = run.summary
    outcomes = sweep([run.settings, complete(TINY | {"seed": 1})], tmp_path, workers=1)
    assert [outcome.status for outcome in outcomes] == ["failed", "finished"]
    assert "summary.json: damaged" in outcomes[0].message


@pytest.mark.parametrize("kept", [0, 3, 40, 500, 3000])
def test_a_damaged_history_is_named(tmp_path: Path, whole: Run, kept: int) -> None:
    """Cut off anywhere: in the magic number, in the header, in the data."""
    run = copied(whole, tmp_path)
    path = run.path / HISTORY
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(GenpredictError, match=r"history\.nc: damaged \(.+\); delete the folder"):
        _ = run.history


def test_a_history_of_something_else_is_named(tmp_path: Path, whole: Run) -> None:
    """A file that can be read, but is no history."""
    run = copied(whole, tmp_path)
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(run.path / HISTORY, engine="scipy")
    with pytest.raises(GenpredictError, match=r"history\.nc: damaged \(no history of a run\)"):
        _ = run.history


@pytest.mark.parametrize("content", [b"network = ", b"\xff", b"network = 3\n", b""])
def test_damaged_settings_are_named(tmp_path: Path, whole: Run, content: bytes) -> None:
    """No TOML, no text, no settings, nothing."""
    run = copied(whole, tmp_path)
    (run.path / RUN_FILE).write_bytes(content)
    with pytest.raises(GenpredictError, match=r"config\.toml: no settings of a run .*delete"):
        _ = run.settings


def test_a_run_whose_history_is_gone_cannot_go_on(tmp_path: Path) -> None:
    """It says so, instead of leaving epochs out."""
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, watcher=Interrupter(1, 1), **TINY)
    (path,) = tmp_path.glob(f"*/{HISTORY}")
    Run(path.parent).write_history(Run(path.parent).history.isel(epoch=[0]))
    for gone in (False, True):
        if gone:
            path.unlink()
        with pytest.raises(GenpredictError, match=r"history\.nc: lacks epoch 1, .*delete the fold"):
            train(tmp_path, **TINY)


def test_two_processes_are_not_at_one_run(tmp_path: Path) -> None:
    """The second is told who is; nothing of the run has changed."""
    settings = complete(TINY)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, watcher=Interrupter(1, 1), **TINY)
    run = Run(tmp_path / settings.id)
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}
    with (
        locked(tmp_path / f"{run.id}.lock"),
        pytest.raises(GenpredictError, match=rf"{run.id}: process {os.getpid()} on host"),
    ):
        train(tmp_path, **TINY)
    assert before == {p: p.stat().st_mtime_ns for p in run.path.rglob("*") if p.is_file()}
    assert (run.path / STATE).exists()


def test_checkpoints_come_in_the_order_of_epochs(tmp_path: Path) -> None:
    """Beyond 999, too."""
    run = Run(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    for epoch in (1000, 2, 999, 10000):
        (tmp_path / "checkpoints" / f"epoch-{epoch:03d}.safetensors").touch()
    assert [int(path.stem[6:]) for path in run.checkpoints] == [2, 999, 1000, 10000]


def test_initial_weights_against_the_seed(whole: Run) -> None:
    """A run keeps the weights it started from, which are no checkpoint of it."""
    initial = initial_of(whole.checkpoints[0])
    assert initial is not None
    with torch.random.fork_rng():
        torch.manual_seed(whole.settings.seed)
        expected = build_network("digits_cnn").state_dict()
    kept = load_file(initial)
    assert kept.keys() == expected.keys()
    assert all(torch.equal(kept[name], tensor) for name, tensor in expected.items())
    found = open_checkpoints(whole.path.parent)
    assert [item.path for item in found.items] == whole.checkpoints
    assert not found.warnings


def test_the_lock_of_a_run_that_was_killed_once_it_was_over_does_not_stay(tmp_path: Path) -> None:
    """Asked for again, the run removes it; one that somebody holds stays."""
    settings = {"network": "digits_cnn", "dataset": "digits", "epochs": 1, "num_train": 20}
    run = genpredict.train(tmp_path, progress=False, **settings)
    lock = tmp_path / f"{run.id}.lock"
    lock.write_text('{"host": "gone", "pid": 1}')
    genpredict.train(tmp_path, progress=False, **settings)
    assert not lock.exists()
    with run.held():
        genpredict.train(tmp_path, progress=False, **settings)
        assert lock.exists()
