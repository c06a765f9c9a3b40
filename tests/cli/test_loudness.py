"""How much is said: -q, -v; figures in words, of any size; completion."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genpredict.cli import run
from genpredict.cli.console import MOST_WARNINGS
from genpredict.store.reading import open_scores
from genpredict.store.saving import write_scores

STORE = Path(__file__).resolve().parents[2] / "data" / "results" / "digits-sweep.zarr"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Give a folder of one network, and of more damaged files than are listed."""
    folder = tmp_path / "nets"
    folder.mkdir()
    torch.save({"conv.weight": torch.randn(8, 3, 3, 3)}, folder / "good.pt")
    for number in range(MOST_WARNINGS + 2):
        (folder / f"bad{number:02d}.pt").write_bytes(b"PK\x03\x04 no archive")
    return folder


def test_quiet_says_what_is_wrong_alone(
    sources: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No word where all is well; failures and errors all the same; not a part of the command."""
    store = tmp_path / "s.zarr"
    assert run(["-q", "score", str(sources / "good.pt"), "-o", str(store)]) == 0
    assert capsys.readouterr().err == ""
    assert "-q" not in open_scores(store).attrs["command"]
    assert run(["score", str(sources), "-o", str(tmp_path / "t.zarr"), "--quiet"]) == 3
    assert capsys.readouterr().err.count("failed:") == MOST_WARNINGS + 1  # the last counts others
    assert run(["-q", "show", str(tmp_path / "nothing.zarr")]) == 1
    assert "genpredict: error: " in capsys.readouterr().err


def test_verbose_says_everything(
    sources: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every failure, the causes of an error, seconds and memory."""
    assert run(["score", str(sources), "-o", str(tmp_path / "s.zarr"), "-v"]) == 3
    said = capsys.readouterr().err
    assert said.count("failed:") == MOST_WARNINGS + 2
    assert "s of processor time" in said
    assert run(["-v", "correlate", str(tmp_path / "s.zarr"), "--targets", "nothing"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_words_after_two_dashes_are_no_options(capsys: pytest.CaptureFixture[str]) -> None:
    """A file may be called -v."""
    assert run(["show", "--", "-v"]) == 1
    assert "-v" in capsys.readouterr().err


def test_a_figure_in_words_of_the_size_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Title, axes, marks and legend as text, in the file too; inches times dots make pixels."""
    file = tmp_path / "f.png"
    words = ["figure", "scatter", str(STORE), "--hue", "network", "-o", str(file)]
    assert run([*words, "--title", "Ninety", "--size", "6.5,4", "--dpi", "50", "--describe"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0] == "Ninety"
    assert "Panel. Across: network quality Q, low rank, p = 2 (rad), " in said
    assert "Up: test accuracy (%), " in said
    assert "90 marks" in said
    assert "Legend, network: 8:16:24:32:40; digits_cnn; resnet20." in said
    with Image.open(file) as picture:
        assert picture.size == (325, 200)
        assert picture.text["Description"] == said.rstrip("\n")  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", ["6", "6,4,2", "0,4", "6,nan"])
def test_sizes_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str], size: str) -> None:
    """Width and height, both of some inches."""
    assert (
        run(["figure", "scatter", str(STORE), "-o", str(tmp_path / "f.png"), "--size", size]) == 1
    )
    assert "--size must be width and height in inches" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
def test_completion_offers_commands_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    """Bash takes the script, and completes a command and an option by it."""
    assert run(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    ask = (
        "COMP_WORDS=(genpredict {words}); COMP_CWORD={at}; COMP_LINE='genpredict'; "
        "_genpredict; echo ${{COMPREPLY[*]}}"
    )
    for words, at, wanted in (("corr", 1, "correlate"), ("correlate --resam", 2, "--resamples")):
        asked = subprocess.run(
            ["bash", "-c", script + "\n" + ask.format(words=words, at=at)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert wanted in asked.stdout.split()


def test_label_noise_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where train accuracy is of noisy labels, show and correlate say so; elsewhere not."""
    scores = open_scores(STORE)
    noise = np.where(np.arange(scores.sizes["checkpoint"]) < 20, 0.4, 0.0)
    store = str(tmp_path / "noisy.zarr")
    write_scores(scores.assign_coords(label_noise=("checkpoint", noise)), store)
    word = "20 of 90 checkpoints were trained with label noise"
    assert run(["show", store]) == 0
    assert word in " ".join(capsys.readouterr().out.split())
    correlate = ["correlate", store, "--permutations", "0", "--resamples", "20"]
    for target, told in (("generalization_gap", True), ("test_accuracy", False)):
        assert run([*correlate, "--targets", target]) == 0
        assert (word in capsys.readouterr().err) == told
    assert run([*correlate, "--targets", "train_loss", "--where", "label_noise == 0"]) == 0
    assert word not in capsys.readouterr().err
