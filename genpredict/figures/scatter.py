"""Measures against targets, one mark a checkpoint (the paper's Figure 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
import xarray as xr
from matplotlib.axes import Axes

from genpredict.figures.coefficients import (
    at,
    check_correlations,
    coefficient_text,
    sample_text,
)
from genpredict.figures.groups import Levels, Numbers, grouping, recoloured, shapes
from genpredict.figures.labels import level_text, name_of
from genpredict.figures.legends import draw_legends
from genpredict.figures.marks import draw_points, draw_trends
from genpredict.figures.palettes import Palette
from genpredict.figures.panels import column_name, label_panels, panels_of, size_figure
from genpredict.figures.point_labels import label_marks, names_of_marks
from genpredict.figures.quantities import coordinate_of, done_only, names_list, quantity
from genpredict.figures.style import styled, tidy
from genpredict.stats.column import Column
from genpredict.stats.groups import group_label

_MOST_LEVELS = 8
_MOST_NAMED = 2
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
    palette: Palette | None = None,
    title: str = "",
    width: float | None = None,
    height: float | None = None,
    ax: Axes | None = None,
) -> sns.FacetGrid | Axes:
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
        What `genpredict.stats.correlate` returned: PLCC and ROCC with intervals, and of how many
        checkpoints in how many clusters, are written over each panel, "pooled" where the panel
        shows several groups of `hue`. With `columns`, correlate by it.
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
    title : str
        Over all panels.
    width, height : float, optional
        In inches; by default 3.4, a journal's column, wide for one panel, 7, its page, for more,
        and as high as it takes.
    ax : Axes, optional
        Draw here instead of in a new figure: one measure against one target.

    Returns
    -------
    FacetGrid, or Axes
        Rows are targets, columns measures (and levels of `columns`); `data` holds what is drawn.
        With `ax`, that.

    Raises
    ------
    GenpredictError
        For measures and targets that the scores do not hold.
    ValueError
        For other names that the scores or the correlations do not hold, a palette that there is
        not, labels of more than 200 checkpoints, and an `ax` for several panels.

    Notes
    -----
    From 2,000 points a panel, marks are rasterised in vector files, smaller and translucent, and
    drawn in a random (fixed) order, so that no group hides another; from 10,000 without hue and
    style they become hexagons shaded by count, bars of cells where a measure counts something. Of
    fewer marks, where three or more lie on one spot their number is written beside it if there is
    room.

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
        panels = panels_of(table, xs, ys, levels, share=share, width=width, ax=ax)
        for (row, column), panel in np.ndenumerate(panels.axes):
            x, y, level = xs[column // len(levels)], ys[row], levels[column % len(levels)]
            drawn = panels.drawn_in(row, column)
            draw_points(panel, drawn, colour, shape, log=(x.log, y.log))
            if trend:
                draw_trends(panel, drawn, colour)
            head = [] if columns is None else [f"{name_of(columns)}: {level}"]
            cell = _cell(correlations, x, y, columns, level)
            said = _coefficients(cell, pooled=_several(colour, drawn))
            panel.set_title("\n".join([*head, *said]), loc="left", linespacing=1.25)
            tidy(panel)
        label_panels(panels, xs, ys, len(levels))
        draw_legends(panels, colour, shape, lines=trend)
        size_figure(panels, height)
        if title:
            panels.figure.suptitle(title)
        label_marks(panels, names)
    return panels.grid or ax


def _several(colour: Levels | Numbers | None, drawn: pd.DataFrame) -> bool:
    """Return whether a panel shows several groups, of which its coefficients tell together."""
    if not isinstance(colour, Levels):
        return False
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
            part["column"] = [column_name(x, text) for text in level]
            part["x_value"], part["y_value"] = x.values, y.values
            parts.append(part[np.isfinite(x.values) & np.isfinite(y.values)])
    return pd.concat(parts, ignore_index=True)


def _cell(
    correlations: xr.Dataset | None, x: Column, y: Column, columns: str | None, level: str
) -> xr.Dataset | None:
    """Return the coefficients of a panel."""
    if correlations is None:
        return None
    group = "all" if columns is None else group_label([columns], level)
    return at(correlations, measure=x.label, target=y.label, group=group)


def _coefficients(cell: xr.Dataset | None, *, pooled: bool) -> list[str]:
    """Return the lines that state PLCC and ROCC of a panel, and of how many checkpoints."""
    if cell is None:
        return []
    lines = [coefficient_text(cell, name) for name in ("plcc", "rocc")]
    sample = sample_text(cell)
    count, _, names = sample.partition(" by ")
    if names.count(",") >= _MOST_NAMED:  # more coordinates than a panel has room for
        sample = count
    return [*lines, f"{'pooled: ' * pooled}{sample}"]
