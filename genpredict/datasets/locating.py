"""Find the files of a data set, or say which are missing, where, and how to get them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from genpredict.errors import GenpredictError

ENVIRONMENT_VARIABLE = "GENPREDICT_DATA"
DEFAULT_FOLDER = Path("data")
OR = " or "  # between names of which one is enough


@dataclass(frozen=True)
class Layout:
    """One way in which a data set lies on disk.

    Attributes
    ----------
    kind : str
        Tells the reader which layout was found: "parquet", "pickles" or "idx".
    train, test : tuple of str
        Names of the files of the two parts, as glob patterns; each must be there. `OR`
        separates names of which the first that is there counts.
    subfolders : tuple of str
        Where else the files may lie, below the folder.
    """

    kind: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    subfolders: tuple[str, ...] = ()


class DatasetFiles(NamedTuple):
    """Files of a data set.

    Attributes
    ----------
    kind : str
        Of the layout.
    train, test : tuple of Path
        Files of the two parts, in the order of the layout.
    """

    kind: str
    train: tuple[Path, ...]
    test: tuple[Path, ...]


@dataclass(frozen=True)
class Wanted:
    """A data set to look for.

    Attributes
    ----------
    name : str
        As the user calls it.
    layouts : tuple of Layout
        The first that is found counts.
    remedy : str
        How to get it.
    archives : tuple of str
        Names of archives that only need unpacking.
    """

    name: str
    layouts: tuple[Layout, ...]
    remedy: str
    archives: tuple[str, ...] = ()


def find_files(wanted: Wanted, folder: str | Path | None) -> DatasetFiles:
    """Find the files of a data set.

    Parameters
    ----------
    wanted : Wanted
        The data set.
    folder : str or Path, optional
        Where it lies. None looks in the folder that the environment variable
        ``GENPREDICT_DATA`` names, then in ``data`` below the working directory; in each first
        in the subfolder called as the data set.

    Returns
    -------
    DatasetFiles
        The files of the first layout that is complete.

    Raises
    ------
    GenpredictError
        If no layout is complete anywhere: which files were looked for, where, which of them
        are there, and how to get the rest.
    """
    folders = _folders(wanted.name, folder)
    for place in folders:
        for layout in wanted.layouts:
            for directory in _directories(place, layout):
                train, test = (_match(directory, part) for part in (layout.train, layout.test))
                if all(train) and all(test):
                    return DatasetFiles(layout.kind, _flat(train), _flat(test))
    raise GenpredictError("\n".join(_explain(wanted, folders)))


def _folders(name: str, folder: str | Path | None) -> list[Path]:
    if folder is not None:
        return [Path(folder)]
    roots = [DEFAULT_FOLDER]
    if from_environment := os.environ.get(ENVIRONMENT_VARIABLE):
        roots.insert(0, Path(from_environment))
    return [place for root in roots for place in (root / name, root)]


def _directories(folder: Path, layout: Layout) -> list[Path]:
    return [folder, *(folder / subfolder for subfolder in layout.subfolders)]


def _match(directory: Path, names: tuple[str, ...]) -> list[list[Path]]:
    """Return the files of each name; empty where there are none."""
    files_by_name = []
    for name in names:
        choices = (
            sorted(path for path in directory.glob(choice) if path.is_file())
            for choice in name.split(OR)
        )
        files_by_name.append(next((choice for choice in choices if choice), []))
    return files_by_name


def _flat(groups: list[list[Path]]) -> tuple[Path, ...]:
    return tuple(path for group in groups for path in group)


def _explain(wanted: Wanted, folders: list[Path]) -> Iterator[str]:
    """Yield the lines of the message about a data set that is not there."""
    places = [str(f) if f.is_dir() else f"{f} (no such folder)" for f in folders]
    yield f"{wanted.name}: not found in {', '.join(places)}. Looked for"
    for layout in wanted.layouts:
        also = f" (also in {', '.join(f'{s}/' for s in layout.subfolders)})"
        names = ", ".join((*layout.train, *layout.test))
        yield f"  {names}{also if layout.subfolders else ''}"
    for folder in folders:
        yield from _explain_folder(wanted, folder)
    yield f"Get it: {wanted.remedy}"
    yield (
        f"Then name the folder: folder=..., or the environment variable {ENVIRONMENT_VARIABLE}, "
        f"or put the files in {DEFAULT_FOLDER / wanted.name}."
    )


def _explain_folder(wanted: Wanted, folder: Path) -> Iterator[str]:
    """Say what is there in part, or not unpacked."""
    for layout in wanted.layouts:
        names = (*layout.train, *layout.test)
        for directory in _directories(folder, layout):
            there = [bool(group) for group in _match(directory, names)]
            if any(there):
                lacks = [name for name, is_there in zip(names, there, strict=True) if not is_there]
                yield f"{directory} lacks {', '.join(lacks)}"
    for archive in wanted.archives:
        if (folder / archive).is_file():
            yield f"{folder / archive} is there, but not unpacked: tar -xf {archive}"
