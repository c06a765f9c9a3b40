"""Metadata and targets from a CSV file, joined to checkpoints by path.

A manifest has a header, a column ``path`` and any other columns. Those that `genpredict.schema`
knows keep their meaning (accuracies in percent); the others become coordinates. A cell that is
empty, or one of NA, N/A, nan and null, is unknown. A column is numeric where all its known cells
are numbers, text otherwise. A column ``source`` becomes the coordinate ``manifest_source``: the
coordinate ``source`` is the file that the weights were read from.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from genpredict import schema
from genpredict.checkpoints.checkpoint import Metadata
from genpredict.checkpoints.items import Item
from genpredict.errors import GenpredictError
from genpredict.registry import is_reserved

if TYPE_CHECKING:
    import pandas as pd

PATH_COLUMN = "path"
#: Columns that a coordinate of another meaning would swallow, and what they become.
RENAMED = {"source": "manifest_source", schema.LEDGER: f"manifest_{schema.LEDGER}"}
#: Bounds on a header: every column is an array of the store, whose name is a folder's.
MOST_COLUMNS = 500
LONGEST_NAME = 200
UNKNOWN = ("", "na", "n/a", "nan", "null")
_LISTED = 10
_EXACT = 2**53  # integers beyond are no float64
# each digit can be matched in one way only: a long wrong number costs no more than it is long
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
KNOWN = {**schema.COORDINATES, **schema.EXTRA_COORDINATES, **schema.TARGETS}


@dataclass(frozen=True)
class Row:
    """One line of a manifest: where it stands, the path as written, and what is known."""

    line: int
    path: str
    metadata: Metadata


@dataclass(frozen=True)
class Manifest:
    """A checked manifest.

    Parameters
    ----------
    file : Path
        The CSV file.
    columns : tuple of str
        The columns besides ``path``, by the names they will have as coordinates.
    rows : tuple of Row
        In the order of the file.
    """

    file: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_manifest(file: str | Path | pd.DataFrame) -> Manifest:
    """Read and check a manifest.

    Parameters
    ----------
    file : path or DataFrame
        A CSV file, or the table itself with a column, or an index, called ``path``; the paths of
        a table are resolved against the present folder. Missing cells are unknown.

    Raises
    ------
    GenpredictError
        Naming file, line, column and remedy, when the file cannot be read as CSV in UTF-8, lacks
        the column ``path``, names a path twice, has a reserved or repeated column, text where a
        number belongs, or accuracies that are not percentages.
    """
    if isinstance(file, str | Path):
        file = Path(file).expanduser()
        header, lines = _read_csv(file)
    else:
        header, lines = _read_table(file)
        file = Path("manifest")  # what messages call it; its folder is the present one
    names = _column_names(file, header)
    path_at = names.index(PATH_COLUMN)
    columns = {
        name: _convert(file, name, [(line, cells[at]) for line, cells in lines])
        for at, name in enumerate(names)
        if at != path_at
    }
    rows = []
    for at, (line, cells) in enumerate(lines):
        known = {name: v for name, values in columns.items() if (v := values[at]) is not None}
        rows.append(Row(line, cells[path_at], known))
    _check_paths(file, rows)
    return Manifest(file, tuple(columns), tuple(rows))


def join(
    manifest: Manifest,
    items: Sequence[Item],
    folders: Sequence[Path],
    *,
    described: Container[str] = (),
) -> tuple[list[Item], list[str]]:
    """Give every item the metadata of its row.

    Parameters
    ----------
    manifest : Manifest
        Its paths are resolved against its own folder, then against each of ``folders``.
    items : sequence of Item
        What the sources hold.
    folders : sequence of Path
        The source folders.
    described : container of str
        Ids of items that say themselves what they are; they need no row.

    Returns
    -------
    tuple of (list of Item, list of str)
        The items with metadata, and warnings: rows without a file, files without a row.

    Raises
    ------
    GenpredictError
        When two rows mean the same file.
    """
    places = _Places()
    at = {place: number for number, item in enumerate(items) for place in places.of(item)}
    joined, rows_of, warnings = list(items), dict[int, Row](), list[str]()
    orphans = []
    for row in manifest.rows:
        number = _find(row, (manifest.file.parent, *folders), at, places)
        if number is None:
            orphans.append(f"line {row.line} ({row.path})")
        elif number in rows_of:
            first = rows_of[number].line
            raise _error(manifest.file, row.line, PATH_COLUMN, f"the file of line {first} again")
        else:
            rows_of[number] = row
            joined[number] = replace(
                items[number], metadata={**items[number].metadata, **row.metadata}
            )
    if orphans:
        warnings.append(f"{manifest.file}: no checkpoint for {_listing(orphans)}")
    alone = [item for n, item in enumerate(items) if item.rows_known and n not in rows_of]
    lonely = [item.id for item in alone if item.id not in described]
    if lonely:
        warnings.append(f"{manifest.file}: no row for {_listing(lonely)}")
    return joined, warnings


def _listing(names: Sequence[str]) -> str:
    """List up to ten names and the number of all."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


class _Places:
    """Resolves links in paths; each folder once, since manifests name thousands of files."""

    def __init__(self) -> None:
        self.folders: dict[Path, Path] = {}

    def real(self, path: Path) -> Path:
        """Return the path with links resolved."""
        if path.name in ("", "..") or path.is_symlink():
            return path.resolve()
        if path.parent not in self.folders:
            self.folders[path.parent] = path.parent.resolve()
        return self.folders[path.parent] / path.name

    def of(self, item: Item) -> tuple[Path, ...]:
        """Return what means an item: its file, and its folder where that is one checkpoint."""
        file = self.real(item.path)
        if item.network:
            return (file.with_name(f"{file.name}#{item.network}"),)
        is_folder = item.rows_known and item.id.rpartition("/")[2] == file.parent.name
        return (file, file.parent) if is_folder else (file,)


def _find(row: Row, folders: Sequence[Path], at: dict[Path, int], places: _Places) -> int | None:
    """Return the number of the item that a row means."""
    try:
        numbers = [at.get(places.real(folder / row.path)) for folder in folders]
    except (OSError, ValueError, RuntimeError):  # no path at all: too long, with a NUL, a circle
        return None
    return next((number for number in numbers if number is not None), None)


def _error(file: Path, line: int, column: str, reason: str) -> GenpredictError:
    """Make an error that says where in the manifest it is."""
    return GenpredictError(f"{file}, line {line}, column {column!r}: {reason}")


def _read_csv(file: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
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


def _read_table(table: pd.DataFrame) -> tuple[list[str], list[tuple[int, list[str]]]]:
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


def _column_names(file: Path, header: Sequence[str]) -> list[str]:
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
            raise _error(file, 1, title[:80], f"longer than {LONGEST_NAME} bytes; shorten it")
        if name in names:
            raise _error(file, 1, title, f"two columns are named {name!r}; rename one")
        if is_reserved(name):
            raise _error(file, 1, title, "genpredict computes a variable of that name; rename it")
        names[name] = None
    if PATH_COLUMN not in names:
        seen = ", ".join(title.strip() for title in header)
        remedy = "add or rename it"
        if len(header) == 1 and re.search(r"[;\t|]", seen):
            remedy = "put commas between the columns"
        raise GenpredictError(f"{file}, line 1: no column 'path' among: {seen}; {remedy}")
    return list(names)


def _check_paths(file: Path, rows: Sequence[Row]) -> None:
    """Raise on a row without a path or a path written twice."""
    first: dict[str, int] = {}
    for row in rows:
        if not row.path.strip():
            raise _error(file, row.line, PATH_COLUMN, "empty; name the checkpoint's file")
        if row.path in first:
            reason = f"{row.path!r} stands on line {first[row.path]} already; keep one of them"
            raise _error(file, row.line, PATH_COLUMN, reason)
        first[row.path] = row.line


def _convert(
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
        raise _error(
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
            raise _error(file, line, name, f"{value} is no percentage (0 to 100); correct it")
    if known and all(value <= 1 for _, value in known) and any(value > 0 for _, value in known):
        reason = "all values lie between 0 and 1; accuracies are in percent: multiply by 100"
        raise _error(file, known[0][0], name, reason)
