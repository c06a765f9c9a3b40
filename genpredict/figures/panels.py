"""Panels of scatter plots: a row a target, a column a measure; or one Axes of the caller's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from genpredict.figures.labels import wrapped
from genpredict.figures.quantities import axis_title
from genpredict.figures.style import COLUMN_WIDTH, PAGE_WIDTH, SMALL_FONT, root_of, spaced
from genpredict.stats.column import Column

#: Mean widths of a character of the two fonts, inches.
CHARACTER, SMALL_CHARACTER = 0.066, 0.058
_TEXT_LINE = 0.14
_SMALLEST = 0.85  # of the small font: titles that would need less are wrapped


@dataclass(frozen=True)
class Panels:
    """Axes and what is drawn in them.

    Parameters
    ----------
    axes : array of Axes, shape (targets, columns)
    data : DataFrame
        A row a mark: columns `column` and `y` name its panel, `position` its checkpoint; then
        `x_value`, `y_value`.
    columns, rows : list of str
        Names of the panels' columns and rows in `data`.
    grid : FacetGrid, optional
        Whose axes these are, where one made them.
    own : bool
        Whether the figure is ours: that of an Axes of the caller's is left as it is.
    """

    axes: NDArray[Any]
    data: pd.DataFrame
    columns: list[str]
    rows: list[str]
    grid: sns.FacetGrid | None = None
    own: bool = True

    @property
    def figure(self) -> Figure:
        """Return the figure that they are in."""
        return root_of(self.axes[0, 0])

    @property
    def size(self) -> tuple[float, float]:
        """Return width and height of a panel's axes in inches, as the figure is going to be."""
        if not self.own:
            box = (
                self.axes[0, 0]
                .get_window_extent()
                .transformed(self.figure.dpi_scale_trans.inverted())
            )
            return float(box.width), float(box.height)
        wide = 0.85 * self.figure.get_figwidth() / self.axes.shape[1]
        return wide, max(0.78 * min(wide, 0.85 * COLUMN_WIDTH), 1.2)

    def drawn_in(self, row: int, column: int) -> pd.DataFrame:
        """Return the rows of `data` of one panel."""
        is_here = (self.data["column"] == self.columns[column]) & (self.data["y"] == self.rows[row])
        return self.data[is_here]


def column_name(x: Column, level: str) -> str:
    """Return the name of a column of panels in the data."""
    return f"{x.label} {level}".strip()


def panels_of(
    data: pd.DataFrame,
    xs: Sequence[Column],
    ys: Sequence[Column],
    levels: Sequence[str],
    *,
    share: bool,
    width: float | None,
    ax: Axes | None,
) -> Panels:
    """Return empty panels.

    Parameters
    ----------
    data : DataFrame
        As `Panels` holds it.
    xs, ys : sequence of Column
        Measures and targets.
    levels : sequence of str
        What stands side by side for every measure.
    share : bool
        Panels of one row share the y axis, of one measure the x axis.
    width : float, optional
        Of the figure, inches.
    ax : Axes, optional
        Instead of a new figure.

    Returns
    -------
    Panels

    Raises
    ------
    ValueError
        When there is one Axes for several panels.
    """
    columns = [column_name(x, level) for x in xs for level in levels]
    rows = [y.label for y in ys]
    if ax is not None:
        if len(columns) * len(rows) > 1:
            raise ValueError(
                f"ax holds one panel, and these are {len(rows)} × {len(columns)}; draw one measure "
                f"against one target without columns, or leave ax out"
            )
        return Panels(np.array([[ax]], dtype=object), data, columns, rows, own=False)
    one_measure = True if len(xs) == 1 else "col"
    grid = sns.FacetGrid(
        data,
        row="y",
        col="column",
        row_order=rows,
        col_order=columns,
        sharex=one_measure if share else False,
        sharey="row" if share else False,
    )
    if width is None:
        width = COLUMN_WIDTH if len(columns) == 1 else PAGE_WIDTH * max(1.0, len(columns) / 4)
    grid.figure.set_size_inches(width, width)
    spaced(grid.figure)
    grid.set_titles(template="")
    return Panels(grid.axes, data, columns, rows, grid)


def label_panels(panels: Panels, xs: Sequence[Column], ys: Sequence[Column], repeat: int) -> None:
    """Label the outer panels, in lines that fit; titles of all panels get one size that fits.

    Parameters
    ----------
    panels : Panels
        With their titles.
    xs, ys : sequence of Column
    repeat : int
        Panels of each measure.
    """
    wide, high = panels.size
    for column, ax in enumerate(panels.axes[-1]):
        ax.set_xlabel(wrapped(axis_title(xs[column // repeat]), int(wide / CHARACTER)))
    for row, ax in enumerate(panels.axes[:, 0]):
        ax.set_ylabel(wrapped(axis_title(ys[row]), int(high / CHARACTER)))
    most = int(wide / SMALL_CHARACTER / _SMALLEST)
    titles = [
        "\n".join(wrapped(line, most) for line in ax.get_title(loc="left").split("\n"))
        for ax in panels.axes.flat
    ]
    longest = max(len(line) for title in titles for line in title.split("\n"))
    fit = wide / max(1, longest) / SMALL_CHARACTER
    for ax, title in zip(panels.axes.flat, titles, strict=True):
        size = SMALL_FONT * min(1.0, max(_SMALLEST, fit))
        ax.set_title(title, loc="left", linespacing=1.25, fontsize=size)


def size_figure(panels: Panels, height: float | None) -> None:
    """Set the height of the figure: panels, texts over and under them, legends.

    Parameters
    ----------
    panels : Panels
        A caller's Axes stays as it is.
    height : float, optional
        In inches; by default what all these take.
    """
    if not panels.own:
        return
    _, high = panels.size
    rows = len(panels.axes)
    over = max(_lines(ax.get_title(loc="left")) for ax in panels.axes.flat)
    under = max(_lines(ax.get_xlabel()) for ax in panels.axes[-1])
    legends = sum(legend.get_window_extent().height for legend in panels.figure.legends)
    texts = _TEXT_LINE * (rows * (over + 0.5) + under + 1.5)
    wanted = rows * high + texts + legends / panels.figure.dpi
    panels.figure.set_size_inches(panels.figure.get_figwidth(), height or wanted)


def _lines(text: str) -> int:
    return text.count("\n") + 1 if text else 0
