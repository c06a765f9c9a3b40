"""Figures to files."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from seaborn.axisgrid import Grid

from genpredict.outputs import new_file

SUFFIXES = (".png", ".pdf", ".svg")
DPI = 300
#: Where a format keeps what a picture shows.
_DESCRIPTION = {".png": "Description", ".pdf": "Subject", ".svg": "Description"}
# Text stays text, to be searched and edited: TrueType in PDF, <text> in SVG.
_FILE_STYLE: dict[Any, Any] = {"pdf.fonttype": 42, "svg.fonttype": "none"}


def save(
    drawn: Figure | Axes | Grid, path: str | Path, *, dpi: int = DPI, description: str = ""
) -> Path:
    """Write a figure to a PNG, PDF or SVG file, by the suffix of its name.

    Parameters
    ----------
    drawn : Figure, Axes or seaborn grid
        What a ``plot_*`` function returned.
    path : path
        Ends in .png, .pdf or .svg; the folder must exist. A picture of the same form is
        replaced, no other file.
    dpi : int
        Dots per inch of a PNG, and of what is rasterised in the others.
    description : str
        What it shows, in words, to be kept in the file, such as `describe` makes.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        For another suffix.
    FileNotFoundError
        When the folder is missing.
    GenpredictError
        When the file may not or cannot be written; it is named.

    Examples
    --------
    >>> save(plot_scatter(scores), "scatter.pdf")  # doctest: +SKIP
    """
    path = Path(path)
    check_suffix(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path: no such folder {str(path.parent)!r}; make it first")
    picture = BytesIO()
    with mpl.rc_context(_FILE_STYLE):
        figure_of(drawn).savefig(
            picture,
            format=path.suffix.lower().removeprefix("."),
            dpi=dpi,
            metadata={_DESCRIPTION[path.suffix.lower()]: description} if description else None,
        )
    mark = b"<svg" if path.suffix.lower() == ".svg" else b""
    with new_file(path, overwrite=True, mark=mark, make_folder=False) as partial:
        partial.write_bytes(picture.getvalue())
    return path


def check_suffix(path: Path) -> None:
    """Check that a file's name tells one of the formats.

    Raises
    ------
    ValueError
        For another suffix.
    """
    if path.suffix.lower() not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise ValueError(f"path must end in one of {known}, got {str(path)!r}")


def figure_of(drawn: Figure | Axes | Grid) -> Figure:
    """Return the figure that something is drawn in.

    Raises
    ------
    TypeError
        For what is no picture, and for an Axes of a part of a figure.
    """
    if isinstance(drawn, Figure):
        return drawn
    figure = drawn.figure
    if not isinstance(figure, Figure):
        raise TypeError(f"drawn must be a figure, an Axes or a grid, got {type(drawn).__name__}")
    return figure
