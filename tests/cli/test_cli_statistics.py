"""`genpredict correlate` and `genpredict figure` on the bundled zoo."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest
import xarray as xr
from matplotlib.axes import Axes

from genpredict.cli import run
from genpredict.stats import correlate, to_table
from genpredict.store.reading import open_scores

ZOO = Path(__file__).resolve().parents[2] / "data" / "digits-zoo"
FEW = ["--resamples", "200", "--targets", "test_accuracy"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Score the zoo once."""
    path = tmp_path_factory.mktemp("zoo") / "s.zarr"
    manifest = str(ZOO / "manifest.csv")
    assert run(["score", str(ZOO), "--manifest", manifest, "-o", str(path)]) == 0
    return path


def test_csv_against_stats(store: Path, tmp_path: Path) -> None:
    """The CSV file holds the table of `stats.correlate`, columns in the promised order."""
    output = tmp_path / "out.csv"
    assert run(["correlate", str(store), *FEW, "--by", "optimizer", "-o", str(output)]) == 0
    table = pd.read_csv(output, keep_default_na=False, na_values=[""])
    scores = open_scores(store)
    found = correlate(scores, targets=["test_accuracy"], by=["optimizer"], resamples=200)
    assert table.columns[:10].tolist() == [
        *("measure", "factorization", "p", "target", "group", "n"),
        *("plcc", "plcc_lower", "plcc_upper", "plcc_pvalue"),
    ]
    pd.testing.assert_series_equal(table["rocc"], to_table(found)["rocc"])
    assert table["group"].iloc[0] == "all"
    assert "optimizer=adam" in set(table["group"])


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_datasets_against_csv(store: Path, tmp_path: Path, suffix: str) -> None:
    """NetCDF and Zarr hold the same numbers as the table."""
    output = tmp_path / f"out{suffix}"
    assert run(["correlate", str(store), *FEW, "-o", str(output)]) == 0
    if suffix == ".nc":
        opened = xr.open_dataset(output)
    else:
        opened = xr.open_zarr(output, consolidated=False, chunks=None)
    found = correlate(open_scores(store), targets=["test_accuracy"], resamples=200)
    assert opened["rocc"].values == pytest.approx(found["rocc"].values, nan_ok=True)
    assert opened["measure"].values.tolist() == found["measure"].values.tolist()  # texts as texts


@pytest.mark.parametrize("suffix", [".md", ".tex"])
def test_text_tables_against_the_terminal(
    store: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Markdown and LaTeX hold the cells that the terminal shows."""
    output = tmp_path / f"out{suffix}"
    assert run(["correlate", str(store), *FEW, "-o", str(output)]) == 0
    shown, text = capsys.readouterr().out, output.read_text(encoding="utf-8")
    (line,) = [line for line in shown.splitlines() if "Q, low rank, p = 2" in line]
    cells = [cell for cell in re.split(r"  +", line.strip()) if cell]
    (written,) = [row for row in text.splitlines() if "Q, low rank, p = 2" in row]
    assert all(cell in written for cell in cells)
    assert "95" in text  # what the intervals are


def test_table_and_json_show_the_same(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The terminal shows signed estimates with intervals and n; --json the numbers themselves."""
    run(["correlate", str(store), *FEW])
    shown = capsys.readouterr().out
    run(["correlate", str(store), *FEW, "--json"])
    rows = json.loads(capsys.readouterr().out)
    (row,) = [r for r in rows if (r["measure"], r["factorization"], r["p"]) == ("Q", "low_rank", 2)]
    interval = f"{row['rocc']:+.2f} [{row['rocc_lower']:+.2f}, {row['rocc_upper']:+.2f}]"
    (line,) = [line for line in shown.splitlines() if "Q, low rank, p = 2" in line]
    assert interval in line
    assert " 32 " in line
    assert "log_num_parameters" in shown


@pytest.mark.parametrize("family", ["table", "group"])
def test_family_against_stats(
    store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    family: Literal["table", "group"],
) -> None:
    """P-values are adjusted over the tests that were asked for, and the note says over which."""
    output = tmp_path / "out.csv"
    command = ["correlate", str(store), *FEW, "--by", "optimizer", "--family", family]
    assert run([*command, "-o", str(output)]) == 0
    assert f"(Holm, over {'the table' if family == 'table' else 'each group'})" in " ".join(
        capsys.readouterr().out.split()
    )
    found = correlate(
        open_scores(store),
        targets=["test_accuracy"],
        by=["optimizer"],
        resamples=200,
        family=family,
    )
    written = pd.read_csv(output, keep_default_na=False, na_values=[""])["rocc_pvalue_holm"]
    pd.testing.assert_series_equal(written, to_table(found)["rocc_pvalue_holm"])


def test_families_differ(store: Path) -> None:
    """A group by itself has fewer tests: the test above tells them apart."""
    scores = open_scores(store)
    tables = [
        to_table(
            correlate(scores, targets="test_accuracy", by="optimizer", resamples=9, family=one)
        )
        for one in ("table", "group")
    ]
    over_table, over_group = (table["rocc_pvalue_holm"].to_numpy() for table in tables)
    assert (over_group[over_group < 1] < over_table[over_group < 1]).all()


def test_heatmap_names_checkpoints(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a coordinate, under the columns."""
    drawn: list[list[str]] = []

    def keep(picture: Axes, _output: Path) -> None:
        drawn.append([text.get_text() for text in picture.get_xticklabels()])

    monkeypatch.setattr("genpredict.figures.saving.save", keep)
    options = ["--sort", "test_accuracy", "--names", "optimizer", "-o", str(tmp_path / "f.png")]
    assert run(["figure", "heatmap", str(store), *options]) == 0
    assert drawn == [open_scores(store).sortby("test_accuracy")["optimizer"].values.tolist()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["correlate", "{}", "--by", "nope"], "'nope' is no coordinate"),
        (
            ["correlate", "{}", *FEW, "-o", "out.xlsx"],
            r"must end in one of .csv, .nc, .zarr, .md, .tex",
        ),
        (["correlate", "missing.zarr"], "no such scores store"),
        (["figure", "heatmap", "{}", "--names", "nope", "-o", "f.png"], "names: 'nope' is no coor"),
        (["figure", "scatter", "{}", "--hue", "nope", "-o", "f.png"], "'nope' is no coordinate"),
        (["figure", "scatter", "{}", "--where", "seed > 99", "-o", "f.png"], "none of 32 scored"),
        (["figure", "evolution", "{}", "--x", "optimizer", "-o", "f.png"], "(as with --where)"),
        (["figure", "scatter", "{}", "-o", "f.xyz"], "must end in one of .png, .pdf, .svg"),
    ],
)
def test_mistakes_are_1(
    store: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wrong name or file is a message that names it, not a traceback."""
    monkeypatch.chdir(tmp_path)
    assert run([part.format(store) for part in arguments]) == 1
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["scatter", "--hue", "optimizer", "--measures", "Q,Q_adjusted"],
        ["scatter", "--correlations", "--trend"],
        ["ranking", "--targets", "test_accuracy,generalization_gap"],
        ["heatmap", "--sort", "test_accuracy", "--measure", "rank"],
        ["heatmap", "--columns", "seed", "--where", "seed < 9"],
        ["evolution", "--x", "seed", "--where", "optimizer == 'sgd'"],
        ["scatter", "--columns", "label_noise", "--where", "label_noise in (0, 0.6)"],
    ],
)
def test_figures_are_drawn(store: Path, tmp_path: Path, arguments: list[str]) -> None:
    """Every kind of figure that a set of trained networks allows comes out as a picture."""
    output = tmp_path / "new folder" / "figure.png"
    assert run(["figure", arguments[0], str(store), *arguments[1:], "-o", str(output)]) == 0
    assert output.read_bytes().startswith(b"\x89PNG")
