"""Shards of one store: any number at once, in any order, killed and run again."""

from __future__ import annotations

import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from test_score_job import contents, run, save_archive, save_networks

from genpredict.checkpoints import open_checkpoints
from genpredict.cli import run as run_command
from genpredict.errors import GenpredictError, StoreError
from genpredict.jobs import units
from genpredict.jobs.sharding import Shard, ShardOutcome, parse_shard, score_shard
from genpredict.jobs.spool import Spool
from genpredict.locking import LockedError, locked
from genpredict.scoring import Options
from genpredict.store.reading import open_scores
from genpredict.store.writing import lock_of


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give files and archives in six units, one file broken, one archive cut short."""
    monkeypatch.setattr(units, "UNIT_ITEMS", 2)
    folder = save_networks(tmp_path / "nets", 7)
    (folder / "n004.pt").write_bytes(b"no checkpoint")
    save_archive(folder / "nats", 3, seeds=(777, 888))
    save_archive(folder / "nats", 77)
    save_archive(folder / "nats", 78)
    save_archive(folder / "nats", 4000, datasets=("cifar10", "cifar100"))
    cut_short = folder / "nats" / "000078.pickle.pbz2"
    cut_short.write_bytes(cut_short.read_bytes()[:5000])
    return folder


@pytest.fixture
def expected(tmp_path: Path, source: Path) -> dict[str, bytes]:
    """Give the bytes of an undisturbed whole run."""
    run(tmp_path / "whole.zarr", source, chunk_size=4)
    return contents(tmp_path / "whole.zarr")


def run_shard(path: Path, source: Path, shard: str, **options: Any) -> ShardOutcome:
    """Score a shard on the CPU."""
    options = {"workers": 1, "attrs": {"command": "test"}, "chunk_size": 4} | options
    chosen = options.pop("options", Options(device="cpu"))
    return score_shard(path, open_checkpoints(source), chosen, parse_shard(shard), **options)


def parts_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.parts")


# --- which shard ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "3", "a/b", "-1/4", "1/4/5", "", "1.0/4"])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    """The error says how shards count, and what to do where a job array counts from 0."""
    said = rf"shard: {re.escape(repr(text))} must be i/n with i from 1 to n.*from 0, add 1"
    with pytest.raises(GenpredictError, match=said):
        parse_shard(text)


def test_shards_share_the_units_out_evenly() -> None:
    """Every unit belongs to one shard; sizes differ by one at most; more shards than units too."""
    some: Any = list(range(11))
    for count in (1, 2, 3, 11, 20):
        shares = [Shard(index, count).of(some) for index in range(1, count + 1)]
        assert sorted(unit for share in shares for unit in share) == some
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


# --- the same bytes as a whole run ---------------------------------------------------------------


@pytest.mark.parametrize(("count", "seed"), [(1, 0), (3, 0), (3, 1), (9, 2)])
def test_shards_in_any_order_against_a_whole_run(
    tmp_path: Path, source: Path, expected: dict[str, bytes], count: int, seed: int
) -> None:
    """The last one completes the store, to the byte; nothing is left beside it."""
    path, order = tmp_path / "s.zarr", list(range(1, count + 1))
    random.Random(seed).shuffle(order)
    for index in order[:-1]:
        outcome = run_shard(path, source, f"{index}/{count}")
        assert outcome.left
        assert outcome.store is None
        assert not path.exists()
    outcome = run_shard(path, source, f"{order[-1]}/{count}")
    assert outcome.store is not None
    assert (outcome.store.done, outcome.store.failed, outcome.left) == (11, 2, 0)
    assert contents(path) == expected
    assert sorted(e.name for e in tmp_path.iterdir()) == ["nets", "s.zarr", "whole.zarr"]


def test_a_whole_run_takes_what_shards_did_and_does_the_rest(
    tmp_path: Path, source: Path, expected: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the units of the missing shards are measured; the bytes are those of one run."""
    path = tmp_path / "s.zarr"
    run_shard(path, source, "1/3")
    run_shard(path, source, "3/3")
    measured: list[str] = []
    measure = units.measure_unit

    def noting(unit: units.Unit, *, options: Options) -> Any:
        measured.append(str(unit))
        return measure(unit, options=options)

    monkeypatch.setattr("genpredict.jobs.score_job.measure_unit", noting)
    run(path, source, chunk_size=4)
    mine = Shard(2, 3).of(list(units.cut(open_checkpoints(source).items)))
    assert measured == [str(unit) for unit in mine]
    assert contents(path) == expected
    assert not parts_of(path).exists()


def test_shards_finish_what_a_whole_run_began(
    tmp_path: Path, source: Path, expected: dict[str, bytes]
) -> None:
    """What is in the store already is nobody's to do."""
    path = tmp_path / "s.zarr"

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(path, source, chunk_size=4, progress=stop)
    done = [run_shard(path, source, f"{index}/2").done for index in (1, 2)]
    assert sum(done) == 9  # a unit of two was done
    assert contents(path) == expected


def test_a_rerun_of_a_shard_does_nothing_twice(tmp_path: Path, source: Path) -> None:
    """Before the others are done and after: no row is measured again; failures are told again."""
    path = tmp_path / "s.zarr"
    first, again = (run_shard(path, source, "1/2") for _ in range(2))
    assert first.done
    assert again.done == 0
    assert again.failures == first.failures
    assert run_shard(path, source, "2/2").store is not None
    assert run_shard(path, source, "1/2") == ShardOutcome()


def test_failed_rows_of_shards_are_retried(tmp_path: Path, source: Path) -> None:
    """With --retry-failed, before and after the shards are joined; order of rows as ever."""
    path = tmp_path / "s.zarr"
    for index in (1, 2):
        run_shard(path, source, f"{index}/2")
    good = (source / "n003.pt").read_bytes()
    (source / "n004.pt").write_bytes(good)
    for index in (1, 2):
        outcome = run_shard(path, source, f"{index}/2", retry_failed=True)
    assert outcome.store is not None
    assert (outcome.store.done, outcome.store.failed) == (12, 1)
    other = tmp_path / "t.zarr"
    (source / "n004.pt").write_bytes(b"no checkpoint")
    first, second = (run_shard(other, source, "1/2").failures for _ in range(2))
    assert [name for name, _ in first] == ["n004.pt", "NATS-sss/000078"]
    assert second == first
    (source / "n004.pt").write_bytes(good)
    again = run_shard(other, source, "1/2", retry_failed=True).failures
    assert [name for name, _ in again] == ["NATS-sss/000078"]
    run_shard(other, source, "2/2")
    assert not parts_of(other).exists()


def test_a_damaged_part_is_measured_again(
    tmp_path: Path, source: Path, expected: dict[str, bytes]
) -> None:
    """Files cut short or full of noise, as a dying disk leaves them."""
    path = tmp_path / "s.zarr"
    run_shard(path, source, "1/2")
    for number, file in enumerate(sorted(parts_of(path).glob("*.npz"))):
        file.write_bytes(b"noise" * 100 if number % 2 else file.read_bytes()[:-200])
    run_shard(path, source, "2/2")
    assert contents(path) == expected


# --- at once, and killed -------------------------------------------------------------------------

SCRIPT = """
import sys
from pathlib import Path
from genpredict.jobs import units
from genpredict.checkpoints import open_checkpoints
from genpredict.scoring import Options
from genpredict.jobs.sharding import parse_shard, score_shard

if __name__ == "__main__":
    units.UNIT_ITEMS = 2
    print("ready", flush=True)
    sys.stdin.readline()
    score_shard(
        Path(sys.argv[1]), open_checkpoints(sys.argv[2]), Options(device="cpu"),
        parse_shard(sys.argv[3]), workers=1, chunk_size=4, attrs={"command": "test"},
    )
"""


def start(tmp_path: Path, path: Path, source: Path, shard: str) -> subprocess.Popen[str]:
    """Start a shard in a process of its own, that waits for a line."""
    script = tmp_path / "shard.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(script), str(path), str(source), shard],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.faults
def test_shards_at_once_and_killed_against_a_whole_run(
    tmp_path: Path, source: Path, expected: dict[str, bytes]
) -> None:
    """Three processes on one store, one of them killed at a random moment and run again."""
    path = tmp_path / "s.zarr"
    crowd = [start(tmp_path, path, source, f"{index}/3") for index in (1, 2, 3)]
    for process in crowd:
        go(process)
    time.sleep(random.Random(0).uniform(0.0, 0.3))
    crowd[1].kill()
    said = [process.communicate()[1] for process in crowd]
    assert (said[0], said[2]) == ("", "")
    run_shard(path, source, "2/3")
    assert contents(path) == expected
    assert not parts_of(path).exists()


def go(process: subprocess.Popen[str]) -> None:
    """Let a shard begin."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.faults
@pytest.mark.slow
def test_shards_killed_ten_times_against_a_whole_run(
    tmp_path: Path, source: Path, expected: dict[str, bytes]
) -> None:
    """SIGKILL at ten random moments, while measuring and while joining: the same bytes.

    Moments are spread over the time that a shard takes; one that has ended before does not count.
    """
    path, rng, hits = tmp_path / "s.zarr", random.Random(1), 0
    with start(tmp_path, tmp_path / "timed.zarr", source, "1/1") as process:
        begun = time.monotonic()
        go(process)
        assert process.wait() == 0
        length = time.monotonic() - begun
    shutil.rmtree(tmp_path / "timed.zarr")
    for _ in range(40):
        with start(tmp_path, path, source, f"{rng.randrange(1, 3)}/2") as process:
            go(process)
            time.sleep(rng.uniform(0, length))
            process.kill()
        hits += process.returncode == -signal.SIGKILL
        if hits == 10:
            break
        if path.exists() and not parts_of(path).exists():  # whole: begin anew
            assert contents(path) == expected
            shutil.rmtree(path)
    assert hits == 10
    for index in (1, 2):
        run_shard(path, source, f"{index}/2")
    assert contents(path) == expected
    assert not parts_of(path).exists()


@pytest.mark.faults
def test_a_shard_tidies_up_after_one_killed_at_the_very_end(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store was whole and the spool still there: the next shard has nothing else to do."""
    path = tmp_path / "s.zarr"
    run_shard(path, source, "1/2")
    with monkeypatch.context() as patch:
        patch.setattr(Spool, "discard", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_shard(path, source, "2/2")
    assert any(parts_of(path).glob("*.npz"))
    assert run_shard(path, source, "1/2").done == 0
    assert not parts_of(path).exists()


def test_the_same_shard_twice_at_once_is_refused(tmp_path: Path, source: Path) -> None:
    """So is a whole run beside a shard, and a shard beside a whole run."""
    path = tmp_path / "s.zarr"
    run_shard(path, source, "1/2")
    spool = Spool.of(path, Options(device="cpu").attrs())
    with locked(spool.lock_of("shard-2-of-2")):
        with pytest.raises(LockedError, match=r"shard-2-of-2: process \d+ on host"):
            run_shard(path, source, "2/2")
        with pytest.raises(LockedError, match=r"shard-2-of-2: process \d+ on host"):
            run(path, source)
    with locked(lock_of(path)), pytest.raises(LockedError, match=r"s\.zarr: process \d+ on host"):
        run_shard(path, source, "2/2")
    assert run_shard(path, source, "2/2").store is not None


def test_another_shard_that_joins_is_left_to_it(tmp_path: Path, source: Path) -> None:
    """Two that end at the same time: one completes the store, the other is content."""
    path = tmp_path / "s.zarr"
    run_shard(path, source, "1/2")

    with ExitStack() as stack:
        other = iter([locked(lock_of(path))])

        def begin_joining(*_: int) -> None:
            for lock in other:
                stack.enter_context(lock)

        outcome = run_shard(path, source, "2/2", progress=begin_joining)
    assert (outcome.store, outcome.left) == (None, 0)
    assert run_shard(path, source, "2/2").store is not None


# --- errors and the command line -----------------------------------------------------------------


def test_shards_made_otherwise_are_refused(tmp_path: Path, source: Path) -> None:
    """Shards and whole runs with other options than the first shard's: the error names them."""
    path = tmp_path / "s.zarr"
    run_shard(path, source, "1/2")
    other = Options(device="cpu", estimator="reference")
    said = r"parts: shards were made with estimator='global', asked for 'reference'; choose"
    with pytest.raises(StoreError, match=said):
        run_shard(path, source, "2/2", options=other)
    with pytest.raises(StoreError, match=said):
        run_command_of(path, source, "--estimator", "reference")
    (parts_of(path) / "identity.json").write_text("{")
    with pytest.raises(StoreError, match=r"parts: damaged; delete this folder"):
        run_shard(path, source, "2/2")


def run_command_of(path: Path, source: Path, *more: str) -> None:
    """Score by a whole run with options."""
    from genpredict.jobs.score_job import score_into

    estimator = more[more.index("--estimator") + 1]
    score_into(path, open_checkpoints(source), Options(device="cpu", estimator=estimator))


def test_a_place_that_cannot_be_written(tmp_path: Path, source: Path) -> None:
    """A clear error before any work."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/s\.zarr\.parts: cannot write: .*go on"):
        run_shard(tmp_path / "file" / "s.zarr", source, "1/2")


def test_the_command_of_shards(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is left is said; 3 where some failed; the store records the command of all shards."""
    path = tmp_path / "s.zarr"
    command = ["score", str(source), "-o", str(path), "--device", "cpu"]
    codes = []
    for index in (1, 2):
        codes.append(run_command([*command, "--shard", f"{index}/3"]))
        assert f"shard {index} of 3 is complete" in capsys.readouterr().err
        assert run_command(["correlate", str(path)]) == 1
        said = capsys.readouterr().err
        assert f"{path}: no such scores store yet: shards of it are in {parts_of(path)}" in said
    assert run_command([*command, "--shard=3/3"]) == 3
    said = capsys.readouterr().err
    assert "shard 3 of 3 was the last one" in said
    assert f"{path}: 11 done, 2 failed, 0 pending" in said
    assert "failed: n004.pt" in said
    assert 3 in codes
    assert "--shard" not in open_scores(path).attrs["command"]
    assert run_command([*command, "--shard", "1/3", "--overwrite"]) == 1
    assert "overwrite: a shard cannot start anew" in capsys.readouterr().err
    assert run_command([*command, "--shard", "0/3"]) == 1
    assert "must be i/n with i from 1 to n" in capsys.readouterr().err
