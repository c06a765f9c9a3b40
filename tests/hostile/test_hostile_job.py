"""`genpredict score` on a folder of hostile files and one good one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from hostile_files import archive, nested_archive, safetensors, torch_legacy, torch_zip
from hostile_pickles import attacks, inert_lies

import genpredict

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
