"""Tables of checkpoints, layers and tensors on a terminal, as wide as it is."""

from __future__ import annotations

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from genpredict.cli import console

#: Rows of a table on the terminal; a CSV file holds all.
MOST_ROWS = 40
_FORMATS = dict.fromkeys(("Q", "Q adjusted", "stable rank", "condition", "quality"), ".4f")
_FORMATS |= dict.fromkeys(("train %", "test %", "gap"), ".2f")
_FORMATS |= dict.fromkeys(("parameters", "layers", "rank 0", "rank 1", "rank"), ".0f")
#: What goes first where a terminal is too narrow, and how narrow texts may become.
_LESS_NEEDED = (
    "parameters",
    "layers",
    "train %",
    "noise variance",
    "rank 0",
    "shape",
    "gap",
    "condition",
    "rank 1",
    "stable rank",
)
NARROWEST_TEXT = 12


def print_listing(out: Console, table: pd.DataFrame, *, title: str, most: int) -> None:
    """Print the first rows of a table; texts give way where the terminal is too narrow."""
    whole, table = table, _fitting(table, out.width)
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in table.columns:
        numeric = pd.api.types.is_numeric_dtype(table[name])
        shown.add_column(
            str(name), justify="right" if numeric else "left", no_wrap=numeric, overflow="fold"
        )
    for row in table.head(most).itertuples(index=False):
        shown.add_row(*[_cell(*pair) for pair in zip(table.columns, row, strict=True)])
    out.print(shown)
    if len(table) > most:
        out.print(f"and {len(table) - most} more rows; write all of them with -o FILE.csv")
    if absent := [str(name) for name in whole.columns if name and name not in table.columns]:
        line = f"no room for {', '.join(absent)}: a wider terminal shows them, and -o FILE.csv"
        out.print(line, markup=False)


def _fitting(table: pd.DataFrame, width: int) -> pd.DataFrame:
    """Leave out columns until the others fit, so that no number is cut."""
    for name in ("", *_LESS_NEEDED):
        table = table.drop(columns=name, errors="ignore")
        needs = [
            max(len(str(column)), *(len(_cell(column, value)) for value in table[column]), 0)
            for column in table.columns
            if pd.api.types.is_numeric_dtype(table[column])
        ]
        texts = len(table.columns) - len(needs)
        if sum(needs) + 3 * len(table.columns) + NARROWEST_TEXT * texts <= width:
            break
    return table


def _cell(column: str, value: object) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else format(value, _FORMATS.get(column, ".4g"))
    return console.printable(value).replace("[", "\\[")
