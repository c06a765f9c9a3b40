"""Curves of training: a line and a band for each group, bars of seconds an epoch."""

from __future__ import annotations

from math import ceil

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genpredict.figures.panels import SMALL_CHARACTER
from genpredict.figures.style import (
    GROUP_COLOURS,
    PAGE_WIDTH,
    new_axes,
    styled,
    tidy,
    whole_numbers,
)

#: Names that have room beside their curves.
MOST_BESIDE = 6
#: Height of a line of a legend, inches.
_LINE = 0.16
#: Lines differ in dashes where there are more groups than colours.
_DASHES = ("-", "--", ":")
#: Of an axis without ticks between whole numbers.
_EPOCH = "epoch"


def plot_curves(
    bands: pd.DataFrame,
    *,
    x_label: str = _EPOCH,
    y_label: str = "",
    bars: bool = False,
    log: bool = False,
    width: float = PAGE_WIDTH / 2,
    ax: Axes | None = None,
) -> Axes:
    """Draw a curve with a band for each group.

    Parameters
    ----------
    bands : DataFrame
        Columns `group`, `x`, `mean`, `low`, `high`, as `genpredict.training.curve_bands` makes.
    x_label, y_label : str
        With units.
    bars : bool
        One bar a group instead, of `genpredict.training.curve_averages`: for seconds an epoch.
    log : bool
        Logarithmic y.
    width : float
        In inches.
    ax : Axes, optional
        Draw here instead of in a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from genpredict.training import curve_bands, open_runs
    >>> runs = open_runs("runs")  # doctest: +SKIP
    >>> bands = curve_bands(runs, y="test_accuracy", by=["optimizer"])  # doctest: +SKIP
    >>> plot_curves(bands, y_label="test accuracy (%)")  # doctest: +SKIP
    """
    with styled():
        alone = ax is None
        if ax is None:
            ax = new_axes(width, 0.75 * width)
        if bars:
            _draw_bars(ax, bands)
        else:
            _draw_lines(ax, bands)
            _draw_legend(ax, alone=alone)
            ax.set_xlabel(x_label)
            if x_label == _EPOCH:
                ax.xaxis.set_major_locator(whole_numbers())
        if log:
            ax.set_yscale("log", nonpositive="mask")
        ax.set_ylabel(y_label)
        ax.spines[["top", "right"]].set_visible(False)
        tidy(ax)
    return ax


def _draw_lines(ax: Axes, bands: pd.DataFrame) -> None:
    """Draw a line a group, and a band where its runs differ."""
    for index, (name, curve) in enumerate(bands.groupby("group", sort=False)):
        colour = GROUP_COLOURS[index % len(GROUP_COLOURS)]
        dashes = _DASHES[index // len(GROUP_COLOURS) % len(_DASHES)]
        ax.plot(curve["x"], curve["mean"], color=colour, linestyle=dashes, label=str(name))
        if (curve["high"] > curve["low"]).any():
            ax.fill_between(
                curve["x"], curve["low"], curve["high"], color=colour, alpha=0.2, linewidth=0
            )


def _draw_legend(ax: Axes, *, alone: bool) -> None:
    """Name the groups: one above the curve, several beside them, many under a figure of ours."""
    handles, names = ax.get_legend_handles_labels()
    if len(names) == 1:
        ax.set_title(names[0], loc="left")
        return
    if len(names) <= MOST_BESIDE or not alone:
        ax.legend()
        return
    figure = ax.figure
    assert isinstance(figure, Figure)
    fit = int(figure.get_figwidth() / (0.5 + max(map(len, names)) * SMALL_CHARACTER))
    columns = max(1, min(fit, len(names)))
    figure.set_figheight(figure.get_figheight() + _LINE * (ceil(len(names) / columns) + 1))
    figure.legend(handles, names, loc="outside lower center", ncols=columns)


def _draw_bars(ax: Axes, bands: pd.DataFrame) -> None:
    """Draw a bar a row, with its spread."""
    names = [str(name) for name in bands["group"]]
    for index, (name, mean, high) in enumerate(
        zip(names, bands["mean"], bands["high"], strict=True)
    ):
        colour = GROUP_COLOURS[index % len(GROUP_COLOURS)]
        ax.bar(index, mean, color=colour, width=0.7, yerr=(high - mean) or None, label=name)
    ax.set_xticks(range(len(names)), labels=names, rotation=30)
