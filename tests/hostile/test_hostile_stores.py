"""Stores that are damaged, lie about their size or come from elsewhere, given to every command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr

from genpredict.cli.app import run
from genpredict.store.reading import open_scores

Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store of six networks with a target, beside the folder of these."""
    folder = tmp_path_factory.mktemp("good")
    (folder / "nets").mkdir()
    rng = np.random.default_rng(0)
    for number in range(6):
        weights = {f"c{n}.weight": torch.from_numpy(rng.normal(size=(6, 4))) for n in range(2)}
        torch.save(weights, folder / "nets" / f"n{number}.pt")
    rows = "".join(f"n{number}.pt,{80 + number}\n" for number in range(6))
    (folder / "nets" / "m.csv").write_text(f"path,test_accuracy\n{rows}")
    sources = [str(folder / "nets"), "--manifest", str(folder / "nets" / "m.csv")]
    assert run(["score", *sources, "-o", str(folder / "s.zarr"), "--workers", "1"]) == 0
    return folder


def metadata(name: str, **changed: Any) -> Damage:
    """Return what changes entries of an array's metadata (of the group's, for no name)."""

    def damage(store: Path) -> None:
        file = store / name / "zarr.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))

    return damage


def attributes(name: str, **changed: Any) -> Damage:
    """Return what changes attributes."""

    def damage(store: Path) -> None:
        old = json.loads((store / name / "zarr.json").read_text())["attributes"]
        metadata(name, attributes={**old, **changed})(store)

    return damage


def content(file: str, data: bytes) -> Damage:
    """Return what replaces a file."""
    return lambda store: (store / file).write_bytes(data) and None


def values(name: str, new: list[Any]) -> Damage:
    """Return what writes well-formed chunks of other values."""

    def damage(store: Path) -> None:
        array: Any = zarr.open_array(store / name, mode="r+")
        array[:] = np.array(new, dtype=object if isinstance(new[0], str) else None)

    return damage


def folder_for_a_file(store: Path) -> None:
    """Put a folder where a chunk belongs."""
    (store / "quality/c/0/0/0/0/0").unlink()
    (store / "quality/c/0/0/0/0/0").mkdir()


def lacks(name: str) -> Damage:
    """Return what removes an array."""
    return lambda store: shutil.rmtree(store / name)


def chunks(*shape: int) -> dict[str, Any]:
    return {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shape)}}}


ABSURD = 10**15
#: Damage that every command sees, and a word of what it says.
SEEN: dict[str, tuple[Damage, str]] = {
    "half a zarr.json": (content("zarr.json", b'{"zarr_format": 3, "node'), "zarr.json"),
    "a list for zarr.json": (content("zarr.json", b"[3]"), "zarr.json"),
    "brackets for zarr.json": (content("zarr.json", b"[" * 100_000), "zarr.json"),
    "an array for the group": (metadata("", node_type="array"), "zarr.json"),
    "version 2": (metadata("", zarr_format=2), "zarr.json"),
    "a text for chunk_size": (attributes("", chunk_size="many"), "chunk_size"),
    "no chunk_size": (attributes("", chunk_size=None), "chunk_size"),
    "half an array's zarr.json": (content("rank/zarr.json", b'{"zarr_f'), "rank/zarr.json"),
    "a list for an array's zarr.json": (content("status/zarr.json", b"[]"), "status/zarr.json"),
    "10**15 rows": (metadata("checkpoint", shape=[ABSURD]), "checkpoint/zarr.json"),
    "10**15 layers": (metadata("rank", shape=[6, ABSURD, 2]), "rank/zarr.json"),
    "10**7 rows of 10**5 layers": (metadata("quality", shape=[10**7, 10**5, 2, 2, 2]), "s.zarr"),
    "negative rows": (metadata("error", shape=[-1]), "error/zarr.json"),
    "a row too few": (metadata("seed", shape=[5]), "interrupted or damaged"),
    "a chunk of 10**15": (metadata("status", **chunks(ABSURD)), "status/zarr.json"),
    "a chunk of 0": (metadata("status", **chunks(0)), "status/zarr.json"),
    "numbers for texts": (metadata("error", data_type="float64", fill_value=0.0), "error"),
    "texts for numbers": (metadata("rank", data_type="string", fill_value=""), "rank/zarr.json"),
    "complex numbers": (metadata("seed", data_type="complex64", fill_value=[0, 0]), "seed"),
    "no names of dimensions": (metadata("rank", dimension_names=None), "rank/zarr.json"),
    "other names": (metadata("rank", dimension_names=["a", "b", "c"]), "rank/zarr.json"),
    "another codec": (
        metadata("rank", codecs=[{"name": "bytes"}, {"name": "numcodecs.zlib"}]), "rank/zarr.json",
    ),
    "an unknown codec": (
        metadata("rank", codecs=[{"name": "bytes"}, {"name": "pickle"}]), "rank/zarr.json",
    ),
    "a number for units": (attributes("rank", units=5), "rank/zarr.json"),
    "no quality": (lacks("quality"), "quality missing"),
    "no numbers of quality": (lacks("quality/c"), "n0.pt is marked as done"),
    "no numbers of rank": (lacks("rank/c"), "n0.pt is marked as done"),
    "no ids": (lacks("checkpoint"), "checkpoint missing"),
    "another factorization": (values("factorization", ["raw", "rough"]), "factorization"),
    "another power": (values("p", [1, 3]), "p is [1, 3]"),
    "noise for labels": (content("unfolding/c/0", b"noise" * 9), "unfolding/c/0 is damaged"),
    "another state": (values("status", ["done"] * 5 + ["dome"]), "'dome'"),
    "noise for states": (content("status/c/0", b"noise" * 9), "status/c/0 is damaged"),
    "noise for ids": (content("checkpoint/c/0", b"noise" * 9), "checkpoint/c/0 is damaged"),
    "noise for a column": (content("num_parameters/c/0", b"noise" * 9), "num_parameters/c/0"),
    "noise for the list of files": (content("files/size/c/0", b"noise" * 9), "delete the folder"),
    "half a zarr.json of the list": (content("files/id/zarr.json", b'{"z'), "delete the folder"),
    "10**15 files": (metadata("files/size", shape=[ABSURD]), "delete the folder"),
    "a folder for a chunk": (folder_for_a_file, "n0.pt is marked as done"),
}  # fmt: skip
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("show", "s.zarr"),
    ("show", "s.zarr", "--layers"),
    ("correlate", "s.zarr", "--resamples", "100"),
    ("figure", "scatter", "s.zarr", "-o", "f.png"),
    ("report", "s.zarr", "-o", "r.html"),
    ("merge", "s.zarr", "t.zarr", "-o", "u.zarr"),
    ("score", "nets", "--manifest", "nets/m.csv", "-o", "s.zarr", "--workers", "1"),
    ("score", "nets", "--manifest", "nets/m.csv", "-o", "s.zarr", "--shard", "1/2"),
)
#: What some do not look at or mend by themselves, and merge sees as rows that differ.
LOST = ("no numbers of quality", "no numbers of rank", "a folder for a chunk")
MENDED = (*LOST, "another state", "noise for a column", "a row too few",
          "10**7 rows of 10**5 layers")  # fmt: skip


def damaged(good: Path, place: Path, damage: Damage) -> None:
    """Put a damaged store and what belongs to it into a folder."""
    shutil.copytree(good / "s.zarr", place / "s.zarr")
    shutil.copytree(good / "s.zarr", place / "t.zarr")
    shutil.copytree(good / "nets", place / "nets")
    damage(place / "s.zarr")


@pytest.mark.parametrize("name", SEEN)
def test_every_command_ends_in_one_clear_line(
    good: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    """Exit code 1 and one line that names the store and what is damaged; never a traceback."""
    damage, said = SEEN[name]
    monkeypatch.chdir(tmp_path)
    damaged(good, tmp_path, damage)
    for command in COMMANDS:
        is_job = command[0] in ("score", "merge")
        if (command[0] == "score" and name in MENDED) or (
            said == "delete the folder" and not is_job
        ):
            continue
        assert run(list(command)) == 1, command
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("genpredict: error: "), command
        assert "s.zarr" in line, command
        differs = command[0] == "merge" and name in LOST and "differs" in line
        assert said in line or "no scores store" in line or differs, (command, line)
    assert not (tmp_path / "u.zarr").exists()


@pytest.mark.parametrize("chunk", ["condition_number/c/0/0/0/0", "quality/c/0/0/0/0/0"])
def test_a_measure_that_only_some_look_at(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], chunk: str
) -> None:
    """Where it is looked at, the chunk is named; elsewhere the store is as good as ever."""
    damaged(good, tmp_path, content(chunk, b"noise" * 9))
    store = str(tmp_path / "s.zarr")
    assert run(["show", store]) == 0
    capsys.readouterr()
    assert run(["show", store, "--layers"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{chunk} is damaged" in line
    assert "delete that file and status/c/0" in line
    name = chunk.partition("/")[0]
    assert run(["correlate", store, "--measures", name, "--resamples", "100"]) == 1
    assert f"{chunk} is damaged" in capsys.readouterr().err


def test_overwrite_gets_rid_of_damage(good: Path, tmp_path: Path) -> None:
    """As the error says: the store is made anew."""
    damaged(good, tmp_path, metadata("checkpoint", shape=[ABSURD]))
    arguments = [str(tmp_path / "nets"), "-o", str(tmp_path / "s.zarr"), "--workers", "1"]
    assert run(["score", *arguments, "--overwrite"]) == 0
    assert open_scores(tmp_path / "s.zarr").sizes["checkpoint"] == 6
