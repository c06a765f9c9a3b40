"""Measures against targets: correlations as an annotated heat map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import seaborn as sns
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator
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
from genpredict.figures.labels import name_of, signed, wrapped
from genpredict.figures.palettes import Palette, colour_map
from genpredict.figures.quantities import names_list
from genpredict.figures.sections import Rows, name_rows, rows_by_section
from genpredict.figures.style import (
    COLUMN_WIDTH,
    INK,
    SMALL_FONT,
    colour_bar,
    legend_above,
    new_axes,
    root_of,
    styled,
    tidy,
)
from genpredict.stats.known_coefficients import COEFFICIENTS

Adjustment = Literal["holm", "bh", "none"]
_ADJUSTED = {
    "holm": "p (Holm)",
    "bh": "p (Benjamini–Hochberg)",
    "none": "p",
}
_GREY = "#E4E4E4"
_GREY_INK = "#595959"  # 5.5 : 1 on the grey
_MEDIUM = 0.56
_CHARACTER = 0.055  # mean width of a small one, inches


def plot_ranking(
    correlations: xr.Dataset,
    *,
    coefficient: str = "rocc",
    measures: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    group: str = "all",
    adjust: Adjustment = "holm",
    level: float = 0.05,
    intervals: bool = True,
    sort: bool = True,
    palette: Palette | None = None,
    width: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the correlations of measures with targets, insignificant ones in grey.

    Parameters
    ----------
    correlations : Dataset, dims (measure, target, group)
        What `genpredict.stats.correlate` returned.
    coefficient : str
        "rocc", "plcc" or "krocc".
    measures, targets : sequence of str, optional
        Labels to draw; by default all, but for those without any value (constants, such as the
        number of layers of one architecture), which a note under the figure names.
    group : str
        A label along `group`.
    adjust : {"holm", "bh", "none"}
        The p-value that decides: adjusted by Holm, by Benjamini and Hochberg, or not.
    level : float
        Cells with a p-value of at least this are grey.
    intervals : bool
        Write the interval under each coefficient.
    sort : bool
        Strongest correlation on top, whatever its sign, with the test accuracy or, where the table
        has none or `targets` are given, the first target; a note says so. Else in the order of the
        table. Either within sections, where some measures are of groups besides those of every
        score: these, each group, the baselines.
    palette : str or sequence of str, optional
        Colours from −1 to 1: the name of a diverging colour map, such as "vlag".
    width : float, optional
        In inches; by default what labels and columns take, at least a journal's column.
    ax : Axes, optional
        Draw here instead of in a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        For labels that the table does not hold, another coefficient or adjustment, or a palette
        that there is not.

    Examples
    --------
    >>> plot_ranking(correlate(scores), coefficient="plcc")  # doctest: +SKIP
    """
    table = _table(correlations, coefficient, measures, targets, group, adjust)
    chosen = {"measure": measures, "target": targets}
    open_dims = [dim for dim, names in chosen.items() if names is None]
    table, empty = with_values(table, coefficient, open_dims)
    order = ""
    if sort:
        places, order = by_strength(table, coefficient, targets)
        table = table.isel(measure=places)
    rows = _rows(table)
    table = table.isel(measure=rows.order)
    columns = table.sizes["target"]
    shades = colour_map(palette, _diverging()).with_extremes(bad=_GREY)
    with styled():
        whole = ax is None
        if ax is None:
            lines = max([1 + intervals, *(text.count("\n") + 1 for text in measure_names(table))])
            height = rows.height * (0.13 * lines + 0.08) + 0.9
            ax = new_axes(width or max(COLUMN_WIDTH, 2.5 + 0.85 * columns), height)
        _draw(ax, table, coefficient, adjust, level, rows, shades, intervals=intervals, whole=whole)
        _name(ax, table, group, rows)
        _note(ax, [order, absent_text(empty)])
    return ax


def _rows(table: xr.Dataset) -> Rows:
    """Return where the measures stand: by section in the order they are in, else in that order."""
    order = np.arange(table.sizes["measure"])
    return rows_by_section(table, order) or Rows(order, order, [])


def _table(
    correlations: xr.Dataset,
    coefficient: str,
    measures: Sequence[str] | None,
    targets: Sequence[str] | None,
    group: str,
    adjust: str,
) -> xr.Dataset:
    """Select what to draw, checked."""
    check_correlations(correlations)
    _one_of("coefficient", coefficient, list(COEFFICIENTS))
    _one_of("adjust", adjust, get_args(Adjustment))
    needed = f"{coefficient}_pvalue" + ("" if adjust == "none" else f"_{adjust}")
    if needed not in correlations:
        raise ValueError(
            f"correlations hold no {needed}; call correlate with adjust={adjust!r} too, "
            f"or draw with another adjust"
        )
    _one_of("group", group, [str(label) for label in correlations["group"].values])
    chosen = correlations.sel(group=group)
    for dim, names in (("measure", measures), ("target", targets)):
        if names is not None:
            listed = names_list(names, parameter=f"{dim}s")
            for name in listed:
                _one_of(f"{dim}s", name, [str(label) for label in chosen[dim].values])
            chosen = chosen.sel({dim: listed})
    return chosen.transpose("measure", "target", ...)


def _one_of(parameter: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"{parameter} must be one of {', '.join(known)}, got {value!r}")


def _draw(
    ax: Axes,
    table: xr.Dataset,
    coefficient: str,
    adjust: str,
    level: float,
    rows: Rows,
    shades: Colormap,
    *,
    intervals: bool,
    whole: bool,
) -> None:
    estimates = table[coefficient].values
    suffix = "" if adjust == "none" else f"_{adjust}"
    significant = table[f"{coefficient}_pvalue{suffix}"].values < level  # NaN is not
    image = _cells(ax, np.ma.masked_where(~significant, estimates), rows.places, shades)
    if significant.any():  # else the bar would tell colours that are not there
        colour_bar(
            ax,
            image,
            COEFFICIENTS[coefficient].reversed_name,
            aspect=8 * root_of(ax).get_figheight(),
            fraction=max(0.06, 0.16 / estimates.shape[1]),  # as wide beside one column as beside 3
        )
    for (row, column), value in np.ndenumerate(estimates):
        cell = table.isel(measure=row, target=column)
        text = signed(value) + (_interval(cell, coefficient) if intervals else "")
        shade = _ink(image.to_rgba(value)) if significant[row, column] else _GREY_INK
        place = rows.places[row].item()
        ax.text(
            column, place, text, ha="center", va="center", fontsize=SMALL_FONT - 0.5, color=shade
        )
    if not significant.all():
        none = " or no value" if np.isnan(estimates).any() else ""
        label = f"{_ADJUSTED[adjust]} ≥ {level:g}{none}"
        if not significant.any():
            label = f"{COEFFICIENTS[coefficient].reversed_name}, all {label}"
        legend_above(
            ax,
            [Patch(color=_GREY, label=label)],
            place="outside upper right" if whole else "",
        )


def _cells(
    ax: Axes, estimates: np.ma.MaskedArray[Any, Any], places: NDArray[Any], shades: Colormap
) -> AxesImage:
    """Colour the cells of rows that stand without a gap together; return the last such image."""
    columns = estimates.shape[1]
    parts = np.split(np.arange(len(places)), np.flatnonzero(np.diff(places) > 1) + 1)
    for part in parts:
        top, bottom = places[part[0]] - 0.5, places[part[-1]] + 0.5
        image = ax.imshow(
            estimates[part],
            aspect="auto",
            extent=(-0.5, columns - 0.5, bottom, top),
            cmap=shades,
            vmin=-1.0,
            vmax=1.0,
        )
    ax.set_ylim(places[-1] + 0.5, -0.5)
    return image


def _ink(background: Any) -> str:
    """Return the colour of a text that is read on this background, by its luma (ITU-R BT.601)."""
    return INK if np.dot(background[:3], (0.299, 0.587, 0.114)) > _MEDIUM else "white"


def _interval(cell: xr.Dataset, coefficient: str) -> str:
    low, high = (float(cell[f"{coefficient}_{end}"]) for end in ("lower", "upper"))
    return "" if np.isnan([low, high]).any() else f"\n[{signed(low)}, {signed(high)}]"


def _diverging() -> Colormap:
    """Return purple (negative) over white to orange-brown (positive): apart to all eyes."""
    palette: Colormap = sns.color_palette("PuOr_r", as_cmap=True)
    return palette


def _name(ax: Axes, table: xr.Dataset, group: str, rows: Rows) -> None:
    """Name rows and columns, with n where it is the same down a column."""
    tidy(ax)
    for axis, places in ((ax.xaxis, np.arange(table.sizes["target"])), (ax.yaxis, rows.places)):
        axis.set_minor_locator(FixedLocator((places[:-1] + 0.5).tolist()))
    ax.grid(which="minor", color="white", linewidth=1.5)
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)
    name_rows(ax, rows, measure_names(table))
    columns = [
        "\n".join([wrapped(name_of(str(name)), 14), *_sample(table.sel(target=name))])
        for name in table["target"].values
    ]
    ax.set_xticks(range(len(columns)), columns)
    chosen = [group.replace("=", ": ")] if group != "all" else []
    by = sample_text(table).partition(" by ")[2]
    chosen += [f"clusters by {by}"] if by else []
    if text := conditions_text(table):
        chosen.append(wrapped(text, 48))
    ax.set_xlabel("\n".join(chosen))


def _sample(column: xr.Dataset) -> list[str]:
    """Return the lines under a target: n, and in how many clusters."""
    n, _, clusters = sample_text(column).partition(" by ")[0].partition(" in ")
    return [n, f"in {clusters}"] if clusters else [n]


def _note(ax: Axes, notes: list[str]) -> None:
    """Say under the figure how its rows are ordered and what has no value."""
    if any(notes):
        wide = int(0.75 * root_of(ax).get_figwidth() / _CHARACTER)
        note = "\n".join(wrapped(text, wide) for text in notes if text)
        above = ax.get_xlabel()
        ax.set_xlabel(f"{above}\n{note}" if above else note, loc="right", fontsize=SMALL_FONT)
