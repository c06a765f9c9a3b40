"""Rows of figures of correlations by the groups of their measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from genpredict.stats.measure_groups import section_of

_LAST = "baselines"


class Rows(NamedTuple):
    """Where the measures of a table of correlations stand.

    Parameters
    ----------
    order : array of int
        Of the measures, from above.
    places : array
        Of each in that order, downwards from 0, one apart; two where a heading is between.
    headings : list of (int, str)
        Places and names of sections.
    """

    order: NDArray[np.intp]
    places: NDArray[Any]
    headings: list[tuple[int, str]]

    @property
    def height(self) -> float:
        """Return how many rows they take, headings included."""
        return float(self.places.max(initial=-1.0) + 1.0)


def rows_by_section(table: xr.Dataset, order: NDArray[np.intp]) -> Rows | None:
    """Put the measures of each group under a heading: those of every score, groups, baselines.

    Parameters
    ----------
    table : Dataset, dims (measure, ...)
        Of correlations, with the coordinate `name`.
    order : array of int
        Of the measures, which holds within a section.

    Returns
    -------
    Rows or None
        None where no measure is of a group besides those of every score.
    """
    sections = [section_of(str(table["name"].values[row])) for row in order]
    groups = [name for name in dict.fromkeys(sections) if name not in ("", _LAST)]
    if not groups:
        return None
    rows: list[int] = []
    places: list[int] = []
    headings: list[tuple[int, str]] = []
    place = 0
    for section in ("", *groups, _LAST):
        members = [int(row) for row, own in zip(order, sections, strict=True) if own == section]
        if section and members:
            headings.append((place, section))
            place += 1
        places += [place + step for step in range(len(members))]
        rows += members
        place += len(members)
    return Rows(np.array(rows, dtype=np.intp), np.array(places), headings)


def name_rows(ax: Axes, rows: Rows, names: Sequence[str]) -> None:
    """Write the names of measures, and of sections in bold, beside their places."""
    ax.set_yticks(
        [*rows.places, *(place for place, _ in rows.headings)],
        [*names, *(name for _, name in rows.headings)],
    )
    for label in ax.get_yticklabels()[len(rows.places) :]:
        label.set_fontweight("bold")
