"""What other packages add to genpredict: entry points, and functions named as text."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from operator import attrgetter
from types import ModuleType
from typing import Any, cast

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
        give_back_dask()
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
    if not module.startswith("genpredict."):
        give_back_dask()
    try:
        function: Callable[..., Any] = attrgetter(name)(import_module(module))
    except (ImportError, AttributeError) as error:
        raise GenpredictError(
            f"{owner}: {text} cannot be imported ({error}); install its package, or mend the name"
        ) from error
    return function


def withhold_dask() -> None:
    """Let nobody import Dask from here on, until `give_back_dask`.

    xarray imports it, where it is installed, for its first array, and that takes a quarter of the
    time of a small command; a None in `sys.modules` is how Python is told that there is no such
    module. Only a process of the command line does this, and none that computes with Dask.
    """
    _modules().setdefault("dask", None)


def give_back_dask() -> None:
    """Let Dask be imported again: code of other packages may need it."""
    if _modules().get("dask", sys) is None:
        del sys.modules["dask"]


def _modules() -> dict[str, ModuleType | None]:
    return cast("dict[str, ModuleType | None]", sys.modules)
