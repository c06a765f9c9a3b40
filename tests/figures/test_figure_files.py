"""`save`, and what figures do without: torch, statistics, global settings."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from PIL import Image
from synthetic_scores import correlations, scores_of

import genpredict.figures
from genpredict.errors import GenpredictError
from genpredict.figures import describe, plot_heatmap, plot_ranking, plot_scatter, save

FOLDER = Path(genpredict.figures.__file__).parent
#: Names of functions that estimate something from data.
STATISTICS = {
    *("mean", "median", "std", "var", "cov", "corrcoef", "corr", "quantile", "percentile"),
    *("polyfit", "lstsq", "pearsonr", "spearmanr", "kendalltau", "linregress", "bootstrap"),
    *("average", "nanmean", "nanstd", "nanmedian", "rank", "rankdata", "correlate"),
}


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg", ".PNG"])
def test_save_by_suffix(tmp_path: Path, suffix: str) -> None:
    """Writes what the suffix says: grids, Axes and figures alike."""
    path = tmp_path / f"figure{suffix}"
    assert save(plot_scatter(scores_of(5)), path) == path
    start = path.read_bytes()[:100]
    assert start.startswith(b"\x89PNG") or start.startswith(b"%PDF") or b"<?xml" in start


def test_png_has_300_dots_an_inch(tmp_path: Path) -> None:
    """A column is 1020 pixels wide, or as many as are asked for."""
    save(plot_scatter(scores_of(5)), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size[0] == 1020
        assert image.info["dpi"][0] == pytest.approx(300, abs=1)
    save(plot_scatter(scores_of(5)), tmp_path / "b.png", dpi=100)
    with Image.open(tmp_path / "b.png") as image:
        assert image.size[0] == 340


def test_vector_files_keep_text_and_stay_small(tmp_path: Path) -> None:
    """Labels are text; 5,000 marks are pixels, not paths."""
    save(plot_scatter(scores_of(5000), hue="network"), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "test accuracy (%)" in text
    assert "<image" in text
    assert len(text) < 1_000_000


def test_save_takes_axes_and_figures(tmp_path: Path) -> None:
    ax = plot_ranking(correlations())
    assert save(ax, tmp_path / "a.png").exists()
    assert save(ax.figure, str(tmp_path / "b.png")).exists()
    assert save(plot_heatmap(scores_of(5)), tmp_path / "c.pdf").exists()


def test_save_errors(tmp_path: Path) -> None:
    figure = plt.figure()
    with pytest.raises(
        ValueError, match=r"path must end in one of .png, .pdf, .svg, got '.*a.jpg'"
    ):
        save(figure, tmp_path / "a.jpg")
    with pytest.raises(ValueError, match="path must end in one of"):
        save(figure, tmp_path / "figure")
    with pytest.raises(FileNotFoundError, match=r"path: no such folder '.*none'; make it first"):
        save(figure, tmp_path / "none" / "a.png")


def test_save_names_the_file_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's error has no name; the message has, and says what to do."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(
        GenpredictError, match=r"a\.png: cannot write: No space left on device; free some space"
    ):
        save(plt.figure(), tmp_path / "a.png")


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.py")), ids=lambda file: file.name)
def test_figures_compute_no_statistic(file: Path) -> None:
    """No module of statistics, no call that estimates: figures draw (docs/design.md 5)."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None) or "", *[alias.name for alias in node.names]]
            tops = {name.split(".")[0] for name in names}
            assert not tops & {"scipy", "statistics", "sklearn", "statsmodels", "torch"}
            of_stats = {name for name in names if name.startswith("genpredict.stats")}
            assert of_stats <= {  # which find numbers by their names, and say whose they are
                "genpredict.stats.column",
                "genpredict.stats.columns",
                "genpredict.stats.groups",
                "genpredict.stats.known_coefficients",
                "genpredict.stats.measure_groups",
                "genpredict.stats.specifications",
                "genpredict.stats.tables",
            }
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in STATISTICS


def test_figures_load_no_torch() -> None:
    code = "import genpredict.figures, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_panels_of_a_grid_are_described_by_their_own_column_and_row() -> None:
    """Labels stand at the edges alone; a panel without one has its column's and its row's."""
    measures, targets = ["Q_low_rank_p2", "num_layers"], ["test_accuracy", "generalization_gap"]
    grid = plot_scatter(scores_of(30), measures=measures, targets=targets)
    panels = [line for line in describe(grid).splitlines() if line.startswith("Panel")]
    places = [(target, measure) for target in targets for measure in measures]
    across = {"Q_low_rank_p2": "network quality Q", "num_layers": "number of layers"}
    up = {"test_accuracy": "test accuracy", "generalization_gap": "generalization gap"}
    for panel, (target, measure) in zip(panels, places, strict=True):
        assert f"Across: {across[measure]}" in panel
        assert f"Up: {up[target]}" in panel


def test_a_panel_in_no_grid_takes_no_label_of_another() -> None:
    """Placed by hand, it shares neither column nor row."""
    figure = plt.figure()
    figure.subplots().set(xlabel="time (s)", ylabel="loss")
    figure.add_axes((0.6, 0.6, 0.2, 0.2))
    second = describe(figure).splitlines()[1]
    assert "Across: no label" in second
    assert "Up: no label" in second
