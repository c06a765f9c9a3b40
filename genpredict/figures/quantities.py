"""Columns of a scores Dataset, found by name: what a figure draws, checked at the door."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from genpredict.figures.labels import axis_label
from genpredict.schema import LAYER_MEASURES

_CHOICES = ("factorization", "p")
_SUFFIXED = re.compile(r"(?P<name>.+?)_(?P<factorization>raw|low_rank)(?:_p(?P<p>\d+))?")


@dataclass(frozen=True)
class Quantity:
    """A number per checkpoint.

    Parameters
    ----------
    key : str
        Its label in a table of correlations, e.g. "Q_low_rank_p2".
    values : array, shape (checkpoints,)
    label : str
        Of its axis, with the unit.
    log : bool
        Whether its axis is logarithmic (a name that starts in ``log_``).
    """

    key: str
    values: NDArray[np.float64]
    label: str
    log: bool = False


def quantity(
    scores: xr.Dataset, name: str, *, parameter: str, factorization: str, p: int
) -> Quantity:
    """Find a measure or target by its name.

    Parameters
    ----------
    scores : Dataset
    name : str
        A variable or numeric coordinate over `checkpoint` ("Q", "test_accuracy"); with the
        choices written out ("Q_raw_p1"), those; with ``log_`` in front, on a logarithmic axis.
    parameter : str
        Where the name came from, for the message.
    factorization, p : str, int
        Choices where the name leaves them open.

    Returns
    -------
    Quantity

    Raises
    ------
    ValueError
        When there is no such number per checkpoint.
    """
    found, match = name, _SUFFIXED.fullmatch(name)
    if name not in scores.variables and match is not None and match["name"] in scores.variables:
        found, factorization = match["name"], match["factorization"]
        p = int(match["p"]) if match["p"] else p
    log = found not in scores.variables and found.removeprefix("log_") in scores.variables
    base = found.removeprefix("log_") if log else found
    _check_per_checkpoint(scores, base, name, parameter)
    values = scores[base]
    chosen = {
        dim: choice
        for dim, choice in (("factorization", factorization), ("p", p))
        if dim in values.dims
    }
    values = _select(values, chosen)
    key = found + "".join(f"_{'p' if d == 'p' else ''}{c}" for d, c in chosen.items())
    label = axis_label(
        base,
        values,
        factorization=factorization if "factorization" in chosen else None,
        p=p if "p" in chosen else None,
    )
    numbers = np.asarray(values.values, dtype=np.float64)
    if log:
        numbers = np.where(numbers > 0, numbers, np.nan)
    return Quantity(key, numbers, label, log)


def _select(values: xr.DataArray, chosen: dict[str, Any]) -> xr.DataArray:
    for dim, choice in chosen.items():
        known = values[dim].values.tolist() if dim in values.coords else []
        if choice not in known:
            raise ValueError(f"{dim} must be one of {tuple(known)}, got {choice!r}")
    return values.sel(chosen)


def _check_per_checkpoint(scores: xr.Dataset, base: str, name: str, parameter: str) -> None:
    if base in scores.variables:
        values = scores[base]
        if set(values.dims) - set(_CHOICES) == {"checkpoint"} and values.dtype.kind in "fiub":
            return
        if base in LAYER_MEASURES:
            raise ValueError(
                f"{parameter}: {name!r} is a measure of layers; aggregate it to a number per "
                f"checkpoint first, or draw it with plot_heatmap or plot_evolution"
            )
    raise ValueError(
        f"{parameter}: {name!r} is no number per checkpoint of these scores; "
        f"there are {', '.join(numbers_of(scores))}"
    )


def numbers_of(scores: xr.Dataset) -> list[str]:
    """List what can be drawn: variables and coordinates with one number per checkpoint."""
    return [
        str(name)
        for name, values in scores.variables.items()
        if set(values.dims) - set(_CHOICES) == {"checkpoint"} and values.dtype.kind in "fiub"
    ]


def coordinate_of(scores: xr.Dataset, name: str, *, parameter: str) -> xr.DataArray:
    """Return a coordinate along `checkpoint`.

    Parameters
    ----------
    scores : Dataset
    name : str
    parameter : str
        Where the name came from, for the message.

    Returns
    -------
    DataArray, dims (checkpoint,)

    Raises
    ------
    ValueError
        When there is none of this name.
    """
    if name in scores.variables and scores[name].dims == ("checkpoint",):
        return scores[name]
    known = [str(n) for n, v in scores.coords.items() if v.dims == ("checkpoint",)]
    raise ValueError(
        f"{parameter}: {name!r} is no coordinate along checkpoint; there are {', '.join(known)}"
    )


def done_only(scores: xr.Dataset) -> xr.Dataset:
    """Leave out checkpoints that failed or are pending: they have metadata but no measures."""
    if "checkpoint" not in scores.dims:
        raise ValueError(
            f"scores must have a dimension 'checkpoint', as open_scores gives, got {scores.dims}"
        )
    if "status" not in scores.variables:
        return scores
    return scores.isel(checkpoint=scores["status"].values == "done")


def names_list(names: Sequence[str] | str, *, parameter: str) -> list[str]:
    """Return names as a list; a lone string is one name.

    Raises
    ------
    ValueError
        When there is none, or one stands twice.
    """
    found = [names] if isinstance(names, str) else list(names)
    if not found or len(set(found)) < len(found):
        raise ValueError(f"{parameter} must be one or more different names, got {names!r}")
    return found
