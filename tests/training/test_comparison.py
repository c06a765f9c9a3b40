"""Runs side by side: tables and curves, against arithmetic by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from genpredict.cli import run as run_command
from genpredict.errors import GenpredictError, GenpredictWarning
from genpredict.training import (
    compare_runs,
    curve_averages,
    curve_bands,
    mean_intervals,
    open_runs,
    runs_of_best_settings,
    train,
)
from genpredict.training.comparison_tables import to_csv, to_latex, to_markdown, to_text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two optimizers by two seeds, one run shorter."""
    path = tmp_path_factory.mktemp("runs")
    for optimizer in ("sgd", "rmsgd"):
        for seed in (0, 1):
            epochs = 2 if (optimizer, seed) == ("sgd", 1) else 3
            train(path, optimizer=optimizer, seed=seed, epochs=epochs, num_train=60, threads=1)
    return path


def made_up() -> xr.Dataset:
    """Four runs whose numbers are known."""
    accuracy = [[10.0, 50.0, 60.0], [10.0, 54.0, 64.0], [10.0, 61.0, np.nan], [10.0, 30.0, 40.0]]
    elapsed = [[0.0, 1.0, 2.0], [0.0, 1.0, 2.0], [0.0, 4.0, np.nan], [0.0, 1.0, 2.0]]
    label = {"long_name": "test accuracy", "units": "%"}
    return xr.Dataset(
        {
            "test_accuracy": (("run", "epoch"), accuracy, label),
            "elapsed": (("run", "epoch"), elapsed),
        },
        coords={
            "run": list("abcd"),
            "epoch": [0, 1, 2],
            "network": ("run", ["n"] * 4),
            "optimizer": ("run", ["x", "x", "y", "z"]),
            "status": ("run", ["finished"] * 4),
        },
    )  # fmt: skip


def test_means_and_marks_against_hand() -> None:
    """Mean and standard deviation over seeds; the best, and who is within its deviation."""
    cells = compare_runs(made_up()).cells.set_index("optimizer")
    assert cells.loc["x", "mean"] == 62.0
    assert cells.loc["x", "sd"] == pytest.approx(np.sqrt(8))
    assert cells["mark"].to_dict() == {"x": "best", "y": "close", "z": ""}
    assert cells["n"].to_dict() == {"x": 2, "y": 1, "z": 1}


def test_intervals_of_means_against_scipy() -> None:
    """Student's t over the runs of a cell; one run has no interval."""
    runs = made_up().assign_coords(optimizer=("run", ["x", "x", "x", "z"]))
    cells = mean_intervals(compare_runs(runs), level=0.9).set_index("optimizer")
    expected = stats.ttest_1samp([60.0, 64.0, 61.0], 0).confidence_interval(0.9)
    assert cells.loc["x", ["lower", "upper"]].tolist() == pytest.approx(list(expected))
    assert cells.loc["z", ["lower", "upper"]].isna().all()


def test_best_settings_against_hand() -> None:
    """The best mean over seeds, by group; less of a loss is better; diverged runs are worst."""
    accuracy = np.array([[90.0], [50.0], [60.0], [70.0], [10.0], [99.0]])
    runs = xr.Dataset(
        {
            "validation_accuracy": (("run", "epoch"), accuracy),
            "validation_loss": (("run", "epoch"), accuracy),
            "elapsed": (("run", "epoch"), np.ones((6, 1))),
        },
        coords={
            "run": list("abcdef"),
            "epoch": [1],
            "network": ("run", ["n"] * 4 + ["m"] * 2),
            "optimizer": ("run", ["x"] * 6),
            "lr": ("run", [0.1, 0.1, 0.2, 0.2, 0.1, 0.2]),
            "status": ("run", ["finished"] * 6),
        },
    )
    # of n: means 70 and 65
    best = runs_of_best_settings(runs, by="validation_accuracy")
    assert best["run"].values.tolist() == ["a", "b", "f"]
    least = runs_of_best_settings(runs, by="validation_loss", settings=["lr"])
    assert least["run"].values.tolist() == ["c", "d", "e"]
    lost = runs.assign_coords(status=("run", ["diverged"] + ["finished"] * 4 + ["diverged"]))
    best = runs_of_best_settings(lost, by="validation_accuracy")
    assert best["run"].values.tolist() == ["c", "d", "e"]
    with pytest.raises(GenpredictError, match=r"^beta: the runs have no such number or setting"):
        runs_of_best_settings(runs, by="validation_loss", settings=["beta"])


def test_matching_against_hand() -> None:
    """After one epoch, which is all that y has; after two seconds, in which y has none done."""
    epochs = compare_runs(made_up(), match="epochs").cells.set_index("optimizer")["mean"]
    assert epochs.to_dict() == {"x": 52.0, "y": 61.0, "z": 30.0}
    seconds = compare_runs(made_up(), match="seconds").cells.set_index("optimizer")["mean"]
    assert seconds.to_dict() == {"x": 62.0, "y": 10.0, "z": 40.0}


def test_diverged_runs_are_counted_not_averaged() -> None:
    """A cell of nothing else says so."""
    runs = made_up()
    runs["status"] = ("run", ["finished", "diverged", "diverged", "finished"])
    table = compare_runs(runs)
    assert table.cells.set_index("optimizer")["mean"].to_dict()["x"] == 60.0
    text = to_text(table, 80)
    assert "60.00 (1 diverged) *" in text
    assert "1 diverged" in text.splitlines()[1].split("*")[1]


def test_unknown_names_are_refused() -> None:
    """With those there are."""
    for options in ({"rows": "colour"}, {"columns": "colour"}):
        with pytest.raises(GenpredictError, match=r"^colour: no setting of these runs; "):
            compare_runs(made_up(), **options)
    with pytest.raises(GenpredictError, match=r"^target: no run has loss; known are test_accuracy"):
        compare_runs(made_up(), target="loss")


def test_table_1_as_text_markdown_and_latex() -> None:
    """The best cell is marked in the terms of each form."""
    table = compare_runs(made_up())
    assert "| n | **62.00 ± 2.83** | *61.00* | 40.00 |" in to_markdown(table)
    latex = to_latex(table)
    assert r"n & \textbf{62.00 $\pm$ 2.83} & \underline{61.00} & 40.00 \\" in latex
    assert r"test accuracy (\%)" in latex
    frame = pd.read_csv(pd.io.common.StringIO(to_csv(table)))
    assert list(frame["mark"].fillna("")) == ["best", "close", ""]
    assert max(map(len, to_text(table, 30).splitlines()[:11])) <= 30
    assert "62.00 ± 2.83 *" in to_text(table, 80)


def test_a_folder_of_runs_as_a_dataset(folder: Path) -> None:
    """Settings along run, numbers over epochs, seconds summed up."""
    runs = open_runs(folder)
    assert dict(runs.sizes) == {"run": 4, "epoch": 4}
    assert sorted(runs["optimizer"].values) == ["rmsgd", "rmsgd", "sgd", "sgd"]
    short = runs.isel(run=(runs["epochs"] == 2).values).isel(run=0)
    assert np.isnan(short["test_accuracy"][3])
    assert float(short["elapsed"][2]) == pytest.approx(float(short["seconds"][1:3].sum()))
    assert (runs["status"] == "finished").all()


def test_bands_against_hand() -> None:
    """Mean and one deviation over the runs of a group, over epochs and seconds."""
    bands = curve_bands(made_up(), y="test_accuracy", by=["optimizer"])
    x = bands[bands["group"] == "x"]
    assert x["mean"].tolist() == [10.0, 52.0, 62.0]
    np.testing.assert_allclose(x["high"] - x["mean"], [0, np.sqrt(8), np.sqrt(8)])
    assert bands[bands["group"] == "y"]["x"].tolist() == [0, 1]
    seconds = curve_bands(made_up(), y="test_accuracy", x="elapsed", by=["optimizer"])
    y = seconds[seconds["group"] == "y"]
    np.testing.assert_allclose(y["mean"], 10 + 51 * y["x"] / 4)


def test_runs_compare_and_curves_as_typed(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Lines fit 80 columns; tables and figures are written."""
    monkeypatch.setenv("COLUMNS", "80")
    assert run_command(["runs", str(folder)]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert max(map(len, listed)) <= 80
    assert sum("finished" in line for line in listed) == 4
    assert any("optimizer=sgd" in line and "2/2" in line for line in listed)
    table = tmp_path / "table.md"
    assert run_command(["compare", str(folder), "--match", "epochs", "-o", str(table)]) == 0
    assert "| network | rmsgd | sgd |" in table.read_text(encoding="utf-8")
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
    for name, options in (
        ("curves", []),
        ("loss", ["--y", "running_loss", "--x", "seconds", "--where", "optimizer=sgd"]),
        ("seconds", ["--y", "seconds"]),
    ):
        picture = tmp_path / f"{name}.png"
        assert run_command(["figure", "curves", str(folder), *options, "-o", str(picture)]) == 0
        assert picture.stat().st_size > 5000
    assert run_command(["figure", "curves", str(folder), "--y", "luck", "-o", "x.png"]) == 1
    assert run_command(["runs", str(tmp_path)]) == 1
    assert "no runs; make some with genpredict train" in capsys.readouterr().err


def test_curves_hold_what_they_are_given() -> None:
    """Lines, bands and bars at the numbers of the bands."""
    from genpredict.figures import plot_curves

    bands = curve_bands(made_up(), y="test_accuracy", by=["optimizer"])
    ax = plot_curves(bands, y_label="test accuracy (%)")
    names = [line.get_label().replace("\xa0", " ") for line in ax.lines]
    assert names == ["x (n = 2)", "y (n = 1)", "z (n = 1)"]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [10, 52, 62])
    assert len(ax.collections) == 1  # one group has two runs
    bars = plot_curves(curve_averages(bands), bars=True)
    widths = [patch.get_width() for patch in bars.patches]
    np.testing.assert_allclose(widths, [124 / 3, 35.5, 80 / 3])
    assert [text.get_text().split()[0] for text in bars.get_yticklabels()] == ["x", "y", "z"]
    assert bars.get_ylim()[0] > bars.get_ylim()[1]  # the first on top


def test_bands_of_logarithms_against_hand() -> None:
    """Geometric means, a factor to either side; what is not above 0 counts nowhere."""
    runs = made_up()
    bands = curve_bands(runs, y="test_accuracy", by=["optimizer"], log=True)
    x = bands[bands["group"] == "x"]
    np.testing.assert_allclose(x["mean"], [10, np.sqrt(50 * 54), np.sqrt(60 * 64)])
    np.testing.assert_allclose(x["high"] / x["mean"], x["mean"] / x["low"])
    assert bands.attrs["spread"] == "± 1 standard deviation of logarithms"
    first = (runs["optimizer"] == "y") & (runs["epoch"] == 0)
    runs["test_accuracy"] = runs["test_accuracy"].where(~first, 0.0)
    bands = curve_bands(runs, y="test_accuracy", by=["optimizer"], log=True)
    assert bands[bands["group"] == "y"]["x"].tolist() == [1]


def test_a_group_without_any_number_is_said() -> None:
    """Runs that diverged at once have no curve, and no run at all is an error."""
    runs = made_up()
    runs["test_accuracy"] = runs["test_accuracy"].where(runs["optimizer"] != "y")
    with pytest.warns(GenpredictWarning, match="test_accuracy: no run of y has a number"):
        bands = curve_bands(runs, y="test_accuracy", by=["optimizer"])
    assert set(bands["group"]) == {"x", "z"}
    runs["test_accuracy"] = runs["test_accuracy"] * np.nan
    with pytest.raises(GenpredictError, match="test_accuracy: none of the runs has a number"):
        curve_bands(runs, y="test_accuracy", by=["optimizer"])
