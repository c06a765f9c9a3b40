"""Colours that a reader chooses: of groups, and of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import seaborn as sns
from matplotlib.colors import Colormap, ListedColormap

from genpredict.figures.style import GROUP_COLOURS

#: The name of a palette of matplotlib or seaborn, or colours one by one.
Palette: TypeAlias = Sequence[str] | str


def group_colours(palette: Palette | None, count: int) -> tuple[str, ...]:
    """Return the colours that groups take, in turns where there are more groups.

    Parameters
    ----------
    palette : str or sequence of str, optional
        By default `GROUP_COLOURS`.
    count : int
        Groups there are: of a palette by name, so many colours are taken, nine at most.

    Returns
    -------
    tuple of str

    Raises
    ------
    ValueError
        For a palette that there is not, or of no colours.

    Examples
    --------
    >>> group_colours(["red", "blue"], 3)
    ('#ff0000', '#0000ff')
    """
    if palette is None:
        return GROUP_COLOURS
    with _refused(palette):
        most = max(1, min(count, len(GROUP_COLOURS))) if isinstance(palette, str) else None
        return tuple(sns.color_palette(palette, most).as_hex())


def colour_map(palette: Palette | None, default: Colormap) -> Colormap:
    """Return the colours that numbers take.

    Parameters
    ----------
    palette : str or sequence of str, optional
    default : Colormap
        Where there is no palette.

    Returns
    -------
    Colormap

    Raises
    ------
    ValueError
        For a palette that there is not, or of no colours.

    Examples
    --------
    >>> colour_map("cividis", sns.color_palette("rocket", as_cmap=True)).name
    'cividis'
    """
    if palette is None:
        return default
    with _refused(palette):
        shades = sns.color_palette(palette, as_cmap=True)
        return shades if isinstance(shades, Colormap) else ListedColormap(shades)


@contextmanager
def _refused(palette: Palette) -> Iterator[None]:
    """Say of a palette that cannot be used what one is."""
    try:
        if len(palette) == 0:
            raise ValueError("it has no colours")
        yield
    except (ValueError, TypeError) as error:
        raise ValueError(f"palette: {error}; take a name such as 'tab10', or colours") from error
