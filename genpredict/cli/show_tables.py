"""Tables of numbers on the terminal and as files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from genpredict.cli.show import results_console
from genpredict.cli.spreadsheets import defused
from genpredict.errors import GenpredictError
from genpredict.outputs import new_file


def show_frame(frame: pd.DataFrame, *, title: str = "", digits: int = 2) -> None:
    """Print a table; names are folded, never cut.

    Parameters
    ----------
    frame : DataFrame
    title : str
    digits : int
        Decimals of numbers that are not whole.
    """
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in frame.columns:
        numeric = frame[name].dtype.kind in "fiu"
        shown.add_column(str(name), justify="right" if numeric else "left", overflow="fold")
    for row in frame.itertuples(index=False):
        shown.add_row(*(_text(value, digits) for value in row))
    results_console().print(shown)


def show_notes(*notes: str) -> None:
    """Print lines under a table."""
    out = results_console()
    for note in notes:
        out.print(note, markup=False)


def _text(value: object, digits: int) -> str:
    if isinstance(value, float):
        return "–" if value != value else f"{value:.{digits}f}"
    return str(value)


def write_frame(
    frame: pd.DataFrame, path: Path, *, overwrite: bool, inputs: Iterable[Path] = ()
) -> None:
    """Write a table to a .csv.

    Raises
    ------
    GenpredictError
        For another suffix, or where the file may not or cannot be written.
    """
    if path.suffix != ".csv":
        raise GenpredictError(f"{path}: the output must end in .csv")
    with new_file(path, overwrite=overwrite, inputs=inputs) as partial:
        defused(frame).to_csv(partial, index=False)
