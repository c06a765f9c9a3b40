"""Links, pipes and giants beside the data, as a stranger's archive can bring: nothing of others."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from numcodecs.zstd import Zstd

from genpredict.cli.app import run
from genpredict.store.reading import open_scores
from genpredict.training.run_folder import Run
from genpredict.training.settings import complete

#: Bytes of somebody's own file: more than a lock file has.
PRECIOUS = b"path,test_accuracy\n" + b"a.pt,91\n" * 100
GIANT = 1 << 40


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make two networks and their store."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "nets").mkdir()
    rng = torch.Generator().manual_seed(0)
    for number in range(2):
        weights = {f"c{n}.weight": torch.randn(6, 4, generator=rng) for n in range(2)}
        torch.save(weights, folder / "nets" / f"n{number}.pt")
    assert run(["score", str(folder / "nets"), "-o", str(folder / "s.zarr"), "--workers", "1"]) == 0
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a copy, beside somebody's own file and folder."""
    shutil.copytree(made / "nets", tmp_path / "nets")
    shutil.copytree(made / "s.zarr", tmp_path / "s.zarr")
    (tmp_path / "victim").write_bytes(PRECIOUS)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "zarr.json").write_bytes(PRECIOUS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assert_untouched(place: Path) -> None:
    """The victims are as they were, and nothing lies beside them."""
    assert (place / "victim").read_bytes() == PRECIOUS
    assert [f.name for f in (place / "own").iterdir()] == ["zarr.json"]
    assert (place / "own" / "zarr.json").read_bytes() == PRECIOUS


SCORE = ("score", "nets", "-o", "s.zarr", "--workers", "1")
LOCKS: dict[str, tuple[str, ...]] = {
    "s.zarr.lock": SCORE,
    "t.zarr.lock": ("merge", "s.zarr", "s.zarr", "-o", "t.zarr"),
    "cache.lock": ("cache", "nets", "-o", "cache"),
}


@pytest.mark.parametrize("name", LOCKS)
@pytest.mark.parametrize("how", ["link", "second name", "file"])
def test_no_lock_is_taken_through_a_link(
    place: Path, name: str, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Symbolic or hard, or a file of one's own that has that name: one clear line."""
    if how == "link":
        (place / name).symlink_to("victim")
    elif how == "second name":
        os.link(place / "victim", place / name)
    else:
        shutil.copy(place / "victim", place / name)
    if name == "cache.lock":
        from genpredict.errors import StoreError
        from genpredict.locking import locked

        with pytest.raises(StoreError, match=r"cache\.lock: is .* lock"), locked(place / name):
            pass
    else:
        assert run(list(LOCKS[name])) == 1
        assert f"{name}: is " in capsys.readouterr().err
    assert (place / name).read_bytes() == PRECIOUS
    assert_untouched(place)


def test_nothing_of_a_run_goes_through_a_link(place: Path) -> None:
    """Neither its files, written beside their names, nor its folders."""
    settings = complete({"epochs": 1})
    run_ = Run(place / "runs" / settings.id)
    run_.path.mkdir(parents=True)
    for name in ("config.toml", ".config.toml.partial", "summary.json", ".history.nc.partial"):
        (run_.path / name).symlink_to(place / "victim")
    run_.begin(settings)
    run_.finish({"status": "finished", "epochs": 1})
    assert run_.settings == settings
    assert run_.summary["epochs"] == 1
    assert_untouched(place)
    for folder in (run_.path / "checkpoints", run_.path):
        shutil.rmtree(folder)
        folder.symlink_to(place / "own")
        with pytest.raises(Exception, match="is a link, not the folder of a run"):
            run_.begin(settings)
        folder.unlink()
        folder.mkdir(exist_ok=True)
    assert_untouched(place)


def test_a_cache_is_written_through_no_link(place: Path) -> None:
    """``cache.json``: the link goes, not what it leads to."""
    from genpredict.checkpoints.nats.cache_files import read_front, write_front

    (place / "cache").mkdir()
    (place / "cache" / "cache.json").symlink_to(place / "victim")
    write_front(place / "cache", "NATS-sss")
    assert read_front(place / "cache") == "NATS-sss"
    assert_untouched(place)


def pipe(path: Path) -> None:
    """Put a pipe, at which a reader waits for ever."""
    os.mkfifo(path)


def giant(path: Path) -> None:
    """Put a sparse file of a terabyte."""
    with path.open("wb") as file:
        file.truncate(GIANT)


def zero(path: Path) -> None:
    """Put a link to a device that never ends."""
    path.symlink_to("/dev/zero")


def bomb(path: Path) -> None:
    """Put some kilobytes that unpack to a gigabyte."""
    path.write_bytes(Zstd(level=1).encode(bytes(10**9)))


def folder(path: Path) -> None:
    """Put a link to a folder."""
    path.symlink_to(path.parents[1] / "own")


def brackets(path: Path) -> None:
    """Put brackets in brackets, which end in a RecursionError of Python's."""
    path.write_text("[" * 200_000)


ODD_FILES = (pipe, giant, zero)


@pytest.mark.parametrize(
    ("name", "put"),
    [
        *[(name, put) for name in ("zarr.json", "status/c/0") for put in ODD_FILES],
        *[("checkpoint/c/0", bomb), ("quality/c/0/0/0/0/0", bomb), ("rank/zarr.json", giant)],
        *[("files/id/c/0", pipe), ("files/size/c/0", bomb), ("rank", folder)],
        *[(name, brackets) for name in ("zarr.json", "rank/zarr.json")],
    ],
)
def test_odd_files_in_a_store_are_named(
    place: Path, name: str, put: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """At once and in little memory, when it is read and when it is gone on with."""
    path = place / "s.zarr" / name
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    put(path)
    commands = [] if name.startswith("files") else [["show", "--layers", "s.zarr"]]
    commands += [] if name.startswith("quality") else [list(SCORE)]
    for command in commands:
        assert run(command) == 1, command
        (line,) = capsys.readouterr().err.splitlines()
        assert "s.zarr" in line
    assert_untouched(place)


def changed(place: Path, name: str, **entries: object) -> None:
    """Change entries of an array's metadata."""
    file = place / "s.zarr" / name / "zarr.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **entries}))


def test_claims_of_a_store_are_checked(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten million rows, and texts of 10 KB wherever no row is."""
    changed(place, "checkpoint", shape=[10**7])
    assert run(["show", "s.zarr"]) == 1
    assert "10,000,000 along checkpoint" in capsys.readouterr().err
    changed(place, "checkpoint", shape=[2], fill_value="x" * 10**4)
    assert run(["show", "s.zarr"]) == 1
    assert "a text of 10,000 characters where no row is" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["summary.json", "config.toml", "history.nc"])
@pytest.mark.parametrize("put", [*ODD_FILES, brackets])
def test_odd_files_in_a_run_are_named(place: Path, name: str, put: Callable[[Path], None]) -> None:
    """Its last word, its settings and its numbers."""
    run_ = Run(place / "r")
    run_.path.mkdir()
    put(run_.path / name)
    read = {"summary.json": "summary", "config.toml": "settings", "history.nc": "history"}[name]
    with pytest.raises(Exception, match=rf"{name}: .*delete the (run's )?folder"):
        getattr(run_, read)


@pytest.mark.parametrize("put", ["{}", "nothing", '{"front": "\\ud800"}', *ODD_FILES, brackets])
def test_odd_sidecars_of_caches_and_shards_are_passed_over(
    place: Path, put: str | Callable[[Path], None]
) -> None:
    """At once, also pipes, devices and giants."""
    from genpredict.checkpoints.nats.cache_files import read_front

    if isinstance(put, str):
        (place / "cache.json").write_text(put)
    else:
        put(place / "cache.json")
    assert read_front(place) is None


def test_shards_are_not_written_through_a_link(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder of parts is the job's own."""
    (place / "s.zarr.parts").symlink_to(place / "own")
    assert run([*SCORE, "--shard", "1/2"]) == 1
    assert "s.zarr.parts: is a link" in capsys.readouterr().err
    assert_untouched(place)


def test_merge_clears_no_store_through_a_link(place: Path) -> None:
    """The name under which it works leads to nothing."""
    shutil.copytree("s.zarr", "other.zarr")
    (place / "t.zarr.merging").symlink_to(place / "other.zarr")
    assert run(["merge", "s.zarr", "s.zarr", "-o", "t.zarr"]) == 0
    assert open_scores(place / "other.zarr").sizes["checkpoint"] == 2
