"""Names beside marks, where they overlap neither each other nor a mark."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

import numpy as np
import seaborn as sns
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from genpredict.errors import GenpredictWarning
from genpredict.figures.labels import NOT_GIVEN, level_text, shortened, told_apart
from genpredict.figures.quantities import coordinate_of
from genpredict.figures.style import INK, SMALL_FONT

#: Names of more marks would hide them.
MOST_LABELLED = 200
MOST_CHARACTERS = 32
#: Where a name may stand: points right of and above the mark, and what lies at the mark.
_PLACES = (
    (4, 0, "left", "center"),
    (-4, 0, "right", "center"),
    (0, 4, "center", "bottom"),
    (0, -4, "center", "top"),
    (3, 3, "left", "bottom"),
    (-3, 3, "right", "bottom"),
    (3, -3, "left", "top"),
    (-3, -3, "right", "top"),
)
_MARK = 3.0  # half of a mark's width, points


def label_points(ax: Axes, x: Sequence[float], y: Sequence[float], texts: Sequence[str]) -> int:
    """Write a name beside each mark that has room for it.

    Parameters
    ----------
    ax : Axes
        Of a figure that is laid out: nothing may move afterwards.
    x, y : sequence of float
        Marks, in data.
    texts : sequence of str
        A name each; "" for none.

    Returns
    -------
    int
        How many names found no room, and are left out.
    """
    places = ax.transData.transform(np.column_stack([x, y]))
    scale = ax.figure.dpi / 72
    marks = [_around(place, _MARK * scale) for place in places]
    taken: list[Bbox] = []
    absent = 0
    for number, (place, text) in enumerate(zip(zip(x, y, strict=True), texts, strict=True)):
        if not text:
            continue
        others = [*taken, *(mark for other, mark in enumerate(marks) if other != number)]
        box = _written(ax, place, text, others)
        absent += box is None
        taken += [] if box is None else [box]
    return absent


def names_of_marks(scores: xr.Dataset, labels: str | None) -> list[str] | None:
    """Return what is written beside the marks.

    Parameters
    ----------
    scores : Dataset
    labels : str, optional
        Coordinate along `checkpoint`.

    Returns
    -------
    list of str, or None
        A name a checkpoint; "" where none is given.

    Raises
    ------
    ValueError
        When there is no such coordinate, or there are more than 200 checkpoints.
    """
    if labels is None:
        return None
    count = scores.sizes["checkpoint"]
    if count > MOST_LABELLED:
        raise ValueError(
            f"labels: {count:,} checkpoints are too many to name, at most {MOST_LABELLED}; choose "
            "some first (as with --where)"
        )
    if labels == "checkpoint":
        return told_apart(scores["checkpoint"].values.tolist(), MOST_CHARACTERS)
    coordinate = coordinate_of(scores, labels, parameter="labels")
    texts = [level_text(value) for value in coordinate.values.tolist()]
    return ["" if text == NOT_GIVEN else shortened(text) for text in texts]


def label_marks(grid: sns.FacetGrid, names: Sequence[str]) -> None:
    """Write names into every panel of a scatter plot that is laid out.

    Parameters
    ----------
    grid : FacetGrid
        As `plot_scatter` makes.
    names : sequence of str
        A name a checkpoint.

    Warns
    -----
    GenpredictWarning
        Where names found no room.
    """
    grid.figure.draw_without_rendering()
    absent = total = 0
    for (row, column), ax in np.ndenumerate(grid.axes):
        is_here = grid.data["column"].eq(grid.col_names[column])
        drawn = grid.data[is_here & grid.data["y"].eq(grid.row_names[row])]
        texts = [names[position] for position in drawn["position"]]
        absent += label_points(ax, drawn["x_value"].tolist(), drawn["y_value"].tolist(), texts)
        total += len(texts)
    if absent:
        warnings.warn(
            f"labels: {absent} of {total} names have no room beside their marks and are left out; "
            "draw a larger figure, or fewer checkpoints",
            GenpredictWarning,
            stacklevel=3,
        )


def _written(
    ax: Axes, place: tuple[float, float], text: str, others: Iterable[Bbox]
) -> Bbox | None:
    """Write a name at the first place where it hides nothing; return where it lies."""
    others = list(others)
    frame = ax.get_window_extent()
    for right, above, horizontal, vertical in _PLACES:
        note: Annotation = ax.annotate(
            text, place, (right, above), textcoords="offset points",
            ha=horizontal, va=vertical, fontsize=SMALL_FONT, color=INK,
        )  # fmt: skip
        box = note.get_window_extent()
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1
        inside = inside and frame.y0 <= box.y0 and box.y1 <= frame.y1
        if inside and not any(box.overlaps(other) for other in others):
            return box
        note.remove()
    return None


def _around(place: NDArray[np.float64], reach: float) -> Bbox:
    return Bbox([place - reach, place + reach])
