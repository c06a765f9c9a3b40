"""Files of data sets that claim or unpack to more than such files have are refused, in bounds."""

from __future__ import annotations

import gzip
import os
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genpredict.datasets import idx, pickles, text
from genpredict.errors import GenpredictError

READERS: dict[str, Callable[[Path], Any]] = {
    "pickle": pickles.load_pickle, "idx": idx.read_idx, "text": text.load_text,
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_larger_files_are_refused_unread(name: str, tmp_path: Path) -> None:
    """A sparse file of a terabyte costs nothing; the message says both sizes."""
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(2**40)
    tracemalloc.start()
    with pytest.raises(GenpredictError, match=r"big.*1,099,511,627,776 bytes, more than the"):
        READERS[name](path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("name", READERS)
def test_pipes_are_refused_and_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(GenpredictError, match="pipe or a device"):
        READERS[name](tmp_path / "pipe")


def test_what_unpacks_to_more_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than the bound is unpacked."""
    monkeypatch.setattr(idx, "MOST_BYTES", 10_000)
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(bytes(5_000_000)))
    tracemalloc.start()
    with pytest.raises(GenpredictError, match="more than 10,000 bytes unpacked"):
        idx.read_idx(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_too_many_words_are_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MOST_WORDS", 100)
    (tmp_path / "t.txt").write_text("\n".join(f"w{n} w" for n in range(500)), encoding="utf-8")
    with pytest.raises(GenpredictError, match="more than 100 different words"):
        text.load_text(tmp_path / "t.txt")


def test_keys_that_take_for_ever_to_hash_are_refused(tmp_path: Path) -> None:
    """Tuples of tuples, each twice: 60 of them would be hashed 2^60 times, in dicts or sets."""
    nested = b"K\x01q\x00" + b"".join(b"h\x00h\x00\x86q\x00" for _ in range(60))
    keys = {
        "setitem": b"\x80\x02}" + nested + b"K\x01s.",
        "setitems": b"\x80\x02}(" + nested + b"K\x01u.",
        "dict": b"\x80\x02(" + nested + b"K\x01d.",
        "set": b"\x80\x04\x8f(" + nested + b"\x90.",
        "frozenset": b"\x80\x04(" + nested + b"\x91.",
    }
    for name, content in keys.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(GenpredictError, match=r"a dict with a tuple as key|it holds a set"):
            pickles.load_pickle(tmp_path / name)


def test_no_room_is_made_for_a_bytearray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve bytes claim an array of two gigabytes."""
    monkeypatch.setattr(pickles, "MOST_BYTES", 10_000)
    (tmp_path / "p").write_bytes(b"\x80\x05\x96" + (2**31).to_bytes(8, "little") + b".")
    tracemalloc.start()
    with pytest.raises(GenpredictError, match="more bytes than the file has"):
        pickles.load_pickle(tmp_path / "p")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_text_is_encoded_no_oftener_than_the_file_is_long(tmp_path: Path) -> None:
    """Nine bytes of program would else make as many bytes as one text has, again and again."""
    again = b"h\x01h\x00\x85Ra"
    words = b"X" + (100_000).to_bytes(4, "little") + b"x" * 100_000 + b"q\x000"
    program = b"\x80\x02" + words + b"c_codecs\nencode\nq\x010]" + again * 5_000 + b"."
    (tmp_path / "p").write_bytes(program)
    with pytest.raises(GenpredictError, match="more bytes than the file has"):
        pickles.load_pickle(tmp_path / "p")


def test_plain_keys_are_read(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(pickle.dumps({"a": {1: 2, 2.5: "x", b"y": []}}))
    assert pickles.load_pickle(tmp_path / "p") == {"a": {1: 2, 2.5: "x", b"y": []}}
