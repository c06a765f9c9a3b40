"""Checkpoints of genpredict's own runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from genpredict import open_checkpoints
from genpredict.checkpoints.runs import METADATA_KEY
from genpredict.errors import CheckpointError


def write(folder: Path, *, metadata: str | None, config: bool = True) -> Path:
    """Write a run folder with one checkpoint."""
    path = folder / "run" / "checkpoints" / "epoch-003.safetensors"
    path.parent.mkdir(parents=True)
    if config:
        (folder / "run" / "config.toml").write_text("", encoding="utf-8")
    header = None if metadata is None else {METADATA_KEY: metadata}
    save_file({"weight": torch.ones(3, 4)}, path, metadata=header)
    return path


def test_a_runs_checkpoint_says_what_it_is(tmp_path: Path) -> None:
    """Coordinates and targets come from its header."""
    known = {"network": "resnet20", "epoch": 3, "seed": 0, "test_accuracy": 91.5}
    path = write(tmp_path, metadata=json.dumps(known))
    (found,) = open_checkpoints(tmp_path)
    assert found.id == "run/checkpoints/epoch-003.safetensors"
    assert found.metadata == known
    assert found.source == str(path)
    assert list(found.tensors()) == ["weight"]


def test_without_metadata_or_run_it_is_a_file_like_any_other(tmp_path: Path) -> None:
    """Nothing is known of it; nothing is made up."""
    write(tmp_path / "a", metadata=None)
    write(tmp_path / "b", metadata='{"epoch": 3}', config=False)
    assert [dict(one.metadata) for one in open_checkpoints(tmp_path)] == [{}, {}]


@pytest.mark.parametrize("text", ["{", "[1]", '{"epoch": [1]}', '{"epoch": null}'])
def test_metadata_that_are_no_table_are_refused(tmp_path: Path, text: str) -> None:
    """Naming the file and the remedy."""
    write(tmp_path, metadata=text)
    with pytest.raises(CheckpointError, match=r"epoch-003.*metadata .*train again"):
        list(open_checkpoints(tmp_path))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """Whatever safetensors says of it."""
    path = write(tmp_path, metadata="{}")
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(CheckpointError, match=r"epoch-003.*damaged"):
        list(open_checkpoints(tmp_path))
