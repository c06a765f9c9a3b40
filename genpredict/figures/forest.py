"""Correlations as estimates with intervals, strongest first, the baselines apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from genpredict.figures.coefficients import (
    absent_text,
    by_strength,
    check_correlations,
    conditions_text,
    measure_names,
    sample_text,
    with_values,
)
from genpredict.figures.labels import name_of, wrapped
from genpredict.figures.palettes import Palette, group_colours
from genpredict.figures.quantities import names_list
from genpredict.figures.sections import Rows, name_rows, rows_by_section
from genpredict.figures.style import (
    GROUP_COLOURS,
    INK,
    MISSING,
    PAGE_WIDTH,
    SMALL_FONT,
    legend_above,
    new_axes,
    root_of,
    styled,
    tidy,
)
from genpredict.stats.columns import BASELINES
from genpredict.stats.known_coefficients import COEFFICIENTS
from genpredict.stats.tables import STARS

#: Width in inches: names on the left take the half of a journal's column.
WIDTH = 4.6
#: Inches of a row, and of what is above and below the rows.
_ROW, _FRAME = 0.17, 0.85
_APART = 0.6  # rows between measures and baselines
_BOTH = ("measure", "target")
#: So many targets make a row high enough for a name of two lines, of so many characters.
_TWO_LINES, _NAME = 3, 34
_MOST_TICKS = 6  # so that their texts stay apart, however small the numbers
#: Between targets of one measure: so many rows of one target, two thirds of a row in all at most.
_STEP, _SPREAD = 0.4, 0.66
_CHARACTER = 0.06  # mean width in inches


def plot_forest(
    correlations: xr.Dataset,
    *,
    coefficient: str = "rocc",
    targets: Sequence[str] | None = None,
    group: str = "all",
    palette: Palette | None = None,
    width: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a coefficient of every measure with its interval, baselines below.

    Parameters
    ----------
    correlations : Dataset, dims (measure, target, group)
        What `genpredict.stats.correlate` returned. Simultaneous intervals are drawn where it has
        them.
    coefficient : str
        "rocc", "plcc" or "krocc".
    targets : sequence of str, optional
        Labels, a colour each; by default all.
    group : str
        A label along `group`.
    palette : str or sequence of str, optional
        Colours of the targets, as of `plot_scatter`.
    width : float, optional
        In inches; by default `WIDTH`.
    ax : Axes, optional
        Draw here instead of in a new figure.

    Returns
    -------
    Axes
        Measures go down from the strongest with the test accuracy, or with the first target where
        there is none or `targets` are given; where some are of groups besides those of every
        score, in sections: these, each group, the baselines. Full marks have a p-value below 0.05
        after Holm; a mark without a line has no interval. What has no value at all is named below.

    Raises
    ------
    ValueError
        For labels that the table does not hold, another coefficient, and a palette that there is
        not or that has fewer colours than there are targets.

    Examples
    --------
    >>> plot_forest(correlate(scores))  # doctest: +SKIP
    """
    table = _chosen(correlations, coefficient, targets, group)
    table, empty = with_values(table, coefficient, ("measure",) if targets else _BOTH)
    order, note = by_strength(table, coefficient, targets)
    rows = _rows(table, order)
    colours = _colours(palette, table.sizes["target"])
    with styled():
        whole = ax is None
        if ax is None:
            row = _ROW * (0.7 + 0.3 * table.sizes["target"])
            ax = new_axes(width or WIDTH, _FRAME + row * max(rows.height, 1))
        ax.axvline(0.0, color=INK, linewidth=0.6)
        shown = table.isel(measure=rows.order)
        for t in range(table.sizes["target"]):
            side = _side(t, table.sizes["target"])
            _draw(ax, shown.isel(target=t), coefficient, rows.places + side, colours[t])
        _name(ax, shown, coefficient, rows)
        said = [sample_text(shown), "" if group == "all" else group.replace("=", ": ")]
        said += [conditions_text(shown), note, absent_text(empty)]
        _say(ax, COEFFICIENTS[coefficient].reversed_name, said)
        _legend(ax, table, coefficient, colours, whole)
    return ax


def _chosen(
    correlations: xr.Dataset, coefficient: str, targets: Sequence[str] | None, group: str
) -> xr.Dataset:
    """Select what to draw, checked."""
    check_correlations(correlations)
    known = {"coefficient": list(COEFFICIENTS), "group": correlations["group"].values.tolist()}
    for parameter, value in (("coefficient", coefficient), ("group", group)):
        if value not in known[parameter]:
            names = ", ".join(map(str, known[parameter]))
            raise ValueError(f"{parameter} must be one of {names}, got {value!r}")
    table = correlations.sel(group=group)
    if targets is not None:
        listed = names_list(targets, parameter="targets")
        held = table["target"].values.tolist()
        if set(listed) - set(held):
            raise ValueError(f"targets must be some of {', '.join(held)}, got {listed}")
        table = table.sel(target=listed)
    if table.sizes["target"] > len(GROUP_COLOURS):
        raise ValueError(f"targets: at most {len(GROUP_COLOURS)} have a colour each; name some")
    return table


def _rows(table: xr.Dataset, order: NDArray[np.intp]) -> Rows:
    """Return where the measures stand: by section, else baselines after all others."""
    if rows := rows_by_section(table, order):
        return rows
    baseline = np.isin(table["name"].values.astype(str), BASELINES)
    order = order[np.argsort(baseline[order], kind="stable")]
    gap = np.where(baseline[order], _APART, 0.0) if not baseline.all() else 0.0
    return Rows(order, np.arange(len(order)) + gap, [])


def _colours(palette: Palette | None, count: int) -> tuple[str, ...]:
    """Return a colour for each of so many targets."""
    colours = group_colours(palette, count)
    if len(colours) < count:
        raise ValueError(f"palette: has {len(colours)} colours for {count} targets; give {count}")
    return colours


def _side(t: int, count: int) -> float:
    """Return how far below the middle of its row a target is drawn, of so many."""
    step = min(_STEP, _SPREAD / max(count - 1, 1))
    return step * (t - (count - 1) / 2)


def _draw(ax: Axes, part: xr.Dataset, coefficient: str, heights: NDArray[Any], colour: str) -> None:
    """Draw one target: a line an interval, a mark an estimate."""
    value = part[coefficient].values
    low, high = (part[end].values for end in _ends(part, coefficient))
    ax.hlines(heights, low, high, color=colour, linewidth=1.0)
    adjusted = part.get(f"{coefficient}_pvalue_holm", part[f"{coefficient}_pvalue"]).values
    sure = adjusted < STARS[0]
    options: dict[str, Any] = {"edgecolors": colour, "linewidths": 0.8, "s": 14, "zorder": 3}
    ax.scatter(value[sure], heights[sure], color=colour, **options)
    ax.scatter(value[~sure], heights[~sure], facecolors="white", **options)


def _ends(table: xr.Dataset, coefficient: str) -> list[str]:
    """Return the names of the ends of the intervals that are drawn."""
    kind = "_simultaneous" if f"{coefficient}_simultaneous_lower" in table else ""
    return [f"{coefficient}{kind}_{end}" for end in ("lower", "upper")]


def _name(ax: Axes, shown: xr.Dataset, coefficient: str, rows: Rows) -> None:
    places = rows.places
    names = _short_names(shown)
    if rows.headings and shown.sizes["target"] >= _TWO_LINES:
        names = [wrapped(name, _NAME) for name in names]
    name_rows(ax, rows, names)
    ax.set_ylim(places.max(initial=0) + 0.7, -0.7)
    values = [shown[name].values for name in (coefficient, *_ends(shown, coefficient))]
    reach = max(1.05 * float(np.nanmax(np.abs(values), initial=0.0)), 0.1)
    ax.set_xlim(-min(reach, 1.05), min(reach, 1.05))
    ax.xaxis.set_major_locator(MaxNLocator(_MOST_TICKS, steps=[1, 2, 5, 10]))
    apart = np.flatnonzero(np.diff(places) > 1)
    if len(apart) and not rows.headings:
        ax.axhline(places[apart[0]] + (1 + _APART) / 2, color=MISSING, linewidth=0.6)
    tidy(ax)
    ax.tick_params(axis="y", length=0, labelsize=SMALL_FONT)
    ax.spines[["top", "right", "left"]].set_visible(False)


def _say(ax: Axes, title: str, said: list[str]) -> None:
    """Name the axis, and say below it of whom the figure tells."""
    wide = int(0.58 * root_of(ax).get_figwidth() / _CHARACTER)
    ax.set_xlabel("\n".join([title, *(wrapped(text, wide) for text in said if text)]))


def _short_names(shown: xr.Dataset) -> list[str]:
    """Return what measures are called: Q and its kin by their own names."""
    long_names = measure_names(shown, None)
    called = []
    for name, long_name, whole in zip(
        shown["name"].values, shown["long_name"].values, long_names, strict=True
    ):
        choices = whole.removeprefix(str(long_name))
        called.append(f"{name}{choices}" if str(name).startswith("Q") else whole)
    return called


def _legend(
    ax: Axes, table: xr.Dataset, coefficient: str, colours: Sequence[str], whole: bool
) -> None:
    """Name targets by colour, what full marks mean, and lines where there are any."""
    names = [name_of(str(name)) for name in table["target"].values]
    marks = [
        Line2D([], [], color=colour, marker="o", markersize=3.5, label=name)
        for name, colour in zip(names, colours, strict=False)
    ]
    full = Line2D([], [], color=INK, marker="o", markersize=3.5, linestyle="",
                  label="p (Holm) < 0.05")  # fmt: skip
    low = _ends(table, coefficient)[0]
    said = [f"{table.attrs['level']:.0%}"] if "level" in table.attrs else []
    said += ["simultaneous"] if "simultaneous" in low else []
    line = Line2D([], [], color=INK, linewidth=1.0, label=" ".join([*said, "interval"]))
    wide = root_of(ax).get_figwidth() >= PAGE_WIDTH
    legend_above(
        ax,
        [*marks, full, *([line] if table[low].notnull().any() else [])],
        ncols=4 if wide else 2,
        place="outside upper left" if whole else "",
    )
