"""Tables that fit the terminal they are printed on: columns fold into rows, names are never cut."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

#: What rich puts between columns.
_GAP = 3
_INDENT = "  "


def print_folding(
    out: Console,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    right: Sequence[str] = (),
    keep: int = 1,
) -> None:
    """Print a table; where it is too wide, its last columns one under the other, by name.

    Parameters
    ----------
    out : Console
    headings : sequence of str
        The first is that of the names, which are broken between characters if need be.
    rows : sequence of sequence of str
        Cells as plain text, one a heading.
    title : str
        Above the table; empty for none.
    right : sequence of str
        Headings of columns to align on the right.
    keep : int
        Columns that stay side by side as long as they can.
    """
    headings, cells = _folded(list(headings), [list(row) for row in rows], out.width, keep)
    shown = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for number, heading in enumerate(headings):
        shown.add_column(
            heading,
            justify="right" if heading in right else "left",
            no_wrap=number > 0,
            overflow="fold" if number == 0 else "ellipsis",
        )
    for row in cells:
        shown.add_row(*[cell.replace("[", "\\[") for cell in row])
    out.print(shown)


def _folded(
    headings: list[str], rows: list[list[str]], width: int, keep: int
) -> tuple[list[str], list[list[str]]]:
    """Stack all columns but the kept ones; where that does not fit either, under the names."""
    needs = [_longest([heading, *(row[n] for row in rows)]) for n, heading in enumerate(headings)]
    if _total(needs) <= width:
        return headings, rows
    label = _longest(headings[keep:])
    if _total([*needs[:keep], label + 1 + max(needs[keep:])]) <= width:
        cells = [[*row[:keep], "\n".join(_named(headings, row, keep, label))] for row in rows]
        return [*headings[:keep], ""], cells
    label = _longest(headings[1:])
    cells = [
        ["\n".join([row[0], *(_INDENT + line for line in _named(headings, row, 1, label))])]
        for row in rows
    ]
    return [headings[0]], cells


def _named(headings: Sequence[str], row: Sequence[str], first: int, label: int) -> list[str]:
    """Return the cells of a row from `first` on, each after its heading; empty ones left out."""
    pairs = zip(headings[first:], row[first:], strict=True)
    return [f"{heading:<{label}} {cell}" for heading, cell in pairs if cell]


def _longest(texts: Sequence[str]) -> int:
    return max((len(line) for text in texts for line in text.split("\n")), default=0)


def _total(needs: Sequence[int]) -> int:
    return sum(needs) + _GAP * len(needs)
