"""Manifests, run folders, links and stores made to mislead."""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from guarded import Case, Outcome, read_guarded
from hostile_files import safetensors
from hostile_pickles import attacks

from genpredict.errors import StoreError
from genpredict.schema import LAYER_LABELS, LAYER_MEASURES, STATE
from genpredict.store.reading import open_scores

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
SHARDS = (
    "../secret/s.bin", "/etc/passwd", "..", "a/../../s.bin", ".", "s\0.bin", "\ud800.bin", "s" * 300
)  # fmt: skip


def manifest(content: bytes) -> Callable[[Path], Path]:
    """Return what writes a manifest beside a checkpoint and a circle of links."""

    def write(place: Path) -> Path:
        safetensors(place / "a.safetensors", {"c.weight": ENTRY}, DATA)
        (place / "l1").symlink_to("l2")
        (place / "l2").symlink_to("l1")
        (place / "m.csv").write_bytes(content)
        return place / "m.csv"

    return write


def run_folder(metadata: str) -> Callable[[Path], Path]:
    """Return what writes a run with one checkpoint of a good network."""

    def write(place: Path) -> Path:
        (place / "config.toml").write_text("[evil\x00")
        header = {"__metadata__": {"genpredict": metadata}, "c.weight": ENTRY}
        safetensors(place / "checkpoints" / "epoch-001.safetensors", header, DATA)
        return place

    return write


def links(place: Path) -> Path:
    """Write a folder with one good file, and links that lead out of it."""
    outside = safetensors(place / "secret" / "s.safetensors", {"c.weight": ENTRY}, DATA)
    inside = safetensors(place / "source" / "good.safetensors", {"c.weight": ENTRY}, DATA).parent
    (inside / "a.safetensors").symlink_to(outside)
    (inside / "b").symlink_to(outside.parent)
    (inside / "c.safetensors").symlink_to(Path("..") / "secret" / "s.safetensors")
    (inside / "d.safetensors").symlink_to("/dev/zero")
    return inside


def index_of(shard: str) -> Callable[[Path], Path]:
    """Return what writes an index of one shard."""

    def write(place: Path) -> Path:
        index = json.dumps({"weight_map": {"c.weight": shard}})
        (place / "model.bin.index.json").write_text(index)
        return place

    return write


def announcing(length: int) -> Callable[[Path], Path]:
    """Return what writes a safetensors file whose header would be so long."""

    def write(place: Path) -> Path:
        (place / "n.safetensors").write_bytes(struct.pack("<Q", length) + b'{"a":')
        return place

    return write


def old_store(place: Path) -> Path:
    """Write a store in Zarr's version 2, which knows a codec that unpickles."""
    store = place / "evil.zarr"
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
        (store / name / "0").write_bytes(attacks(place / "canary")["os.system"])
    return store


def mixed_store(place: Path) -> Path:
    """Write the same arrays into a group of version 3."""
    store = old_store(place)
    (store / ".zgroup").unlink()
    attributes = {"genpredict_format": 1, "chunk_size": 256}
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (store / "zarr.json").write_text(json.dumps(group))
    return store


KNOWN = {"run": "a", "epoch": 1, "test_accuracy": 91.5, "flip": True}
Writer = Callable[[Path], Path]
FILES: dict[tuple[str, str], tuple[str, Writer]] = {
    **{("no manifest", n): ("manifest", manifest(content)) for n, content in NO_MANIFEST.items()},
    **{("odd manifest", n): ("manifest", manifest(c)) for n, (c, _) in ODD_MANIFEST.items()},
    **{("metadata", n): ("score", run_folder(text)) for n, text in BAD_METADATA.items()},
    **{("shard", s): ("checkpoints", index_of(s)) for s in SHARDS},
    **{("header", str(n)): ("score", announcing(n)) for n in (2**64 - 1, 2**62, 10**8 + 1, 17)},
    ("good", "metadata"): ("checkpoints", run_folder(json.dumps(KNOWN))),
    ("links", "links"): ("checkpoints", links),
    ("store", "store"): ("store", old_store),
    ("store", "mixed"): ("store", mixed_store),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> dict[tuple[str, str], Outcome]:
    """Write each file in a folder of its own, and read them all."""
    cases = []
    for number, ((group, name), (how, write)) in enumerate(FILES.items()):
        place = folder / str(number)
        place.mkdir()
        cases.append(Case(f"{group}: {name}", how, str(write(place))))
    found = read_guarded(cases)
    return {key: found[f"{key[0]}: {key[1]}"] for key in FILES}


def group(outcomes: dict[tuple[str, str], Outcome], wanted: str) -> dict[str, Outcome]:
    """Return some of the outcomes, checked for what holds of all."""
    chosen = {name: outcome for (kind, name), outcome in outcomes.items() if kind == wanted}
    for name, outcome in chosen.items():
        assert outcome.events == (), (name, outcome)
        assert outcome.seconds < 5, (name, outcome)
        assert outcome.peak < 2**28, (name, outcome)
    return chosen


def test_manifests_that_are_none_are_refused(outcomes: dict[tuple[str, str], Outcome]) -> None:
    """Each at once, naming file and remedy."""
    remedies = ("save the manifest", "correct it", "rename", "needs a header", "leave some out")
    for name, outcome in group(outcomes, "no manifest").items():
        assert outcome.end == "refused", (name, outcome)
        assert "m.csv" in outcome.message, name
        assert any(remedy in outcome.message for remedy in remedies), (name, outcome)


def test_odd_manifests_do_nothing(outcomes: dict[tuple[str, str], Outcome]) -> None:
    """Cells are texts and numbers and nothing else; a row whose path is none finds no file."""
    for name, outcome in group(outcomes, "odd manifest").items():
        known = ODD_MANIFEST[name][1]
        assert outcome.end == "read", (name, outcome)
        assert outcome.message.startswith(repr(([known],))[:-2]), (name, outcome)
        assert known or "no checkpoint for line 2" in outcome.message, (name, outcome)


def test_metadata_of_runs_are_checked(outcomes: dict[tuple[str, str], Outcome]) -> None:
    """What a header says cannot replace what is computed, nor make scoring of others fail."""
    good = outcomes["good", "metadata"]
    assert good.message == repr({"checkpoints/epoch-001.safetensors": (KNOWN, 1)})
    for name, outcome in group(outcomes, "metadata").items():
        assert outcome.end == "refused", (name, outcome)
        assert "epoch-001.safetensors: its metadata" in outcome.message, (name, outcome)
        assert "train again" in outcome.message, (name, outcome)


def test_links_out_of_the_folder_are_not_followed(
    outcomes: dict[tuple[str, str], Outcome],
) -> None:
    """To a file, to a folder, to a device, and relative ones that climb out."""
    (outcome,) = group(outcomes, "links").values()
    assert outcome.message == "{'good.safetensors': ({}, 1)}"


def test_shards_out_of_the_folder_are_refused(outcomes: dict[tuple[str, str], Outcome]) -> None:
    for shard, outcome in group(outcomes, "shard").items():
        assert outcome.end == "refused", (shard, outcome)
        assert "names a shard outside its folder" in outcome.message, (shard, outcome)


def test_stores_of_the_older_format_run_nothing(
    folder: Path, outcomes: dict[tuple[str, str], Outcome]
) -> None:
    """A chunk that is a pickle stays unread, also in a group of the newer format; no canary."""
    found = group(outcomes, "store")
    for name, said in (
        ("store", "not a scores store of genpredict (Zarr v3)"),
        ("mixed", "missing"),
    ):
        assert found[name].end == "refused", found[name]
        assert said in found[name].message, found[name]
    assert not list(folder.glob("*/canary"))


def test_such_a_chunk_is_run_by_zarr_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: where the codec may, as it might in older versions, the attack is real."""
    monkeypatch.setattr("numcodecs.pickles.ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)
    store = old_store(tmp_path)
    with pytest.raises(StoreError, match="not a scores store"):
        open_scores(store)
    assert not (tmp_path / "canary").exists()
    array: Any = zarr.open_array(store / "status", mode="r", zarr_format=2)
    # newer versions of zarr have a switch of their own
    with (
        zarr.config.set({"array.allow_unsafe_pickle_decode": True}),
        contextlib.suppress(Exception),
    ):
        array[:]
    assert (tmp_path / "canary").exists()


def test_a_header_longer_than_the_file(outcomes: dict[tuple[str, str], Outcome]) -> None:
    """Headers of up to 2**64 bytes are announced, none is waited for."""
    for length, outcome in group(outcomes, "header").items():
        assert outcome.end == "refused", (length, outcome)
        assert f"its header would take {int(length):,}" in outcome.message
