"""Groups of marks: their order, and which of them have a line."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from genpredict.figures import plot_curves
from genpredict.figures.groups import Levels, grouping
from genpredict.figures.labels import NOT_GIVEN
from genpredict.figures.marks import draw_trends


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


@pytest.mark.parametrize("count", [1, 3, 20])
def test_curves_keep_their_room_however_many(count: int) -> None:
    """Every group is named once, and the legend of 20 takes nothing from the panel."""
    bands = pd.concat(
        pd.DataFrame({"group": f"optimizer_{k}", "x": [1.0, 2.0], "mean": [k, k + 1.0]}).assign(
            low=k, high=k + 1.0
        )
        for k in range(count)
    )
    ax = plot_curves(bands)
    ax.figure.canvas.draw()
    legends = [*ax.figure.legends, *([ax.get_legend()] if ax.get_legend() else [])]
    named = [text.get_text() for legend in legends for text in legend.get_texts()]
    assert named + [ax.get_title("left")] * (count == 1) == [f"optimizer_{k}" for k in range(count)]
    assert ax.get_window_extent().height / ax.figure.dpi > 1.7
    if count == 20:
        [legend] = ax.figure.legends
        assert not legend.get_window_extent().overlaps(ax.get_window_extent())
    plt.close(ax.figure)
