from __future__ import annotations

import errno
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from genpredict.checkpoints import open_checkpoints
from genpredict.checkpoints.nats.indices import parse_indices
from genpredict.errors import CheckpointError, GenpredictError
from genpredict.layers import count_parameters, select_layers

WEIGHTS = {"conv.weight": torch.randn(4, 3, 3, 3), "fc.weight": torch.randn(2, 4)}


def save(path: Path, weights: Any = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file(weights or WEIGHTS, path)
    else:
        torch.save(weights or WEIGHTS, path)
    return path


def ids(*sources: Path) -> list[str]:
    return [item.id for item in open_checkpoints(list(sources)).items]


@pytest.mark.parametrize(
    "suffix", [".pt", ".pth", ".th", ".ckpt", ".bin", ".tar", ".pth.tar", ".safetensors", ".PTH"]
)
def test_every_suffix(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"net{suffix}")
    for source in (path, tmp_path, str(path)):
        (checkpoint,) = open_checkpoints(source)
        assert checkpoint.id == f"net{suffix}"
        assert checkpoint.source == str(path)
        tensors = checkpoint.tensors()
        assert set(tensors) == set(WEIGHTS)
        assert all(torch.equal(tensors[name], WEIGHTS[name]) for name in WEIGHTS)


def test_folders_are_searched_in_natural_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("e10.pt", "e9.pt", "b/x.pt", "b/c/y.pt", "a/z.pt"):
        save(tmp_path / name)
    for name in ("README.md", "manifest.csv", "optimizer.pt", "b/training_args.bin",
                 "scheduler.pt", "rng_state.pth", "rng_state_0.pth", ".hidden.pt"):  # fmt: skip
        (tmp_path / name).write_text("not weights")
    save(tmp_path / ".ipynb_checkpoints" / "e9.pt")
    expected = ["e9.pt", "e10.pt", "a/z.pt", "b/x.pt", "b/c/y.pt"]
    assert ids(tmp_path) == expected
    monkeypatch.chdir(tmp_path)
    assert ids(Path()) == expected


def test_items_know_their_files(tmp_path: Path) -> None:
    path = save(tmp_path / "a" / "n.pt")
    (item,) = open_checkpoints(tmp_path).items
    assert (item.path, item.size, item.rows_known) == (path, path.stat().st_size, True)
    copy = pickle.loads(pickle.dumps(item))
    assert copy == item
    assert list(next(copy.read()).tensors()) == list(WEIGHTS)


def test_files_are_opened_late(tmp_path: Path) -> None:
    """A damaged file is found, named and yielded; loading its tensors is what fails."""
    (tmp_path / "bad.pt").write_bytes(b"PK not a zip")
    (checkpoint,) = open_checkpoints(tmp_path)
    assert checkpoint.id == "bad.pt"
    with pytest.raises(CheckpointError, match=r"bad\.pt: truncated or damaged"):
        checkpoint.tensors()


def test_clashing_ids_take_the_names_of_folders(tmp_path: Path) -> None:
    one = save(tmp_path / "x" / "run1" / "net.pt")
    two = save(tmp_path / "x" / "run2" / "net.pt")
    three = save(tmp_path / "y" / "run1" / "net.pt")
    other = save(tmp_path / "y" / "other.pt")
    assert ids(one, two) == ["run1/net.pt", "run2/net.pt"]
    assert ids(one.parent, two.parent, other) == ["run1/net.pt", "run2/net.pt", "other.pt"]
    assert ids(one, two, three) == ["x/run1/net.pt", "run2/net.pt", "y/run1/net.pt"]


def test_a_file_given_twice_is_taken_once(tmp_path: Path) -> None:
    path = save(tmp_path / "net.pt")
    (tmp_path / "best.pt").symlink_to("net.pt")
    sources = open_checkpoints([tmp_path, path])
    assert [item.id for item in sources.items] == ["best.pt"]
    assert len(sources.warnings) == 2
    assert "the same file as" in sources.warnings[0]


def test_links(tmp_path: Path) -> None:
    """Links within the source are followed to files, others are reported."""
    outside = save(tmp_path / "outside" / "o.pt")
    inside = save(tmp_path / "in" / "store" / "i.bin").rename(tmp_path / "in" / "store" / "blob")
    (tmp_path / "in" / "i.pt").symlink_to(inside)
    (tmp_path / "in" / "o.pt").symlink_to(outside)
    (tmp_path / "in" / "folder").symlink_to(outside.parent)
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "broken.pt").symlink_to(tmp_path / "none.pt")
    (tmp_path / "in" / "circle.pt").symlink_to("circle.pt")
    sources = open_checkpoints(tmp_path / "in")
    assert [item.id for item in sources.items] == ["i.pt"]
    broken, circle, folder, other = sorted(sources.warnings)
    assert "broken link to" in broken
    assert "broken link to circle.pt" in circle
    assert "link out of the source, not followed; add" in folder
    assert "o.pt" in other
    (tmp_path / "linked").symlink_to(tmp_path / "in")
    assert ids(tmp_path / "linked") == ["i.pt"]


def test_file_names_need_not_be_text(tmp_path: Path) -> None:
    save(tmp_path / "plain.pt").rename(tmp_path / os.fsdecode(b"caf\xe9.pt"))
    assert ids(tmp_path) == ["caf\N{REPLACEMENT CHARACTER}.pt"]
    assert len(next(iter(open_checkpoints(tmp_path))).tensors()) == 2


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_shards_are_one_checkpoint(tmp_path: Path, suffix: str) -> None:
    shards = write_shards(tmp_path, suffix)
    for source in (tmp_path, tmp_path / f"net{suffix}.index.json"):
        (checkpoint,) = open_checkpoints(source)
        assert checkpoint.id == f"net{suffix}"
        assert list(checkpoint.tensors()) == ["conv.weight", "fc.weight"]
    (item,) = open_checkpoints(tmp_path).items
    assert item.size == sum(file.stat().st_size for file in tmp_path.iterdir())
    (tmp_path / shards[1]).unlink()
    with pytest.raises(CheckpointError, match=f"{shards[1]}: no such file"):
        checkpoint.tensors()


def test_a_shard_alone_is_refused(tmp_path: Path) -> None:
    shards = write_shards(tmp_path, ".safetensors")
    (tmp_path / "net.safetensors.index.json").unlink()
    assert ids(tmp_path) == shards
    for source in (tmp_path, tmp_path / shards[0]):
        with pytest.raises(CheckpointError, match=r"one shard of several.*\.index\.json"):
            next(iter(open_checkpoints(source))).tensors()


def write_shards(folder: Path, suffix: str, stem: str = "net") -> list[str]:
    names = [f"{stem}-0000{n}-of-00002{suffix}" for n in (1, 2)]
    weight_map = {}
    for name, (key, tensor) in zip(names, WEIGHTS.items(), strict=True):
        save(folder / name, {f"module.{key}": tensor})
        weight_map[f"module.{key}"] = name
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / f"{stem}{suffix}.index.json").write_text(json.dumps(index))
    return names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not an index of shards"),
        ("[]", "not an index of shards"),
        ('{"weight_map": []}', "not an index of shards"),
        ('{"weight_map": {"w": "../x.safetensors"}}', "names a shard outside its folder"),
        ('{"weight_map": {"missing": "s-00001-of-00001.safetensors"}}', "missing first; fetch"),
    ],
)
def test_bad_indices_fail_when_read(tmp_path: Path, text: str, message: str) -> None:
    save(tmp_path / "s-00001-of-00001.safetensors")
    (tmp_path / "s.safetensors.index.json").write_text(text)
    (checkpoint,) = open_checkpoints(tmp_path)
    assert checkpoint.id == "s.safetensors"
    with pytest.raises(CheckpointError, match=message):
        checkpoint.tensors()


def test_hugging_face_folders_are_one_checkpoint(tmp_path: Path) -> None:
    """Weights in one file or shards, both formats side by side, the folder named as the source."""
    for name in ("hub/bert", "hub/gpt", "hub/t5"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").write_text("{}")
    save(tmp_path / "hub/bert/model.safetensors")
    save(tmp_path / "hub/bert/pytorch_model.bin")
    save(tmp_path / "hub/bert/optimizer.pt")
    save(tmp_path / "hub/gpt/pytorch_model.bin")
    write_shards(tmp_path / "hub/t5", ".safetensors", "model")
    sources = open_checkpoints(tmp_path / "hub")
    assert [item.id for item in sources.items] == ["bert", "gpt", "t5"]
    assert all(set(checkpoint.tensors()) == set(WEIGHTS) for checkpoint in sources)
    assert ids(tmp_path / "hub" / "bert") == ["bert"]
    assert ids(tmp_path) == ["hub/bert", "hub/gpt", "hub/t5"]
    save(tmp_path / "b/bert/model.safetensors")
    (tmp_path / "b/bert/config.json").write_text("{}")
    assert ids(tmp_path / "hub/bert", tmp_path / "b/bert") == ["hub/bert", "b/bert"]
    (tmp_path / "m.csv").write_text("path,seed\nhub/bert,1\nhub/gpt/pytorch_model.bin,2\n")
    joined = open_checkpoints(tmp_path / "hub", manifest=tmp_path / "m.csv")
    assert [dict(c.metadata) for c in joined] == [{"seed": 1}, {"seed": 2}, {}]
    assert "no row for t5" in joined.warnings[-1]


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(GenpredictError, match="sources: none given; name at least one"):
        open_checkpoints([])
    with pytest.raises(GenpredictError, match="nowhere: no such file or folder; check the path"):
        open_checkpoints(tmp_path / "nowhere")
    with pytest.raises(GenpredictError, match=r"no checkpoints found \(.safetensors .*.pt .pth"):
        open_checkpoints(tmp_path)
    (tmp_path / "net.xyz").write_bytes(b"nothing known")
    with pytest.raises(
        GenpredictError, match=r"unknown kind of file; known are .*.pt .*.pickle.pbz2"
    ):
        open_checkpoints(tmp_path / "net.xyz")
    (tmp_path / "net.pt").symlink_to("none.pt")
    with pytest.raises(GenpredictError, match=r"no checkpoints found.*net\.pt: broken link"):
        open_checkpoints(tmp_path)
    save(tmp_path / "x.pt")
    with pytest.raises(GenpredictError, match="no NATS-Bench archive with such an index"):
        open_checkpoints(tmp_path, indices="0:3")
    with pytest.raises(GenpredictError, match="no NATS-Bench archive in the sources; nats_epochs"):
        open_checkpoints(tmp_path, nats_epochs=12)


def test_unreadable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(GenpredictError, match="folder cannot be read: Permission denied"):
        open_checkpoints(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5:5", "'5:5' is empty; stop must be greater"),
        ("a:b", "'a:b' is not understood; write 5, 1,4,9, start:stop"),
        ("", "is not understood"),
        ("-3", "is not understood"),
        ("1:9:0", "is not understood"),
        ([], "must be one or more numbers from 0"),
        ([-1], "must be one or more numbers from 0"),
    ],
)
def test_bad_selections_of_indices(text: Any, message: str) -> None:
    with pytest.raises(GenpredictError, match=message):
        parse_indices(text)


@given(st.integers(0, 99), st.integers(1, 99), st.integers(1, 9))
def test_indices_follow_python_ranges(start: int, length: int, step: int) -> None:
    stop = start + length
    assert parse_indices(f"{start}:{stop}:{step}") == set(range(start, stop, step))
    assert parse_indices(f"{start}, {start}:{stop}") == set(range(start, stop))
    assert parse_indices(range(start, stop)) == set(range(start, stop))


def test_published_networks(shared: Path) -> None:
    """Layer and parameter counts of the published ResNets and CNNs."""
    found = {}
    for checkpoint in open_checkpoints(shared / "data" / "checkpoints"):
        tensors = checkpoint.tensors()
        layers, _ = select_layers(tensors)
        kinds = [layer.kind for layer in layers]
        counts = (kinds.count("conv"), kinds.count("linear"), count_parameters(tensors))
        found[checkpoint.id] = counts
    assert len(found) == 14
    assert found["akamaster/resnet20-12fca82f.th"] == (19, 1, 269722)
    assert found["akamaster/resnet32-d509ac18.th"] == (31, 1, 464154)
    assert found["akamaster/resnet56-4bfd9763.th"] == (55, 1, 853018)
    assert {c for name, c in found.items() if name.startswith("basecnn/")} == {(4, 2, 655882)}


def test_pipes_are_no_checkpoints(tmp_path: Path) -> None:
    """In a folder passed over with a warning, by themselves refused; never opened."""
    os.mkfifo(tmp_path / "pipe.pt")
    torch.save({"w": torch.ones(2, 2)}, tmp_path / "n.pt")
    found = open_checkpoints(tmp_path)
    assert [item.id for item in found.items] == ["n.pt"]
    assert found.warnings == [f"{tmp_path / 'pipe.pt'}: a pipe or device, passed over"]
    with pytest.raises(GenpredictError, match=r"pipe\.pt: is a pipe or device, not a file"):
        open_checkpoints(tmp_path / "pipe.pt")


def test_patterns_and_home_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patterns are matched, sorted, ``~`` is the home folder, and no match is told."""
    for name in ("b.pt", "a.pt", "c.bin"):
        torch.save({"weight": torch.eye(3)}, tmp_path / name)
    assert [c.id for c in open_checkpoints(tmp_path / "*.pt")] == ["a.pt", "b.pt"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert [c.id for c in open_checkpoints("~/c.bin")] == ["c.bin"]
    with pytest.raises(GenpredictError, match=r"\*\.onnx: no file or folder matches this pattern"):
        open_checkpoints(tmp_path / "*.onnx")


def test_a_manifest_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A DataFrame is a manifest like a file: by column or index, missing cells unknown."""
    for name in ("a.pt", "b.pt"):
        torch.save({"weight": torch.eye(3)}, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame(
        {"path": ["a.pt", "b.pt"], "test_accuracy": [90.5, None], "lab": ["x", "y"]}
    )
    for manifest in (table, table.set_index("path")):
        found = {c.id: c.metadata for c in open_checkpoints(".", manifest=manifest)}
        assert found == {"a.pt": {"test_accuracy": 90.5, "lab": "x"}, "b.pt": {"lab": "y"}}
    with pytest.raises(GenpredictError, match=r"must be a path or a pandas DataFrame, got list"):
        open_checkpoints(".", manifest=[("a.pt", 90.5)])  # type: ignore[arg-type]
