"""What colours and shapes of a grid of panels mean: legends and colour bars outside the data."""

from __future__ import annotations

import numpy as np
import seaborn as sns
from matplotlib.cm import ScalarMappable
from matplotlib.collections import QuadMesh
from matplotlib.lines import Line2D

from genpredict.figures.groups import Levels, Numbers
from genpredict.figures.labels import level_text, shortened
from genpredict.figures.marks import share_density
from genpredict.figures.style import INK, MARKERS, colour_bar

#: Mean width of a character of the small font, inches.
SMALL_CHARACTER = 0.058


def draw_legends(
    grid: sns.FacetGrid, colour: Levels | Numbers | None, shape: Levels | None
) -> None:
    """Put the legend of colours under the panels, that of shapes over them, colour bars beside.

    Parameters
    ----------
    grid : FacetGrid
        Panels with their marks.
    colour : Levels or Numbers, optional
        What colours mean; without it and `shape`, those of hexagons mean counts. One level alone
        needs no legend.
    shape : Levels, optional
        What shapes mean; one legend where it is what colours mean.
    """
    same = isinstance(colour, Levels) and shape is not None and colour.levels == shape.levels
    if isinstance(colour, Numbers):
        _colour_bar(grid, ScalarMappable(colour.norm, colour.cmap), colour.title, colour.ticks)
    elif isinstance(colour, Levels) and len(colour.levels) > 1:
        kinds = np.arange(len(colour.levels)) if same else colour.turns
        markers = [MARKERS[kind % len(MARKERS)] for kind in kinds]
        handles = _entries(colour, colour.colours, markers)
        _legend(grid, handles, colour.title, "outside lower center")
    if shape is not None and len(shape.levels) > 1 and not same:
        handles = _entries(shape, [INK] * len(shape.levels), list(MARKERS))
        _legend(grid, handles, shape.title, "outside upper center")
    if colour is None and shape is None:
        hexagons = share_density(list(grid.axes.flat))
        if hexagons is not None:
            cell = "cell" if isinstance(hexagons, QuadMesh) else "hexagon"
            _colour_bar(grid, hexagons, f"checkpoints per {cell}", None)


def _legend(grid: sns.FacetGrid, handles: list[Line2D], title: str, place: str) -> None:
    """Put a legend outside of all panels, in as many columns as fit."""
    longest = max((len(str(handle.get_label())) for handle in handles), default=0)
    fit = int(grid.figure.get_figwidth() / (0.3 + longest * SMALL_CHARACTER))
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


def _entries(levels: Levels, colours: list[str], markers: list[str]) -> list[Line2D]:
    """Return legend handles, one a level."""
    return [
        Line2D(
            [],
            [],
            linestyle="none",
            markersize=4.5,
            markeredgecolor="white",
            markeredgewidth=0.4,
            label=shortened(text),
            color=colours[i],
            marker=markers[i % len(markers)],
        )
        for i, text in enumerate(levels.levels)
    ]
