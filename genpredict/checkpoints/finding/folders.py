"""Folders of a source, and what is found in them before anything is read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from genpredict.checkpoints.checkpoint import Metadata
from genpredict.checkpoints.finding.natural_order import natural_key
from genpredict.checkpoints.items import Item, Reader
from genpredict.checkpoints.nats.archives import Selection
from genpredict.errors import GenpredictError

MOST_NAMED = 8
"""Files, or kinds of them, that a warning names."""


@dataclass(frozen=True)
class Found:
    """A checkpoint file or archive in a source, before ids are made unique.

    Parameters
    ----------
    id : str
        The id unless it clashes.
    path, real_path : Path
        As reached, and with links resolved.
    size : int
        Bytes on disk.
    reader : callable
        Reads it.
    is_archive : bool
        Whether it holds several checkpoints.
    network : str
        Which of several networks in the file.
    metadata : mapping
        What the file says of itself, where that was asked for.
    above : tuple of str
        Names of the folders that may be put before the id, outermost first.
    """

    id: str
    path: Path
    real_path: Path
    size: int
    reader: Reader = field(repr=False)
    is_archive: bool = False
    network: str = ""
    metadata: Metadata = field(default_factory=dict, repr=False)
    above: tuple[str, ...] = field(default=(), repr=False)

    def item(self, item_id: str) -> Item:
        """Return the item that reads it, under its final id."""
        known = not self.is_archive
        return Item(item_id, self.path, self.size, known, self.reader, self.metadata, self.network)


@dataclass
class PassedOver:
    """Files of a source that are no checkpoints, to be counted and said.

    Parameters
    ----------
    empty : list of str
        Files of a known format that hold no network, with the reason.
    unknown : Counter of str
        Files of unknown kind, by suffix.
    """

    empty: list[str] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)

    def warnings(self, root: Path) -> list[str]:
        """Say how many files were passed over, and why."""
        said = []
        if self.empty:
            more = f" and {len(self.empty) - MOST_NAMED} more" * (len(self.empty) > MOST_NAMED)
            listed = "; ".join(self.empty[:MOST_NAMED])
            said.append(
                f"{root}: {len(self.empty)} files hold no network, passed over: {listed}{more}"
            )
        if self.unknown:
            kinds = ", ".join(
                f"{count} {kind}" for kind, count in self.unknown.most_common(MOST_NAMED)
            )
            total = sum(self.unknown.values())
            said.append(f"{root}: {total} files of unknown kind passed over ({kinds})")
        return said


@dataclass
class Folder:
    """One folder of a source while it is searched.

    Parameters
    ----------
    root, path : Path
        The source and the folder, which may be the same.
    names : list of str
        Files that no recognizer has claimed yet, in natural order.
    selection : Selection
        What to take of archives.
    warnings : list of str
        Grows by what the user should know.
    network : str
        Which network to take of files that hold several.
    targets : bool
        Whether accuracies that a file says become targets.
    passed : PassedOver
        Grows by files that hold no network.
    skipped : set of str
        Names of subfolders that are not searched.
    """

    root: Path
    path: Path
    names: list[str]
    selection: Selection
    warnings: list[str]
    network: str = ""
    targets: bool = False
    passed: PassedOver = field(default_factory=PassedOver)
    skipped: set[str] = field(default_factory=set)

    @cached_property
    def real_path(self) -> Path:
        """The folder's path with links resolved."""
        return self.path.resolve()

    @cached_property
    def real_root(self) -> Path:
        """The source's path with links resolved."""
        return self.root.resolve()

    def claim(self, names: Sequence[str]) -> None:
        """Take names away from the recognizers that follow."""
        taken = set(names)
        self.names[:] = [name for name in self.names if name not in taken]

    def skip(self, subfolders: Sequence[str]) -> None:
        """Leave subfolders out of the search."""
        self.skipped.update(subfolders)

    def above(self, item_id: str) -> tuple[str, ...]:
        """Return the names that may be put before an id, outermost first."""
        above = self.real_root.parts[1:]
        # a folder that is one checkpoint, named after itself
        return above[:-1] if above[-1:] == (item_id,) else above

    def relative(self, name: str) -> str:
        """Return a file's path relative to the source, with forward slashes."""
        return (self.path / name).relative_to(self.root).as_posix()

    def found(
        self,
        name: str,
        reader: Reader,
        *,
        id: str | None = None,
        parts: Sequence[str] = (),
        archive: bool = False,
        network: str = "",
    ) -> Found:
        """Describe a file of this folder.

        Parameters
        ----------
        name : str
            Its name.
        reader : callable
            Reads it.
        id : str, optional
            Default is its path relative to the source.
        parts : sequence of str
            Further files of the same checkpoint; those that are missing are missed on reading.
        archive : bool
            Whether it holds several checkpoints.
        network : str
            Which of several networks; its name follows the id after a ``#``.
        """
        path = self.path / name
        real = path.resolve() if path.is_symlink() else self.real_path / name
        files = [path, *(self.path / part for part in parts if (self.path / part).exists())]
        size = sum(file.stat().st_size for file in files)
        # file names need not be text
        item_id = os.fsencode(id or self.relative(name)).decode(errors="replace")
        if network:
            item_id = f"{item_id}#{network}"
        above = self.real_path.parts[1:] if archive else self.above(item_id)
        return Found(item_id, path, real, size, reader, archive, network, above=above)


def walk(
    root: Path,
    selection: Selection,
    warnings: list[str],
    network: str = "",
    *,
    targets: bool = False,
    passed: PassedOver | None = None,
) -> Iterator[Folder]:
    """Yield a source folder and its subfolders, each before what it holds, in natural order.

    Links are followed where they lead to a file within the source; others are reported in
    ``warnings``. Names that begin with a dot are passed over.

    Raises
    ------
    GenpredictError
        When a folder cannot be read.
    """
    pending = [root]
    while pending:
        path = pending.pop()
        names, subfolders = _list(root, path, warnings)
        seen = passed if passed is not None else PassedOver()
        folder = Folder(root, path, names, selection, warnings, network, targets, seen)
        yield folder
        left = [name for name in subfolders if name not in folder.skipped]
        pending += [path / name for name in reversed(left)]


def _list(root: Path, path: Path, warnings: list[str]) -> tuple[list[str], list[str]]:
    """Return the files and the subfolders of a folder, each in natural order."""
    try:
        with os.scandir(path) as scan:
            entries = [entry for entry in scan if not entry.name.startswith(".")]
    except OSError as error:
        raise GenpredictError(f"{path}: folder cannot be read: {error.strerror}") from error
    files: list[str] = []
    subfolders: list[str] = []
    for entry in sorted(entries, key=lambda entry: natural_key(entry.name)):
        if entry.is_symlink() and not _link_is_usable(root, path / entry.name, warnings):
            continue
        if entry.is_dir():
            subfolders.append(entry.name)
        elif entry.is_file():
            files.append(entry.name)
        else:
            warnings.append(f"{path / entry.name}: a pipe or device, passed over")
    return files, subfolders


def _link_is_usable(root: Path, link: Path, warnings: list[str]) -> bool:
    """Return whether a link leads to a file within the source; report it otherwise."""
    try:
        target = link.resolve()
        exists = target.exists()
    except (OSError, RuntimeError):  # links in a circle; Python 3.11 says RuntimeError
        target, exists = link, False
    inside = target.is_relative_to(root.resolve())
    if not exists:
        warnings.append(f"{link}: broken link to {link.readlink()}, passed over")
    elif not inside:
        warnings.append(f"{link}: link out of the source, not followed; add {target} as a SOURCE")
    return exists and inside and target.is_file()
