"""What hashing costs, followed through a pickle without unpickling it."""

from __future__ import annotations

import io
import pickle
import random
from collections import OrderedDict
from typing import Any, BinaryIO

import numpy as np
import pytest

from genpredict.checkpoints.formats import torch_containers
from genpredict.checkpoints.formats.pickle_costs import (
    MOST,
    TOO_COSTLY,
    PickleCosts,
    RefusedPickleError,
    follow_pickles,
)


def follow(data: bytes, *, piece: int = 1 << 20) -> PickleCosts:
    """Follow a pickle in pieces."""
    costs = PickleCosts()
    for at in range(0, len(data), piece):
        costs.feed(data[at : at + piece])
    return costs


def nested(rng: random.Random, depth: int) -> Any:
    """Make things of all kinds that pickles of archives hold."""
    if depth == 0:
        return rng.choice(
            [None, True, 3, 300, 2**40, -1, 1.5, "text", b"bytes", "ä" * 300, b"x" * 300]
        )
    some = [nested(rng, depth - 1) for _ in range(rng.randrange(4))]
    keys = [(rng.randrange(99), "k"), rng.randrange(99), "key"]
    return rng.choice(
        [
            some, tuple(some), {rng.choice(keys): one for one in some}, [some, some],
            OrderedDict((n, one) for n, one in enumerate(some)), np.float64(1.5), {1, 2},
            frozenset([rng.choice(keys)]),
        ]
    )  # fmt: skip


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_any_protocol_are_followed_to_their_end(protocol: int) -> None:
    """Also in pieces of a byte: to the one object that is left, what follows not looked at."""
    rng = random.Random(protocol)
    for _ in range(30):
        data = pickle.dumps(nested(rng, 3), protocol=protocol) + b"\xff\xff"
        for piece in (1, 7, 1 << 20):
            costs = follow(data, piece=piece)
            assert costs.is_over
            assert len(costs._stack) == 1


def cost(made: Any) -> int:
    """Count the steps of hashing by walking: the definition."""
    if not isinstance(made, tuple | frozenset):
        return 1
    return 1 + sum(map(cost, made))


def tuples(rng: random.Random, depth: int) -> Any:
    return tuple(tuples(rng, depth - 1) for _ in range(rng.randrange(4))) if depth else "leaf"


def test_costs_against_walking() -> None:
    """Of tuples that share parts, by memo, as pickle itself writes them."""
    rng = random.Random(0)
    seen = set()
    for _ in range(200):
        part = tuples(rng, 3)
        protocol = rng.choice((0, 2, 4))  # the first two have no opcode for frozen sets
        wrapped = frozenset([part]) if protocol == 4 else (part,)
        made = (part, wrapped, (part,) * rng.randrange(20)) if rng.random() < 0.5 else part
        costs, expected = PickleCosts(), cost(made)
        data = pickle.dumps(made, protocol=protocol)
        if expected > MOST:
            with pytest.raises(RefusedPickleError, match=TOO_COSTLY):
                costs.feed(data)
        else:
            costs.feed(data)
            assert costs._stack == [expected]
        seen.add(expected > MOST)
    assert seen == {False, True}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"0", "out of order"),
        (b"t", "out of order"),
        (b"Nq\x00\x94", "beside"),
        (b"N\x94q\x00", "beside"),
        (b"Npx\n", "out of order"),
        (b"Pid\n.", "opcode 0x50"),
        (b"\x82\x01.", "opcode 0x82"),
        (b"\xff", "opcode 0xff"),
        (b"V" + b"x" * 200_000, "a line without an end"),
    ],
)
def test_what_no_archive_needs_is_refused(data: bytes, said: str) -> None:
    """Rather than lose the thread, and with it what comes after."""
    with pytest.raises(RefusedPickleError, match=said):
        follow(data)


def test_a_key_is_weighed_before_it_is_hashed() -> None:
    """However the stream is cut: the unpickler is never shown what has not been followed."""
    from genpredict.checkpoints.nats.unpickling import _ArchiveUnpickler, _Capped

    bomb = b"\x80\x04}N" + b"2\x86" * 60 + b"K\x01s."
    for front in (0, 8190, 8192, 131_000):
        data = b"\x80\x04B" + front.to_bytes(4, "little") + bytes(front) + b"0" + bomb[2:]
        reader = _Capped(io.BufferedReader(io.BytesIO(data)), 2**30)
        with pytest.raises(RefusedPickleError, match=TOO_COSTLY):
            _ArchiveUnpickler(reader).load()


def test_what_is_refused_is_refused_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what passed is remembered, by its content and by how many pickles it is, and bounded."""
    monkeypatch.setattr(torch_containers, "_FOLLOWED", set[bytes]())
    monkeypatch.setattr(torch_containers, "_MOST_FOLLOWED", 2)
    followed: list[int] = []

    def counting(file: BinaryIO, count: int) -> None:
        followed.append(count)
        follow_pickles(file, count)

    monkeypatch.setattr(torch_containers, "follow_pickles", counting)
    for _ in range(2):
        with pytest.raises(RefusedPickleError, match="tuples in tuples"):
            torch_containers.check_costs(b"}N" + b"2\x86" * 60 + b"K\x01s.", 1)
    good = [pickle.dumps(number) for number in range(3)]
    for pickled, count in ((good[0], 1), (good[0], 1), (good[0], 2), (good[1], 1), (good[0], 1)):
        torch_containers.check_costs(pickled, count)
    assert followed == [1, 1, 1, 2, 1, 1]
    assert len(torch_containers._FOLLOWED) <= 2
