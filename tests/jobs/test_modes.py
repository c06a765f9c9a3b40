"""What commands leave can be read by whom the user lets read his files."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from genpredict.cli import run

ZOO = Path(__file__).resolve().parents[2] / "data" / "digits-zoo"
TARGETS = ("--targets", "test_accuracy", "--resamples", "20")
SWEEP = """
[settings]
recipe = "digits"
num_train = 20
epochs = 2
threads = 1
checkpoint_epochs = [1, 2]

[grid]
optimizer = ["sgd"]
"""


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Let a group write, as teams that share a folder do."""
    before = os.umask(0o002)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_every_output_has_the_mode_of_any_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No writer of another package keeps its temporary file's mode, or its temporary file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets").mkdir()
    for file in [*sorted(ZOO.glob("*.safetensors"))[:12], ZOO / "manifest.csv"]:
        shutil.copyfile(file, tmp_path / "nets" / file.name)
    (tmp_path / "sweep.toml").write_text(SWEEP, encoding="utf-8")
    score = ["score", "nets", "--manifest", "nets/manifest.csv", "-o", "s.zarr", "--device", "cpu"]
    commands = [
        score,
        ["sweep", "sweep.toml", "-o", "runs", "--workers", "1"],
        ["merge", "s.zarr", "-o", "m.zarr"],
        *(
            ["correlate", "s.zarr", *TARGETS, "-o", f"t.{suffix}"]
            for suffix in ("csv", "nc", "zarr")
        ),
        ["figure", "scatter", "s.zarr", "-o", "f.png"],
        ["report", "s.zarr", "--resamples", "20", "-o", "r.html"],
        ["predict", "fit", "s.zarr", "--target", "test_accuracy", "-o", "p.skops"],
    ]
    for command in commands:
        assert run(command) == 0, command
    private = {
        str(path.relative_to(tmp_path)): oct(stat.S_IMODE(path.stat().st_mode))
        for path in tmp_path.rglob("*")
        if stat.S_IMODE(path.stat().st_mode) != (0o775 if path.is_dir() else 0o664)
    }
    assert private == {}
    assert [path for path in tmp_path.rglob("*") if path.name.startswith((".", "tmp"))] == []
