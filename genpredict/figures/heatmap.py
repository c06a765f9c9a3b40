"""Layer measures as a heat map: layers by checkpoints or by epochs (the paper's Figure 1b)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patches import Patch
from numpy.typing import NDArray

from genpredict.figures.labels import axis_label, level_text, name_of, shortened, wrapped
from genpredict.figures.layers import LayerMatrix, layer_matrix, relative_depth
from genpredict.figures.style import (
    COLUMN_WIDTH,
    PAGE_WIDTH,
    SMALL_FONT,
    colour_bar,
    legend_above,
    new_axes,
    ramp,
    root_of,
    styled,
    tidy,
)

Depth = Literal["layer", "relative"]
#: More rows or columns than this are numbered, not named.
MOST_NAMES = 40
#: Columns of pixels of a page at 300 dpi, labels and colour bar apart.
MOST_COLUMNS = 1500
_ABSENT = "#EEEEEE"
_RANK_ONE = "#D55E00"
_RANK_ZERO = "#555555"
_MOST_TICKS = 16
_LINE = 0.13  # inches, of a named row or column
_CHARACTER = 0.066  # mean width in inches


def plot_heatmap(
    scores: xr.Dataset,
    *,
    measure: str = "quality",
    columns: str = "checkpoint",
    sort: str | None = None,
    names: str | None = None,
    factorization: str = "low_rank",
    p: int = 2,
    unfolding: str = "out_channel",
    limits: tuple[float, float] | None = None,
    depth: Depth = "layer",
    width: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a layer measure over layers and checkpoints, or layers and epochs.

    Parameters
    ----------
    scores : Dataset
        As of `open_scores`. Checkpoints that failed are not drawn.
    measure : str
        A variable over layers.
    columns : str
        ``"checkpoint"``, or a coordinate that tells the checkpoints apart, e.g. "epoch" of the
        checkpoints of one run.
    sort : str, optional
        Coordinate that orders checkpoints, e.g. "test_accuracy", the least left.
    names : str, optional
        Coordinate that names the checkpoints under their columns, e.g. "network"; by default their
        ids.
    factorization, p, unfolding : str, int, str
        Choices, for a measure that has these dimensions.
    limits : pair of float, optional
        Ends of the colour scale; by default those of the data.
    depth : {"layer", "relative"}
        Rows are layers counted from the input, or shares of each network's depth, by which
        networks of unlike depth compare.
    width : float, optional
        In inches; by default a journal's column, its page from 20 columns on.
    ax : Axes, optional
        Draw here instead of in a new figure.

    Returns
    -------
    Axes
        Layers go down, the input on top.

    Raises
    ------
    ValueError
        For names that the scores do not hold; when two checkpoints share a column; when columns
        are epochs, say, and the checkpoints of several runs.

    Notes
    -----
    Columns that are numbers stand to scale, each as wide as the way to its neighbours.

    A low-rank quality of rank 1 is π/2 by definition, the highest there is, and of rank 0 it is 0:
    both get a colour of their own, and the scale spans the others. Of more than 1,500 columns, a
    page at 300 dpi, evenly spaced ones are drawn; the label says one in how many.

    Examples
    --------
    >>> plot_heatmap(scores, sort="test_accuracy")  # doctest: +SKIP
    """
    matrix = layer_matrix(
        scores,
        measure,
        columns=columns,
        sort=sort,
        names=names,
        factorization=factorization,
        p=p,
        unfolding=unfolding,
    )
    if depth not in get_args(Depth):
        raise ValueError(f"depth must be one of {get_args(Depth)}, got {depth!r}")
    if depth == "relative":
        matrix = relative_depth(matrix)
    total = len(matrix.columns)
    matrix = _thinned(matrix)
    with styled():
        whole = ax is None
        if ax is None:
            ax = new_axes(*_size(matrix, width))
        _draw(ax, matrix, limits, whole=whole)
        _name_layers(ax, matrix, depth)
        _name_columns(ax, matrix, columns, sort, names, total)
    return ax


def _thinned(matrix: LayerMatrix) -> LayerMatrix:
    """Keep one in so many columns: narrower than a pixel, they would mix to colours of no value."""
    every = math.ceil(len(matrix.columns) / MOST_COLUMNS) or 1
    return replace(
        matrix,
        values=matrix.values[::every],
        columns=matrix.columns[::every],
        names=matrix.names[::every],
        rank=None if matrix.rank is None else matrix.rank[::every],
    )


def _size(matrix: LayerMatrix, width: float | None) -> tuple[float, float]:
    """Return width and height in inches: a line of text a named row, at most a page."""
    layers = len(matrix.layers)
    if width is None:
        width = COLUMN_WIDTH if len(matrix.columns) < 20 else PAGE_WIDTH
    below = 0.6
    if len(matrix.names) <= MOST_NAMES:
        below += 0.05 * max(map(len, matrix.names), default=0)
    body = _LINE * layers if layers <= MOST_NAMES else 0.05 * layers
    return width, below + min(max(body, 1.3), 6.0)


def _draw(
    ax: Axes, matrix: LayerMatrix, limits: tuple[float, float] | None, *, whole: bool
) -> None:
    if not matrix.values.size:
        ax.text(0.5, 0.5, "no values", ha="center", va="center", transform=ax.transAxes)
        return
    shown = np.ma.masked_invalid(matrix.values.T)
    rank = np.full(shown.shape, 2.0) if matrix.rank is None else matrix.rank.T
    norm = Normalize(*(limits or _limits(shown[rank >= 2])))
    special = {"over": _RANK_ONE, "under": _RANK_ZERO} if matrix.rank is not None else {}
    cmap = ramp().with_extremes(bad=_ABSENT, **special)
    image = _painted(ax, shown, _edges(matrix), cmap=cmap, norm=norm)
    colour_bar(ax, image, wrapped(matrix.label, 22))
    entries: list[tuple[bool, str, str]] = [
        (matrix.rank is not None and bool((rank == 1).any()), _RANK_ONE, "rank 1 (π/2)"),
        (matrix.rank is not None and bool((rank == 0).any()), _RANK_ZERO, "rank 0 (0)"),
        (bool(np.ma.getmaskarray(shown).any()), _ABSENT, "no such layer"),
    ]
    handles = [Patch(color=shade, label=text) for there, shade, text in entries if there]
    if handles:
        legend_above(ax, handles, ncols=3, place="outside upper left" if whole else "")


def _painted(ax: Axes, shown: Any, edges: NDArray[np.float64] | None, **colours: Any) -> Any:
    """Paint the matrix: columns of one width, or from edge to edge; the input on top."""
    if edges is None:
        return ax.imshow(shown, aspect="auto", interpolation="nearest", **colours)
    rows = np.arange(len(shown) + 1) - 0.5
    image = ax.pcolormesh(edges, rows, shown, **colours)
    ax.invert_yaxis()
    return image


def _edges(matrix: LayerMatrix) -> NDArray[np.float64] | None:
    """Return where columns that are unevenly spaced numbers begin and end; else None."""
    numbers = [n for n in matrix.columns if isinstance(n, int | float)]
    if len(numbers) < max(3, len(matrix.columns)) or np.ptp(np.diff(numbers)) < 1e-9:
        return None
    places = np.asarray(numbers, dtype=np.float64)
    middles = (places[1:] + places[:-1]) / 2
    first, last = 2 * places[0] - middles[0], 2 * places[-1] - middles[-1]
    return np.concatenate([[first], middles, [last]])


def _limits(numbers: Any) -> tuple[float, float]:
    """Return the ends of the data; a constant sits in the middle of the scale."""
    if numbers.count() == 0:
        return 0.0, 1.0
    low, high = float(numbers.min()), float(numbers.max())
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _name_layers(ax: Axes, matrix: LayerMatrix, depth: Depth) -> None:
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


def _name_columns(
    ax: Axes, matrix: LayerMatrix, columns: str, sort: str | None, names: str | None, total: int
) -> None:
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
    elif _edges(matrix) is None:
        places = range(0, count, math.ceil(count / _MOST_TICKS) or 1)
        ax.set_xticks(places, [level_text(matrix.columns[i]) for i in places])
    thinned = f", one in {math.ceil(total / MOST_COLUMNS)} drawn" if count < total else ""
    wide = int(0.75 * root_of(ax).get_figwidth() / _CHARACTER)
    ax.set_xlabel(wrapped(label + order + thinned, wide))
