"""The outputs of every command: never its input, nor what it has not made."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from genpredict.cli import run
from genpredict.store.reading import open_scores

ZOO = Path(__file__).resolve().parents[2] / "data" / "digits-zoo"
QUICK = ("--targets", "test_accuracy")
FEW = (*QUICK, "--resamples", "20")
#: A command for every kind of output, with the suffix that it has.
COMMANDS: dict[str, tuple[str, ...]] = {
    ".csv": ("correlate", *FEW),
    ".nc": ("correlate", *FEW),
    ".zarr": ("correlate", *FEW),
    ".md": ("correlate", *FEW),
    ".tex": ("correlate", *FEW),
    ".html": ("report", *FEW),
    ".png": ("figure", "scatter", *QUICK),
    ".svg": ("figure", "ranking", *QUICK),
    ".pdf": ("figure", "heatmap"),
    ".txt": ("show",),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Score some of the zoo once."""
    path = tmp_path_factory.mktemp("zoo") / "s.zarr"
    manifest = ["--manifest", str(ZOO / "manifest.csv")]
    networks = [str(file) for file in sorted(ZOO.glob("sgd_*"))]
    networks += [str(file) for file in sorted(ZOO.glob("ada*_*n1200*"))]
    assert run(["score", *networks, *manifest, "-o", str(path), "--device", "cpu"]) == 0
    return path


def contents(path: Path) -> dict[str, bytes]:
    """Return the bytes of a file, or of all files of a folder, by name."""
    files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file())
    return {str(f.relative_to(path.parent)): f.read_bytes() for f in files}


def command(suffix: str, store: Path, output: Path, *more: str) -> list[str]:
    """Return a command that makes an output."""
    name, *options = COMMANDS[suffix]
    if name == "figure":
        name, *options = options
        return ["figure", name, str(store), *options, "-o", str(output), *more]
    return [name, str(store), *options, "-o", str(output), *more]


@pytest.mark.parametrize("suffix", COMMANDS)
def test_an_output_is_replaced_by_its_own_kind_and_when_asked(
    store: Path,
    tmp_path: Path,
    suffix: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Twice: refused; --overwrite: the new one; on a full disk: the old one, whole."""
    path = tmp_path / f"new{suffix}"
    assert run(command(suffix, store, path)) == 0
    before = contents(path)
    assert before
    assert run(command(suffix, store, path)) == 1
    assert f"new{suffix}: exists; name another with -o, or --overwrite" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr("genpredict.outputs.os.fsync", full)
        patch.setattr("genpredict.outputs.replace_folder", full)
        assert run(command(suffix, store, path, "--overwrite")) == 1
        assert "No space left on device; free some space" in capsys.readouterr().err
    assert contents(path) == before
    assert run(command(suffix, store, path, "--overwrite")) == 0
    assert list(contents(path)) == list(before)
    assert list(tmp_path.iterdir()) == [path]


def full(*_: Any) -> None:
    """Fail as a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("suffix", COMMANDS)
def test_a_file_of_somebody_else_is_kept(
    store: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever its name says, with --overwrite too."""
    path = tmp_path / f"mine{suffix}"
    path.write_bytes(b"path,test_accuracy\na.pt,91\n")
    for more in ((), ("--overwrite",)):
        assert run(command(suffix, store, path, *more)) == 1
        assert f"mine{suffix}: " in capsys.readouterr().err
    assert path.read_bytes() == b"path,test_accuracy\na.pt,91\n"


@pytest.mark.parametrize("suffix", COMMANDS)
def test_no_command_writes_over_what_it_reads(
    store: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """``correlate s.zarr -o s.zarr``: the scores stay."""
    before = contents(store)
    for more in ((), ("--overwrite",)):
        assert run(command(suffix, store, store, *more)) == 1
    assert run(command(suffix, store, store / f"inside{suffix}")) == 1
    assert "lies within the store" in capsys.readouterr().err
    assert contents(store) == before
    assert set(open_scores(store)["status"].values) == {"done"}


def test_scores_are_no_correlations(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store that a command does not read is kept by it as well."""
    other = tmp_path / "other.zarr"
    assert run(["merge", str(store), str(store), "-o", str(other)]) == 0
    before = contents(other)
    assert run(command(".zarr", store, other, "--overwrite")) == 1
    assert "is no Zarr folder of correlations" in capsys.readouterr().err
    assert contents(other) == before


def test_the_shell_reads_a_table_through_standard_output(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name below /dev that leads to a pipe is written to, not renamed over."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert run(["show", str(store), "-o", str(pipe)]) == 0
    assert os.read(reader, 10) == b"checkpoint"
    os.close(reader)
