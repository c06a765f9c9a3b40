"""Names beside marks, where they overlap neither each other nor a mark."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from numpy.typing import NDArray

from genpredict.errors import GenpredictWarning
from genpredict.figures.labels import NOT_GIVEN, level_text, shortened, told_apart
from genpredict.figures.marks import RASTER_FROM
from genpredict.figures.panels import Panels
from genpredict.figures.quantities import coordinate_of
from genpredict.figures.style import INK, SMALL_FONT

#: From so many marks on one spot on, their number is written beside it.
COINCIDENT = 3
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


def label_points(
    ax: Axes,
    x: Sequence[float],
    y: Sequence[float],
    texts: Sequence[str],
    *,
    size: float = SMALL_FONT,
) -> int:
    """Write a name beside each mark that has room for it.

    Parameters
    ----------
    ax : Axes
        Of a figure that is laid out: nothing may move afterwards. Texts in it are kept clear of.
    x, y : sequence of float
        Marks, in data.
    texts : sequence of str
        A name each; "" for none.
    size : float
        Of the font, points.

    Returns
    -------
    int
        How many names found no room, and are left out.
    """
    places = ax.transData.transform(np.column_stack([x, y]))
    reach = _MARK * ax.figure.dpi / 72
    marks = np.hstack([places - reach, places + reach])
    taken = [np.asarray(text.get_window_extent().extents) for text in ax.texts]
    absent = 0
    for number, (place, text) in enumerate(zip(zip(x, y, strict=True), texts, strict=True)):
        if not text:
            continue
        others = np.vstack([np.delete(marks, number, axis=0), *taken])
        box = _written(ax, place, text, others, size)
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


def label_marks(panels: Panels, names: Sequence[str] | None) -> None:
    """Write into every panel, once laid out, how many marks lie on one spot, and their names.

    Parameters
    ----------
    panels : Panels
        As `plot_scatter` makes; nothing may move afterwards.
    names : sequence of str, optional
        A name a checkpoint.

    Warns
    -----
    GenpredictWarning
        Where names found no room.
    """
    places = [(ax, panels.drawn_in(*at)) for at, ax in np.ndenumerate(panels.axes)]
    counts = [_counts(drawn) for _, drawn in places]
    if names is None and not any(map(any, counts)):
        return
    panels.figure.draw_without_rendering()
    absent = total = 0
    for (ax, drawn), counted in zip(places, counts, strict=True):
        marks = drawn["x_value"].tolist(), drawn["y_value"].tolist()
        if any(counted):
            label_points(ax, *marks, counted, size=SMALL_FONT - 1)
        if names is not None:
            absent += label_points(ax, *marks, [names[at] for at in drawn["position"]])
            total += len(drawn)
    if absent:
        warnings.warn(
            f"labels: {absent} of {total} names have no room beside their marks and are left out; "
            "draw a larger figure, or fewer checkpoints",
            GenpredictWarning,
            stacklevel=3,
        )


def _counts(drawn: pd.DataFrame) -> list[str]:
    """Return how many marks lie on the spot of the first of several, as "×5"; "" for all others.

    Where one hides the others, that is: of marks that are translucent nothing is written.
    """
    if len(drawn) >= RASTER_FROM:
        return [""] * len(drawn)
    spots = drawn.groupby(["x_value", "y_value"])
    count, nth = spots["position"].transform("size"), spots.cumcount()
    first = (count >= COINCIDENT) & (nth == 0)
    return [f"×{n}" if shown else "" for n, shown in zip(count, first, strict=True)]


def _written(
    ax: Axes,
    place: tuple[float, float],
    text: str,
    others: NDArray[np.float64],
    size: float,
) -> NDArray[np.float64] | None:
    """Write a name at the first place where it hides nothing; return where it lies."""
    frame = ax.get_window_extent()
    for right, above, horizontal, vertical in _PLACES:
        note: Annotation = ax.annotate(
            text, place, (right, above), textcoords="offset points",
            ha=horizontal, va=vertical, fontsize=size, color=INK,
        )  # fmt: skip
        box = note.get_window_extent()
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1
        inside = inside and frame.y0 <= box.y0 and box.y1 <= frame.y1
        apart = (others[:, :2] >= box.max).any(axis=1) | (others[:, 2:] <= box.min).any(axis=1)
        if inside and apart.all():
            return np.asarray(box.extents, dtype=np.float64)
        note.remove()
    return None
