"""Manifests, run folders, links and stores made to mislead."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from guarded import Case, Outcome, read_guarded
from hostile_files import safetensors
from hostile_pickles import attacks
from safetensors.numpy import save_file

from genpredict.schema import LAYER_LABELS, LAYER_MEASURES, STATE

ENTRY = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
DATA = np.arange(4, dtype="<f4").tobytes()
NO_MANIFEST: dict[str, bytes] = {
    "NUL in the header": b"pa\0th,x\na.safetensors,1\n",
    "field of 10 MB": b"path,x\na.safetensors," + b"x" * 10**7 + b"\n",
    "quoted field of 10 MB": b'path,x\na.safetensors,"' + b"x\n" * 5 * 10**6 + b'"\n',
    "number of 130,000 digits": b"path,epoch\na.safetensors," + b"1" * 130_000 + b"x\n",
    "infinite epoch": b"path,epoch\na.safetensors,1e999\n",
    "UTF-16": "path,x\na.safetensors,1\n".encode("utf-16"),
    "half a character": b"path,x\na.safetensors,\xed\xa0\x80\n",
    "open quotation": b'path,x\na.safetensors,"1\n',
    "a computed variable": b"path,status\na.safetensors,done\n",
    "a million blank lines": b"\n" * 10**6,
    "200,000 columns, two alike": b"path" + b"".join(b",c%d" % n for n in range(200_000)) + b",c1\n"
    + b"a.safetensors" + b"," * 200_001 + b"\n",
}  # fmt: skip
ODD_MANIFEST: dict[str, tuple[bytes, dict[str, object]]] = {
    "formula": (b"path,note\na.safetensors,=cmd|'/C calc'!A0\n", {"note": "=cmd|'/C calc'!A0"}),
    "NUL in a cell": (b"path,note\na.safetensors,a\0b\n", {"note": "a\0b"}),
    "5,000 zeros before a number": (b"path,x\na.safetensors," + b"0" * 5000 + b"1\n", {"x": 1}),
    "NUL in a path": (b"path,x\na\0.safetensors,1\n", {}),
    "path of 60,000 letters": (b"path,x\n" + b"d" * 60_000 + b",1\n", {}),
    "path of 30,000 folders": (b"path,x\n" + b"d/" * 30_000 + b"a.safetensors,1\n", {}),
    "path out of the folder": (b"path,x\n../../../../etc/passwd,1\n/etc/passwd,2\n", {}),
    "path in a circle of links": (b"path,x\nl1/a.safetensors,1\nl1,2\n", {}),
}
BAD_METADATA: dict[str, str] = {
    "a computed variable": '{"rank": 3}',
    "a dimension": '{"layer": 3}',
    "the id": '{"checkpoint": "x"}',
    "the status": '{"status": "done"}',
    "another source": '{"source": "/etc/passwd"}',
    "no name": '{"": 1}',
    "a name with a space": '{"a b": 1}',
    "a text for a number": '{"epoch": "abc"}',
    "a number for a text": '{"network": 5}',
    "NaN": '{"epoch": NaN}',
    "infinity": '{"test_accuracy": 1e999}',
    "a number of 400 digits": f'{{"seed": {"9" * 400}}}',
    "a number of 5,000 digits": f'{{"seed": {"9" * 5000}}}',
    "a list": '{"a": [1]}',
    "100,000 brackets": "[" * 100_000,
}


def guarded(folder: Path, how: str, files: dict[str, Callable[[Path], Path]]) -> dict[str, Outcome]:
    """Write each file in a folder of its own, and read them all."""
    cases = []
    for number, (name, write) in enumerate(files.items()):
        place = folder / str(number)
        place.mkdir()
        cases.append(Case(name, how, str(write(place))))
    return read_guarded(cases)


def manifest(content: bytes) -> Callable[[Path], Path]:
    """Return what writes a manifest beside a checkpoint and a circle of links."""

    def write(place: Path) -> Path:
        safetensors(place / "a.safetensors", {"c.weight": ENTRY}, DATA)
        (place / "l1").symlink_to("l2")
        (place / "l2").symlink_to("l1")
        (place / "m.csv").write_bytes(content)
        return place / "m.csv"

    return write


def test_manifests_that_are_none_are_refused(tmp_path: Path) -> None:
    """Each at once, naming file and remedy."""
    files = {name: manifest(content) for name, content in NO_MANIFEST.items()}
    for name, outcome in guarded(tmp_path, "manifest", files).items():
        assert outcome.end == "refused", (name, outcome)
        assert "m.csv" in outcome.message, name
        remedies = ("save the manifest", "correct it", "rename", "needs a header")
        assert any(remedy in outcome.message for remedy in remedies), (name, outcome)
        assert outcome.seconds < 3, (name, outcome)
        assert outcome.peak < 2**28, (name, outcome)
        assert outcome.events == (), (name, outcome)


def test_odd_manifests_do_nothing(tmp_path: Path) -> None:
    """Cells are texts and numbers and nothing else; a row whose path is none finds no file."""
    files = {name: manifest(content) for name, (content, _) in ODD_MANIFEST.items()}
    for name, outcome in guarded(tmp_path, "manifest", files).items():
        known = ODD_MANIFEST[name][1]
        assert outcome.end == "read", (name, outcome)
        assert outcome.message.startswith(repr(([known],))[:-2]), (name, outcome)
        assert known or "no checkpoint for line 2" in outcome.message, (name, outcome)
        assert outcome.seconds < 3, (name, outcome)
        assert outcome.events == (), (name, outcome)


def run_folder(metadata: str) -> Callable[[Path], Path]:
    """Return what writes a run with one checkpoint of a good network."""

    def write(place: Path) -> Path:
        (place / "config.toml").write_text("[evil\x00")
        header = {"__metadata__": {"genpredict": metadata}, "c.weight": ENTRY}
        safetensors(place / "checkpoints" / "epoch-001.safetensors", header, DATA)
        return place

    return write


def test_metadata_of_runs_are_checked(tmp_path: Path) -> None:
    """What a header says cannot replace what is computed, nor make scoring of others fail."""
    files = {name: run_folder(text) for name, text in BAD_METADATA.items()}
    files["good"] = run_folder('{"epoch": 3, "network": "x", "flip": true, "other": 1.5}')
    outcomes = guarded(tmp_path, "score", files)
    assert outcomes.pop("good").message == "['done']"
    for name, outcome in outcomes.items():
        assert outcome.end == "refused", (name, outcome)
        assert "epoch-001.safetensors: its metadata" in outcome.message, (name, outcome)
        assert "train again" in outcome.message, (name, outcome)


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    """To a file, to a folder, and relative ones that climb out."""
    outside = safetensors(tmp_path / "secret" / "s.safetensors", {"c.weight": ENTRY}, DATA)
    inside = tmp_path / "source"
    safetensors(inside / "good.safetensors", {"c.weight": ENTRY}, DATA)
    (inside / "a.safetensors").symlink_to(outside)
    (inside / "b").symlink_to(outside.parent)
    (inside / "c.safetensors").symlink_to(Path("..") / "secret" / "s.safetensors")
    (inside / "d.safetensors").symlink_to("/dev/zero")
    (outcome,) = read_guarded([Case("links", "checkpoints", str(inside))]).values()
    assert outcome.end == "read"
    assert outcome.message == "{'good.safetensors': ({}, 1)}"


@pytest.mark.parametrize("shard", ["../secret/s.bin", "/etc/passwd", "..", "a/../../s.bin", "."])
def test_shards_out_of_the_folder_are_refused(tmp_path: Path, shard: str) -> None:
    index = tmp_path / "model.bin.index.json"
    index.write_text(json.dumps({"weight_map": {"c.weight": shard}}))
    (outcome,) = read_guarded([Case("index", "checkpoints", str(tmp_path))]).values()
    assert outcome.end == "refused", outcome
    assert outcome.events == ()


def test_stores_of_the_older_format_run_nothing(tmp_path: Path) -> None:
    """Zarr's version 2 knows a codec that unpickles: such a store is refused, the canary unmade."""
    canary = tmp_path / "canary"
    store = tmp_path / "evil.zarr"
    store.mkdir()
    (store / ".zgroup").write_text('{"zarr_format": 2}')
    (store / ".zattrs").write_text('{"genpredict_format": 1}')
    filters = [{"id": "vlen-utf8"}, {"id": "pickle"}]
    array = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "compressor": None,
             "filters": filters, "fill_value": "", "order": "C"}  # fmt: skip
    for name in (*LAYER_MEASURES, *LAYER_LABELS, *STATE, "checkpoint"):
        (store / name).mkdir()
        (store / name / ".zarray").write_text(json.dumps(array))
        (store / name / ".zattrs").write_text('{"_ARRAY_DIMENSIONS": ["checkpoint"]}')
        (store / name / "0").write_bytes(attacks(canary)["os.system"])
    (outcome,) = read_guarded([Case("store", "store", str(store))]).values()
    assert outcome.end in ("refused", "escaped"), outcome
    assert outcome.events == ()
    assert not canary.exists()


def test_a_header_longer_than_the_file(tmp_path: Path) -> None:
    """Headers of up to 2**64 bytes are announced, none is waited for."""
    for length in (2**64 - 1, 2**62, 10**8 + 1, 17):
        path = tmp_path / f"{length}.safetensors"
        path.write_bytes(struct.pack("<Q", length) + b'{"a":')
    (outcome,) = read_guarded([Case("headers", "score", str(tmp_path))]).values()
    assert outcome.end == "refused", outcome
    assert "its header would take" in outcome.message
    assert outcome.peak < 2**26


def test_the_metadata_of_a_good_file_survive(tmp_path: Path) -> None:
    """The control: what genpredict's own runs write is read."""
    path = tmp_path / "checkpoints" / "epoch-001.safetensors"
    path.parent.mkdir()
    (tmp_path / "config.toml").touch()
    known = {"run": "a", "epoch": 1, "test_accuracy": 91.5}
    weights = {"c.weight": np.ones((2, 2), np.float32)}
    save_file(weights, os.fspath(path), metadata={"genpredict": json.dumps(known)})
    (outcome,) = read_guarded([Case("run", "checkpoints", str(tmp_path))]).values()
    assert outcome.message == repr({"checkpoints/epoch-001.safetensors": (known, 1)})
