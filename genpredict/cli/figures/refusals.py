"""What is said of an option that this kind of figure does not have and others do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError
from cyclopts.exceptions import UnknownOptionError
from cyclopts.panel import CycloptsPanel

if TYPE_CHECKING:
    from rich.panel import Panel

#: What does the same in another way, by kind and option.
_INSTEAD = {
    ("scatter", "--log"): "log_ before the name of a measure or target makes its axis logarithmic, "
    "as in --measures log_num_parameters",
}


def refused(error: CycloptsError, figure: App) -> Panel:
    """Return what is said of a command line that cannot be read.

    Parameters
    ----------
    error : CycloptsError
    figure : App
        Of all kinds of figures.

    Returns
    -------
    Panel
        Of an option of other kinds, it names these.
    """
    if isinstance(error, UnknownOptionError) and error.command_chain:
        option = (error.token.keyword or error.token.value).split("=")[0]
        kind = error.command_chain[-1]
        if takers := _takers(option, figure):
            said = [f"{option}: `figure {kind}` does not have it", _listed(takers)]
            said += [instead] if (instead := _INSTEAD.get((kind, option))) else []
            return CycloptsPanel(f"{'; '.join(said)}.")
    return CycloptsPanel(error)


def _takers(option: str, figure: App) -> list[str]:
    """Return the kinds of figures that have an option."""
    kinds = [name for name in figure if not name.startswith("-")]
    return [
        kind
        for kind in kinds
        if any(option in argument.names for argument in figure[kind].assemble_argument_collection())
    ]


def _listed(kinds: list[str]) -> str:
    if len(kinds) == 1:
        return f"`figure {kinds[0]}` does"
    return f"{', '.join(kinds[:-1])} and {kinds[-1]} do"
