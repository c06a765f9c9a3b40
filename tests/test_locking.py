"""One writer at a time, and no lock that outlives its owner."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from genpredict import locking
from genpredict.errors import StoreError
from genpredict.locking import locked
from genpredict.scoring import Options
from genpredict.store.writing import lock_of, open_writer

HOLD = """
import sys, time
from pathlib import Path
from genpredict.locking import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Give the path of a lock that nobody holds."""
    return tmp_path / "s.zarr.lock"


@pytest.fixture
def holder(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """Give a process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_lock_names_its_owner_and_goes_with_the_block(lock: Path) -> None:
    """Host and process are in the file while the block runs; then there is none."""
    with locked(lock) as held:
        assert held == lock
        owner = json.loads(lock.read_text())
        assert (owner["host"], owner["pid"]) == (socket.gethostname(), os.getpid())
    assert not lock.exists()


def test_the_lock_goes_with_an_exception(lock: Path) -> None:
    """An error in the block, Ctrl-C as well, leaves no lock behind."""
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), locked(lock):
            raise error
        assert not lock.exists()


def test_a_second_writer_is_refused(lock: Path, holder: subprocess.Popen[str]) -> None:
    """The error names the store, the process, the host, its last sign of life, the remedy."""
    text = (
        rf"{re.escape(str(lock.with_suffix('')))}: process {holder.pid} on host "
        rf"{re.escape(socket.gethostname())} \(last sign of life \d+ s ago\) is writing to it; "
        rf"wait for it to end, or write to another store"
    )
    with pytest.raises(StoreError, match=text), locked(lock):
        pytest.fail("two owners")
    assert json.loads(lock.read_text())["pid"] == holder.pid
    assert holder.poll() is None


def test_a_second_writer_in_the_same_process_is_refused(lock: Path) -> None:
    """Two notebook cells, say; the first one keeps its lock."""
    with locked(lock):
        with pytest.raises(StoreError, match=f"process {os.getpid()} on host"), locked(lock):
            pytest.fail("two owners")
        assert lock.exists()


@pytest.mark.faults
def test_the_lock_of_a_killed_owner_is_taken_over(
    lock: Path, holder: subprocess.Popen[str]
) -> None:
    """Killed for good: its lock file is still there, and no reason to wait."""
    holder.kill()
    holder.wait()
    assert lock.exists()
    with locked(lock):
        assert json.loads(lock.read_text())["pid"] == os.getpid()
    assert list(lock.parent.iterdir()) == []


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "null", '{"pid": 1, "host": "elsewhere"}'])
def test_what_a_dead_owner_left_does_not_matter(lock: Path, text: str) -> None:
    """The lock is the kernel's: a file alone, whatever it says and however new, is no owner."""
    lock.write_text(text)
    with locked(lock):
        owner = {"host": socket.gethostname(), "pid": os.getpid()}
        assert json.loads(lock.read_text()) == owner
    assert not lock.exists()


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "null", '{"pid": 1}'])
def test_an_owner_that_has_not_said_its_name_is_respected(
    lock: Path, holder: subprocess.Popen[str], text: str
) -> None:
    """A lock is taken a moment before its owner's name is written."""
    lock.write_text(text)
    said = r"s\.zarr: another process is writing to it; wait for it to end, or write to another"
    with pytest.raises(StoreError, match=said), locked(lock):
        pytest.fail("two owners")
    assert holder.poll() is None


def test_the_last_sign_of_life_is_the_latest_touch(
    lock: Path, holder: subprocess.Popen[str]
) -> None:
    """An owner that lives keeps its lock however long ago that was."""
    os.utime(lock, (1, 1))
    text = rf"process {holder.pid} on host .* \(last sign of life \d{{9,}} s ago\)"
    with pytest.raises(StoreError, match=text), locked(lock):
        pytest.fail("two owners")


def test_a_file_system_without_locks(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to do, and does not speak of another process."""

    def refuse(*_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locking.fcntl, "flock", refuse)
    text = (
        r"s\.zarr: this file system has no locks \(No locks available\); put the store on another"
    )
    with pytest.raises(StoreError, match=text), locked(lock):
        pytest.fail("no lock")


def test_a_lock_file_removed_by_its_owner_in_between_is_made_anew(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened before its owner removed it, locked after: that file is nobody's any more."""
    flock, calls = fcntl.flock, 0

    def owner_ends_first(handle: int, how: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            lock.unlink()
        flock(handle, how)

    monkeypatch.setattr(locking.fcntl, "flock", owner_ends_first)
    with locked(lock):
        assert lock.exists()
        assert calls == 2


def test_of_many_that_find_a_dead_owner_one_takes_over(lock: Path) -> None:
    """Eight processes at once: never two owners at a time."""
    code = """
import sys, time
from pathlib import Path
from genpredict.errors import StoreError
from genpredict.locking import locked
lock, start = Path(sys.argv[1]), float(sys.argv[2])
time.sleep(max(0, start - time.time()))
try:
    with locked(lock):
        (lock.parent / "inside").touch(exist_ok=False)
        time.sleep(0.3)
        (lock.parent / "inside").unlink()
        print("owner")
except StoreError:
    print("refused")
"""
    lock.write_text("left by a dead owner")
    command = [sys.executable, "-c", code, str(lock), str(time.time() + 1.5)]
    crowd = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    said = [process.communicate() for process in crowd]
    assert [errors for _, errors in said if errors] == []
    assert sorted({words.strip() for words, _ in said}) == ["owner", "refused"]
    assert list(lock.parent.iterdir()) == []


def test_a_store_being_written_is_refused(tmp_path: Path) -> None:
    """The lock lies beside the store, and is touched at every write as a sign of life."""
    path, attrs = tmp_path / "s.zarr", Options(device="cpu").attrs()
    with open_writer(path, attrs):
        assert lock_of(path) == tmp_path / "s.zarr.lock"
        assert lock_of(path).exists()
        for overwrite in (False, True):
            text = rf"s\.zarr: process {os.getpid()} on host .* is writing to it"
            with (
                pytest.raises(StoreError, match=text),
                open_writer(path, attrs, overwrite=overwrite),
            ):
                pytest.fail("two writers")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["s.zarr"]
