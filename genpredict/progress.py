"""Progress bars for people who wait: in notebooks and interactive sessions, or when asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def is_shown(progress: bool | None) -> bool:
    """Return whether to show a bar: as asked for; by default where somebody looks on.

    Parameters
    ----------
    progress : bool, optional
        None for a bar in Jupyter and at an interactive prompt alone, so that scripts stay silent.
    """
    if progress is not None:
        return progress
    in_jupyter = "ipykernel" in sys.modules
    return in_jupyter or (hasattr(sys, "ps1") and sys.stderr.isatty())


def tracked(
    items: Iterable[Item], *, title: str, total: int | None, progress: bool | None
) -> Iterator[Item]:
    """Yield items and show how many of them have been taken.

    Parameters
    ----------
    items : iterable
    title : str
        What is done to them.
    total : int, optional
        How many there are, where that is known.
    progress : bool, optional
        As of `is_shown`.

    Yields
    ------
    object
    """
    if not is_shown(progress):
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield from bar.track(items, total=total)
