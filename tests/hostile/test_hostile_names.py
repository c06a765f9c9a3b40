"""Names that others gave: in figures, tables, pages and on the terminal they are only names."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

import genpredict
from genpredict import measuring
from genpredict.cli.app import run
from genpredict.layers import room

FORMULA = "=1+cmd|'C calc'!A0"
REVERSED = "\u202etpircs\u2066"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store whose checkpoints have the names of mathematics, formulas and directions."""
    folder = tmp_path_factory.mktemp("names")
    rng = torch.Generator().manual_seed(0)
    names = [f"{FORMULA}.pt", "$\\frac$.pt", f"{REVERSED}.pt", "-1+1.pt", "a_b$_$.pt", "plain.pt"]
    lines = ["path,test_accuracy,network,epoch"]
    for number, name in enumerate(names):
        layers = {f"$l^${n}.weight": torch.randn(8, 6, 3, 3, generator=rng) for n in range(2)}
        torch.save(layers, folder / name)
        lines.append(f'"{name}",{80 + number},{("$x_$", FORMULA)[number % 2]},{number}')
    (folder / "m.csv").write_text("\n".join(lines), encoding="utf-8")
    source = [str(folder), "--manifest", str(folder / "m.csv"), "--workers", "1"]
    assert run(["score", *source, "-o", str(folder / "s.zarr")]) == 0
    return folder / "s.zarr"


@pytest.mark.parametrize(
    "figure",
    [
        "scatter --hue network",
        "scatter --measures log_num_parameters --columns network",
        "heatmap --names network",
        "evolution --where network=='$x_$'",
        "spectrum --layer $l^$0",
    ],
)
def test_figures_show_names_as_they_are(store: Path, tmp_path: Path, figure: str) -> None:
    """Dollar signs are no mathematics."""
    name, *options = figure.split()
    output = tmp_path / "f.svg"
    assert run(["figure", name, str(store), *options, "-o", str(output)]) == 0
    if {"--hue", "--columns", "--names"} & set(options):
        assert "$x_$" in output.read_text()


def test_powers_of_ten_are_still_mathematics() -> None:
    """On the ticks of an axis that is logarithmic over many decades."""
    import matplotlib.pyplot as plt

    from genpredict.figures.style import styled, tidy

    with styled():
        figure, ax = plt.subplots()
        ax.plot([1, 1e6], [1, 2])
        ax.set_xscale("log")
        ax.set_title("$\\frac$")
        tidy(ax)
    figure.canvas.draw()
    ticks = [tick for tick in ax.get_xticklabels() if tick.get_text()]
    assert ticks
    assert all(tick.get_parse_math() for tick in ticks)
    plt.close(figure)


def test_no_cell_of_a_table_is_a_formula(store: Path, tmp_path: Path) -> None:
    """Of networks, of layers, of correlations within groups; numbers stay numbers."""
    commands = {
        "n.csv": ["show", str(store)],
        "l.csv": ["show", "--layers", str(store)],
        "c.csv": ["correlate", str(store), "--by", "network", "--min-n", "3", "--resamples", "20"],
        "t.csv": ["show", str(store.parent / f"{FORMULA}.pt")],
    }
    for name, command in commands.items():
        assert run([*command, "-o", str(tmp_path / name)]) == 0
        with (tmp_path / name).open(newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        texts = [cell for cell in cells if cell and not is_number(cell)]
        assert not [cell for cell in texts if cell[0] in "=+-@\t\r"], name
    with (tmp_path / "n.csv").open(newline="", encoding="utf-8") as file:
        assert {f"'{FORMULA}.pt", "'-1+1.pt"} <= {row[0] for row in csv.reader(file)}


def is_number(text: str) -> bool:
    """Return whether a cell is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_no_name_turns_the_direction_of_a_page(store: Path, tmp_path: Path) -> None:
    """In tables and in the data of the panels; visible instead."""
    output = tmp_path / "r.html"
    assert run(["report", str(store), "--resamples", "20", "-o", str(output)]) == 0
    page = output.read_text(encoding="utf-8")
    assert not {"\u202e", "\u2066"} & set(page)
    assert "[U+202E]tpircs[U+2066].pt" in page


def test_a_name_that_is_no_text_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A lone surrogate, which no UTF-8 can write: on the terminal and in a table."""
    path = tmp_path / "n.pt"
    torch.save({"\ud800.weight": torch.ones(4, 4), "fc.weight": torch.ones(4, 4)}, path)
    assert run(["show", str(path)]) == 0
    assert "\\ud800.weight" in capsys.readouterr().out
    assert run(["show", str(path), "-o", str(tmp_path / "t.csv")]) == 0
    assert "\\ud800.weight" in (tmp_path / "t.csv").read_text(encoding="utf-8")
    assert run(["score", str(path), "-o", str(tmp_path / "s.zarr")]) == 0
    for command in (["show", "--layers"], ["show"]):
        assert run([*command, str(tmp_path / "s.zarr")]) == 0


# --- layers too large for the machine ------------------------------------------------------------


def networks(*sizes: int) -> dict[str, dict[str, torch.Tensor]]:
    """Return networks of one square layer each."""
    rng = torch.Generator().manual_seed(1)
    return {f"n{s}": {"fc.weight": torch.randn(s, s, generator=rng)} for s in sizes}


def test_a_layer_too_large_for_the_machine_is_a_failed_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It says its size before the memory is full, and the others are measured."""
    monkeypatch.setattr(room, "free_bytes", lambda: 10**6)
    monkeypatch.setattr(room, "SMALL", 10**5)
    scores = genpredict.score(networks(20, 300, 30))
    assert scores["status"].values.tolist() == ["done", "failed", "done"]
    text = str(scores["error"].values[1])
    assert "fc.weight of 300 x 300 takes 0.0 GB to measure" in text
    assert "leave the layer out with --exclude" in text


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't allocate memory: 7 bytes")])
def test_what_cannot_be_measured_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Of a batch each is tried alone; numbers are those of a batch without it."""
    measure = measuring.measure_weights

    def fails(weights: list[torch.Tensor], **options: object) -> object:
        if any(weight.shape[0] == 50 for weight in weights):
            raise error
        return measure(weights, **options)  # type: ignore[arg-type]

    expected = genpredict.score(networks(20, 30))
    monkeypatch.setattr(measuring, "measure_weights", fails)
    scores = genpredict.score(networks(20, 50, 30))
    assert scores["status"].values.tolist() == ["done", "failed", "done"]
    assert "its largest layer, fc.weight, is 50 x 50" in str(scores["error"].values[1])
    good = scores.isel(checkpoint=[0, 2])
    np.testing.assert_allclose(good["Q"].values[0], expected["Q"].values[0], rtol=1e-9)


def test_free_memory_is_known_here() -> None:
    """From the kernel, and never more than the machine has."""
    free = room.free_bytes()
    if free is not None:
        assert 0 < free < 2**50
