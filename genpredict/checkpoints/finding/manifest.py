"""Metadata and targets from a CSV file, joined to checkpoints by path.

A manifest has a header, a column ``path`` and any other columns. Those that `genpredict.schema`
knows keep their meaning (accuracies in percent); the others become coordinates. A cell that is
empty, or one of NA, N/A, nan and null, is unknown. A column is numeric where all its known cells
are numbers, text otherwise. A column ``source`` becomes the coordinate ``manifest_source``: the
coordinate ``source`` is the file that the weights were read from.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from genpredict.checkpoints.checkpoint import Metadata
from genpredict.checkpoints.items import Item

if TYPE_CHECKING:
    import pandas as pd
from genpredict.checkpoints.finding.manifest_table import (
    PATH_COLUMN,
    column_names,
    converted,
    read_csv,
    read_table,
    wrong_cell,
)

_LISTED = 10


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
        header, lines = read_csv(file)
    else:
        header, lines = read_table(file)
        file = Path("manifest")  # what messages call it; its folder is the present one
    names = column_names(file, header)
    path_at = names.index(PATH_COLUMN)
    columns = {
        name: converted(file, name, [(line, cells[at]) for line, cells in lines])
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
            raise wrong_cell(
                manifest.file, row.line, PATH_COLUMN, f"the file of line {first} again"
            )
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


def _check_paths(file: Path, rows: Sequence[Row]) -> None:
    """Raise on a row without a path or a path written twice."""
    first: dict[str, int] = {}
    for row in rows:
        if not row.path.strip():
            raise wrong_cell(file, row.line, PATH_COLUMN, "empty; name the checkpoint's file")
        if row.path in first:
            reason = f"{row.path!r} stands on line {first[row.path]} already; keep one of them"
            raise wrong_cell(file, row.line, PATH_COLUMN, reason)
        first[row.path] = row.line
