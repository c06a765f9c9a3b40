"""`genpredict score` on a folder of hostile files and one good one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hostile_files import archive, nested_archive, safetensors, torch_legacy, torch_zip
from hostile_pickles import attacks, inert_lies

import genpredict
from genpredict.checkpoints import Checkpoint
from genpredict.checkpoints.nats.cache_files import write_cached
from genpredict.cli.app import run

RUN = "from genpredict.cli import main; main()"


def test_hostile_files_are_failed_rows_and_others_go_on(tmp_path: Path) -> None:
    """Every hostile file is one row that says why; the good one is scored; exit code 3."""
    source, canary = tmp_path / "source", tmp_path / "canary"
    source.mkdir()
    tricks = attacks(canary) | inert_lies()
    writers = (torch_zip, torch_legacy)
    for number, (trick, pickled) in enumerate(tricks.items()):
        writers[number % 2](source / f"{number}.pt", pickled)
        write = archive if number % 2 else nested_archive
        write(source / f"{number:06d}.pickle.pbz2", tricks[trick])
    safetensors(source / "lies.safetensors", {"c": {"dtype": "F32", "data_offsets": ["a", "b"]}})
    good = torch.from_numpy(np.random.default_rng(0).normal(size=(8, 4)))
    torch.save({"c.weight": good}, source / "good.pt")
    store = tmp_path / "scores.zarr"
    command = [sys.executable, "-c", RUN, "score", str(source), "-o", str(store), "--workers", "1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    scores = genpredict.open_scores(store)
    states = dict(zip(scores["checkpoint"].values, scores["status"].values, strict=True))
    assert states.pop("good.pt") == "done"
    assert set(states.values()) == {"failed"}
    assert len(states) == 2 * len(tricks) + 1
    assert all(scores["error"].values[scores["status"].values == "failed"])
    assert not canary.exists()


def cached(path: Path, **changed: object) -> None:
    """Write a cache of one good network, some of its metadata changed."""
    metadata: Any = {"network": "8:8", "dataset": "cifar10", "epoch": 12, "seed": 777} | changed
    weights = {"c.weight": torch.arange(6.0).reshape(2, 3)}
    network = Checkpoint("a/cifar10/12/777", "a.pbz2", metadata, lambda: weights)
    write_cached(path, "a", [network], source_size=1, selection="")


def run_checkpoint(folder: Path, **metadata: object) -> None:
    """Write a run of one good network that says this of itself."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.toml").write_text("")
    entry = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    header = {"__metadata__": {"genpredict": json.dumps(metadata)}, "c.weight": entry}
    numbers = np.arange(6, dtype="<f4").tobytes()
    safetensors(folder / "checkpoints" / "epoch-001.safetensors", header, numbers)


def test_wrong_values_are_failed_rows(tmp_path: Path) -> None:
    """A text for a number, a number without end, a list, a column of ones own: each fails alone."""
    wrong = {
        "test_accuracy": "high", "seed": 10**400, "flops": [1], "learning_rate": "fast",
        "status": "done", "colour": "red", "epoch": None,
    }  # fmt: skip
    source = tmp_path / "source"
    source.mkdir()
    for number, (name, value) in enumerate(wrong.items()):
        cached(source / f"{number:06d}.cache.safetensors", **{name: value})
    cached(source / "000099.cache.safetensors")
    run_checkpoint(source / "run1", epoch="last")
    run_checkpoint(source / "run2", epoch=3, tag="x")
    run_checkpoint(source / "run3", epoch=3, tag=7)
    assert run(["score", str(source), "-o", str(tmp_path / "s.zarr"), "--workers", "1"]) == 3
    scores = genpredict.open_scores(tmp_path / "s.zarr")
    errors = dict(zip(scores["checkpoint"].values, scores["error"].values, strict=True))
    for number, name in enumerate(wrong):
        assert f"{number:06d}.cache.safetensors" in errors[f"{number:06d}"], name
        assert name in errors[f"{number:06d}"], name
    assert "epoch-001.safetensors" in errors["run1/checkpoints/epoch-001.safetensors"]
    assert "epoch" in errors["run1/checkpoints/epoch-001.safetensors"]
    done = scores["checkpoint"].values[scores["status"].values == "done"].tolist()
    good = [f"run{n}/checkpoints/epoch-001.safetensors" for n in (2, 3)]
    assert sorted(done) == ["000099/cifar10/12/777", *good]
    tags = scores["tag"].to_series()
    assert tags[good].tolist() == ["x", "7"]
