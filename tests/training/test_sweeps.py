"""Sweeps: all runs, in any number of processes, killed and taken up again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from broken_runs import assert_same_result

import genpredict
from genpredict.errors import GenpredictError
from genpredict.training import Outcome, Run, spell_out, sweep

PLAN: dict[str, Any] = {
    "settings": {"epochs": 2, "num_train": 100, "batch_size": 50},
    "grid": {"optimizer": ["sgd", "rmsgd"], "seed": [0, 1]},
}
TOML = """
[settings]
epochs = {epochs}
num_train = 300
batch_size = 50

[grid]
optimizer = ["sgd", "rmsgd"]
seed = [0, 1]
"""


def test_every_run_of_a_plan_is_trained_and_reported(tmp_path: Path) -> None:
    """In the order of the plan; a second sweep has nothing to do and says the same."""
    heard: list[Outcome] = []
    outcomes = sweep(PLAN, tmp_path, workers=1, on_end=heard.append)
    assert [one.run.id for one in outcomes] == [run.id for run in spell_out(PLAN)]
    assert {one.status for one in outcomes} == {"finished"}
    assert heard == outcomes
    assert sweep(PLAN, tmp_path, workers=1) == outcomes


def test_results_do_not_depend_on_workers_or_shards(tmp_path: Path) -> None:
    """Two processes, or two shards one after the other: the same bits."""
    alone = sweep(PLAN, tmp_path / "alone", workers=1)
    together = sweep(PLAN, tmp_path / "together", workers=2)
    first = sweep(PLAN, tmp_path / "shards", workers=1, shard=(1, 2))
    second = sweep(PLAN, tmp_path / "shards", workers=1, shard=(2, 2))
    assert len(first) == len(second) == 2
    sharded = {one.run.id: one for one in first + second}
    for one, other in zip(alone, together, strict=True):
        assert_same_result(one.run, other.run)
        assert_same_result(one.run, sharded[one.run.id].run)


def test_a_run_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    """Its outcome says why; so does that of a run that diverges."""
    plan = {
        "settings": PLAN["settings"] | {"seed": 0},
        "grid": {"network": ["resnet0", "digits_cnn"], "optimizer": ["sgd"]},
        "hyperparameters": {"sgd": {"lr": [0.1, 1e30]}},
    }
    outcomes = sweep(plan, tmp_path, workers=1)
    assert [one.status for one in outcomes] == ["failed", "failed", "finished", "diverged"]
    assert "resnet0" in outcomes[0].message


@pytest.mark.parametrize("shard", [(0, 2), (3, 2)])
def test_a_shard_that_is_none_is_refused(shard: tuple[int, int]) -> None:
    """Counted from 1."""
    with pytest.raises(GenpredictError, match="shard: must be i/n with i from 1 to n"):
        sweep(PLAN, shard=shard)


def kill_after(command: list[str], seconds: float) -> None:
    """Start a command in a session of its own and kill all of it after a while."""
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.faults
@pytest.mark.parametrize(
    "seconds", [5.0, *(pytest.param(s, marks=pytest.mark.slow) for s in (3.0, 4.0, 6.5, 8.0))]
)
def test_a_killed_sweep_ends_with_the_same_results(tmp_path: Path, seconds: float) -> None:
    """SIGKILL to all its processes at some moment; the same command then goes on."""
    plan = tmp_path / "sweep.toml"
    plan.write_text(TOML.format(epochs=8), encoding="utf-8")
    whole = sweep(plan, tmp_path / "whole", workers=1)
    main = "from genpredict.cli import main; main()"
    command = [sys.executable, "-c", main, "sweep", str(plan), "--workers", "2", "-o"]
    kill_after([*command, str(tmp_path / "killed")], seconds)
    done = subprocess.run([*command, str(tmp_path / "killed")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for one in whole:
        assert_same_result(Run(tmp_path / "killed" / one.run.id), one.run)
    assert genpredict.score(tmp_path / "killed").sizes["checkpoint"] == 4
