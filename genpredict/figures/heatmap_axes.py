"""What stands at the edges of a heat map: layers, checkpoints, groups of these, epochs."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes

from genpredict.figures.labels import axis_label, level_text, name_of, shortened, wrapped
from genpredict.figures.layers import LayerMatrix, edges_of
from genpredict.figures.panels import CHARACTER, SMALL_CHARACTER
from genpredict.figures.style import SMALL_FONT, root_of, tidy

Depth = Literal["layer", "relative"]
#: More rows or columns than this are numbered, not named.
MOST_NAMES = 40
#: Columns of pixels of a page at 300 dpi, labels and colour bar apart.
MOST_COLUMNS = 1500
_MOST_TICKS = 16
_MOST_GROUPS = 20


def name_layers(ax: Axes, matrix: LayerMatrix, depth: Depth) -> None:
    """Name the rows, number them where they are many, or say how deep they are."""
    tidy(ax)
    if not matrix.layers:
        ax.set_yticks([])
    named = len(matrix.layers) <= MOST_NAMES
    if named:
        ax.set_yticks(range(len(matrix.layers)), [shortened(name, 24) for name in matrix.layers])
        ax.tick_params(axis="y", length=0, labelsize=SMALL_FONT - 1)
    else:
        step = next(s for s in (10, 20, 50, 100, 1000) if len(matrix.layers) / s <= 8)
        numbers = [1, *range(step, len(matrix.layers) + 1, step)]
        ax.set_yticks([number - 1 for number in numbers], [str(number) for number in numbers])
    if depth == "relative":
        ax.set_ylabel("depth, % of the network's")
        count = len(matrix.layers)
        ax.set_yticks(np.linspace(-0.5, count - 0.5, 5), ["0", "25", "50", "75", "100"])
        return
    ax.set_ylabel("layer" if named and not "".join(matrix.layers).isdigit() else "layer, by depth")


def name_columns(
    ax: Axes,
    matrix: LayerMatrix,
    columns: str,
    sort: str | None,
    names: str | None,
    *,
    total: int,
    keys: list[Any],
) -> None:
    """Name the columns, or groups of them, and say how many they are and in which order.

    Parameters
    ----------
    ax : Axes
    matrix : LayerMatrix
        As drawn.
    columns, sort, names : str
        As of `plot_heatmap`.
    total : int
        Columns there were before they were thinned.
    keys : list
        What orders those drawn.
    """
    count = len(matrix.columns)
    order = f" in order of {name_of(sort)}" if sort else ""
    label = "" if columns == "checkpoint" else name_of(columns)
    ax.tick_params(axis="x", length=0)
    if columns == "checkpoint" and count > MOST_NAMES:
        label = f"{total:,} checkpoints"
        ax.set_xticks([])
    elif columns == "checkpoint":
        ax.set_xticks(range(count), matrix.names, rotation=90)
        ax.tick_params(axis="x", labelsize=SMALL_FONT - 1)
        label = "checkpoints" + (f" by {axis_label(names)}" if names else "")
    elif edges_of(matrix) is None:
        places = range(0, count, math.ceil(count / _MOST_TICKS) or 1)
        ax.set_xticks(places, [level_text(matrix.columns[i]) for i in places])
    thinned = f", one in {math.ceil(total / MOST_COLUMNS)} drawn" if count < total else ""
    wide = int(0.75 * root_of(ax).get_figwidth() / CHARACTER)
    ax.set_xlabel(wrapped(label + order + _missing(keys) + thinned, wide))
    if columns == "checkpoint" and count > MOST_NAMES:
        _name_groups(ax, keys)


def _missing(keys: list[Any]) -> str:
    """Say where checkpoints are that have no number to order them by; "" where none is."""
    count = any(isinstance(key, float) and math.isnan(key) for key in keys)
    return " (those without one last)" if count else ""


def _name_groups(ax: Axes, keys: list[Any]) -> None:
    """Name what stands side by side in the order of a text, and part it by lines."""
    texts = [level_text(key) for key in keys if isinstance(key, str)]
    starts = [i for i, text in enumerate(texts) if i == 0 or text != texts[i - 1]]
    if not 0 < len(starts) <= _MOST_GROUPS:
        return
    ends = [*starts[1:], len(texts)]
    names = [shortened(texts[start], 24) for start in starts]
    for start in starts[1:]:
        ax.axvline(start - 0.5, color="white", linewidth=1.0)
    room = root_of(ax).get_figwidth() * 0.8 * min(np.subtract(ends, starts)) / len(texts)
    turned = room < SMALL_CHARACTER * max(map(len, names))
    middles = [(start + end - 1) / 2 for start, end in zip(starts, ends, strict=True)]
    ax.set_xticks(middles, names, rotation=90 if turned else 0)
