"""Lines of a manifest: names of columns, and cells as texts or numbers."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genpredict import schema
from genpredict.errors import GenpredictError
from genpredict.registry import is_reserved
from genpredict.schema import KNOWN

if TYPE_CHECKING:
    import pandas as pd
PATH_COLUMN = "path"
#: Columns that a coordinate of another meaning would swallow, and what they become.
RENAMED = {"source": "manifest_source", schema.LEDGER: f"manifest_{schema.LEDGER}"}
#: Bounds on a header: every column is an array of the store, whose name is a folder's.
MOST_COLUMNS = 500
LONGEST_NAME = 200
UNKNOWN = ("", "na", "n/a", "nan", "null")
_EXACT = 2**53  # integers beyond are no float64
# each digit can be matched in one way only: a long wrong number costs no more than it is long
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def wrong_cell(file: Path, line: int, column: str, reason: str) -> GenpredictError:
    """Make an error that says where in the manifest it is."""
    return GenpredictError(f"{file}, line {line}, column {column!r}: {reason}")


def read_csv(file: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header, and line number and cells of every other line that is not blank."""
    remedy = "save the manifest as CSV in UTF-8 with commas between the columns"
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            lines = _lines(text)
    except FileNotFoundError:
        raise GenpredictError(f"{file}: no such manifest; check the path") from None
    except OSError as error:
        raise GenpredictError(f"{file}: manifest cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        place = f"byte {error.start} ({error.object[error.start]:#04x})"
        raise GenpredictError(f"{file}: manifest is not UTF-8 text, {place}; {remedy}") from error
    except csv.Error as error:
        raise GenpredictError(f"{file}: manifest is not CSV ({error}); {remedy}") from error
    if not lines:
        raise GenpredictError(f"{file}: manifest is empty; it needs a header with a column 'path'")
    header = lines[0][1]
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            raise GenpredictError(
                f"{file}, line {line}: {len(cells)} cells where the header has {len(header)}; "
                "put cells that contain commas in double quotes"
            )
    return header, lines[1:]


def read_table(table: pd.DataFrame) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header, and number and cells of every row, of a table in memory."""
    if not hasattr(table, "to_csv") or not hasattr(table, "columns"):
        raise GenpredictError(
            f"manifest: must be a path or a pandas DataFrame, got {type(table).__name__}"
        )
    in_index = PATH_COLUMN in table.index.names
    lines = _lines(io.StringIO(table.to_csv(index=in_index)))
    return lines[0][1], lines[1:]


def _lines(text: Iterable[str]) -> list[tuple[int, list[str]]]:
    """Return line number and cells of every line that is not blank."""
    reader = csv.reader(text, strict=True)
    return [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]


def column_names(file: Path, header: Sequence[str]) -> list[str]:
    """Turn the header into identifiers; refuse doubles, reserved names and a missing ``path``."""
    names: dict[str, None] = {}  # a set that keeps the order
    if len(header) > MOST_COLUMNS:
        reason = f"{len(header):,} columns where up to {MOST_COLUMNS} are taken; leave some out"
        raise GenpredictError(f"{file}, line 1: {reason}")
    for title in header:
        name = re.sub(r"\W+", "_", title.strip()).strip("_")
        name = f"column_{name}" if not name or name[0].isdigit() else name
        name = RENAMED.get(name, name)
        if len(name.encode()) > LONGEST_NAME:
            raise wrong_cell(file, 1, title[:80], f"longer than {LONGEST_NAME} bytes; shorten it")
        if name in names:
            raise wrong_cell(file, 1, title, f"two columns are named {name!r}; rename one")
        if is_reserved(name):
            raise wrong_cell(
                file, 1, title, "genpredict computes a variable of that name; rename it"
            )
        names[name] = None
    if PATH_COLUMN not in names:
        seen = ", ".join(title.strip() for title in header)
        remedy = "add or rename it"
        if len(header) == 1 and re.search(r"[;\t|]", seen):
            remedy = "put commas between the columns"
        raise GenpredictError(f"{file}, line 1: no column 'path' among: {seen}; {remedy}")
    return list(names)


def converted(
    file: Path, name: str, cells: Sequence[tuple[int, str]]
) -> list[str | float | int | None]:
    """Convert a column as a whole; None is unknown."""
    texts = [text.strip() for _, text in cells]
    known = [text for text in texts if text.lower() not in UNKNOWN]
    variable = KNOWN.get(name)
    if variable is not None and variable.dtype == "str":
        numeric = False
    else:
        numeric = all(_number(text) is not None for text in known)
    if variable is not None and variable.dtype != "str" and not numeric:
        line, text = next(
            (ln, t) for ln, t in cells if t.strip() in known and _number(t.strip()) is None
        )
        raise wrong_cell(
            file, line, name, f"{text.strip()[:80]!r} is no number; correct it or leave it empty"
        )
    convert = _number if numeric else str
    values = [None if text.lower() in UNKNOWN else convert(text) for text in texts]
    if variable is not None and variable.units == "%":
        _check_accuracies(file, name, [line for line, _ in cells], values)
    return values


def _number(text: str) -> int | float | None:
    """Read an integer or a finite number, None for anything else."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    if not math.isfinite(value):
        return None
    return int(value) if abs(value) < _EXACT and re.fullmatch(r"[+-]?\d+", text) else value


def _check_accuracies(
    file: Path, name: str, lines: Sequence[int], values: Sequence[str | float | int | None]
) -> None:
    """Raise unless the accuracies are percentages."""
    known = [(line, v) for line, v in zip(lines, values, strict=True) if isinstance(v, int | float)]
    for line, value in known:
        if not 0 <= value <= 100:
            raise wrong_cell(file, line, name, f"{value} is no percentage (0 to 100); correct it")
    if known and all(value <= 1 for _, value in known) and any(value > 0 for _, value in known):
        reason = "all values lie between 0 and 1; accuracies are in percent: multiply by 100"
        raise wrong_cell(file, known[0][0], name, reason)
