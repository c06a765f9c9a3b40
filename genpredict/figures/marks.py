"""The marks of one scatter panel: points, hexagons, trend lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.colors import LogNorm
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from genpredict.figures.groups import Levels, Numbers
from genpredict.figures.labels import NOT_GIVEN
from genpredict.figures.style import (
    DASHES,
    GROUP_COLOURS,
    INK,
    MARKERS,
    ramp,
    whole_numbers,
)

#: From this many points, marks are pixels in a vector file, translucent, in random order.
RASTER_FROM = 2_000
#: From this many points, and without hue and style: hexagons (cells) shaded by their count.
DENSITY_FROM = 10_000
HEXAGONS_PER_INCH = 14.0
#: Whole numbers of at most so many values have bars of cells instead, this wide.
MOST_WHOLE = 40
CELL = 0.6
_HEXAGON_MARGIN = 0.08  # at least half a hexagon
# Area in points² and opacity of a mark, up to so many points.
_SIZES = ((60, 22.0, 0.9), (500, 12.0, 0.8), (RASTER_FROM, 7.0, 0.6), (10_000, 4.0, 0.45))
_SMALLEST = (2.0, 0.3)


def draw_points(
    ax: Axes,
    rows: pd.DataFrame,
    colour: Levels | Numbers | None,
    shape: Levels | None,
    *,
    log: tuple[bool, bool] = (False, False),
) -> None:
    """Draw one mark a row, or hexagons where there are very many.

    Parameters
    ----------
    ax : Axes
    rows : DataFrame
        Columns position (of the checkpoint), x_value and y_value.
    colour : Levels or Numbers, optional
        Colours of the checkpoints.
    shape : Levels, optional
        Shapes of the checkpoints.
    log : pair of bool
        Whether the x and the y axis are logarithmic.
    """
    for scale, setter in zip(log, (ax.set_xscale, ax.set_yscale), strict=True):
        if scale:
            setter("log")
    if rows.empty:
        ax.text(0.5, 0.5, "no values", ha="center", va="center", transform=ax.transAxes)
    elif colour is None and shape is None and len(rows) >= DENSITY_FROM:
        _draw_density(ax, rows, log)
    else:
        _draw_marks(ax, rows, colour, shape)
    for numbers, is_log, axis in zip(
        (rows["x_value"], rows["y_value"]), log, (ax.xaxis, ax.yaxis), strict=True
    ):
        if len(rows) and not is_log and (numbers % 1 == 0).all():
            axis.set_major_locator(whole_numbers())  # no half layers


def _draw_density(ax: Axes, rows: pd.DataFrame, log: tuple[bool, bool]) -> None:
    whole = [
        bool((rows[name] % 1 == 0).all()) and rows[name].nunique() <= MOST_WHOLE
        for name in ("x_value", "y_value")
    ]
    if any(whole) and not any(log):
        _draw_cells(ax, rows, whole)
    else:
        _draw_hexagons(ax, rows, log)
    ax.margins(_HEXAGON_MARGIN, tight=False)  # hexbin ends the axes at the outermost centres


def _cells_across(ax: Axes) -> int:
    inches = ax.get_window_extent().width / ax.figure.dpi
    return max(12, round(HEXAGONS_PER_INCH * inches))


def _draw_cells(ax: Axes, rows: pd.DataFrame, whole: Sequence[bool]) -> None:
    """Draw bars of cells at whole numbers, around which hexagons would stagger."""
    edges = [
        _edges(rows[name].to_numpy(), is_whole, _cells_across(ax))
        for name, is_whole in zip(("x_value", "y_value"), whole, strict=True)
    ]
    counts = np.histogram2d(rows["x_value"], rows["y_value"], bins=edges)[0].T
    shown = np.ma.masked_equal(counts, 0)
    cells = ax.pcolormesh(*edges, shown, norm=LogNorm(), cmap=ramp().reversed())
    cells.sticky_edges.x.clear()
    cells.sticky_edges.y.clear()


def _edges(numbers: NDArray[np.float64], whole: bool, count: int) -> NDArray[np.float64]:
    """Return edges of cells: around each whole number, or equal ones over the range."""
    if whole:
        levels = np.unique(numbers)
        if len(levels) == 1:  # a bar, not a wall
            levels = levels + np.array([-1.0, 0.0, 1.0])
        return np.sort(np.concatenate([levels - CELL / 2, levels + CELL / 2]))
    return np.histogram_bin_edges(numbers, bins=count)


def _draw_hexagons(ax: Axes, rows: pd.DataFrame, log: tuple[bool, bool]) -> None:
    ax.hexbin(
        rows["x_value"],
        rows["y_value"],
        gridsize=_cells_across(ax),
        mincnt=1,
        norm=LogNorm(),
        cmap=ramp().reversed(),
        linewidths=0.1,
        xscale="log" if log[0] else "linear",
        yscale="log" if log[1] else "linear",
    )


def share_density(panels: Sequence[Axes]) -> PolyCollection | QuadMesh | None:
    """Shade the hexagons and cells of all panels on one scale.

    Parameters
    ----------
    panels : sequence of Axes

    Returns
    -------
    PolyCollection, QuadMesh or None
        Some panel's hexagons or cells (cells where there are both), for the colour bar; None where
        no panel has any.
    """
    kinds = (QuadMesh, PolyCollection)
    shaded = [c for kind in kinds for ax in panels for c in ax.collections if isinstance(c, kind)]
    counts = [int(np.ma.max(np.ma.asarray(hexagons.get_array()))) for hexagons in shaded]
    norm = LogNorm(1, max(counts, default=1) + 1)
    for hexagons in shaded:
        hexagons.set_norm(norm)
    return shaded[0] if shaded else None


def _draw_marks(
    ax: Axes, rows: pd.DataFrame, colour: Levels | Numbers | None, shape: Levels | None
) -> None:
    many = len(rows) >= RASTER_FROM
    if many:  # a fixed shuffle: no group lies on top of another
        rows = rows.sample(frac=1.0, random_state=0)
    area, alpha = next((s[1:] for s in _SIZES if len(rows) <= s[0]), _SMALLEST)
    codes = _shape_codes(rows, colour, shape)
    for code in np.unique(codes):
        chosen = rows[codes == code]
        ax.scatter(
            chosen["x_value"],
            chosen["y_value"],
            s=area,
            alpha=alpha,
            marker=MARKERS[code],
            linewidths=0.0 if many else 0.4,
            edgecolors="none" if many else "white",
            rasterized=many,
            **_colours(chosen, colour),
        )


def _shape_codes(
    rows: pd.DataFrame, colour: Levels | Numbers | None, shape: Levels | None
) -> NDArray[np.int64]:
    """Return an index into MARKERS; without shapes of their own, of the turn of the colour."""
    if shape is None and isinstance(colour, Levels) and colour.levels:
        turns: NDArray[np.int64] = colour.turns[colour.codes[rows["position"].to_numpy()]]
        return turns % len(MARKERS)
    if shape is None:
        return np.zeros(len(rows), dtype=np.int64)
    codes: NDArray[np.int64] = shape.codes[rows["position"].to_numpy()] % len(MARKERS)
    return codes


def _colours(rows: pd.DataFrame, colour: Levels | Numbers | None) -> dict[str, Any]:
    positions = rows["position"].to_numpy()
    if isinstance(colour, Numbers):
        numbers = {"c": colour.values[positions], "cmap": colour.cmap, "norm": colour.norm}
        return numbers | {"plotnonfinite": True}
    if isinstance(colour, Levels):
        return {"c": np.asarray(colour.colours)[colour.codes[positions]].tolist()}
    return {"c": GROUP_COLOURS[0]}


#: Marks that a trend line takes, as many as a correlation does.
LEAST_TREND = 5


def draw_trends(ax: Axes, rows: pd.DataFrame, colour: Levels | Numbers | None) -> None:
    """Draw a least-squares line through each group, or through all; seaborn fits it.

    Groups of fewer than 5 marks get none, nor do the rest of many and those not given, which are
    no groups. Where colours are taken a second time, lines have dashes.

    Parameters
    ----------
    ax : Axes
    rows : DataFrame
        Columns position, x_value and y_value.
    colour : Levels or Numbers, optional
        Groups, where it is `Levels`.
    """
    zorder = 2.0 if len(rows) >= RASTER_FROM else 0.9  # over many marks, under few
    if not isinstance(colour, Levels):
        _draw_trend(ax, rows, INK, DASHES[0], zorder)
        return
    codes = colour.codes[rows["position"].to_numpy()]
    for code, (level, shade) in enumerate(zip(colour.levels, colour.colours, strict=True)):
        if level not in (NOT_GIVEN, colour.rest):
            dashes = DASHES[colour.turns[code] % len(DASHES)]
            _draw_trend(ax, rows[codes == code], shade, dashes, zorder)


def _draw_trend(ax: Axes, rows: pd.DataFrame, shade: str, dashes: Any, zorder: float) -> None:
    if len(rows) < LEAST_TREND or rows["x_value"].nunique() < 2:
        return
    halo = withStroke(linewidth=2.6, foreground="white")
    sns.regplot(
        x=rows["x_value"],
        y=rows["y_value"],
        scatter=False,
        ci=None,
        logx=ax.get_xscale() == "log",
        color=shade,
        line_kws={
            "linewidth": 1.2,
            "linestyle": dashes,
            "path_effects": [halo],
            "zorder": zorder,
        },
        ax=ax,
    )
