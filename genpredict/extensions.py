"""What other packages add to genpredict: entry points, and functions named as text."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from operator import attrgetter
from typing import Any

from genpredict.errors import GenpredictError


@cache
def load_extensions(group: str) -> None:
    """Call every entry point of a group, once a process.

    Parameters
    ----------
    group : str
        Such as ``genpredict.measures``. Each entry point names a callable without arguments that
        registers what its package adds.

    Warns
    -----
    UserWarning
        Of a package whose entry point cannot be called; the others are of use all the same.
    """
    for point in entry_points(group=group):
        try:
            point.load()()
        except Exception as error:  # whatever another package does, genpredict goes on
            package = point.dist.name if point.dist is not None else point.value
            warnings.warn(
                f"{package}: its entry point {point.name} of {group} failed "
                f"({type(error).__name__}: {error}); mend that package, or uninstall it",
                stacklevel=2,
            )


def resolve(text: str, owner: str) -> Callable[..., Any]:
    """Import the function that "module:function" names.

    Parameters
    ----------
    text : str
    owner : str
        What it belongs to, for the error.

    Raises
    ------
    GenpredictError
        When there is no such module or function.
    """
    module, _, name = text.partition(":")
    try:
        function: Callable[..., Any] = attrgetter(name)(import_module(module))
    except (ImportError, AttributeError) as error:
        raise GenpredictError(
            f"{owner}: {text} cannot be imported ({error}); install its package, or mend the name"
        ) from error
    return function
