"""Tables that spreadsheets open: texts that look like formulas stay texts."""

from __future__ import annotations

import pandas as pd

#: What a spreadsheet takes for a formula, or for a blank before one. Source: OWASP, CSV injection.
_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r")


def as_text(cell: object) -> object:
    """Return a cell that no spreadsheet runs: a text that looks like a formula gets a quote.

    Examples
    --------
    >>> as_text("=cmd|' /C calc'!A0"), as_text("sgd"), as_text(-1.5)
    ("'=cmd|' /C calc'!A0", 'sgd', -1.5)
    """
    if not isinstance(cell, str):
        return cell
    text = cell.encode("utf-8", "backslashreplace").decode()  # names in files may be no text
    return f"'{text}" if text.startswith(_BEGINNINGS) else text


def defused(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table to be written as CSV: names and texts come from others.

    Parameters
    ----------
    table : DataFrame
        Texts stand in columns of objects and in the index.
    """
    texts = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    safe = table.assign(**{name: table[name].map(as_text) for name in texts})
    if isinstance(safe.index, pd.MultiIndex):
        names = safe.index.names
        rows = [tuple(map(as_text, row)) for row in safe.index]
        return safe.set_axis(pd.MultiIndex.from_tuples(rows, names=names), axis=0)
    return safe.set_axis(safe.index.map(as_text).rename(safe.index.name), axis=0)
