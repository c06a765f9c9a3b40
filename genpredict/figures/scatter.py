"""Measures against targets, one mark a checkpoint (the paper's Figure 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
import xarray as xr
from matplotlib.cm import ScalarMappable
from matplotlib.lines import Line2D

from genpredict.figures.coefficients import at, check_correlations, coefficient_text, group_label
from genpredict.figures.groups import (
    Levels,
    Numbers,
    colours_of,
    grouping,
    legend_entries,
    shapes,
)
from genpredict.figures.labels import level_text, name_of, wrapped
from genpredict.figures.marks import draw_points, draw_trends, share_density
from genpredict.figures.quantities import (
    Quantity,
    coordinate_of,
    done_only,
    names_list,
    quantity,
)
from genpredict.figures.style import (
    COLUMN_WIDTH,
    INK,
    MARKERS,
    PAGE_WIDTH,
    colour_bar,
    spaced,
    styled,
    tidy,
)

_CHARACTER = 0.062  # inches, of the small font
_MOST_LEVELS = 8


def plot_scatter(
    scores: xr.Dataset,
    *,
    measures: Sequence[str] | str = ("Q",),
    targets: Sequence[str] | str = ("test_accuracy",),
    factorization: str = "low_rank",
    p: int = 2,
    hue: str | None = None,
    style: str | None = None,
    correlations: xr.Dataset | None = None,
    columns: str | None = None,
    trend: bool = False,
    share: bool = True,
    width: float | None = None,
) -> sns.FacetGrid:
    """Draw every measure against every target, one mark a checkpoint.

    Parameters
    ----------
    scores : Dataset
        As of `open_scores`. Checkpoints that failed are not drawn.
    measures : sequence of str
        One column of panels each: variables or numeric coordinates over `checkpoint`; "Q_raw_p1"
        writes out factorization and p; "log_num_parameters" has a logarithmic axis.
    targets : sequence of str
        One row of panels each.
    factorization, p : str, int
        Of measures that leave them open.
    hue, style : str, optional
        Coordinate along `checkpoint` for the colour (numbers get a colour bar), for the shape.
    correlations : Dataset, optional
        What `genpredict.stats.correlate` returned: PLCC and ROCC with intervals, and n, are written
        over each panel. With `columns`, correlate by it.
    columns : str, optional
        Coordinate whose levels stand side by side, e.g. "epoch".
    trend : bool
        Draw a least-squares line (by seaborn) through each group of `hue`, or through all.
    share : bool
        Panels of one row share the y axis, of one measure the x axis.
    width : float, optional
        In inches; by default 3.4, a journal's column, for one panel, 7, its page, for more.

    Returns
    -------
    FacetGrid
        Rows are targets, columns measures (and levels of `columns`); `data` holds what is drawn.

    Raises
    ------
    ValueError
        For names that the scores or the correlations do not hold.

    Notes
    -----
    From 2,000 points a panel, marks are rasterised in vector files, smaller and translucent, and
    drawn in a random (fixed) order, so that no group hides another; from 10,000 without hue and
    style they become hexagons shaded by count.

    Examples
    --------
    >>> plot_scatter(scores, hue="network", correlations=correlate(scores))  # doctest: +SKIP
    """
    scores = done_only(scores)
    choices: dict[str, Any] = {"factorization": factorization, "p": p}
    xs = _quantities(scores, measures, "measures", choices)
    ys = _quantities(scores, targets, "targets", choices)
    if correlations is not None:
        check_correlations(correlations)
    colour = None if hue is None else grouping(scores, hue, parameter="hue")
    shape = None if style is None else shapes(scores, style, parameter="style")
    levels = _column_levels(scores, columns)
    table = _long_table(scores, xs, ys, columns)
    with styled():
        grid = _grid(table, xs, ys, levels, share=share, width=width)
        for (row, column), ax in np.ndenumerate(grid.axes):
            x, y, level = xs[column // len(levels)], ys[row], levels[column % len(levels)]
            drawn = table[(table["x"] == x.key) & (table["y"] == y.key) & (table["level"] == level)]
            draw_points(ax, drawn, colour, shape, log=(x.log, y.log))
            if trend:
                draw_trends(ax, drawn, colour)
            name = "" if columns is None else f"{name_of(columns)}: {level}"
            text = _coefficients(correlations, x, y, columns, level)
            ax.set_title("\n".join(filter(None, [name, *text])), loc="left", linespacing=1.25)
            _label(grid, row, column, x, y)
        _legends(grid, colour, shape)
    return grid


def _quantities(
    scores: xr.Dataset, names: Sequence[str] | str, parameter: str, choices: dict[str, Any]
) -> list[Quantity]:
    listed = names_list(names, parameter=parameter)
    return [quantity(scores, name, parameter=parameter, **choices) for name in listed]


def _column_levels(scores: xr.Dataset, columns: str | None) -> list[str]:
    """Return the levels of the coordinate that stand side by side; one empty one for none."""
    if columns is None:
        return [""]
    values = coordinate_of(scores, columns, parameter="columns")
    levels = pd.unique(pd.Series(values.values).dropna().sort_values())
    if not 0 < len(levels) <= _MOST_LEVELS:
        raise ValueError(
            f"columns={columns!r} has {len(levels)} levels, must have 1 to {_MOST_LEVELS}; "
            f"choose checkpoints first, as in scores.isel(checkpoint=scores[{columns!r}] == …)"
        )
    return [level_text(level) for level in levels]


def _long_table(
    scores: xr.Dataset, xs: list[Quantity], ys: list[Quantity], columns: str | None
) -> pd.DataFrame:
    """Return one row a mark: panel (x, y, level), position of the checkpoint, and both values."""
    count = scores.sizes["checkpoint"]
    level = [""] * count if columns is None else [level_text(v) for v in scores[columns].values]
    parts = []
    for x in xs:
        for y in ys:
            part = pd.DataFrame({"x": x.key, "y": y.key, "level": level, "position": range(count)})
            part["x_value"], part["y_value"] = x.values, y.values
            parts.append(part[np.isfinite(x.values) & np.isfinite(y.values)])
    return pd.concat(parts, ignore_index=True)


def _grid(
    table: pd.DataFrame,
    xs: list[Quantity],
    ys: list[Quantity],
    levels: list[str],
    *,
    share: bool,
    width: float | None,
) -> sns.FacetGrid:
    """Return the grid of empty panels, in inches, with a layout that lets nothing overlap."""
    names = [f"{x.key} {level}".strip() for x in xs for level in levels]
    data = table.assign(column=(table["x"] + " " + table["level"]).str.strip())
    one_measure = True if len(xs) == 1 else "col"
    grid = sns.FacetGrid(
        data,
        row="y",
        col="column",
        row_order=[y.key for y in ys],
        col_order=names,
        sharex=one_measure if share else False,
        sharey="row" if share else False,
    )
    if width is None:
        width = COLUMN_WIDTH if len(names) == 1 else PAGE_WIDTH * max(1.0, len(names) / 4)
    panel = min(width / len(names), COLUMN_WIDTH)
    grid.figure.set_size_inches(width, len(ys) * max(0.72 * panel, 1.5) + 0.35)
    spaced(grid.figure)
    return grid.set_titles(template="")


def _coefficients(
    correlations: xr.Dataset | None, x: Quantity, y: Quantity, columns: str | None, level: str
) -> list[str]:
    """Return the lines that state PLCC and ROCC of a panel."""
    if correlations is None:
        return []
    group = "all" if columns is None else group_label(columns, level)
    cell = at(correlations, measure=x.key, target=y.key, group=group)
    plcc, rocc = (coefficient_text(cell, name) for name in ("plcc", "rocc"))
    return [plcc, f"{rocc}, n = {int(cell['n'])}"]


def _label(grid: sns.FacetGrid, row: int, column: int, x: Quantity, y: Quantity) -> None:
    """Write axis labels on the outer panels, broken into lines that fit, and set the ticks."""
    ax, (rows, columns) = grid.axes[row, column], grid.axes.shape
    wide, high = grid.figure.get_size_inches()
    if row == rows - 1:
        ax.set_xlabel(wrapped(x.label, int(0.8 * wide / columns / _CHARACTER)))
    if column == 0:
        ax.set_ylabel(wrapped(y.label, int(0.7 * high / rows / _CHARACTER)))
    tidy(ax)


def _legends(grid: sns.FacetGrid, colour: Levels | Numbers | None, shape: Levels | None) -> None:
    """Put the legend of colours under the panels, that of shapes over them, colour bars beside."""
    same = isinstance(colour, Levels) and shape is not None and colour.levels == shape.levels
    if isinstance(colour, Numbers):
        _colour_bar(grid, ScalarMappable(colour.norm, colour.cmap), colour.title, colour.ticks)
    elif isinstance(colour, Levels):
        markers = [MARKERS[i % len(MARKERS)] if same else "o" for i in range(len(colour.levels))]
        handles = legend_entries(colour, colours_of(colour), markers)
        _legend(grid, handles, colour.title, "outside lower center")
    if shape is not None and not same:
        handles = legend_entries(shape, [INK] * len(shape.levels), list(MARKERS))
        _legend(grid, handles, shape.title, "outside upper center")
    if colour is None and shape is None:
        hexagons = share_density(list(grid.axes.flat))
        if hexagons is not None:
            _colour_bar(grid, hexagons, "checkpoints per hexagon", None)


def _legend(grid: sns.FacetGrid, handles: list[Line2D], title: str, place: str) -> None:
    """Put a legend outside of all panels, in as many columns as fit."""
    longest = max(len(str(handle.get_label())) for handle in handles)
    fit = int(grid.figure.get_figwidth() / (0.3 + longest * _CHARACTER))
    grid.figure.legend(
        handles=handles,
        title=title,
        loc=place,
        ncols=max(1, min(fit, len(handles))),
        handletextpad=0.2,
        columnspacing=1.0,
        borderaxespad=0.2,
    )


def _colour_bar(
    grid: sns.FacetGrid, mappable: ScalarMappable, title: str, ticks: list[float] | None
) -> None:
    bar = colour_bar(grid.axes.ravel().tolist(), mappable, title)
    if ticks is not None:
        bar.set_ticks(ticks, labels=[level_text(tick) for tick in ticks], minor=False)
        bar.minorticks_off()
