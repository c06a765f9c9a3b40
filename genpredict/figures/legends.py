"""What colours and shapes of a grid of panels mean: legends and colour bars outside the data."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import QuadMesh
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from genpredict.figures.groups import Levels, Numbers
from genpredict.figures.labels import NOT_GIVEN, level_text, shortened
from genpredict.figures.marks import share_density
from genpredict.figures.panels import SMALL_CHARACTER, Panels
from genpredict.figures.style import (
    DASHES,
    INK,
    MARKERS,
    MISSING,
    colour_bar,
    legend_above,
    root_of,
)


def draw_legends(
    panels: Panels, colour: Levels | Numbers | None, shape: Levels | None, *, lines: bool = False
) -> None:
    """Put the legend of colours under the panels, that of shapes over them, colour bars beside.

    Parameters
    ----------
    panels : Panels
        With their marks. A caller's Axes has one legend, above it.
    colour : Levels or Numbers, optional
        What colours mean; without it and `shape`, those of hexagons mean counts. One level alone
        needs no legend.
    shape : Levels, optional
        What shapes mean; one legend where it is what colours mean.
    lines : bool
        Whether groups have lines, whose dashes tell those of one colour apart.
    """
    same = isinstance(colour, Levels) and shape is not None and colour.levels == shape.levels
    parts: list[tuple[list[Line2D], str, Any]] = []
    if isinstance(colour, Levels) and len(colour.levels) > 1:
        own = colour.turns if shape is None else np.zeros_like(colour.turns)
        handles = _entries(colour.levels, colour.colours, np.arange(len(own)) if same else own)
        if lines and colour.turns.any():
            _add_dashes(handles, colour)
        parts.append((handles, colour.title, "outside lower center"))
    elif isinstance(colour, Numbers):
        _colour_bar(panels, ScalarMappable(colour.norm, colour.cmap), colour.title, colour.ticks)
        if not np.isfinite(colour.values[panels.data["position"].to_numpy()]).all():
            grey = _entries([f"{colour.title} {NOT_GIVEN}"], [MISSING], np.zeros(1, dtype=int))
            parts.append((grey, "", "outside lower center"))
    if shape is not None and len(shape.levels) > 1 and not same:
        kinds = np.arange(len(shape.levels))
        handles = _entries(shape.levels, [INK] * len(shape.levels), kinds)
        parts.append((handles, shape.title, "outside upper center"))
    if panels.own:
        for handles, title, place in parts:
            _legend(panels, handles, title, place)
    elif parts:
        handles = [handle for part in parts for handle in part[0]]
        legend_above(panels.axes[0, 0], handles, ncols=_columns(panels.size[0], handles))
    if colour is None and shape is None:
        _count_bar(panels)


def share_legend(axes: Sequence[Axes]) -> None:
    """Put the legend that panels have in common over all of them, once.

    Parameters
    ----------
    axes : sequence of Axes
        Panels of one figure whose layout makes room, each with the same groups in the same colours.

    Examples
    --------
    >>> figure, axes = plt.subplots(1, 2, layout="constrained")  # doctest: +SKIP
    >>> for ax, y in zip(axes, ("test_accuracy", "learning_rate")):  # doctest: +SKIP
    ...     plot_curves(curve_bands(runs, y=y, by=["beta"]), ax=ax)
    >>> share_legend(axes)  # doctest: +SKIP
    """
    drawn = [legend for ax in axes if (legend := ax.get_legend()) is not None]
    if not drawn:
        return
    shared = drawn[0]
    handles = []
    for handle, text in zip(shared.legend_handles, shared.get_texts(), strict=True):
        if handle is not None:
            handle.set_label(text.get_text())
            handles.append(handle)
    title = shared.get_title().get_text()
    for legend in drawn:
        legend.remove()
    columns = _columns(root_of(axes[0]).get_figwidth(), handles)
    legend_above(axes[0], handles, title=title, ncols=columns, place="outside upper left")


def _count_bar(panels: Panels) -> None:
    """Draw the bar of what hexagons and cells count, where there are any."""
    hexagons = share_density(list(panels.axes.flat))
    if hexagons is not None:
        cell = "cell" if isinstance(hexagons, QuadMesh) else "hexagon"
        _colour_bar(panels, hexagons, f"checkpoints per {cell}", None)


def _legend(panels: Panels, handles: list[Line2D], title: str, place: Any) -> None:
    """Put a legend outside of all panels, in as many columns as fit."""
    has_lines = any(handle.get_linestyle() != "None" for handle in handles)
    panels.figure.legend(
        handles=handles,
        title=title or None,
        loc=place,
        ncols=_columns(panels.figure.get_figwidth(), handles),
        handletextpad=0.6 if has_lines else 0.2,
        columnspacing=1.0,
        borderaxespad=0.2,
    )


def _columns(width: float, handles: Sequence[Artist]) -> int:
    """Return how many columns a legend has: as few rows as fit, which are equally long."""
    longest = max((len(str(handle.get_label())) for handle in handles), default=0)
    fit = max(1, int(width / (0.3 + longest * SMALL_CHARACTER)))
    rows = ceil(len(handles) / fit) or 1
    return ceil(len(handles) / rows) or 1


def _colour_bar(
    panels: Panels, mappable: ScalarMappable, title: str, ticks: list[float] | None
) -> None:
    bar = colour_bar(panels.axes.ravel().tolist(), mappable, title)
    if ticks is not None:
        bar.set_ticks(ticks, labels=[level_text(tick) for tick in ticks], minor=False)
        bar.minorticks_off()


def _add_dashes(handles: list[Line2D], colour: Levels) -> None:
    for handle, text, turn in zip(handles, colour.levels, colour.turns, strict=True):
        if text not in (NOT_GIVEN, colour.rest):
            handle.set_linestyle(DASHES[turn % len(DASHES)])
            handle.set_linewidth(1.2)


def _entries(
    names: Sequence[str], colours: Sequence[str], kinds: NDArray[np.integer[Any]]
) -> list[Line2D]:
    """Return legend handles, one a name, with the markers of these places."""
    return [
        Line2D(
            [],
            [],
            linestyle="none",
            markersize=4.5,
            markeredgecolor="white",
            markeredgewidth=0.4,
            label=shortened(name),
            color=shade,
            marker=MARKERS[kind % len(MARKERS)],
        )
        for name, shade, kind in zip(names, colours, kinds, strict=True)
    ]
