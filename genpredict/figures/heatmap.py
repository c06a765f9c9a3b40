"""Layer measures as a heat map: layers by checkpoints or by epochs (the paper's Figure 1b)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple, get_args

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.patches import Patch
from numpy.typing import NDArray

from genpredict.figures.heatmap_axes import (
    MOST_COLUMNS,
    MOST_NAMES,
    Depth,
    name_columns,
    name_layers,
)
from genpredict.figures.labels import wrapped
from genpredict.figures.layers import LayerMatrix, edges_of, layer_matrix, relative_depth, sort_keys
from genpredict.figures.palettes import Palette, colour_map
from genpredict.figures.panels import CHARACTER
from genpredict.figures.style import (
    COLUMN_WIDTH,
    PAGE_WIDTH,
    colour_bar,
    legend_above,
    new_axes,
    ramp,
    root_of,
    styled,
)

_ABSENT = "#EEEEEE"
_RANK_ONE = "#D55E00"
_RANK_ZERO = "#555555"
_LINE = 0.13  # inches, of a named row or column


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
    log: bool = False,
    palette: Palette | None = None,
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
    log : bool
        Logarithmic colours; what is not above 0 has a colour of its own.
    palette : str or sequence of str, optional
        Colours from the least to the most: the name of a colour map, such as "cividis".
    width : float, optional
        In inches; by default a journal's column, its page from 20 columns on.
    ax : Axes, optional
        Draw here instead of in a new figure.

    Returns
    -------
    Axes
        Layers go down, the input on top. Of too many checkpoints to name, the groups that a text
        `sort` puts beside each other are named, where there are at most 20.

    Raises
    ------
    ValueError
        For names that the scores do not hold, and a palette that there is not; when two
        checkpoints share a column; when columns are epochs, say, and the checkpoints of several
        runs; for limits that have no logarithm.

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
    keys = [] if sort is None else sort_keys(scores, sort)[:: _every(total)]
    shades = colour_map(palette, ramp())
    if log and limits is not None and limits[0] <= 0:
        raise ValueError(f"limits must be above 0 for logarithmic colours, got {limits}")
    with styled():
        whole = ax is None
        if ax is None:
            ax = new_axes(*_size(matrix, width))
        _draw(ax, matrix, _Colours(shades, limits, log), whole=whole)
        name_layers(ax, matrix, depth)
        name_columns(ax, matrix, columns, sort, names, total=total, keys=keys)
    return ax


def _thinned(matrix: LayerMatrix) -> LayerMatrix:
    """Keep one in so many columns: narrower than a pixel, they would mix to colours of no value."""
    every = _every(len(matrix.columns))
    return replace(
        matrix,
        values=matrix.values[::every],
        columns=matrix.columns[::every],
        names=matrix.names[::every],
        rank=None if matrix.rank is None else matrix.rank[::every],
    )


def _every(count: int) -> int:
    """Return one in how many columns has room."""
    return math.ceil(count / MOST_COLUMNS) or 1


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


class _Colours(NamedTuple):
    """How numbers are painted: the colours, their ends (None: those of the data), and the scale."""

    shades: Colormap
    limits: tuple[float, float] | None
    log: bool


def _draw(ax: Axes, matrix: LayerMatrix, colours: _Colours, *, whole: bool) -> None:
    if not matrix.values.size:
        ax.text(0.5, 0.5, "no values", ha="center", va="center", transform=ax.transAxes)
        return
    shown = np.ma.masked_invalid(matrix.values.T)
    rank = np.full(shown.shape, 2.0) if matrix.rank is None else matrix.rank.T
    special = {"over": _RANK_ONE, "under": _RANK_ZERO} if matrix.rank is not None else {}
    usual, none = rank >= 2, np.zeros(shown.shape, dtype=bool)
    if colours.log:
        none = (shown <= 0).filled(False)
        usual &= ~none
        special["under"] = _RANK_ZERO
    low, high = colours.limits or _limits(shown[usual], log=colours.log)
    norm = LogNorm(low, high) if colours.log else Normalize(low, high)
    cmap = colours.shades.with_extremes(bad=_ABSENT, **special)
    shown[none] = low / 2  # below the scale: there is no logarithm of 0
    image = _painted(ax, shown, edges_of(matrix), cmap=cmap, norm=norm)
    high_inches = ax.get_window_extent().height / root_of(ax).dpi
    colour_bar(ax, image, wrapped(matrix.label, max(22, int(high_inches / CHARACTER))))
    entries: list[tuple[bool, str, str]] = [
        (matrix.rank is not None and bool((rank == 1).any()), _RANK_ONE, "rank 1 (π/2)"),
        (matrix.rank is not None and bool((rank == 0).any()), _RANK_ZERO, "rank 0 (0)"),
        (matrix.rank is None and bool(none.any()), _RANK_ZERO, "0 or below"),
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


def _limits(numbers: Any, *, log: bool) -> tuple[float, float]:
    """Return the ends of the data; a constant sits in the middle of the scale."""
    if numbers.count() == 0:
        return (0.1, 1.0) if log else (0.0, 1.0)
    low, high = float(numbers.min()), float(numbers.max())
    if low < high:
        return low, high
    return (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
