from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from nats_archives import write_size_space_archive

from genpredict.checkpoints import CheckpointSources, open_checkpoints
from genpredict.checkpoints.finding.manifest import read_manifest
from genpredict.errors import GenpredictError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "runs" / "deep").mkdir(parents=True)
    for name in ("a.pth", "b.pth", "deep/c.pth"):
        torch.save({"w.weight": torch.ones(2, 2)}, tmp_path / "runs" / name)
    return tmp_path / "runs"


def opened(folder: Path, text: str, *, at: Path | None = None) -> CheckpointSources:
    file = (at or folder) / "manifest.csv"
    file.write_text(text, encoding="utf-8")
    return open_checkpoints(folder, manifest=file)


def metadata(sources: CheckpointSources) -> dict[str, dict[str, object]]:
    return {checkpoint.id: dict(checkpoint.metadata) for checkpoint in sources}


def test_rows_join_by_path(folder: Path) -> None:
    """Known and unknown columns, text and numbers, empty cells, sanitized names."""
    sources = opened(
        folder,
        "path,network,epoch,test_accuracy,batch size,note,run\n"
        'a.pth,resnet,90,91.5,128,"one, two",007\n'
        "deep/c.pth,8,,NaN,,,12\n"
        "\n"
        "b.pth,vgg,12,80,64.5,n/a,x\n",
    )
    assert sources.warnings == []
    assert sources.metadata_columns == (
        "network", "epoch", "test_accuracy", "batch_size", "note", "run",
    )  # fmt: skip
    assert metadata(sources) == {
        "a.pth": {
            "network": "resnet", "epoch": 90, "test_accuracy": 91.5, "batch_size": 128,
            "note": "one, two", "run": "007",
        },
        "b.pth": {
            "network": "vgg", "epoch": 12, "test_accuracy": 80, "batch_size": 64.5, "run": "x"
        },
        "deep/c.pth": {"network": "8", "run": "12"},
    }  # fmt: skip


def test_paths_resolve_against_manifest_then_source(folder: Path, tmp_path: Path) -> None:
    text = "path,seed\nruns/a.pth,1\nb.pth,2\n" + f"{folder / 'deep' / 'c.pth'},3\n"
    sources = opened(folder, text, at=tmp_path)
    assert {name: data["seed"] for name, data in metadata(sources).items()} == {
        "a.pth": 1,
        "b.pth": 2,
        "deep/c.pth": 3,
    }
    lone = open_checkpoints(folder / "b.pth", manifest=tmp_path / "manifest.csv")
    assert metadata(lone) == {"b.pth": {"seed": 2}}


def test_both_kinds_of_mismatch_are_reported(folder: Path) -> None:
    sources = opened(folder, "path,seed\na.pth,1\ngone.pth,2\n../x/y.pth,3\n")
    first, second = sources.warnings
    assert "no checkpoint for line 3 (gone.pth), line 4 (../x/y.pth)" in first
    assert "no row for b.pth, deep/c.pth" in second
    many = opened(folder, "path\n" + "".join(f"{n}.pth\n" for n in range(30)))
    assert "line 11 (9.pth) and 20 more" in many.warnings[0]


def test_the_manifest_overrides_the_file(tmp_path: Path) -> None:
    """An archive's row applies to all its networks; archives need no row."""
    rng = np.random.default_rng(0)
    for index in (1, 2):
        write_size_space_archive(tmp_path, index, seeds=(1, 2), rng=rng)
    text = "path,test_accuracy,optimizer\n000001.pickle.pbz2,50.5,sgd\n"
    sources = opened(tmp_path, text)
    assert sources.warnings == []
    found = [(c.metadata["test_accuracy"], c.metadata.get("optimizer")) for c in sources]
    assert found[:2] == [(50.5, "sgd")] * 2
    assert found[2][1] is None
    assert [c.metadata["architecture_index"] for c in sources] == [1, 1, 2, 2]


def test_encodings(folder: Path) -> None:
    """A byte-order mark is fine; another encoding is named."""
    file = folder / "m.csv"
    file.write_bytes("path,note\na.pth,é\n".encode("utf-8-sig"))
    assert read_manifest(file).rows[0].metadata == {"note": "é"}
    file.write_bytes("path,note\na.pth,é\n".encode("latin-1"))
    with pytest.raises(
        GenpredictError, match=r"m\.csv: manifest is not UTF-8 text, byte 16 \(0xe9"
    ):
        read_manifest(file)


ERRORS = {
    "": r"manifest is empty; it needs a header",
    "file,seed\na.pth,1\n": r"line 1: no column 'path' among: file, seed; add or rename",
    "path;seed\na.pth;1\n": r"no column 'path' among: path;seed; put commas between",
    "path,seed\na.pth,1\na.pth,2\n": r"line 3, column 'path': 'a\.pth' stands on line 2 already",
    "path,seed\na.pth,1\n./a.pth,2\n": r"line 3, column 'path': the file of line 2 again",
    "path,seed\n ,1\n": r"line 2, column 'path': empty; name the checkpoint's file",
    "path,seed\na.pth,1,2\n": r"line 2: 3 cells where the header has 2; put cells .* in double",
    "path,epoch\na.pth,1\nb.pth,last\n": r"line 3, column 'epoch': 'last' is no number; correct",
    "path,test_accuracy\na.pth,91\nb.pth,110\n": r"line 3, column 'test_accuracy': 110 is no perc",
    "path,train_accuracy\na.pth,-3\n": r"line 2, column 'train_accuracy': -3 is no percentage",
    "path,test_accuracy\na.pth,0.91\nb.pth,1\n": r"between 0 and 1; .* in percent: multiply by 100",
    "path,a b,a-b\na.pth,1,2\n": r"line 1, column 'a-b': two columns are named 'a_b'; rename",
    "path,rank\na.pth,1\n": r"column 'rank': genpredict computes a variable of that name; rename",
    "path,Q\na.pth,1\n": r"column 'Q': genpredict computes",
    "path,seed\na.pth,1\x00\n": r"manifest is not CSV|no number",
    'path,note\na.pth,"x\n': r"manifest is not CSV",
}


@pytest.mark.parametrize("text", ERRORS)
def test_errors_say_where_and_what_to_do(folder: Path, text: str) -> None:
    with pytest.raises(GenpredictError, match=ERRORS[text]) as caught:
        opened(folder, text)
    assert "manifest.csv" in str(caught.value)


def test_what_counts_as_a_number(folder: Path) -> None:
    """Plain decimals; anything else keeps the column text, infinities included."""
    text = "path,a,b,c,d,e\na.pth,1e-3,1_0,inf,-.5,12345678901234567890\n"
    (row,) = read_manifest(opened_file(folder, text)).rows
    assert row.metadata == {
        "a": 1e-3,
        "b": "1_0",
        "c": "inf",
        "d": -0.5,
        "e": 12345678901234567890.0,
    }
    assert isinstance(row.metadata["e"], float)


def opened_file(folder: Path, text: str) -> Path:
    file = folder / "numbers.csv"
    file.write_text(text)
    return file


def test_line_numbers_count_lines_of_the_file(folder: Path) -> None:
    text = 'path,note,epoch\na.pth,"two\nlines",1\nb.pth,x,y\n'
    with pytest.raises(GenpredictError, match=r"line 4, column 'epoch'"):
        opened(folder, text)


def test_files_that_are_no_manifest(folder: Path) -> None:
    with pytest.raises(GenpredictError, match="no such manifest"):
        open_checkpoints(folder, manifest=folder / "none.csv")
    with pytest.raises(GenpredictError, match=r"manifest cannot be read: Is a directory"):
        open_checkpoints(folder, manifest=folder / "deep")
    with pytest.raises(GenpredictError, match="not UTF-8 text"):
        open_checkpoints(folder, manifest=folder / "a.pth")


def test_a_column_source_leaves_the_file_in_its_place(folder: Path) -> None:
    """The coordinate `source` stays the file read; what the manifest says stands beside it."""
    text = "path,source\na.pth,github someone/something\n"
    (one,) = (c for c in opened(folder, text) if c.id == "a.pth")
    assert dict(one.metadata) == {"manifest_source": "github someone/something"}
    assert Path(one.source) == folder / "a.pth"
    with pytest.raises(GenpredictError, match="two columns are named 'manifest_source'; rename"):
        opened(folder, "path,source,manifest_source\na.pth,1,2\n")


def test_the_real_manifest(shared: Path) -> None:
    """All 14 published networks find their rows; what is not known is left out."""
    folder = shared / "data" / "checkpoints"
    sources = open_checkpoints(folder, manifest=folder / "manifest.csv")
    assert sources.warnings == []
    found = metadata(sources)
    assert len(found) == 14
    resnet = found["akamaster/resnet20-12fca82f.th"]
    assert (resnet["epoch"], resnet["test_accuracy"], resnet["optimizer"]) == (200, 91.73, "sgd")
    assert resnet["schedule"] == "step 100,150 x0.1"
    assert resnet["manifest_source"].startswith("github akamaster")
    assert "source" not in resnet
    initial = found["basecnn/base_cnn_v9_initial.pth"]
    assert not {"epoch", "optimizer", "learning_rate"} & set(initial)
    assert initial["input_normalization"] == "none"
