"""Outputs of commands: whole or not there, in place of their own kind alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
import xarray as xr

from genpredict.errors import GenpredictError
from genpredict.locking import locked
from genpredict.output_kinds import KIND
from genpredict.outputs import check_output, new_file, new_folder, replace_folder, restore_replaced

TABLE = "measure,n\nQ,3\n"


def write(path: Path, text: str = TABLE, *, overwrite: bool = False, mark: bytes = b"") -> None:
    """Write an output."""
    with new_file(path, overwrite=overwrite, mark=mark) as partial:
        partial.write_text(text, encoding="utf-8")


def group(path: Path, kind: str | None, *, overwrite: bool = False) -> None:
    """Write a Zarr folder of a kind."""
    attrs = {} if kind is None else {KIND: kind}
    with new_folder(path, overwrite=overwrite) as folder:
        xr.Dataset({"n": ("x", [1.0])}, attrs=attrs).to_zarr(
            folder, zarr_format=3, consolidated=False
        )


def half_written(path: Path) -> None:
    """Write half of an output, to a disk that is full then."""
    with new_file(path, overwrite=True) as partial:
        partial.write_text("measure,half")
        raise OSError(28, "No space left on device")


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """What was there stays, nothing else is left; the folder is made, modes are as of open."""
    path = tmp_path / "new" / "t.csv"
    write(path)
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    with pytest.raises(GenpredictError, match=r"t\.csv: cannot write: No space.*free some space"):
        half_written(path)
    assert path.read_text() == TABLE
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.faults
def test_a_writer_that_is_killed_leaves_the_old_file(tmp_path: Path) -> None:
    """The next writer removes the half of a file that it left, and none that is being written."""
    path = tmp_path / "t.csv"
    write(path)
    code = "import os, sys; from pathlib import Path; from genpredict.outputs import new_file\n"
    code += "with new_file(Path(sys.argv[1]), overwrite=True) as partial:\n"
    code += "    partial.write_text('measure,half'); os.kill(os.getpid(), 9)"
    killed = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == TABLE
    assert len(list(tmp_path.glob(".*.partial"))) == 1
    with new_file(path, overwrite=True) as first:
        first.write_text("measure,1")
        write(path, "measure,2", overwrite=True)
        assert path.read_text() == "measure,2"
    assert path.read_text() == "measure,1"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("path,accuracy\na,1\n", TABLE),
        ("# Notes\n", "| measure |\n"),
        ("\\documentclass{article}", "\\begin{tabular}"),
        ("\x89PNG", TABLE),
        ("   ", TABLE),
        ("<!DOCTYPE html><p>a page", "<!DOCTYPE html><p>genpredict"),
    ],
)
def test_what_is_of_another_kind_is_never_replaced(tmp_path: Path, old: str, new: str) -> None:
    """A manifest by a table, notes by a report: not with --overwrite either."""
    path = tmp_path / "out"
    path.write_text(old)
    mark = b"genpredict" if "genpredict" in new else b""
    with pytest.raises(GenpredictError, match="out: exists; name another with -o, or --overwr"):
        write(path, new)
    with pytest.raises(GenpredictError, match="out: is none that this command has made"):
        write(path, new, overwrite=True, mark=mark)
    assert path.read_text() == old
    path.write_text(f"{new}more")
    write(path, new, overwrite=True, mark=mark)
    assert path.read_text() == new


def test_links_inputs_stores_and_folders_are_refused(tmp_path: Path) -> None:
    """Whatever name leads to them; what is locked waits for its writer."""
    victim, store = tmp_path / "victim.csv", tmp_path / "s.zarr"
    victim.write_text(TABLE)
    group(store, "scores")
    (tmp_path / "link.csv").symlink_to(victim)
    (tmp_path / "nowhere.csv").symlink_to(tmp_path / "made.csv")
    for name in ("link.csv", "nowhere.csv"):
        with pytest.raises(GenpredictError, match=rf"{name}: is a link"):
            write(tmp_path / name, overwrite=True)
    with pytest.raises(GenpredictError, match=r"t\.csv: lies within the store"):
        write(store / "n" / "t.csv")
    with pytest.raises(GenpredictError, match=r"victim\.csv: is what this command reads"):
        check_output(tmp_path / "." / "victim.csv", overwrite=True, inputs=[victim])
    with pytest.raises(GenpredictError, match=r"s\.zarr: is a folder"):
        write(store, overwrite=True)
    with (
        locked(tmp_path / "other.zarr.lock"),
        pytest.raises(GenpredictError, match="is writing to it"),
    ):
        group(tmp_path / "other.zarr", "table")
    assert victim.read_text() == TABLE
    assert not (tmp_path / "made.csv").exists()


@pytest.mark.parametrize("old", ["scores", None, "folder"])
def test_a_zarr_folder_takes_the_place_of_its_own_kind_alone(
    tmp_path: Path, old: str | None
) -> None:
    """Not that of a store, of a group that says nothing, or of a folder of files."""
    path = tmp_path / "o.zarr"
    if old == "folder":
        (path / "thesis").mkdir(parents=True)
    else:
        group(path, old)
    before = sorted(p.name for p in path.rglob("*"))
    with pytest.raises(GenpredictError, match=r"o\.zarr: exists; name another"):
        group(path, "correlations")
    with pytest.raises(GenpredictError, match=r"o\.zarr: is no Zarr folder of correlations"):
        group(path, "correlations", overwrite=True)
    assert sorted(p.name for p in path.rglob("*")) == before
    group(tmp_path / "p.zarr", "correlations")
    group(tmp_path / "p.zarr", "correlations", overwrite=True)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["o.zarr", "p.zarr"]


def test_names_are_exchanged_or_can_be_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one step; where a file system cannot, a kill between two steps loses nothing."""
    new, path = tmp_path / "new", tmp_path / "o.zarr"
    for folder, text in ((path, "old"), (new, "new")):
        folder.mkdir()
        (folder / "text").write_text(text)
    monkeypatch.setattr("genpredict.outputs.exchange", lambda *_: False)
    with monkeypatch.context() as patch:
        renamed = Path.rename

        def killed(self: Path, target: Path) -> Path:
            if self == new:
                raise KeyboardInterrupt
            return renamed(self, target)

        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            replace_folder(new, path)
    assert not path.exists()
    restore_replaced(path)
    assert (path / "text").read_text() == "old"
    replace_folder(new, path)
    assert (path / "text").read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_pipe_is_written_to_as_it_is(tmp_path: Path) -> None:
    """As of ``-o /dev/stdout``: nothing is renamed over it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write(pipe)
    reader.join(timeout=10)
    assert read == [TABLE]
    assert pipe.is_fifo()


def test_a_folder_in_memory_is_a_folder_like_any_other() -> None:
    """Files below /dev are outputs, no devices: kept without overwrite, whole after a failure."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        pytest.skip("no folder in memory here")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        path = Path(folder, "t.csv")
        write(path)
        with pytest.raises(GenpredictError, match=r"t\.csv: exists"):
            write(path, "measure,n\nQ,4\n")
        with pytest.raises(GenpredictError, match="No space"):
            half_written(path)
        assert path.read_text() == TABLE
        assert list(path.parent.iterdir()) == [path]
        link = path.with_name("link.csv")
        link.symlink_to(path)
        with pytest.raises(GenpredictError, match="is a link"):
            write(link, overwrite=True)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_is_written_to_where_it_is_a_file(tmp_path: Path, name: str) -> None:
    """As of ``-o /dev/stdout > t.csv``: what the shell has opened is written to, not replaced."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("no list of open files here")
    path = tmp_path / "t.csv"
    own = os.dup(1)
    try:
        with path.open("w") as file:
            os.dup2(file.fileno(), 1)
        write(Path(name))
    finally:
        os.dup2(own, 1)
        os.close(own)
    assert path.read_text() == TABLE
    assert list(tmp_path.iterdir()) == [path]
