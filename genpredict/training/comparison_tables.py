"""A comparison of runs as text: Markdown, LaTeX, CSV, or plain columns of some width."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence

import pandas as pd

from genpredict.training.comparison import BEST, CLOSE, Comparison

#: A cell of no runs.
_NOTHING = "-"
_LATEX_SPECIAL = re.compile(r"([&%$#_{}])")
Cell = Callable[[str, str], str]


def to_csv(table: Comparison) -> str:
    """Return one line a cell: row, column, mean, sd, n, diverged, mark."""
    return str(table.cells.to_csv(index=False))


def to_markdown(table: Comparison) -> str:
    """Return a Markdown table, the best of each row bold, those close to it in italics."""

    def cell(text: str, mark: str) -> str:
        stars = {BEST: "**", CLOSE: "*"}.get(mark, "")
        return f"{stars}{text}{stars}"

    names, lines = _grid(table, cell)
    rows = [[table.rows, *names], ["---", *["---:"] * len(names)], *lines]
    body = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return f"{body}\n\n{_caption(table, 'bold', 'in italics')}\n"


def to_latex(table: Comparison) -> str:
    r"""Return a LaTeX tabular, the best of each row \textbf, those close to it \underline."""

    def cell(text: str, mark: str) -> str:
        body = _escaped(text).replace(" ± ", r" $\pm$ ")
        command = {BEST: r"\textbf", CLOSE: r"\underline"}.get(mark)
        return f"{command}{{{body}}}" if command else body

    names, lines = _grid(table, cell)
    head = [_escaped(name) for name in (table.rows, *names)]
    rows = [head, *([_escaped(line[0]), *line[1:]] for line in lines)]
    body = " \\\\\n".join(" & ".join(row) for row in rows)
    head_line, _, rest = body.partition("\n")
    caption = _escaped(_caption(table, "bold", "underlined"))
    return (
        f"% {caption}\n\\begin{{tabular}}{{l{'r' * len(names)}}}\n\\hline\n{head_line}\n\\hline\n"
        f"{rest} \\\\\n\\hline\n\\end{{tabular}}\n"
    )


def to_text(table: Comparison, width: int) -> str:
    """Return plain columns; where they do not fit the width, blocks of some columns each.

    Parameters
    ----------
    table : Comparison
    width : int
        Characters a line.

    Returns
    -------
    str
    """
    names, lines = _grid(table, lambda text, mark: text + {BEST: " *", CLOSE: " ~"}.get(mark, "  "))
    first = [table.rows, *(line[0] for line in lines)]
    margin = max(map(len, first))
    columns = [[name, *(line[index + 1] for line in lines)] for index, name in enumerate(names)]
    blocks: list[str] = []
    while columns:
        used, block = margin, [[text.ljust(margin) for text in first]]
        while columns and (len(block) == 1 or used + 2 + _widest(columns[0]) <= width):
            wide = _widest(columns[0])
            block.append([text.rjust(wide) for text in columns.pop(0)])
            used += 2 + wide
        blocks.append("\n".join("  ".join(parts).rstrip() for parts in zip(*block, strict=True)))
    return "\n\n".join([*blocks, textwrap.fill(_caption(table, "*", "~"), width)])


def _grid(table: Comparison, cell: Cell) -> tuple[list[str], list[list[str]]]:
    """Return the names of the columns, and for each row its name and cells."""
    cells = table.cells
    names = list(dict.fromkeys(cells[table.columns]))
    lines = []
    for row, group in cells.groupby(table.rows, sort=False):
        at = dict(zip(group[table.columns], group.itertuples(), strict=True))
        lines.append([_name(row), *(_cell(at.get(name), cell) for name in names)])
    return [_name(name) for name in names], lines


def _cell(numbers: object, cell: Cell) -> str:
    """Write mean ± standard deviation, and how many runs diverged."""
    mean, sd = getattr(numbers, "mean", None), getattr(numbers, "sd", None)
    if numbers is None or mean is None or pd.isna(mean):
        diverged = getattr(numbers, "diverged", 0)
        return f"{diverged} diverged" if diverged else _NOTHING
    text = f"{mean:.2f}" if pd.isna(sd) else f"{mean:.2f} ± {sd:.2f}"
    if getattr(numbers, "diverged", 0):
        text += f" ({numbers.diverged} diverged)"  # type: ignore[attr-defined]
    return cell(text, str(getattr(numbers, "mark", "")))


def _name(value: object) -> str:
    """Write the value of a setting."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _caption(table: Comparison, best: str, close: str) -> str:
    counts = sorted(set(table.cells["n"]))
    runs = "to".join(f" {count} " for count in dict.fromkeys((counts[0], counts[-1]))).strip()
    matched = f" after as many {table.match}" if table.match else ""
    return (
        f"{table.label}{matched}: mean ± standard deviation of {runs} runs; {best}: the best of "
        f"its row, {close}: within a standard deviation of it"
    )


def _widest(column: Sequence[str]) -> int:
    return max(map(len, column))


def _escaped(text: str) -> str:
    return _LATEX_SPECIAL.sub(r"\\\1", text)
