"""A figure in words, for whoever cannot see it: axes, ranges, how much is drawn, legends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection, PathCollection, PolyCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from seaborn.axisgrid import Grid

from genpredict.figures.saving import figure_of

#: Texts of ticks that are names, and of legends, which are read out; of more, the first ones.
_MOST_NAMES = 25


def describe(drawn: Figure | Axes | Grid) -> str:
    """Return what a figure shows, a line a panel, legend and colour bar.

    Parameters
    ----------
    drawn : Figure, Axes or seaborn grid
        What a ``plot_*`` function returned.

    Returns
    -------
    str

    Examples
    --------
    >>> ax = Figure().subplots()
    >>> _ = ax.scatter([0.1, 0.3], [60, 90])
    >>> _ = ax.set(xlabel="Q (rad)", ylabel="test accuracy (%)", xlim=(0, 1), ylim=(50, 100))
    >>> print(describe(ax))
    Panel. Across: Q (rad), 0 to 1. Up: test accuracy (%), 50 to 100. 2 marks.
    """
    figure = figure_of(drawn)
    figure.canvas.draw()  # ticks get their texts
    panels = [ax for ax in figure.axes if not _is_colour_bar(ax) and ax.get_visible()]
    lines = [_text(figure.get_suptitle())] if figure.get_suptitle() else []
    for number, ax in enumerate(panels, start=1):
        name = "Panel" if len(panels) == 1 else f"Panel {number} of {len(panels)}"
        lines.append(f"{name}. {'. '.join(_parts(ax))}.")
        lines += [_legend(legend) for legend in [ax.get_legend()] if legend is not None]
    lines += [_legend(legend) for legend in figure.legends]
    lines += [_colour_bar(ax) for ax in figure.axes if _is_colour_bar(ax)]
    return "\n".join(dict.fromkeys(lines))


def _parts(ax: Axes) -> Iterator[str]:
    """Yield title, axes and contents of a panel."""
    for place in ("left", "center"):
        if title := _text(ax.get_title(loc=place)):
            yield title
    yield f"Across: {_axis(ax, 'x')}"
    yield f"Up: {_axis(ax, 'y')}"
    yield from _contents(ax)


def _axis(ax: Axes, which: str) -> str:
    """Return the label of an axis, and its ends, or its names where ticks have names."""
    axis: Any = getattr(ax, f"{which}axis")
    label = _text(axis.label.get_text())
    shared = next((a for a in _neighbours(ax, which) if not label), None)
    label = label or (_text(getattr(shared, f"{which}axis").label.get_text()) if shared else "")
    names = [_text(tick.get_text()) for tick in axis.get_ticklabels()]
    if any(name and not _is_number(name) for name in names):
        return f"{label + ', ' if label else ''}{_listed([name for name in names if name])}"
    low, high = sorted(getattr(ax, f"get_{which}lim")())
    scale = ", logarithmic" if axis.get_scale() == "log" else ""
    return f"{label or 'no label'}, {_number(low)} to {_number(high)}{scale}"


def _neighbours(ax: Axes, which: str) -> list[Axes]:
    """Return the panels of the same column (of x) or row (of y) that have a label there."""
    others = [a for a in ax.figure.axes if a is not ax and not _is_colour_bar(a)]
    labelled = [a for a in others if getattr(a, f"{which}axis").label.get_text()]
    place = _place(ax, which)
    return [a for a in labelled if place is not None and _place(a, which) == place]


def _place(ax: Axes, which: str) -> tuple[int, int, int] | None:
    """Return the grid of a panel, and first and last column (x) or row (y); None without one."""
    spec = ax.get_subplotspec()
    if spec is None:
        return None
    span = spec.colspan if which == "x" else spec.rowspan
    return id(spec.get_gridspec()), span.start, span.stop


def _contents(ax: Axes) -> Iterator[str]:
    """Yield what is drawn, by kind."""
    marks = sum(len(_points(c)) for c in ax.collections if isinstance(c, PathCollection))
    marks += sum(_length(line) for line in ax.lines if _is_marks(line))
    curves = len([line for line in ax.lines if not _is_marks(line) and _length(line) > 1])
    cells = sum(_cells(collection) for collection in ax.collections)
    cells += sum(_cells_of_image(image) for image in ax.images)
    for count, what in ((marks, "mark"), (curves, "line"), (cells, "coloured cell")):
        if count:
            yield f"{count:,} {what}{'s' * (count > 1)}"


def _points(marks: PathCollection) -> NDArray[Any]:
    return np.asarray(marks.get_offsets())


def _length(line: Line2D) -> int:
    return int(np.size(line.get_xdata()))


def _cells_of_image(image: AxesImage) -> int:
    cells = image.get_array()
    return 0 if cells is None else int(np.prod(cells.shape[:2]))


def _cells(collection: Collection) -> int:
    """Return how many coloured cells or hexagons a collection has."""
    is_painted = isinstance(collection, QuadMesh | PolyCollection)
    colours = collection.get_array() if is_painted else None
    return 0 if colours is None else int(np.size(colours))


def _is_marks(line: Line2D) -> bool:
    return line.get_linestyle() in ("None", "none", "", " ")


def _legend(legend: Legend) -> str:
    title = _text(legend.get_title().get_text())
    names = _listed([_text(text.get_text()) for text in legend.get_texts()])
    return f"Legend{', ' + title if title else ''}: {names}."


def _colour_bar(ax: Axes) -> str:
    label = _text(ax.get_ylabel() or ax.get_xlabel())
    low, high = ax.get_ylim() if ax.get_ylabel() else ax.get_xlim()
    return f"Colour bar: {label}, {_number(low)} to {_number(high)}."


def _is_colour_bar(ax: Axes) -> bool:
    return hasattr(ax, "_colorbar")


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    return "; ".join(names[:_MOST_NAMES]) + (f"; and {more} more" if more > 0 else "")


def _text(text: str) -> str:
    """Return a text on one line, minus signs and mathematics as they are typed."""
    return " ".join(text.replace("$", "").split())


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _is_number(text: str) -> bool:
    plain = text.replace("−", "-").replace("\\mathdefault{", "").strip("{}% kMG")
    try:
        float(plain.replace("10^{", "1e").rstrip("}") or "nan")
    except ValueError:
        return False
    return True
