"""Colour and shape by a coordinate: levels and palettes."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.colors import Colormap, LogNorm, Normalize
from numpy.typing import NDArray

from genpredict.errors import GenpredictError
from genpredict.figures.labels import NOT_GIVEN, axis_label, level_text, name_of
from genpredict.figures.palettes import Palette, colour_map, group_colours
from genpredict.figures.quantities import axis_title, coordinate_of, quantity
from genpredict.figures.style import GROUP_COLOURS, MARKERS, MISSING, OTHERS, ramp

#: A numeric coordinate that spans more than this factor gets a logarithmic colour bar.
LOG_SPAN = 50.0
_MOST_TICKS = 6
_TICK_GAP = 0.07  # of the colour bar, so that the texts stay apart


@dataclass(frozen=True)
class Levels:
    """A coordinate as groups.

    Parameters
    ----------
    title : str
        Its label.
    levels : list of str
        In the order of the legend: as sorted, then the rest of many, then those not given.
    codes : array, shape (checkpoints,), int
        Index into `levels`.
    others : bool
        Whether the rest of many is one of the levels.
    palette : tuple of str
        Colours of groups.
    """

    title: str
    levels: list[str]
    codes: NDArray[np.int64]
    others: bool = False
    palette: tuple[str, ...] = GROUP_COLOURS

    @property
    def rest(self) -> str:
        """Return the level that stands for the rest of many; "" where there is none."""
        known = [text for text in self.levels if text != NOT_GIVEN]
        return known[-1] if self.others else ""

    @property
    def colours(self) -> list[str]:
        """Return a colour per level, in turns; two greys are the rest of many and not given."""
        grey = {self.rest: OTHERS, NOT_GIVEN: MISSING}
        shades = [self.palette[i % len(self.palette)] for i in range(len(self.levels))]
        return [grey.get(text, shade) for text, shade in zip(self.levels, shades, strict=True)]

    @property
    def turns(self) -> NDArray[np.int64]:
        """Return how many times the colours have been used up before each level."""
        return np.arange(len(self.levels)) // len(self.palette)


@dataclass(frozen=True)
class Numbers:
    """A coordinate as numbers on a colour bar.

    Parameters
    ----------
    title : str
        Its label, with the unit.
    values : array, shape (checkpoints,)
    norm : Normalize
        Linear, or logarithmic where the values span decades.
    cmap : Colormap
    """

    title: str
    values: NDArray[np.float64]
    norm: Normalize
    cmap: Colormap = field(default_factory=lambda: ramp().with_extremes(bad=MISSING))

    @property
    def ticks(self) -> list[float] | None:
        """Return the levels themselves where they are few and apart, else None."""
        levels = np.unique(self.values[np.isfinite(self.values)])
        if not 0 < len(levels) <= _MOST_TICKS:
            return None
        gaps = np.diff(np.asarray(self.norm(levels)))
        return levels.tolist() if (gaps > _TICK_GAP).all() else None


def recoloured(colour: Levels | Numbers | None, palette: Palette | None) -> Levels | Numbers | None:
    """Return groups or numbers in other colours.

    Parameters
    ----------
    colour : Levels or Numbers, optional
    palette : str or sequence of str, optional
        As of `plot_scatter`.

    Raises
    ------
    ValueError
        For a palette that there is not, or of no colours.
    """
    if isinstance(colour, Numbers):
        shades = colour_map(palette, colour.cmap)
        return replace(colour, cmap=shades.with_extremes(bad=MISSING))
    if colour is None:
        return None
    return replace(colour, palette=group_colours(palette, len(colour.levels)))


def grouping(
    scores: xr.Dataset,
    name: str,
    *,
    parameter: str,
    turns: int = 1,
    factorization: str = "low_rank",
    p: int = 2,
) -> Levels | Numbers:
    """Return a coordinate or measure as colours take it: numbers as numbers, texts as groups.

    Parameters
    ----------
    scores : Dataset
    name : str
        A coordinate along `checkpoint`, or what `quantity` knows: ``log_num_train`` has a
        logarithmic colour bar.
    parameter : str
        For messages.
    turns : int
        How often groups may take the same colour, told apart by something else.
    factorization, p : str, int
        Of a measure that leaves them open.

    Returns
    -------
    Levels or Numbers

    Raises
    ------
    ValueError
        When there is neither, or every checkpoint is a group of its own.
    """
    if name not in scores.variables or scores[name].dims != ("checkpoint",):
        return _measure(scores, name, parameter, factorization, p)
    coordinate = scores[name]
    if coordinate.dtype.kind in "fiu":
        return _numbers(
            np.asarray(coordinate.values, dtype=np.float64), axis_label(name, coordinate)
        )
    return _levels(coordinate, name, parameter=parameter, most=turns * len(GROUP_COLOURS))


def shapes(scores: xr.Dataset, name: str, *, parameter: str) -> Levels:
    """Return a coordinate as groups, for shapes of marks; so numbers are groups too.

    Raises
    ------
    ValueError
        When there is no such coordinate, or every checkpoint is a group of its own.
    """
    coordinate = coordinate_of(scores, name, parameter=parameter)
    return _levels(coordinate, name, parameter=parameter, most=len(MARKERS))


def _measure(scores: xr.Dataset, name: str, parameter: str, factorization: str, p: int) -> Numbers:
    """Return a measure as numbers."""
    try:
        column = quantity(scores, name, parameter=parameter, factorization=factorization, p=p)
    except GenpredictError:
        coordinate_of(scores, name, parameter=parameter)  # raises: most want a coordinate here
        raise
    return _numbers(column.values, axis_title(column), log=column.log)


def _numbers(numbers: NDArray[np.float64], title: str, *, log: bool = False) -> Numbers:
    known = numbers[np.isfinite(numbers)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    norm = LogNorm if low > 0 and (log or high > LOG_SPAN * low) else Normalize
    if low == high:  # one value: the middle of the palette
        norm, low, high = Normalize, low - 0.5, high + 0.5
    return Numbers(title, numbers, norm(low, high))


def _levels(coordinate: xr.DataArray, name: str, *, parameter: str, most: int) -> Levels:
    raw = coordinate.values.tolist()
    texts = [level_text(value) for value in raw]
    order = {level_text(value): None for value in sorted(set(raw), key=in_order_of_people)}
    counts = Counter(text for text in texts if text != NOT_GIVEN)
    kept = [text for text in order if text in counts]
    rest = ""
    if len(kept) > most:
        if max(counts.values()) == 1:
            raise ValueError(
                f"{parameter}={name!r} has {len(kept)} values, no two checkpoints alike; "
                f"take a coordinate with fewer, such as network, dataset or optimizer"
            )
        top = {text for text, _ in counts.most_common(most - 1)}
        rest = f"{len(kept) - len(top)} others"
        kept = [text for text in kept if text in top]
    levels = kept + [rest] * bool(rest) + [NOT_GIVEN] * (NOT_GIVEN in texts)
    index = {text: i for i, text in enumerate(levels)}
    codes = [index.get(text, len(kept)) for text in texts]
    return Levels(name_of(name, coordinate), levels, np.asarray(codes, dtype=np.int64), bool(rest))


def in_order_of_people(value: Any) -> tuple[bool, float, tuple[tuple[int, str], ...]]:
    """Sort numbers as numbers and before texts, and numbers in texts as people count."""
    text = isinstance(value, str)
    parts = [(0, part) for part in re.split(r"([0-9]+)", str(value))]
    parts[1::2] = [(len(digits.lstrip("0")), digits.lstrip("0")) for _, digits in parts[1::2]]
    return text, 0.0 if text or value != value else float(value), tuple(parts)
