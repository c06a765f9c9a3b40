"""Checkpoints of genpredict's own runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from genpredict import open_checkpoints
from genpredict.checkpoints.finding.runs import METADATA_KEY
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


@pytest.mark.parametrize("linked", [False, True])
def test_a_lone_file_of_a_run_says_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    """Given by itself, from within its folder, or by a link, it keeps what its header says."""
    path = write(tmp_path, metadata='{"epoch": 3, "test_accuracy": 91.5}')
    monkeypatch.chdir(path.parent)
    if linked:
        (tmp_path / "best.safetensors").symlink_to(path)
    sources = [tmp_path / "best.safetensors"] if linked else [path.name, ".", path]
    for source in sources:
        (found,) = open_checkpoints(source)
        assert found.metadata == {"epoch": 3, "test_accuracy": 91.5}, source


def test_lone_files_of_two_runs_are_named_apart(tmp_path: Path) -> None:
    """By the folders above, as any files of one name."""
    paths = [write(tmp_path / name, metadata='{"epoch": 3}') for name in "ab"]
    names = [one.id for one in open_checkpoints(paths)]
    assert names == [f"{name}/run/checkpoints/epoch-003.safetensors" for name in "ab"]


def test_a_manifest_needs_no_row_for_a_run(tmp_path: Path) -> None:
    """They describe themselves; files that do not are still missed."""
    write(tmp_path, metadata='{"epoch": 3}')
    save_file({"weight": torch.ones(3, 4)}, tmp_path / "other.safetensors")
    (tmp_path / "m.csv").write_text("path,network\n")
    (warning,) = open_checkpoints(tmp_path, manifest=tmp_path / "m.csv").warnings
    assert warning.endswith("m.csv: no row for other.safetensors")
