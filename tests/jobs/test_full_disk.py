"""A disk that is full, or read-only: clear errors, and nothing lost that was done."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_disk import AMPLE, Disk, disk
from test_score_job import contents, open_if_whole, run, save_archive, save_networks

from genpredict.cli import run as run_command
from genpredict.errors import StoreError
from genpredict.jobs import units
from genpredict.store.reading import open_scores
from genpredict.store.writing import Writer

pytestmark = pytest.mark.faults
__all__ = ["disk"]  # a fixture
FULL = "No space left on device"
#: Parts of the space that a job needs, given one after the other.
PARTS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give files and archives in seven units, one file broken, one archive cut short."""
    monkeypatch.setattr(units, "UNIT_ITEMS", 2)
    folder = save_networks(tmp_path / "nets", 6)
    (folder / "n002.pt").write_bytes(b"no checkpoint")
    for index in range(8):
        save_archive(folder / "nats", index, seeds=(777, 888), epochs=(12, 90))
    archive = folder / "nats" / "000005.pickle.pbz2"
    archive.write_bytes(archive.read_bytes()[:4000])
    run(tmp_path / "a.zarr", folder / "nats", chunk_size=4)
    run(tmp_path / "b.zarr", folder, chunk_size=4)
    return folder


def commands(name: str, source: Path) -> list[list[str]]:
    """Return the commands of a kind of job, to be run in the folder of its output."""
    score = ["score", str(source), "-o", "s.zarr", "--device", "cpu", "--chunk-size", "4"]
    stores = [str(source.parent / store) for store in ("a.zarr", "b.zarr")]
    return {
        "store": [[*score, "--workers", "1"]],
        "shards": [[*score, "--workers", "1", "--shard", f"{index}/2"] for index in (1, 2)],
        "dask": [[*score, "--workers", "1", "--engine", "dask"]],
        "cache": [["cache", str(source / "nats"), "-o", "cache", "--workers", "2"]],
        "merge": [["merge", *stores, "-o", "s.zarr"]],
    }[name]


def run_all(which: list[list[str]]) -> int:
    """Run commands one after the other, to the first one that fails; return the last exit code."""
    code = 0
    for command in which:
        if (code := run_command(command)) not in (0, 3):
            break
    return code


def done(folder: Path) -> set[str]:
    """Return what is done in a folder: rows of the store, units of shards, cached archives."""
    names = {str(f) for f in folder.rglob("*.npz")} | {
        str(f) for f in folder.rglob("*.safetensors")
    }
    if (folder / "s.zarr" / "status").exists():
        scores = open_if_whole(folder / "s.zarr")
        if scores is not None:
            is_done = scores.isel(checkpoint=(scores["status"] == "done").values)
            assert bool(is_done["Q"].notnull().all())
            names |= set(is_done["checkpoint"].values.tolist())
    return names


def room_for(disk: Disk, which: list[list[str]]) -> tuple[int, dict[str, bytes]]:
    """Run commands on the empty disk; return the bytes that they need and what they leave."""
    before = disk.used
    assert run_all(which) in (0, 3)
    needed, expected = disk.used - before, contents(disk.path)
    for entry in disk.path.iterdir():
        shutil.rmtree(entry)
    return needed, expected


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("name", ["store", "shards", "dask", "cache", "merge"])
def test_a_disk_that_fills_up(
    tmp_path: Path,
    disk: Disk,
    source: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The error says so each time; what is done stays so; with room the bytes of a free disk."""
    monkeypatch.chdir(disk.path)
    which = commands(name, source)
    needed, expected = room_for(disk, which)
    kept: set[str] = set()
    for part in PARTS:
        disk.leave(int(part * needed) - disk.used)
        capsys.readouterr()
        assert run_all(which) == 1
        said = capsys.readouterr().err
        assert FULL in said
        assert "again" in said
        if not (name == "shards" and (disk.path / "s.zarr").exists()):  # units move into it
            assert kept <= (kept := done(disk.path))
    assert name == "merge" or kept
    disk.leave(AMPLE)
    with monkeypatch.context() as patch:
        if name == "shards":  # all were measured before the store filled the disk
            patch.setattr(units, "measure_checkpoints", no_work)
        assert run_all(which) in (0, 3)
    assert contents(disk.path) == expected


def test_rows_that_could_not_be_written_are_not_taken_for_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows do not fit, the note of their archive would: a rerun measures them again."""
    monkeypatch.setattr(units, "UNIT_ITEMS", 1)
    for index in range(6):
        save_archive(tmp_path / "nats", index)

    def full(*_: object) -> None:
        raise OSError(28, FULL)

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "write", full)
        with pytest.raises(StoreError, match=rf"cannot write: {FULL}; everything marked done is"):
            run(tmp_path / "s.zarr", tmp_path / "nats", chunk_size=1)
    assert run(tmp_path / "s.zarr", tmp_path / "nats", chunk_size=1).done == 6


TRAIN = ["train", "-o", "runs", "--epochs", "4", "--num-train", "100", "--threads", "1"]
TRAIN += ["--checkpoint-epochs", "1,2,3"]


def weights(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all checkpoints of runs."""
    return {name: data for name, data in contents(folder).items() if name.endswith("safetensors")}


@pytest.mark.slow
def test_a_disk_that_fills_up_in_training(
    tmp_path: Path,
    disk: Disk,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The error says so each time; with room the run goes on, to the weights of a free disk."""
    monkeypatch.chdir(disk.path)
    assert run_command(TRAIN) == 0
    needed, expected = disk.used, weights(disk.path)
    assert len(expected) == 4
    shutil.rmtree("runs")
    kept: set[str] = set()
    for part in PARTS:
        disk.leave(int(part * needed) - disk.used)
        capsys.readouterr()
        assert run_command(TRAIN) == 1
        said = capsys.readouterr().err
        assert "cannot be written" in said
        assert "free some space or choose another folder, then train with the same" in said
        assert kept <= (kept := set(weights(disk.path)))
    assert kept
    disk.leave(AMPLE)
    assert run_command(TRAIN) == 0
    assert weights(disk.path) == expected


# --- read-only -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["store", "shards", "cache", "merge", "train"])
def test_a_disk_that_is_read_only(
    disk: Disk,
    source: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A clear error before any work; what is there stays as it is, and is gone on with later."""
    monkeypatch.chdir(disk.path)
    which = [TRAIN] if name == "train" else commands(name, source)
    if name == "cache":
        assert run_command([*which[0], "--indices", "0"]) == 0
    before = contents(disk.path)
    with disk.read_only(), monkeypatch.context() as patch:
        patch.setattr(units, "measure_checkpoints", no_work)
        patch.setattr("genpredict.training.loop._Training.go", no_work)
        assert run_all(which) == 1
        said = capsys.readouterr().err
        assert "Read-only file system" in said
        assert "again" in said or "to go on" in said
    assert contents(disk.path) == before
    assert run_all(which) in (0, 3)


def no_work(*_: object, **__: object) -> None:
    """Fail the test."""
    pytest.fail("work that cannot be written")


def test_a_store_that_has_become_read_only(
    disk: Disk, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half done: it opens, and stays as it is; with the disk writable it becomes whole."""

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    path = disk.path / "s.zarr"
    with pytest.raises(KeyboardInterrupt):
        run(path, source, chunk_size=4, progress=stop)
    before = contents(path)
    with disk.read_only():
        with pytest.raises(StoreError, match="cannot write: Read-only file system"):
            run(path, source, chunk_size=4)
        assert open_scores(path)["status"].values.tolist().count("done") == 2
        assert run_command(["show", str(path)]) == 0
    assert contents(path) == before
    run(path, source, chunk_size=4)
    assert contents(path) == contents(source.parent / "b.zarr")
