"""Stand-ins asked to do what the objects they stand for could do: they keep what they are given."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from guarded import Case, Outcome, read_guarded
from hostile_files import plain, torch_zip, window
from hostile_pickles import PROTOCOL, call, plain_global, text, value

THING = plain_global("somewhere.else", "Thing")
OBJECT = THING + b")R"
MODULE = plain_global("torch.nn.modules.container", "Sequential")
TENSOR = window(0, (2, 2), (2, 1), elements=4)
NUMBERS = {"0": np.arange(4, dtype="<f4").tobytes()}
MEMO = b"q\x64"
RECALL = b"h\x64"


def beside_weights(pushed: bytes) -> bytes:
    """Return a state dict beside which something stands."""
    return PROTOCOL + b"}" + text("x") + pushed + b"s" + text("fc.weight") + TENSOR + b"s."


def module(parameters: bytes, modules: bytes) -> bytes:
    """Push a module with these parameters and parts."""
    state = b"}" + text("_parameters") + parameters + b"s" + text("_modules") + modules + b"s"
    return MODULE + b")R" + state + b"b"


READ = {
    "iterated by a list": call(plain_global("builtins", "list"), OBJECT),
    "iterated by a dict": call(plain_global("collections", "OrderedDict"), OBJECT),
    "hashed as a key": b"}" + OBJECT + b"K\x01s",
    "hashed in a set": b"\x8f(" + OBJECT + OBJECT + b"\x90",
    "compared in a frozen set": b"(" + OBJECT + OBJECT + b"\x91",
    "appended to": OBJECT + b"K\x01a",
    "extended": OBJECT + b"(K\x01K\x02e",
    "set by key": OBJECT + OBJECT + b"K\x01s",
    "subclassed": call(plain_global("builtins", "type"), text("X"), THING + b"\x85", b"}"),
    "made by NEWOBJ_EX": THING + b")}" + text("key") + b"K\x01s\x92",
    "state of texts that are methods": OBJECT + b"}" + text("__reduce__") + text("x") + b"s"
    + text("__class__") + text("y") + b"s" + text("__call__") + text("z") + b"sb",
    "state and slots": OBJECT + b"}}" + text("__class__") + THING + b"s\x86b",
    "state of itself": OBJECT + MEMO + RECALL + b"b",
    "built twice": OBJECT + b"}b}b",
    "getattr of a class": call(plain_global("builtins", "getattr"), THING, text("member")),
    "a method of its own called": call(
        call(plain_global("builtins", "getattr"), OBJECT, text("restore")), text("x")
    ),
    "a function of nobody's called": call(plain_global("somewhere", "rebuild"), text("x")),
    "a dict that holds itself": b"}" + MEMO + text("me") + RECALL + b"s",
    "a list that holds itself": b"]" + MEMO + RECALL + b"a",
    "twenty thousand stand-ins": b"]" + MEMO + b"(" + OBJECT * 20_000 + b"e",
}  # fmt: skip
REFUSED = {
    "called": OBJECT + b")R",
    "called with arguments": call(OBJECT, text("x")),
    "a partial called": call(call(plain_global("functools", "partial"), THING)),
    "state for its class": THING + b"}" + text("budget") + b"Ns" + b"b",
    "state for a known class": plain_global("collections", "OrderedDict") + b"}b",
    "state for a known function": plain_global("torch._utils", "_rebuild_tensor_v2") + b"}b",
    "slots for a known function": plain_global("torch._utils", "_rebuild_tensor_v2")
    + b"N}" + text("__defaults__") + b"Ns\x86b",
    "state for a type of storage": plain_global("torch", "FloatStorage") + b"}b",
    "in the place of a storage": call(
        plain_global("torch._utils", "_rebuild_tensor_v2"), OBJECT, b"K\x00", value((2, 2)),
        value((2, 1)), b"\x89", OBJECT,
    ),
    "in the place of a size": call(
        plain_global("torch._utils", "_rebuild_tensor_v2"), OBJECT, OBJECT, OBJECT, OBJECT
    ),
    "a persistent id": OBJECT + b"Q",
    "a tensor of a size": call(plain_global("torch", "Tensor"), value(30_000), value(30_000)),
    "a typed tensor of a size": call(plain_global("torch", "FloatTensor"), value(10**9)),
    "a storage of a size": call(plain_global("torch", "FloatStorage"), value(10**9)),
    "bytes of a size": call(plain_global("builtins", "bytes"), value(10**10)),
    "more than a million stand-ins": THING + MEMO + b"0]("
    + (RECALL + b")R") * 1_100_000 + b"e",
    "twenty thousand names": b"](" + b"".join(
        plain_global("m", f"n{n}") for n in range(20_000)
    ) + b"e",
    "a method of Python's called": call(
        call(plain_global("builtins", "getattr"), plain_global("pathlib", "Path"), text("touch")),
        text("x"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Read every trick beside a good weight."""
    folder = tmp_path_factory.mktemp("stand_ins")
    cases = []
    for number, (trick, pushed) in enumerate((READ | REFUSED).items()):
        path = folder / str(number) / "n.pt"
        path.parent.mkdir()
        torch_zip(path, beside_weights(pushed), NUMBERS)
        cases.append(Case(trick, "score", str(path)))
    return read_guarded(cases, patience=120)


@pytest.mark.parametrize("trick", READ)
def test_stand_ins_keep_what_they_are_given(outcomes: dict[str, Outcome], trick: str) -> None:
    """The weight beside them is read; nothing is run, nor much memory taken."""
    outcome = outcomes[trick]
    assert (outcome.end, outcome.events) == ("read", ()), outcome
    assert outcome.peak < 2**28, outcome


@pytest.mark.parametrize("trick", REFUSED)
def test_what_asks_for_more_is_refused(outcomes: dict[str, Outcome], trick: str) -> None:
    outcome = outcomes[trick]
    assert (outcome.end, outcome.events) == ("refused", ()), outcome
    assert any(word in outcome.message for word in ("do not trust", "damaged")), outcome
    assert outcome.peak < 3 * 2**28, outcome


def test_modules_that_hold_themselves_end(tmp_path: Path) -> None:
    """A module among its own parts, and tensors that are reached on a hundred ways, once each."""
    weights = b"}" + text("weight") + TENSOR + b"s"
    inner = b"}" + text("a") + RECALL + b"s" + text("b") + RECALL + b"s"
    state = b"}" + text("_parameters") + weights + b"s" + text("_modules") + inner + b"s"
    cyclic = PROTOCOL + MODULE + b")R" + MEMO + state + b"b."
    path = torch_zip(tmp_path / "n.pt", cyclic, NUMBERS)
    (outcome,) = read_guarded([Case("cycle", "score", str(path))]).values()
    assert (outcome.end, outcome.events) == ("read", ()), outcome


def test_parts_in_parts_that_double_end(tmp_path: Path) -> None:
    """Thirty modules, each of which holds the one before twice: a thousand million names."""
    pushed = module(b"}" + text("weight") + TENSOR + b"s", b"}")
    for level in range(30):
        put, get = (bytes([code]) + struct.pack("<I", 1000 + level) for code in b"rj")
        double = b"}" + text("a") + get + b"s" + text("b") + get + b"s"
        pushed = pushed + put + b"0" + module(b"}", double)
    path = torch_zip(tmp_path / "n.pt", PROTOCOL + pushed + b".", NUMBERS)
    (outcome,) = read_guarded([Case("doubling", "score", str(path))], patience=60).values()
    assert outcome.end in ("read", "refused"), outcome
    assert outcome.events == ()
    assert outcome.peak < 2**29, outcome


def test_plain_pickles_are_no_less_inert(tmp_path: Path) -> None:
    cases = []
    for number, (trick, pushed) in enumerate(REFUSED.items()):
        path = tmp_path / f"{number}.pkl"
        cases.append(Case(trick, "checkpoints", str(plain(path, PROTOCOL + pushed + b"."))))
    for trick, outcome in read_guarded(cases, patience=120).items():
        assert (outcome.end, outcome.events) == ("refused", ()), (trick, outcome)
