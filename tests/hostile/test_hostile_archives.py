"""NATS archives whose tensors are good and whose other entries are not."""

from __future__ import annotations

import bz2
import struct
from pathlib import Path

import pytest
from guarded import Case, Outcome, read_guarded
from hostile_files import archive, legacy_storage, pickle_of_archive, raw, stored
from hostile_pickles import program, stack_global, text, value

WEIGHTS = {"c.weight": stored(legacy_storage(1.0, 2.0, 3.0, 4.0), 0, (2, 2), (2, 1))}
_BASE = 1000  # memo entries from here on are free


def key(dataset: bytes, seed: bytes) -> bytes:
    """Push a key of the results."""
    return dataset + seed + b"\x86"


def doubled(opening: bytes, closing: bytes, levels: int) -> bytes:
    """Push 2**levels things: each container holds the one before twice."""

    def entry(level: int) -> bytes:
        return struct.pack("<I", _BASE + level)

    pushed = b"Nr" + entry(0)
    for level in range(levels):
        twice = b"j" + entry(level) + b"j" + entry(level)
        pushed += b"0" + opening + twice + closing + b"r" + entry(level + 1)
    return pushed


LISTS = doubled(b"](", b"e", 40)
REFUSED: dict[str, dict[str, bytes]] = {
    "lists for the index": {"arch_index": LISTS},
    "lists for the epochs": {"epochs": LISTS},
    "lists for accuracies": {"train_acc1es": LISTS},
    "lists for an accuracy": {"train_acc1es": b"}K\x0b" + LISTS + b"s"},
    "lists for FLOPs": {"flop": LISTS},
    "bytes for the architecture": {"arch_str": raw(b"8:8:8:8:8")},
    "a number for the architecture": {"arch_str": b"K\x05"},
    "infinite seed": {"key": key(text("cifar10"), value(float("inf")))},
    "infinite epochs": {"epochs": value(float("inf"))},
    "accuracy of 400 digits": {"train_acc1es": b"}K\x0b" + value(10**400) + b"s"},
    "text for an accuracy": {"train_acc1es": b"}K\x0b" + text("=1+1") + b"s"},
    "index of 400 digits": {"arch_index": value(10**400)},
    "list for the weights": {"net_state_dict": b"](K\x01e"},
    "text for the weights": {"net_state_dict": text("abc")},
    "number for a weight's name": {"net_state_dict": b"}K\x05" + WEIGHTS["c.weight"] + b"s"},
}
UNCHECKED: dict[str, dict[str, bytes]] = {
    "seed of 400 digits": {"key": key(text("cifar10"), value(10**400))},
    "budget of 4,000 digits": {"budget": text("9" * 4000)},
    "no data set": {"key": key(b"N", b"K\x05")},
    "number for the data set": {"key": key(b"K\x05", b"K\x05")},
    "tuple for the data set": {"key": key(value(("a", 1)), b"K\x05")},
    "bytes for the data set": {"key": key(raw(b"cifar10"), b"K\x05")},
}


def outcomes(folder: Path, files: dict[str, dict[str, bytes]]) -> dict[str, Outcome]:
    """Write and score archives in which some entries are changed."""
    cases = []
    for number, (name, changed) in enumerate(files.items()):
        place = folder / str(number)
        place.mkdir()
        pickled = pickle_of_archive(WEIGHTS, **changed)
        cases.append(Case(name, "score", str(archive(place / "000000.pickle.pbz2", pickled))))
    return read_guarded(cases, patience=8)


def test_entries_of_the_wrong_kind_are_refused(tmp_path: Path) -> None:
    """The control is scored; the others end at once in an error that names file and remedy."""
    found = outcomes(tmp_path, {"good": {}, **REFUSED})
    assert found.pop("good").message == "['done']"
    for name, outcome in found.items():
        assert outcome.end == "refused", (name, outcome)
        assert "000000.pickle.pbz2" in outcome.message, (name, outcome)
        assert "fetch it again" in outcome.message, (name, outcome)
        assert (outcome.events, outcome.peak < 2**26) == ((), True), (name, outcome)


def test_rows_are_named_by_texts_and_numbers_of_a_size(tmp_path: Path) -> None:
    """Else one archive makes the whole job fail: the number is no float64."""
    for name, outcome in outcomes(tmp_path, UNCHECKED).items():
        assert outcome.end == "refused", (name, outcome)


@pytest.mark.slow
def test_lists_for_the_architecture(tmp_path: Path) -> None:
    """A name of 2**40 lists in lists is refused before anything writes it out."""
    (outcome,) = outcomes(tmp_path, {"lists": {"arch_str": LISTS}}).values()
    assert outcome.end == "refused", outcome


KEYS: dict[str, bytes] = {
    "tuples": program(b"}", doubled(b"(", b"t", 60), b"K\x01s"),
    "tuples of two": program(b"}", doubled(b"", b"\x86", 60), b"K\x01s"),
    "frozen sets of tuples": program(b"}", doubled(b"((", b"t\x91", 60), b"K\x01s"),
    "in a set": program(b"\x8f(", doubled(b"(", b"t", 60), b"\x90"),
    "in an ordered dict": program(
        stack_global("collections", "OrderedDict"), doubled(b"(", b"t", 60), b"K\x01\x86\x85\x85R"
    ),
    "by name": program(b"}N" + b"p7\n(0(g7\ng7\nt" * 60 + b"K\x01s"),
    "by copies": program(b"}N" + b"2\x86" * 60 + b"K\x01s"),
    "wide": program(
        b"}N" + (b"\x94(" + b"h\x00" * 250 + b"t\x94(" + b"h\x01" * 250 + b"t") + b"Ns"
    ),
    "after 9 MB of contents": program(
        b"}", raw(b"\x94" * 9_000_000), b"0", doubled(b"(", b"t", 60), b"K\x01s"
    ),
    "a number of 10**6 digits": program(
        b"}", b"\x8b" + struct.pack("<I", 10**6), b"1" * 10**6, b"Ns"
    ),
}  # fmt: skip


def test_keys_that_take_long_to_hash_are_refused(tmp_path: Path) -> None:
    """A key of 2**60 tuples in tuples, made in 60 lines, is named for what it is, at once."""
    cases = []
    for number, (name, pickled) in enumerate(KEYS.items()):
        path = tmp_path / f"{number:06d}.pickle.pbz2"
        path.write_bytes(bz2.compress(pickled))
        cases.append(Case(name, "score", str(path)))
    for name, outcome in read_guarded(cases, patience=8).items():
        assert outcome.end == "refused", (name, outcome)
        assert "would take very long to read" in outcome.message, (name, outcome)
        assert "do not trust this file" in outcome.message, (name, outcome)
        assert outcome.seconds < 5, (name, outcome)
