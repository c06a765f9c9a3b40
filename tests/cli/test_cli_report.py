"""`genpredict report` on the bundled zoo."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from genpredict.cli import run

ZOO = Path(__file__).resolve().parents[2] / "data" / "digits-zoo"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Score the zoo once."""
    path = tmp_path_factory.mktemp("zoo") / "s.zarr"
    assert run(["score", str(ZOO), "--manifest", str(ZOO / "manifest.csv"), "-o", str(path)]) == 0
    return path


def test_page_tells_both_commands(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command that scored and the one that made the page, options at defaults left out."""
    output = tmp_path / "new" / "report.html"
    arguments = ["report", str(store), "--targets", "test_accuracy", "--resamples", "200"]
    assert run([*arguments, "-o", str(output)]) == 0
    page = output.read_text(encoding="utf-8")
    assert shlex.join(["genpredict", *arguments, "-o", str(output)]) in page
    assert f"genpredict score {ZOO} --manifest" in page
    assert "written: " in capsys.readouterr().err
    again = tmp_path / "new" / "report.html"
    assert run([*arguments, "-o", str(again), "--overwrite"]) == 0
    assert again.read_text(encoding="utf-8") == page


def test_groups_by_a_coordinate(store: Path, tmp_path: Path) -> None:
    """--by puts a ranking of each group large enough on the page."""
    output = tmp_path / "r.html"
    options = ["--by", "optimizer", "--interval", "fisher", "--targets", "test_accuracy"]
    assert run(["report", str(store), *options, "-o", str(output)]) == 0
    page = output.read_text(encoding="utf-8")
    assert "Optimizer: sgd</h3>" in page
    assert "Too few checkpoints for a number: optimizer=adagrad (4)" in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--targets", "beauty"], "targets: no 'beauty' in these scores"),
        (["--where", "epoch == -1"], "where: none of 32 scored checkpoints meets"),
        (["--by", "moon"], "by: 'moon' is no coordinate along checkpoint"),
    ],
)
def test_wrong_options(
    store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    """An unknown name is an error that says what there is; nothing is written."""
    assert run(["report", str(store), *options, "-o", str(tmp_path / "r.html")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "r.html").exists()


def test_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is no store is named, with the remedy."""
    assert run(["report", str(tmp_path), "-o", str(tmp_path / "r.html")]) == 1
    assert "no scores store; make one with `genpredict score`" in capsys.readouterr().err
