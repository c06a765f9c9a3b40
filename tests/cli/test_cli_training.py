"""The commands train and sweep, as a user types them."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import ClassVar

import pandas as pd
import pytest
from rich.console import Console

from genpredict.cli import run as run_command
from genpredict.cli.show_training import looked_after
from genpredict.store.reading import open_scores
from genpredict.training import Run, complete, train
from genpredict.training.run_folders import run_of
from genpredict.training.tensorboard import TensorBoardWatcher

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
    assert run_command(["runs", str(runs)]) == 0
    listed = capsys.readouterr().out
    assert "finished" in listed
    assert run_command(["show", str(runs)]) == 0  # the runs, not the layers of one
    assert capsys.readouterr().out == listed
    table = tmp_path / "epochs.csv"
    assert run_command(["show", str(folder / "history.nc"), "-o", str(table)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"epoch +train accuracy +test accuracy", shown)
    epochs = pd.read_csv(table)
    assert epochs["epoch"].tolist() == [0, 1, 2]
    assert epochs["test_accuracy"].iloc[-1] == Run(folder).summary["test_accuracy"]
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


def test_settings_of_the_papers_experiments(tmp_path: Path) -> None:
    """A step decay at any length, cutout, validation, test images and evaluations as asked."""
    given = ["--epochs", "5", "--num-train", "100", "--threads", "1", "--optimizer", "sgd"]
    given += ["--step-epochs", "2", "--step-factor", "0.1", "--cutout-holes", "1"]
    given += ["--cutout-length", "3", "--num-test", "50", "--num-validation", "20"]
    assert run_command(["train", *given, "--eval-every", "4", "-o", str(tmp_path)]) == 0
    (folder,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    run = Run(folder)
    rates = run.history["learning_rate"].isel(layer=0).values[1:]
    assert rates.tolist() == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])
    assert (run.settings.cutout_holes, run.settings.cutout_length) == (1, 3)
    tested = run.history["test_count"].dropna("epoch")
    assert tested["epoch"].values.tolist() == [0, 4, 5]
    assert tested.values.tolist() == [50, 50, 50]
    assert run.history["validation_count"].values[-1] == 20


def test_a_sweep_says_how_far_its_running_runs_are(tmp_path: Path) -> None:
    """Not only when one ends: every so often, runs that are over left out."""
    runs = [complete({"epochs": 4, "seed": seed}) for seed in range(3)]
    for settings, epoch in zip(runs[:2], (1.5, 2.0), strict=True):
        run_of(settings, tmp_path).path.mkdir()
        run_of(settings, tmp_path).write_progress({"epoch": epoch, "epochs": 4})
    run_of(runs[1], tmp_path).finish({"status": "finished", "epochs": 4})
    texts: list[str] = []
    said = Event()

    def say(text: str) -> None:
        texts.append(text)
        said.set()

    with looked_after(runs, tmp_path, say, every=0.01):
        assert said.wait(60)
    assert set(texts) == {f"{runs[0].id} 1.5/4"}


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


class FakeWriter:
    """Keeps what TensorBoard would write."""

    opened: ClassVar[list[FakeWriter]] = []

    def __init__(self, folder: str, purge_step: int) -> None:
        self.folder, self.purge_step, self.is_closed = folder, purge_step, False
        self.scalars: list[tuple[str, float, int]] = []
        FakeWriter.opened.append(self)

    def add_scalar(self, name: str, value: float, epoch: int) -> None:
        """Keep a number."""
        self.scalars.append((name, value, epoch))

    def flush(self) -> None:
        """Keep nothing back."""

    def close(self) -> None:
        """Remember it."""
        self.is_closed = True


class BrokenOff(TensorBoardWatcher):
    """Interrupts the run in its third epoch."""

    done = 0

    def stepped(self, *, step: int, steps: int) -> None:
        """Interrupt."""
        if self.done == 2:
            raise KeyboardInterrupt

    def epoch_done(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """Count."""
        super().epoch_done(epoch, numbers)
        self.done = epoch


def test_tensorboard_goes_on_after_the_last_full_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers are those of the history; what a broken epoch left is purged."""
    fake = SimpleNamespace(SummaryWriter=FakeWriter)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    settings = {"epochs": 3, "num_train": 60, "threads": 1}
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "runs", watcher=BrokenOff(tmp_path / "events"), **settings)
    run = train(tmp_path / "runs", watcher=TensorBoardWatcher(tmp_path / "events"), **settings)
    first, second = FakeWriter.opened
    assert (first.purge_step, second.purge_step) == (1, 3)
    assert (first.is_closed, second.is_closed) == (False, True)
    assert first.folder == str(tmp_path / "events" / run.id)
    written = {(name, epoch): value for name, value, epoch in (*first.scalars, *second.scalars)}
    history = run.history
    for name in ("train_loss", "test_top5_accuracy", "running_accuracy"):
        for epoch in (1, 2, 3):
            assert written[name, epoch] == float(history[name].sel(epoch=epoch))


def test_without_tensorboard_the_option_says_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is trained."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert run_command(["train", *QUICK, "--tensorboard", "events", "-o", str(tmp_path / "r")]) == 1
    assert "tensorboard: not installed; pip install tensorboard" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_progress_fits_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 80 characters: epoch, accuracies and the time left, nothing cut off."""
    screen = StringIO()
    terminal = Console(file=screen, force_terminal=True, width=80, color_system=None)
    for module in ("console", "show_training"):
        monkeypatch.setattr(f"genpredict.cli.{module}.stderr", terminal)
    assert run_command(["train", *QUICK, "-o", str(tmp_path)]) == 0
    lines = [line for line in re.split(r"[\r\n]", screen.getvalue()) if "epoch 2/2" in line]
    (folder,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    last = Run(folder).summary
    assert f"train {last['train_accuracy']:.2f} % · test {last['test_accuracy']:.2f} %" in lines[-1]
    assert lines[-1].rstrip().endswith("left")
    assert "…" not in lines[-1]


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
    assert "2 of 2 runs finished" in capsys.readouterr().err
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
    assert "1 of 2 runs finished" in said
    assert "no network is called 'none'" in said


def test_shard_must_be_two_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As i/n."""
    plan = tmp_path / "sweep.toml"
    plan.write_text("", encoding="utf-8")
    assert run_command(["sweep", str(plan), "--shard", "3", "-o", str(tmp_path / "runs")]) == 1
    assert "'3' must be i/n" in capsys.readouterr().err


def test_epochs_that_are_no_numbers_are_2(capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake of usage, and the message says what is expected."""
    assert run_command(["train", "--checkpoint-epochs", "1,a"]) == 2
    streams = capsys.readouterr()
    said = " ".join((streams.out + streams.err).replace("│", " ").split())
    assert "--checkpoint-epochs: must be whole numbers separated by commas, not 1,a" in said
