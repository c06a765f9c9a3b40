"""Groups of marks: their order, and which of them have a line."""

from __future__ import annotations

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
import xarray as xr
from matplotlib.colors import to_hex
from placement import check_layout, legends_of
from synthetic_scores import scores_of

from genpredict.errors import GenpredictWarning
from genpredict.figures import plot_curves, plot_scatter
from genpredict.figures.groups import Levels, grouping
from genpredict.figures.labels import NOT_GIVEN
from genpredict.figures.marks import draw_trends
from genpredict.figures.style import MARKERS


def scores_with(networks: list[str]) -> xr.Dataset:
    coords = {"network": ("checkpoint", np.array(networks, dtype=object))}
    return xr.Dataset(coords={"checkpoint": np.arange(len(networks)), **coords})


def test_levels_are_in_the_order_of_people() -> None:
    """Numbers in names count as numbers, leading zeros or not; what is not given comes last."""
    names = ["resnet110", "resnet26", "net", "resnet8", "", "b007", "b10"]
    levels = grouping(scores_with(names * 2), "network", parameter="hue")
    assert isinstance(levels, Levels)
    assert levels.levels == ["b007", "b10", "net", "resnet8", "resnet26", "resnet110", NOT_GIVEN]


def test_lines_are_for_groups_of_five_alone() -> None:
    """Not for four marks, not for the rest of many, not for those not given."""
    codes = np.repeat([0, 1, 2, 3], [5, 4, 9, 9])
    levels = Levels("network", ["a", "b", "3 others", NOT_GIVEN], codes, others=True)
    rng = np.random.default_rng(0)
    numbers = {"x_value": rng.random(len(codes)), "y_value": rng.random(len(codes))}
    ax = plt.figure().subplots()
    draw_trends(ax, pd.DataFrame({"position": np.arange(len(codes)), **numbers}), levels)
    assert len(ax.lines) == 1
    assert ax.lines[0].get_color() == levels.colours[0].lower()
    plt.close(ax.figure)


@pytest.mark.parametrize("bars", [False, True])
@pytest.mark.parametrize("count", [1, 3, 9, 20, 30])
def test_curves_and_bars_keep_their_room_however_many(count: int, bars: bool) -> None:
    """Every group is named once, no text leaves the page, and a legend takes nothing from a panel.

    Of how many runs they are is said once where it is the same of all.
    """
    bands = pd.concat(
        pd.DataFrame({"group": f"optimizer_{k}", "x": [1.0, 2.0], "mean": [k, k + 1.0]}).assign(
            low=k, high=k + 1.5, n=3
        )
        for k in range(count)
    )
    bands.attrs["spread"] = "± 1 standard deviation"
    ax = plot_curves(bands.drop_duplicates("group") if bars else bands, bars=bars, y_label="y (s)")
    check_layout(ax.figure)
    named = [text.get_text() for legend in legends_of(ax.figure) for text in legend.get_texts()]
    named += [text.get_text() for text in ax.get_yticklabels()] if bars else []
    if count == 1 and not bars:
        named = ax.get_title("left").split("\n")[:1]
    assert named == [f"optimizer_{k}" for k in range(count)]
    said = " ".join(
        [ax.get_title("left"), ax.get_xlabel().replace("\n", " ")]
        + [legend.get_title().get_text() for legend in legends_of(ax.figure)]
    )
    assert f"3 runs{' each' * (count > 1)}, mean ± 1 standard deviation" in said
    if bars:
        boxes = [text.get_window_extent() for text in ax.get_yticklabels()]
        assert not any(a.overlaps(b) for a, b in pairwise(boxes))
    else:
        assert ax.get_window_extent().height / ax.figure.dpi > 1.7
        kinds = [(line.get_color(), str(line._dash_pattern)) for line in ax.lines]
        assert len(set(kinds)) == count


def test_curves_say_how_many_runs_each_group_has() -> None:
    """Where these differ; in axes of the caller's the legend lies above."""
    bands = pd.DataFrame(
        {"group": list("aabb"), "x": [0, 1, 0, 1], "mean": 1.0, "low": 1.0, "high": 1.0,
         "n": [1, 2, 3, 3]}
    )  # fmt: skip
    figure, ax = plt.subplots(layout="constrained")
    assert plot_curves(bands, palette=["red", "blue"], ax=ax) is ax
    (legend,) = legends_of(figure)
    names = [text.get_text().replace("\xa0", " ") for text in legend.get_texts()]
    assert names == ["a (n = 2)", "b (n = 3)"]
    assert [line.get_color() for line in ax.lines] == [to_hex("red"), to_hex("blue")]
    check_layout(figure)


def test_names_beside_marks_hide_nothing() -> None:
    """Names overlap no other name and no other mark; how many had no room is said."""
    scores = scores_of(40)
    with pytest.warns(GenpredictWarning, match=r"labels: \d+ of 40 names have no room"):
        grid = plot_scatter(scores, labels="network", hue="network")
    [ax] = grid.axes.flat
    boxes = [text.get_window_extent() for text in ax.texts]
    assert 10 < len(boxes) < 40
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    marks = ax.transData.transform(grid.data[["x_value", "y_value"]])
    assert not any(box.contains(*mark) for box in boxes for mark in marks)
    assert {text.get_text() for text in ax.texts} <= set(scores["network"].values)
    at_home = {tuple(text.xy): text.get_text() for text in ax.texts}
    named = {
        (row.x_value, row.y_value): scores["network"].values[row.position]
        for row in grid.data.itertuples()
    }
    assert all(named[place] == text for place, text in at_home.items())


def test_names_of_too_many() -> None:
    """More than 200 checkpoints are not named."""
    with pytest.raises(ValueError, match="labels: 201 checkpoints are too many to name"):
        plot_scatter(scores_of(201), labels="network")


@pytest.mark.parametrize("palette", ["Dark2", ["red", "#00ff00", "b"]])
def test_groups_take_a_palette(palette: str | list[str]) -> None:
    """Marks have its colours, one a group, by name or one by one."""
    grid = plot_scatter(scores_of(30), hue="network", palette=palette)
    wanted = {to_hex(colour) for colour in sns.color_palette(palette, 3)}
    [ax] = grid.axes.flat
    drawn = {to_hex(colour) for marks in ax.collections for colour in marks.get_facecolors()}
    assert drawn == wanted


@pytest.mark.parametrize("colours", [["red"], ["red", "blue"]])
def test_groups_take_a_palette_of_few_colours(colours: list[str]) -> None:
    """Twelve groups take them in turns, with the markers that the legend shows."""
    names = np.array([f"net{i % 12}" for i in range(36)], dtype=object)
    scores = scores_of(36).assign_coords(network=("checkpoint", names))
    grid = plot_scatter(scores, hue="network", palette=colours)
    [ax] = grid.axes.flat
    drawn = {to_hex(colour) for marks in ax.collections for colour in marks.get_facecolors()}
    assert drawn == {to_hex(colour) for colour in colours}
    [legend] = grid.figure.legends
    shown = {str(entry.get_marker()) for entry in legend.legend_handles}
    assert len(shown) == len(ax.collections) == min(12 // len(colours), len(MARKERS))


@pytest.mark.parametrize("hue", ["network", "learning_rate"])
@pytest.mark.parametrize("palette", ["", []])
def test_a_palette_of_no_colours_is_refused(palette: str | list[str], hue: str) -> None:
    """Of groups and of numbers alike; the message names it."""
    with pytest.raises(ValueError, match=r"palette: .*take a name such as 'tab10'"):
        plot_scatter(scores_of(30), hue=hue, palette=palette)


def test_numbers_take_a_colour_map_and_typos_are_told() -> None:
    """A number of hue by the name of a map; another name is refused."""
    grid = plot_scatter(scores_of(30), hue="learning_rate", palette="cividis")
    assert grid.axes.flat[0].collections[0].get_cmap().name == "cividis"
    with pytest.raises(ValueError, match=r"palette: .*take a name such as 'tab10'"):
        plot_scatter(scores_of(30), hue="network", palette="no such")
