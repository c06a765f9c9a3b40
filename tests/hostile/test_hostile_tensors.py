"""Tensors, zip files and headers that lie about sizes and places."""

from __future__ import annotations

import json
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hostile_files
import numpy as np
import pytest
import torch
from guarded import Case, Outcome, read_guarded
from hostile_files import (
    archive,
    legacy_storage,
    nested_legacy,
    pickle_of_archive,
    plain,
    safetensors,
    state_dict,
    stored,
    torch_legacy,
    torch_zip,
    window,
)
from hostile_pickles import PROTOCOL, call, plain_global, text, value

from genpredict.checkpoints.formats.torch_files import read_torch_tensors

NUMBERS = {"0": np.arange(4, dtype="<f4").tobytes()}
PAYLOAD = legacy_storage(1.0, 2.0, 3.0, 4.0)
ENTRY: dict[str, Any] = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
SIXTEEN = NUMBERS["0"]


def torch_cases(folder: Callable[[str], Path]) -> Iterator[Case]:
    """Write zip files of torch, and name the trick of each."""

    def write(trick: str, pickled: bytes, records: Any = None, **options: Any) -> Case:
        path = folder(trick) / "n.pt"
        torch_zip(path, pickled, records or NUMBERS, **options)
        return Case(trick, "score", str(path))

    def tensor(*args: Any, **options: Any) -> bytes:
        return state_dict(c_weight=window(*args, **{"elements": 4, **options}))

    yield write("2**60 elements of stride 0", tensor(0, (2**30, 2**30), (0, 0)))
    yield write("2**33 elements of stride 0", tensor(0, (2**17, 2**16), (0, 0)))
    yield write("2**22 elements, overlapping", tensor(0, (2**21, 2), (0, 1)))
    yield write("beyond the storage", tensor(0, (2**20, 2**20), (2**20, 1)))
    yield write("offset beyond the storage", tensor(2**40, (1, 2), (1, 1)))
    yield write("offset one too far", tensor(1, (2, 2), (2, 1)))
    yield write("negative size", tensor(0, (-2, -2), (1, 1)))
    yield write("negative stride", tensor(0, (2, 2), (-2, -1)))
    yield write("negative offset", tensor(-1, (2, 2), (1, 1)))
    yield write("storage of 2**50", tensor(0, (2, 2), (2, 1), elements=2**50))
    yield write(
        "storage named ../../../etc/passwd", tensor(0, (2, 2), (2, 1), key="../../../etc/passwd")
    )
    yield write("NaN", tensor(0, (2, 2), (2, 1)), {"0": np.full(4, np.nan, "<f4").tobytes()})
    yield write("infinity", tensor(0, (2, 2), (2, 1)), {"0": np.full(4, -np.inf, "<f4").tobytes()})
    yield write(
        "zip slip", tensor(0, (2, 2), (2, 1)), extra={"../../slipped": b"x", "/slipped": b"x"}
    )
    yield write(
        "second data.pkl", tensor(0, (2, 2), (2, 1)), extra={"evil/data.pkl": b"cos\nsystem\n."}
    )
    big = tensor(0, (2**13, 2**13), (2**13, 1), elements=2**26)
    for name, method in {"zip": zipfile.ZIP_DEFLATED, "bz2 in zip": zipfile.ZIP_BZIP2}.items():
        yield write(f"{name} bomb", big, {"0": bytes(2**28)}, compression=method)
    yield write("bytearray of 4 GB", _with_extra(value(4 * 10**9)))
    for trick, patched in _patched_zips(tensor(0, (2, 2), (2, 1)), folder("scratch")).items():
        case = write(trick, b"")
        Path(case.path).write_bytes(patched)
        yield case


def _patched_zips(pickled: bytes, scratch: Path) -> dict[str, bytes]:
    """Return zip files as fuzzing has found them: zipfile has many kinds of exceptions."""
    good = torch_zip(scratch / "n.pt", pickled, NUMBERS, extra={"net/ä": b""}).read_bytes()
    entry = good.rindex(b"PK\x01\x02", 0, good.index(b"net/data/0", good.index(b"PK\x01\x02")))
    size = struct.pack("<I", 10**6)
    return {
        "zip entry whose name is no text": good.replace("net/ä".encode(), b"net/\xff\xff"),
        "zip entry longer than the file": good[: entry + 20] + size + size + good[entry + 28 :],
    }


def _with_extra(size: bytes) -> bytes:
    """Return a good state dict beside which a call takes memory."""
    extra = call(plain_global("builtins", "bytearray"), size)
    weight = window(0, (2, 2), (2, 1), elements=4)
    return PROTOCOL + b"}" + text("x") + extra + b"s" + text("c.weight") + weight + b"s."


def shadowing_cases(folder: Callable[[str], Path]) -> Iterator[Case]:
    """Write files that set attributes on a dict, to be met where its methods are called."""
    ordered = plain_global("collections", "OrderedDict") + b")R"
    for name in ("items", "get", "keys"):
        inner = ordered + b"}" + text(name) + b"K\x01sb" + text("c.weight")
        inner += window(0, (2, 2), (2, 1), elements=4) + b"s"
        wrapped = b"}" + text("state_dict") + inner + b"s"
        for place, pickled in {"dict": inner, "inner dict": wrapped}.items():
            path = folder(f"{name} of a {place}") / "n.pt"
            torch_zip(path, PROTOCOL + pickled + b".", NUMBERS)
            yield Case(f"{name} of a {place}", "checkpoints", str(path))


def archive_cases(folder: Callable[[str], Path]) -> Iterator[Case]:
    """Write NATS archives whose tensors lie."""
    windows = {
        "2**62 elements": (0, (2**62,), (0,)),
        "2**39 elements": (0, (2**39, 1), (1, 1)),
        "2**60 of stride 0": (0, (2**30, 2**30), (0, 0)),
        "overlapping": (0, (3, 2), (1, 1)),
        "offset beyond": (3, (2, 2), (2, 1)),
        "negative size": (0, (-2, 2), (2, 1)),
        "negative stride": (0, (2, 2), (-2, 1)),
        "negative offset": (-1, (2, 2), (2, 1)),
        "shape and stride differ": (0, (2, 2), (2,)),
        "float size": (0, (2.0, 2), (2, 1)),
    }
    tensors = {trick: stored(PAYLOAD, *where) for trick, where in windows.items()}
    tensors["NaN"] = stored(legacy_storage(1.0, 2.0, float("nan"), 1.0), 0, (2, 2), (2, 1))
    tensors["empty storage"] = stored(b"", 0, (2, 2), (2, 1))
    for trick, tensor in tensors.items():
        path = folder(f"archive {trick}") / "000000.pickle.pbz2"
        yield Case(
            f"archive: {trick}",
            "score",
            str(archive(path, pickle_of_archive({"c.weight": tensor}))),
        )


def header_cases(folder: Callable[[str], Path]) -> Iterator[Case]:
    """Write safetensors files whose headers lie."""
    headers: dict[str, object] = {
        "offsets that are texts": {"c.weight": {**ENTRY, "data_offsets": ["a", "b"]}},
        "infinite offset": b'{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,Infinity]}}',
        "offset of 5,000 digits": b'{"a":{"shape":[],"data_offsets":[0,' + b"9" * 5000 + b"]}}",
        "same bytes twice": {"a.weight": ENTRY, "b.weight": ENTRY},
        "offsets reversed": {"a.weight": {**ENTRY, "data_offsets": [16, 0]}},
        "negative offset": {"a.weight": {**ENTRY, "data_offsets": [-16, 0]}},
        "giant shape": {"a.weight": {**ENTRY, "shape": [2**31, 2**31]}},
        "shape that overflows": {"a.weight": {**ENTRY, "shape": [2**62, 4]}},
        "negative shape": {"a.weight": {**ENTRY, "shape": [-2, -2]}},
        "unknown type": {"a.weight": {**ENTRY, "dtype": "PICKLE"}},
        "no type": {"a.weight": {"shape": [2, 2], "data_offsets": [0, 16]}},
        "metadata null": {"__metadata__": None, "a.weight": ENTRY},
        "metadata nested": {"__metadata__": {"a": {"b": 1}}, "a.weight": ENTRY},
        "a million brackets": b'{"a":' + b"[" * 10**6 + b"]" * 10**6 + b"}",
        "UTF-16": json.dumps({"a.weight": ENTRY}).encode("utf-16"),
    }
    for trick, header in headers.items():
        path = safetensors(folder(f"header {trick}") / "n.safetensors", header, SIXTEEN)
        yield Case(f"header: {trick}", "score", str(path))


WRITERS = (torch_cases, shadowing_cases, archive_cases, header_cases)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    """Write every file in a folder of its own."""
    patch = pytest.MonkeyPatch()
    numbers = iter(range(10**6))

    def folder(_trick: str) -> Path:
        return tmp_path_factory.mktemp(f"lies{next(numbers)}")

    # torch's own reader knows only the global opcode of old; archives know both
    patch.setattr(hostile_files, "stack_global", plain_global)
    written = [case for writer in WRITERS for case in writer(folder)]
    patch.undo()
    return {case.name: case for case in written}


@pytest.fixture(scope="module")
def outcomes(cases: dict[str, Case]) -> dict[str, Outcome]:
    return read_guarded(cases.values())


def test_files_that_lie_are_refused(cases: dict[str, Case], outcomes: dict[str, Outcome]) -> None:
    """One after another: an error that names the file (or row) and a remedy, at once, in memory."""
    shadowing = {name for name in cases if " of a " in name}
    assert len(cases) > 50
    for name in sorted(set(cases) - shadowing):
        outcome = outcomes[name]
        assert outcome.end == "refused", (name, outcome)
        assert Path(cases[name].path).name in outcome.message, (name, outcome)
        assert any(word in outcome.message for word in REMEDIES), (name, outcome)
        assert outcome.events == (), (name, outcome)
        assert outcome.seconds < 5, (name, outcome)
        assert outcome.peak < 2**28, (name, outcome)


REMEDIES = ("fetch", "re-save", "do not trust", "save the weights", "diverged", "damaged")


def test_attributes_do_not_shadow_methods(outcomes: dict[str, Outcome]) -> None:
    """A pickle may set attributes on a dict; the weights in it are read all the same."""
    for name in ("items", "get", "keys"):
        for place in ("dict", "inner dict"):
            outcome = outcomes[f"{name} of a {place}"]
            assert (outcome.end, outcome.events) == ("read", ()), outcome


def test_nothing_slips_out_of_a_zip(cases: dict[str, Case], outcomes: dict[str, Outcome]) -> None:
    """Names that lead out of the archive lead nowhere: nothing is ever unpacked to disk."""
    assert outcomes["zip slip"].events == ()
    folder = Path(cases["zip slip"].path).parent
    assert [path.name for path in folder.iterdir()] == ["n.pt"]
    assert not (folder.parent.parent / "slipped").exists()
    assert not Path("/slipped").exists()


def test_bombs_are_named(outcomes: dict[str, Outcome]) -> None:
    assert "refused: unpacks to 268,435," in outcomes["zip bomb"].message
    assert "compressed in a way that torch cannot read" in outcomes["bz2 in zip bomb"].message
    assert "of which 4 elements are stored" in outcomes["2**60 elements of stride 0"].message


def test_keys_that_take_long_to_hash_are_refused(tmp_path: Path) -> None:
    """A key of 2**60 tuples in tuples: in torch's formats, and in a storage of an archive."""
    deep = PROTOCOL + b"}N" + b"q\x00h\x00h\x00\x86" * 60 + b"K\x01s."
    hidden = PROTOCOL + b"}N" + b"q\x00h\x00h\x00\x86" * 15 + b"q\x01" + b"h\x01K\x01s" * 9 + b"."
    wide = PROTOCOL + b"}(" + b"N" + b"q\x00h\x00h\x00\x86" * 60 + b"K\x01u."
    cases = []
    for number, pickled in enumerate((deep, hidden, wide)):
        writers = {
            "pt": torch_zip,
            "pth": torch_legacy,
            "ckpt": plain,
            "pickle.pbz2": nested_legacy,
        }
        for suffix, write in writers.items():
            path = tmp_path / f"{number}.{suffix}"
            if suffix.endswith("pbz2"):
                (tmp_path / str(number)).mkdir()
                path = tmp_path / str(number) / "000000.pickle.pbz2"
            cases.append(Case(f"{number} {suffix}", "checkpoints", str(write(path, pickled))))
    for name, outcome in read_guarded(cases, patience=8).items():
        assert outcome.end == "refused", (name, outcome)
        assert "would take very long to read" in outcome.message, (name, outcome)
        assert outcome.seconds < 5, (name, outcome)


def test_large_tuples_that_are_no_keys_are_read(tmp_path: Path) -> None:
    """Training scripts keep the state of Python's random numbers, a tuple of 625."""
    for new_format in (True, False):
        state = {"state_dict": {"c.weight": torch.ones(2, 2)}, "random": random.getstate()}
        path = tmp_path / f"{new_format}.pt"
        torch.save(state, path, _use_new_zipfile_serialization=new_format)
        assert list(read_torch_tensors(path)) == ["c.weight"]
