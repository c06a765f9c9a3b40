"""Curves of training: a line and a band for each group, bars of seconds an epoch."""

from __future__ import annotations

from math import ceil

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genpredict.figures.labels import wrapped
from genpredict.figures.palettes import Palette, group_colours
from genpredict.figures.panels import CHARACTER, SMALL_CHARACTER
from genpredict.figures.style import (
    DASHES,
    INK,
    PAGE_WIDTH,
    SMALL_FONT,
    legend_above,
    new_axes,
    root_of,
    styled,
    tidy,
    whole_numbers,
)

#: From so many groups on a figure is as wide as a page: the legend takes columns.
MANY = 10
#: Heights of a line of a legend, and of a bar, inches.
_LINE, _BAR = 0.16, 0.19
_BODY = 2.4  # width of bars, inches, their names apart
#: Of an axis without ticks between whole numbers.
_EPOCH = "epoch"


def plot_curves(
    bands: pd.DataFrame,
    *,
    x_label: str = _EPOCH,
    y_label: str = "",
    bars: bool = False,
    log: bool = False,
    palette: Palette | None = None,
    width: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a curve with a band for each group.

    Parameters
    ----------
    bands : DataFrame
        Columns `group`, `x`, `mean`, `low`, `high`, as `genpredict.training.curve_bands` makes;
        its `n`, how many runs, and what its bands are, is said in the legend.
    x_label, y_label : str
        With units.
    bars : bool
        One bar a group instead, of `genpredict.training.curve_averages`: for seconds an epoch. The
        bars lie, and the numbers are along x.
    log : bool
        Logarithmic numbers; `curve_bands` has a `log`, too, for bands that are right on such axes.
    palette : str or sequence of str, optional
        Colours of the groups, as of `plot_scatter`; bars have its first one.
    width : float, optional
        In inches; by default half a page of a journal, a page from 10 groups on.
    ax : Axes, optional
        Draw here instead of in a new figure.

    Returns
    -------
    Axes
        More groups than colours differ in dashes. The legend is under the figure, or above an
        `ax`.

    Raises
    ------
    ValueError
        For what are no bands, and a palette that there is not.

    Examples
    --------
    >>> from genpredict.training import curve_bands, open_runs
    >>> runs = open_runs("runs")  # doctest: +SKIP
    >>> bands = curve_bands(runs, y="test_accuracy", by=["optimizer"])  # doctest: +SKIP
    >>> plot_curves(bands, y_label="test accuracy (%)")  # doctest: +SKIP
    """
    _check(bands)
    count = bands["group"].nunique()
    colours = group_colours(palette, count)
    with styled():
        alone = ax is None
        if ax is None:
            ax = new_axes(*_size(bands, width, bars=bars))
        if bars:
            _draw_bars(ax, bands, y_label, colours[0])
        else:
            _draw_lines(ax, bands, colours)
            _draw_legend(ax, bands, alone=alone)
            _label(ax, x_label, y_label)
        if bars and not log:
            ax.set_xlim(left=0.0)
        if log:
            (ax.set_xscale if bars else ax.set_yscale)("log", nonpositive="mask")
        ax.spines[["top", "right"]].set_visible(False)
        tidy(ax)
    return ax


def _check(bands: pd.DataFrame) -> None:
    needed = ("group", "mean", "low", "high")
    missing = [name for name in needed if name not in getattr(bands, "columns", ())]
    if missing:
        raise ValueError(
            f"bands must be a table as genpredict.training.curve_bands makes, of what open_runs "
            f"returned; it has no {', '.join(missing)}"
        )


def _size(bands: pd.DataFrame, width: float | None, *, bars: bool) -> tuple[float, float]:
    """Return width and height in inches: room for names beside bars, for columns of a legend."""
    names = list(_named(bands).values())
    if bars:
        least = _BODY + SMALL_CHARACTER * max(map(len, names))
        return width or min(max(least, PAGE_WIDTH / 2), PAGE_WIDTH), 0.9 + _BAR * len(names)
    width = width or (PAGE_WIDTH if len(names) >= MANY else PAGE_WIDTH / 2)
    return width, min(0.75 * width, 3.2)


def _draw_lines(ax: Axes, bands: pd.DataFrame, colours: tuple[str, ...]) -> None:
    """Draw a line a group, and a band where its runs differ."""
    names = _named(bands)
    for index, (name, curve) in enumerate(bands.groupby("group", sort=False)):
        colour = colours[index % len(colours)]
        dashes = DASHES[index // len(colours) % len(DASHES)]
        ax.plot(curve["x"], curve["mean"], color=colour, linestyle=dashes, label=names[str(name)])
        if (curve["high"] > curve["low"]).any():
            ax.fill_between(
                curve["x"], curve["low"], curve["high"], color=colour, alpha=0.2, linewidth=0
            )


def _named(bands: pd.DataFrame) -> dict[str, str]:
    """Return what the groups are called: with how many runs where these differ."""
    counts = _runs(bands)
    if counts.nunique() < 2:
        return {str(name): str(name) for name in bands["group"].unique()}
    return {str(name): f"{name} (n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{n})" for name, n in
            counts.items()}  # fmt: skip


def _runs(bands: pd.DataFrame) -> pd.Series:
    """Return how many runs each group has; empty where the bands do not say."""
    if "n" not in bands:
        return pd.Series(dtype=int)
    return bands.groupby("group", sort=False)["n"].max()


def _said(bands: pd.DataFrame) -> str:
    """Return of how many runs each group is, and what its band or whisker is."""
    counts = _runs(bands)
    said = []
    if counts.nunique() == 1:
        count = int(counts.iloc[0])
        said.append(f"{count} run{'s' * (count > 1)}{' each' * (len(counts) > 1)}")
    spread = bands.attrs.get("spread", "")
    if spread and (bands["high"] > bands["low"]).any():
        said.append(f"mean {spread}")
    return ", ".join(said)


def _label(ax: Axes, x_label: str, y_label: str) -> None:
    """Name the axes, in lines that fit."""
    ax.set_xlabel(x_label)
    high = ax.get_window_extent().height / root_of(ax).dpi
    ax.set_ylabel(wrapped(y_label, max(16, int(high / CHARACTER))))
    if x_label == _EPOCH:
        ax.xaxis.set_major_locator(whole_numbers())


def _draw_legend(ax: Axes, bands: pd.DataFrame, *, alone: bool) -> None:
    """Name the groups: one above the curve, several under a figure of ours, above an Axes."""
    handles, names = ax.get_legend_handles_labels()
    said = _said(bands)
    if len(names) == 1:
        ax.set_title("\n".join([*names, *[said] * bool(said)]), loc="left")
        return
    figure = root_of(ax)
    inches = figure.get_figwidth() if alone else ax.get_window_extent().width / figure.dpi
    fit = max(1, int(inches / (0.5 + max(map(len, names)) * SMALL_CHARACTER)))
    rows = ceil(len(names) / fit)
    columns = ceil(len(names) / rows)
    if not alone:
        legend_above(ax, handles, title=said, ncols=columns)
        return
    assert isinstance(figure, Figure)
    figure.set_figheight(figure.get_figheight() + _LINE * (rows + bool(said)))
    figure.legend(handles, names, title=said or None, loc="outside lower center", ncols=columns)


def _draw_bars(ax: Axes, bands: pd.DataFrame, label: str, colour: str) -> None:
    """Draw a lying bar a row, the first on top, with its spread."""
    names = _named(bands)
    places = range(len(bands))
    ax.barh(places, bands["mean"], color=colour, height=0.7)
    ax.hlines(places, bands["low"], bands["high"], color=INK, linewidth=0.8)
    ax.set_yticks(places, [names[str(name)] for name in bands["group"]])
    ax.set_ylim(len(bands) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0, labelsize=SMALL_FONT)
    beside = SMALL_CHARACTER * max(map(len, names.values()))
    wide = max(16, int((root_of(ax).get_figwidth() - beside) / CHARACTER))
    ax.set_xlabel("\n".join(wrapped(text, wide) for text in (label, _said(bands)) if text))
