"""Measures against targets, one mark a checkpoint (the paper's Figure 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
import xarray as xr

from genpredict.figures.coefficients import at, check_correlations, coefficient_text, group_label
from genpredict.figures.groups import Levels, grouping, recoloured, shapes
from genpredict.figures.labels import level_text, name_of, wrapped
from genpredict.figures.legends import SMALL_CHARACTER, draw_legends
from genpredict.figures.marks import draw_points, draw_trends
from genpredict.figures.point_labels import label_marks, names_of_marks
from genpredict.figures.quantities import (
    axis_title,
    coordinate_of,
    done_only,
    names_list,
    quantity,
)
from genpredict.figures.style import (
    COLUMN_WIDTH,
    PAGE_WIDTH,
    SMALL_FONT,
    spaced,
    styled,
    tidy,
)
from genpredict.stats.column import Column

_CHARACTER = 0.066  # mean width in inches
_TEXT_LINE = 0.14
_MOST_LEVELS = 8
#: Groups take every colour up to twice, the second time with another shape.
TURNS = 2


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
    labels: str | None = None,
    palette: Sequence[str] | str | None = None,
    width: float | None = None,
) -> sns.FacetGrid:
    """Draw every measure against every target, one mark a checkpoint.

    Parameters
    ----------
    scores : Dataset
        As of `open_scores`. Checkpoints that failed are not drawn.
    measures : sequence of str
        One column of panels each, by the names that `genpredict.stats.correlate` takes: network
        measures, numeric coordinates, measures of layers (averaged over convolutions); "Q_raw_p1"
        writes out factorization and p; "log_num_parameters" has a logarithmic axis.
    targets : sequence of str
        One row of panels each.
    factorization, p : str, int
        Of measures that leave them open.
    hue, style : str, optional
        Coordinate along `checkpoint` for the colour, for the shape. Numbers get a colour bar, and
        so does any measure, such as "log_num_train" or "effective_rank_raw". More than nine groups
        take the colours a second time, with another shape where there is no `style`.
    correlations : Dataset, optional
        What `genpredict.stats.correlate` returned: PLCC and ROCC with intervals, and n, are written
        over each panel, "pooled" where the panel shows several groups of `hue`. With `columns`,
        correlate by it.
    columns : str, optional
        Coordinate whose levels stand side by side, e.g. "epoch".
    trend : bool
        Draw a least-squares line (by seaborn) through each group of `hue`, or through all.
    share : bool
        Panels of one row share the y axis, of one measure the x axis.
    labels : str, optional
        Coordinate whose values are written beside the marks of up to 200 checkpoints, where they
        hide nothing.
    palette : str or sequence of str, optional
        Colours of the groups of `hue`, or the name of a palette of matplotlib or seaborn, such as
        "tab10"; where `hue` is a number the name of a colour map, such as "cividis".
    width : float, optional
        In inches; by default 3.4, a journal's column, for one panel, 7, its page, for more.

    Returns
    -------
    FacetGrid
        Rows are targets, columns measures (and levels of `columns`); `data` holds what is drawn.

    Raises
    ------
    GenpredictError
        For measures and targets that the scores do not hold.
    ValueError
        For other names that the scores or the correlations do not hold, a palette that there is
        not, and labels of more than 200 checkpoints.

    Notes
    -----
    From 2,000 points a panel, marks are rasterised in vector files, smaller and translucent, and
    drawn in a random (fixed) order, so that no group hides another; from 10,000 without hue and
    style they become hexagons shaded by count, bars of cells where a measure counts something.

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
    turns = TURNS if style is None else 1
    colour = None if hue is None else grouping(scores, hue, parameter="hue", turns=turns, **choices)
    colour = recoloured(colour, palette)
    names = names_of_marks(scores, labels)
    shape = None if style is None else shapes(scores, style, parameter="style")
    levels = _column_levels(scores, columns)
    table = _long_table(scores, xs, ys, columns)
    with styled():
        grid = _grid(table, xs, ys, levels, share=share, width=width)
        narrow = grid.axes.shape[1] > 2
        for (row, column), ax in np.ndenumerate(grid.axes):
            x, y, level = xs[column // len(levels)], ys[row], levels[column % len(levels)]
            drawn = table[(table["column"] == _column(x, level)) & (table["y"] == y.label)]
            draw_points(ax, drawn, colour, shape, log=(x.log, y.log))
            if trend:
                draw_trends(ax, drawn, colour)
            head = [] if columns is None else [f"{name_of(columns)}: {level}"]
            cell = _coefficients(correlations, x, y, columns, level, narrow)
            if cell and isinstance(colour, Levels) and _several(colour, drawn):
                cell[0] = f"pooled: {cell[0]}"
            ax.set_title("\n".join([*head, *cell]), loc="left", linespacing=1.25)
            tidy(ax)
        _label(grid, xs, ys, len(levels))
        draw_legends(grid, colour, shape)
        _size(grid)
        if names is not None:
            label_marks(grid, names)
    return grid


def _several(colour: Levels, drawn: pd.DataFrame) -> bool:
    """Return whether a panel shows several groups, of which its coefficients tell together."""
    return len(np.unique(colour.codes[drawn["position"].to_numpy()])) > 1


def _quantities(
    scores: xr.Dataset, names: Sequence[str] | str, parameter: str, choices: dict[str, Any]
) -> list[Column]:
    listed = names_list(names, parameter=parameter)
    quantities = [quantity(scores, name, parameter=parameter, **choices) for name in listed]
    names_list([column.label for column in quantities], parameter=parameter)
    return quantities


def _column_levels(scores: xr.Dataset, columns: str | None) -> list[str]:
    """Return the levels of the coordinate that stand side by side; one empty one for none."""
    if columns is None:
        return [""]
    coordinate = coordinate_of(scores, columns, parameter="columns")
    levels = pd.unique(pd.Series(coordinate.values).dropna().sort_values())
    if not 0 < len(levels) <= _MOST_LEVELS:
        raise ValueError(
            f"columns={columns!r} has {len(levels)} levels, must have 1 to {_MOST_LEVELS}; "
            f"choose checkpoints first, as in scores.isel(checkpoint=scores[{columns!r}] == …)"
        )
    return [level_text(level) for level in levels]


def _long_table(
    scores: xr.Dataset, xs: list[Column], ys: list[Column], columns: str | None
) -> pd.DataFrame:
    """Return one row a mark: panel (column, y), position of the checkpoint, and both values."""
    count = scores.sizes["checkpoint"]
    level = [""] * count if columns is None else [level_text(v) for v in scores[columns].values]
    parts = []
    for x in xs:
        for y in ys:
            part = pd.DataFrame(
                {"x": x.label, "y": y.label, "level": level, "position": range(count)}
            )
            part["column"] = [_column(x, text) for text in level]
            part["x_value"], part["y_value"] = x.values, y.values
            parts.append(part[np.isfinite(x.values) & np.isfinite(y.values)])
    return pd.concat(parts, ignore_index=True)


def _column(x: Column, level: str) -> str:
    """Return the name of a column of panels in the table."""
    return f"{x.label} {level}".strip()


def _grid(
    table: pd.DataFrame,
    xs: list[Column],
    ys: list[Column],
    levels: list[str],
    *,
    share: bool,
    width: float | None,
) -> sns.FacetGrid:
    """Return the grid of empty panels."""
    names = [_column(x, level) for x in xs for level in levels]
    one_measure = True if len(xs) == 1 else "col"
    grid = sns.FacetGrid(
        table,
        row="y",
        col="column",
        row_order=[y.label for y in ys],
        col_order=names,
        sharex=one_measure if share else False,
        sharey="row" if share else False,
    )
    if width is None:
        width = COLUMN_WIDTH if len(names) == 1 else PAGE_WIDTH * max(1.0, len(names) / 4)
    grid.figure.set_size_inches(width, width)
    spaced(grid.figure)
    return grid.set_titles(template="")


def _coefficients(
    correlations: xr.Dataset | None,
    x: Column,
    y: Column,
    columns: str | None,
    level: str,
    narrow: bool,
) -> list[str]:
    """Return the lines that state PLCC and ROCC of a panel."""
    if correlations is None:
        return []
    group = "all" if columns is None else group_label(columns, level)
    cell = at(correlations, measure=x.label, target=y.label, group=group)
    plcc, rocc = (coefficient_text(cell, name) for name in ("plcc", "rocc"))
    n = f"n = {int(cell['n']):,}"
    return [plcc, rocc, n] if narrow else [plcc, f"{rocc}, {n}"]


def _label(grid: sns.FacetGrid, xs: list[Column], ys: list[Column], repeat: int) -> None:
    """Label the outer panels, in lines that fit; titles of all panels get one size that fits."""
    wide, high = _panel(grid)
    for column, ax in enumerate(grid.axes[-1]):
        ax.set_xlabel(wrapped(axis_title(xs[column // repeat]), int(wide / _CHARACTER)))
    for row, ax in enumerate(grid.axes[:, 0]):
        ax.set_ylabel(wrapped(axis_title(ys[row]), int(high / _CHARACTER)))
    titles = [ax.get_title(loc="left") for ax in grid.axes.flat]
    longest = max(len(line) for title in titles for line in title.split("\n"))
    fit = wide / max(1, longest) / SMALL_CHARACTER
    for ax, title in zip(grid.axes.flat, titles, strict=True):
        size = SMALL_FONT * min(1.0, max(0.75, fit))
        ax.set_title(title, loc="left", linespacing=1.25, fontsize=size)


def _panel(grid: sns.FacetGrid) -> tuple[float, float]:
    """Return the width and height of a panel's axes in inches, as the figure is going to be."""
    wide = 0.85 * grid.figure.get_figwidth() / grid.axes.shape[1]
    return wide, max(0.78 * min(wide, 0.85 * COLUMN_WIDTH), 1.2)


def _size(grid: sns.FacetGrid) -> None:
    """Set the height of the figure: panels, texts over and under them, legends."""
    _, high = _panel(grid)
    rows = len(grid.axes)
    over = max(_lines(ax.get_title(loc="left")) for ax in grid.axes.flat)
    under = max(_lines(ax.get_xlabel()) for ax in grid.axes[-1])
    legends = sum(legend.get_window_extent().height for legend in grid.figure.legends)
    texts = _TEXT_LINE * (rows * (over + 0.5) + under + 1.5)
    height = rows * high + texts + legends / grid.figure.dpi
    grid.figure.set_size_inches(grid.figure.get_figwidth(), height)


def _lines(text: str) -> int:
    return text.count("\n") + 1 if text else 0
