"""Tables of numbers on the terminal and as files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from genpredict.cli.console import results_console
from genpredict.cli.spreadsheets import defused
from genpredict.cli.tables import print_folding
from genpredict.errors import GenpredictError
from genpredict.outputs import new_file


def show_frame(frame: pd.DataFrame, *, title: str = "", digits: int = 2) -> None:
    """Print a table that folds where the terminal is narrow.

    Parameters
    ----------
    frame : DataFrame
    title : str
    digits : int
        Decimals of numbers that are not whole.
    """
    headings = [str(name) for name in frame.columns]
    right = [str(name) for name in frame.columns if frame[name].dtype.kind in "fiu"]
    cells = [[_text(value, digits) for value in row] for row in frame.itertuples(index=False)]
    print_folding(results_console(), headings, cells, title=title, right=right)


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
