"""The commands train and sweep, as a user types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from genpredict.cli import run as run_command
from genpredict.store import open_scores
from genpredict.training import Run

QUICK = ["--epochs", "2", "--num-train", "100", "--threads", "1"]


def test_train_says_where_everything_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line an epoch, accuracies, the run folder, and the next command, which then works."""
    runs = tmp_path / "runs"
    assert run_command(["train", *QUICK, "-o", str(runs)]) == 0
    said = capsys.readouterr().err
    (folder,) = [path for path in runs.iterdir() if path.is_dir()]
    assert f"{folder}" in said
    assert "epoch 2/2: loss" in said
    assert f"next: genpredict score {runs} -o scores.zarr" in said
    store = tmp_path / "scores.zarr"
    assert run_command(["score", str(runs), "-o", str(store)]) == 0
    scores = open_scores(store)
    assert scores["optimizer"].values.tolist() == ["rmsgd"]
    assert float(scores["test_accuracy"][0]) == Run(folder).summary["test_accuracy"]


def test_hyperparameters_keep_their_types(tmp_path: Path) -> None:
    """Numbers, truths and words, as name=value."""
    chosen = ["-H", "lr=0.05", "-H", "nesterov=true"]
    assert run_command(["train", *QUICK, "--optimizer", "sgd", *chosen, "-o", str(tmp_path)]) == 0
    (folder,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    found = Run(folder).settings.hyperparameters
    assert (found["lr"], found["nesterov"]) == (0.05, True)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["-H", "lr"], "must be name=value, such as lr=0.1, not lr"),
        (["--optimizer", "lion"], "lion"),
        (["--network", "alexnet"], "no network is called 'alexnet'"),
        (["--dataset", "cifar10", "--data-folder", "nowhere"], "nowhere"),
        (["--device", "abacus"], "device: 'abacus' is none; try auto, cpu or cuda"),
    ],
)
def test_errors_name_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], match: str
) -> None:
    """One line, exit code 1, no folder left behind."""
    assert run_command(["train", *arguments, "-o", str(tmp_path / "runs")]) == 1
    assert match in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "runs").exists()


def test_a_run_that_diverges_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says what to try."""
    chosen = ["--optimizer", "sgd", "-H", "lr=1e30", "-o", str(tmp_path)]
    assert run_command(["train", *QUICK, *chosen]) == 1
    assert "diverged in epoch 1" in capsys.readouterr().err


def test_tensorboard_gets_the_numbers(tmp_path: Path) -> None:
    """Event files of the run, where TensorBoard is installed."""
    pytest.importorskip("tensorboard")
    events = tmp_path / "events"
    chosen = ["--tensorboard", str(events), "-o", str(tmp_path / "runs")]
    assert run_command(["train", *QUICK, *chosen]) == 0
    assert list(events.glob("digits_cnn-digits-rmsgd-*/events.out.tfevents.*"))


def test_sweep_lists_runs_trains_them_and_lists_them_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run trains nothing; a shard trains its part."""
    plan = tmp_path / "sweep.toml"
    plan.write_text(
        "[settings]\nepochs = 1\nnum_train = 50\n[grid]\nseed = [0, 1, 2]\n", encoding="utf-8"
    )
    runs = tmp_path / "runs"
    command = ["sweep", str(plan), "-o", str(runs), "--workers", "1"]
    assert run_command([*command, "--dry-run"]) == 0
    assert capsys.readouterr().out.count("to do") == 3
    assert not runs.exists()
    assert run_command([*command, "--shard", "1/2"]) == 0
    assert "2 runs finished, 0 did not" in capsys.readouterr().err
    assert run_command([*command, "--dry-run"]) == 0
    listed = capsys.readouterr().out
    assert (listed.count("finished"), listed.count("to do")) == (2, 1)


def test_sweep_with_failures_ends_with_3_and_names_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that finished are kept."""
    plan = tmp_path / "sweep.toml"
    plan.write_text(
        "[settings]\nepochs = 1\nnum_train = 50\n[grid]\nnetwork = ['digits_cnn', 'none']\n",
        encoding="utf-8",
    )
    assert run_command(["sweep", str(plan), "-o", str(tmp_path / "runs"), "--workers", "1"]) == 3
    said = " ".join(capsys.readouterr().err.split())
    assert "1 runs finished, 1 did not" in said
    assert "no network is called 'none'" in said


def test_shard_must_be_two_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As i/n."""
    plan = tmp_path / "sweep.toml"
    plan.write_text("", encoding="utf-8")
    assert run_command(["sweep", str(plan), "--shard", "3", "-o", str(tmp_path / "runs")]) == 1
    assert "'3' must be i/n" in capsys.readouterr().err
