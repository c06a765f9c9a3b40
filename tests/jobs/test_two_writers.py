"""Processes that write at the same time: one goes ahead or all do, and no row is ever lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_score_job import contents, run, save_archive, save_networks

from genpredict.errors import StoreError
from genpredict.jobs import merge, units
from genpredict.jobs.merge import merge_stores
from genpredict.store.reading import open_scores

pytestmark = pytest.mark.faults
WRITER = """
import sys
from pathlib import Path

from genpredict.checkpoints import open_checkpoints
from genpredict.errors import GenpredictError
from genpredict.jobs import units
from genpredict.jobs.merge import merge_stores
from genpredict.jobs.score_job import score_into
from genpredict.jobs.sharding import parse_shard, score_shard
from genpredict.scoring import Options

SETTINGS = {"workers": 1, "chunk_size": 4, "attrs": {"command": "test"}}

def work(what, store, source):
    if what == "merge":
        return merge_stores([store, store.with_name("other.zarr")], store.with_name("merged.zarr"))
    found, options = open_checkpoints(source), Options(device="cpu")
    if what == "whole":
        return score_into(store, found, options, **SETTINGS)
    return score_shard(store, found, options, parse_shard(what), **SETTINGS)

if __name__ == "__main__":
    units.UNIT_ITEMS = 2
    print("ready", flush=True)
    for line in sys.stdin:
        what, store, source = line.split()
        try:
            work(what, Path(store), source)
            print("done", flush=True)
        except GenpredictError as error:
            print(error, flush=True)
"""
IS_WRITING = "is writing to it; wait for it to end, or write to another store"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give files and archives in five units, one file broken."""
    folder = save_networks(tmp_path_factory.mktemp("sources") / "nets", 6)
    (folder / "n004.pt").write_bytes(b"no checkpoint")
    for index in (3, 77, 78, 4000):
        save_archive(folder / "nats", index, seeds=(777, 888))
    return folder


@pytest.fixture(scope="module")
def expected(source: Path) -> dict[str, bytes]:
    """Give the bytes of an undisturbed store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "UNIT_ITEMS", 2)
        run(source.parent / "whole.zarr", source, chunk_size=4)
    return contents(source.parent / "whole.zarr")


@pytest.fixture(scope="module")
def writers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[subprocess.Popen[str]]]:
    """Give two processes that begin a job the moment they are told which."""
    script = tmp_path_factory.mktemp("writers") / "writer.py"
    script.write_text(WRITER)
    both = [
        subprocess.Popen(
            [sys.executable, "-W", "error", str(script)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    assert [answer(writer) for writer in both] == ["ready", "ready"]
    yield both
    for writer in both:
        writer.communicate()
        assert writer.returncode == 0


def answer(writer: subprocess.Popen[str]) -> str:
    """Wait for the answer of a writer."""
    assert writer.stdout is not None
    return writer.stdout.readline().rstrip()


def begin(writer: subprocess.Popen[str], what: str, store: Path, source: Path) -> None:
    """Tell a writer what to do."""
    assert writer.stdin is not None
    writer.stdin.write(f"{what} {store} {source}\n")
    writer.stdin.flush()


def at_once(writers: Any, jobs: tuple[str, str], store: Path, source: Path) -> list[str]:
    """Begin two jobs at once; return how they ended."""
    for writer, what in zip(writers, jobs, strict=True):
        begin(writer, what, store, source)
    return [answer(writer) for writer in writers]


def check_ends(said: list[str]) -> None:
    """Assert that jobs were done, or refused since another one was at it."""
    assert "done" in said
    assert all(words == "done" or IS_WRITING in words for words in said), said


ROUNDS = pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.slow)])
PAIRS = [
    ("whole", "whole"), ("whole", "1/2"), ("whole", "1/1"), ("1/2", "1/2"), ("1/1", "1/1"),
    ("1/2", "2/2"),
]  # fmt: skip


@ROUNDS
@pytest.mark.parametrize("jobs", PAIRS, ids=" and ".join)
def test_two_at_once_against_one(
    tmp_path: Path, source: Path, expected: dict[str, bytes], writers: Any, jobs: Any, rounds: int
) -> None:
    """Whole runs, a whole run beside a shard, one shard twice, two that end at the same time.

    Each ends, or is refused and named; a rerun of the refused finds all rows, and in the end the
    store is that of one writer.
    """
    for number in range(rounds):
        store = tmp_path / f"{number}.zarr"
        check_ends(at_once(writers, jobs, store, source))
        for what in jobs:
            begin(writers[0], what, store, source)
            assert answer(writers[0]) == "done"
        if jobs == ("1/2", "1/2"):  # the other half is nobody's yet
            assert not store.exists()
            begin(writers[0], "2/2", store, source)
            assert answer(writers[0]) == "done"
        assert contents(store) == expected
        assert set(tmp_path.iterdir()) == {tmp_path / f"{n}.zarr" for n in range(number + 1)}


@ROUNDS
def test_two_different_shards_need_no_rerun(
    tmp_path: Path, source: Path, expected: dict[str, bytes], writers: Any, rounds: int
) -> None:
    """Both are done, one of them, or the last of them, completes the store."""
    for number in range(rounds):
        store = tmp_path / f"{number}.zarr"
        assert at_once(writers, ("1/2", "2/2"), store, source) == ["done", "done"]
        assert contents(store) == expected
        assert not store.with_name(f"{store.name}.parts").exists()


@ROUNDS
def test_a_merge_beside_a_run(
    tmp_path: Path, source: Path, expected: dict[str, bytes], writers: Any, rounds: int
) -> None:
    """The merge is refused while its store grows, or ends with all rows; the run does not care."""
    store, merged = tmp_path / "s.zarr", tmp_path / "merged.zarr"
    run(tmp_path / "other.zarr", save_networks(tmp_path / "others", 3), chunk_size=4)
    for _ in range(rounds):
        for folder in (store, merged):
            remove(folder)
        run_done, merge_said = at_once(writers, ("whole", "merge"), store, source)
        assert run_done == "done"
        assert contents(store) == expected
        if merge_said == "done":
            check_merged(merged)
        else:
            assert "s.zarr: " in merge_said
            assert not merged.exists()
            begin(writers[1], "merge", store, source)
            assert answer(writers[1]) == "done"
            check_merged(merged)
        assert not list(tmp_path.glob("*.merging*"))


def remove(folder: Path) -> None:
    """Remove a store where there is one."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def check_merged(merged: Path) -> None:
    """Assert that a merged store has every row of both, all measured."""
    states = open_scores(merged)["status"].to_series().value_counts().to_dict()
    assert states == {"done": 13, "failed": 1}


def test_a_run_that_ends_while_a_merge_reads(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It began and ended between two looks at the store: the merge is not believed."""
    some = save_networks(tmp_path / "some", 3)
    for name in "ab":
        run(tmp_path / f"{name}.zarr", some)
    write = merge._write

    def while_another_writes(*arguments: Any) -> Any:
        merged = write(*arguments)
        run(tmp_path / "b.zarr", source)
        return merged

    with monkeypatch.context() as patch:
        patch.setattr(merge, "_write", while_another_writes)
        said = r"b\.zarr: was written to while it was read; merge again"
        with pytest.raises(StoreError, match=said):
            merge_stores([tmp_path / "a.zarr", tmp_path / "b.zarr"], tmp_path / "c.zarr")
    assert not (tmp_path / "c.zarr").exists()
    merge_stores([tmp_path / "a.zarr", tmp_path / "b.zarr"], tmp_path / "c.zarr")
    assert open_scores(tmp_path / "c.zarr").sizes["checkpoint"] == 14


def test_a_run_that_makes_the_store_that_a_merge_is_to_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came first, if only by a moment: its rows stay."""
    some, output = save_networks(tmp_path / "some", 3), tmp_path / "c.zarr"
    run(tmp_path / "a.zarr", some)
    attrs = merge._joint_attrs

    def a_moment_before(paths: Any) -> Any:
        run(output, some)
        return attrs(paths)

    monkeypatch.setattr(merge, "_joint_attrs", a_moment_before)
    with pytest.raises(StoreError, match=r"c\.zarr: exists; choose another store"):
        merge_stores([tmp_path / "a.zarr"], output)
    assert open_scores(output).sizes["checkpoint"] == 3
