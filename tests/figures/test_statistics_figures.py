"""Forest, specification curve and predictions: what stands where is what the tables say."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from placement import check_layout

import genpredict
from genpredict import correlate, cross_validate, multiverse, open_scores
from genpredict.cli.app import run
from genpredict.errors import GenpredictError
from genpredict.figures import (
    plot_curves,
    plot_forest,
    plot_multiverse,
    plot_predictions,
    plot_ranking,
    share_legend,
)
from genpredict.stats.columns import BASELINES

SWEEP = Path(genpredict.__file__).parents[1] / "data" / "results" / "digits-sweep.zarr"
CLUSTER = ["network", "optimizer"]


@pytest.fixture(scope="module")
def sweep() -> xr.Dataset:
    """Open the committed scores of the digits sweep."""
    return open_scores(SWEEP)


def marks_of(ax: plt.Axes) -> np.ndarray:
    """Return the places of all marks, shape (marks, 2)."""
    parts = [part.get_offsets() for part in ax.collections if isinstance(part, PathCollection)]
    return np.concatenate([np.asarray(part) for part in parts if len(part)])


def test_forest_stands_in_order_against_the_table(sweep: xr.Dataset) -> None:
    """Measures by strength, baselines below, every estimate and interval at its value."""
    table = correlate(sweep, targets="test_accuracy", cluster=CLUSTER, permutations=99)
    ax = plot_forest(table)
    part = table.isel(target=0, group=0)
    places = marks_of(ax)
    values = places[np.argsort(places[:, 1]), 0]
    baseline = np.isin(part["name"].values.astype(str), BASELINES)
    known = part["rocc"].notnull().values
    strengths = [
        np.sort(-np.abs(part["rocc"].values[known & which])) for which in (~baseline, baseline)
    ]
    np.testing.assert_allclose(-np.abs(values), np.concatenate(strengths))
    lines = np.concatenate([c.get_segments() for c in ax.collections if hasattr(c, "get_segments")])
    lower = np.sort(np.array(lines)[:, 0, 0])
    np.testing.assert_allclose(lower, np.sort(part["rocc_lower"].values[known]))
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels[0].startswith("Q, raw")
    assert "n = 90 in 30 clusters by network, optimizer" in ax.get_xlabel()
    plt.close(ax.figure)


def test_forest_has_a_section_for_each_group(sweep: xr.Dataset) -> None:
    """Measures of every score, then under a heading those of a group, then the baselines."""
    table = correlate(sweep, targets="test_accuracy", cluster=CLUSTER, permutations=0)
    names = table["name"].values.astype(object)
    tails = np.flatnonzero(~np.isin(names.astype(str), BASELINES))[-2:]
    names[tails] = "alpha", "log_alpha_norm"
    ax = plot_forest(table.assign_coords(name=("measure", names.astype(str))))
    labels = {label.get_text(): place for label, place in zip(
        ax.get_yticklabels(), ax.get_yticks(), strict=True
    )}  # fmt: skip
    heavy, baselines = labels["heavy tail"], labels["baselines"]
    assert baselines == heavy + 3
    strengths = np.sort(abs(table["rocc"].isel(target=0, group=0).values[tails]))[::-1]
    places = marks_of(ax)
    below = places[(places[:, 1] > heavy) & (places[:, 1] < baselines)]
    np.testing.assert_allclose(np.abs(below[np.argsort(below[:, 1]), 0]), strengths)
    assert not np.isin(places[:, 1], [heavy, baselines]).any()
    plt.close(ax.figure)


def test_forest_of_several_targets_keeps_them_apart(sweep: xr.Dataset) -> None:
    """Marks of a row do not touch, simultaneous intervals end inside, what has no value is named.

    It stands in order of the test accuracy, though another target comes first.
    """
    scores = sweep.assign_coords(train_loss=sweep["train_loss"] * 0 + 1.0)
    table = correlate(scores, cluster=CLUSTER, permutations=0, simultaneous=True)
    assert table["target"].values[0] != "test_accuracy"
    ax = plot_forest(table)
    part = table.sel(group="all")
    low, high = ax.get_xlim()
    reach = part["rocc_simultaneous_lower"].min(), part["rocc_simultaneous_upper"].max()
    assert max(low, -1.0) <= reach[0] < reach[1] <= min(high, 1.0)
    ax.figure.draw_without_rendering()
    heights = np.unique(ax.transData.transform(marks_of(ax))[:, 1]) * 72 / ax.figure.dpi
    assert np.diff(heights).min() > 3.5
    names = [text.get_text() for text in ax.get_legend_handles_labels()[1]]
    names += [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert "train loss" not in names
    assert "95% simultaneous interval" in names
    said = ax.get_xlabel().replace("\n", " ")
    assert "in order of |ROCC| with test accuracy" in said
    assert "without a value:" in said
    assert said.endswith("train loss")
    own = part.isel(measure=~np.isin(part["name"].values.astype(str), BASELINES))
    strengths = np.abs(own["rocc"].sel(target="test_accuracy").values)
    strongest = str(own["name"].values[np.nanargmax(strengths)])
    assert ax.get_yticklabels()[0].get_text().startswith(strongest)
    check_layout(ax.figure)


def test_no_interval_no_line_in_the_legend(sweep: xr.Dataset) -> None:
    """Three clusters have no interval: nothing is said of one, and how many there are is."""
    ax = plot_forest(correlate(sweep, cluster="network", permutations=0))
    assert not [text for text in ax.figure.legends[0].get_texts() if "interval" in text.get_text()]
    assert "n = 90 in 3 clusters by network" in ax.get_xlabel()


def test_specification_curve_against_the_table(sweep: xr.Dataset) -> None:
    """Every specification once, in order; a mark below it for each of its seven choices."""
    part = sweep.isel(checkpoint=(sweep["network"] == "resnet20").values)
    curves = multiverse(part, "test_accuracy", cluster="optimizer", permutations=19)
    figure = plot_multiverse(curves)
    above, below = figure.axes
    values = curves["estimate"].values[np.isfinite(curves["estimate"].values)]
    np.testing.assert_allclose(marks_of(above)[:, 1], np.sort(values))
    assert len(marks_of(below)) == 7 * len(values)
    assert "median −" in above.get_title(loc="left")
    assert {"rank 0: zero", "rank 0: skip"} <= {t.get_text() for t in below.get_yticklabels()}
    plt.close(figure)


def test_predictions_against_the_table(sweep: xr.Dataset) -> None:
    """Truth across, prediction up, R² above; a colour a group where there are few."""
    judged = cross_validate(sweep, "test_accuracy", leave_out="network")
    figure = plot_predictions(judged)
    for ax, name in zip(figure.axes, ("measures", "baselines"), strict=True):
        part = judged.sel(features=name)
        expected = np.stack([part["truth"].values, part["prediction"].values], axis=1)
        found = marks_of(ax)
        np.testing.assert_allclose(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)])
        assert ax.get_title(loc="left").startswith(f"{name}   R² ")
    assert len(figure.legends[0].get_texts()) == 3
    plt.close(figure)


@pytest.mark.parametrize(("count", "told"), [(1, True), (9, True), (18, True), (19, False)])
def test_predictions_of_many_groups_and_rows(count: int, told: bool) -> None:
    """Up to 18 groups are told apart; of more there is no legend. Thousands of marks are pixels."""
    rows = 3_000
    rng = np.random.default_rng(3)
    groups = [f"run={i}" for i in range(count)]
    judged = xr.Dataset(
        {
            "truth": ("checkpoint", rng.uniform(90, 99, rows)),
            "prediction": (("features", "checkpoint"), rng.uniform(80, 120, (2, rows))),
            "held_out": ("checkpoint", np.array(groups, dtype=object)[np.arange(rows) % count]),
            **{f"{q}{end}": ("features", [0.1, 0.2]) for q in ("r2", "kendall")
               for end in ("", "_lower", "_upper")},
            "n": rows, "n_clusters": count,
        },
        coords={"features": ["measures", "baselines"], "group": groups,
                "checkpoint": np.arange(rows)},
        attrs={"target_long_name": "test accuracy", "units": "%", "model": "ridge",
               "leave_out": "run", "cluster": "seed"},
    )  # fmt: skip
    figure = plot_predictions(judged, palette="Dark2")
    assert [len(legend.get_texts()) for legend in figure.legends] == [count] * (told and count > 1)
    for ax in figure.axes:
        assert len(marks_of(ax)) == rows
        assert all(part.get_rasterized() for part in ax.collections)
        assert ax.get_xlim()[1] < 100  # predictions of 120 % take no room across
        said = ax.get_title(loc="left")
        assert said.endswith(
            f"n = 3,000 in {count} cluster{'s' * (count > 1)}; ridge; run held out"
        )
    check_layout(figure)


def test_palettes_of_forest_and_ranking(sweep: xr.Dataset) -> None:
    """Marks of targets, and cells, have its colours; too few for the targets are refused."""
    targets = ["test_accuracy", "generalization_gap"]
    table = correlate(sweep, targets=targets, cluster=CLUSTER, permutations=0)
    ax = plot_forest(table, palette=["red", "blue"])
    edges = {to_hex(shade) for part in ax.collections if isinstance(part, PathCollection)
             for shade in part.get_edgecolors()}  # fmt: skip
    assert edges == {to_hex("red"), to_hex("blue")}
    with pytest.raises(ValueError, match="palette: has 1 colours for 2 targets; give 2"):
        plot_forest(table, palette=["red"])
    assert plot_ranking(table, adjust="none", palette="vlag").images[0].get_cmap().name == "vlag"
    with pytest.raises(ValueError, match=r"palette: .*take a name such as 'tab10'"):
        plot_ranking(table, palette="no such")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("multiverse --target a --palette tab10", "curves, heatmap, evolution, scatter, ranking,"),
        ("scatter --log", "log_ before the name of a measure or target makes its axis"),
        ("spectrum --labels=checkpoint", "`figure spectrum` does not have it; scatter and"),
        ("scatter --labelz=checkpoint", "Unknown option: --labelz"),
    ],
)
def test_an_option_of_other_kinds_names_them(
    typed: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what does the same here, where something does; a typo is a typo."""
    kind, *options = typed.split()
    assert run(["figure", kind, "scores.zarr", *options, "-o", "f.png"]) == 2
    error = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert said in error


@pytest.mark.parametrize(
    "arguments",
    [
        [
            "forest",
            "--targets",
            "test_accuracy",
            "--cluster",
            "network,optimizer",
            "--simultaneous",
        ],
        ["multiverse", "--target", "generalization_gap", "--permutations", "19"],
        ["predictions", "--leave-out", "optimizer", "--palette", "Dark2", "--size", "6,4"],
    ],
)
def test_commands_draw(arguments: list[str], tmp_path: Path) -> None:
    """A file that holds a picture."""
    output = tmp_path / "figure.png"
    kind, *options = arguments
    assert run(["figure", kind, str(SWEEP), *options, "-o", str(output)]) == 0
    assert output.read_bytes()[:4] == b"\x89PNG"


def test_what_takes_one_table_refuses_another(sweep: xr.Dataset) -> None:
    """Scores for correlations and the other way round: the message says what to give."""
    table = correlate(sweep, targets="test_accuracy", cluster=CLUSTER, permutations=0)
    scores_given = r"these are scores: give what genpredict\.correlate\(scores\) returns"
    for draw in (plot_forest, plot_ranking):
        with pytest.raises(ValueError, match=scores_given):
            draw(sweep)
    with pytest.raises(GenpredictError, match=scores_given):
        genpredict.stats.to_table(sweep)
    with pytest.raises(ValueError, match=r"bands must be a table .* it has no group"):
        genpredict.plot_curves(sweep)
    for draw in (genpredict.plot_heatmap, genpredict.plot_evolution):
        with pytest.raises(ValueError, match="scores must hold measures of layers"):
            draw(table)


def test_what_figures_refuse(sweep: xr.Dataset) -> None:
    """Another coefficient, group, target, or another Dataset."""
    table = correlate(sweep, targets="test_accuracy", cluster=CLUSTER, permutations=0)
    with pytest.raises(ValueError, match="coefficient must be one of plcc, rocc, krocc"):
        plot_forest(table, coefficient="tau")
    with pytest.raises(ValueError, match="group must be one of all"):
        plot_forest(table, group="network=x")
    with pytest.raises(ValueError, match="targets must be some of test_accuracy"):
        plot_forest(table, targets=["loss"])
    with pytest.raises(ValueError, match=r"curves must be a Dataset as genpredict\.multiverse"):
        plot_multiverse(table)
    with pytest.raises(ValueError, match=r"judged must be a Dataset as genpredict\.cross_validate"):
        plot_predictions(table)


def test_panels_share_one_legend() -> None:
    """It stands over all panels, inside the figure; those of the panels are gone."""
    bands = pd.DataFrame(
        {"group": np.repeat(list("ab"), 3), "x": [0, 1, 2] * 2, "mean": np.arange(6.0)}
    ).assign(low=lambda frame: frame["mean"] - 1, high=lambda frame: frame["mean"] + 1, n=3)
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.5), layout="constrained")
    for ax in axes:
        plot_curves(bands, ax=ax)
    colours = [line.get_color() for line in axes[0].get_lines()]
    share_legend(axes)
    assert [ax.get_legend() for ax in axes] == [None, None]
    (legend,) = figure.legends
    assert [text.get_text().split()[0] for text in legend.get_texts()] == ["a", "b"]
    assert [handle.get_color() for handle in legend.legend_handles] == colours
    figure.canvas.draw()
    box = legend.get_window_extent()
    assert all(box.y0 >= ax.get_window_extent().y1 for ax in axes)
    assert figure.bbox.y1 >= box.y1
