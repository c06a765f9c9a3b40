"""Columns of a scores Dataset, found by name: what a figure draws, checked at the door."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import xarray as xr

from genpredict.figures.labels import composed
from genpredict.stats.column import Column
from genpredict.stats.columns import columns_of


def quantity(
    scores: xr.Dataset, name: str, *, parameter: str, factorization: str, p: int
) -> Column:
    """Find a measure or target by the name that `genpredict.stats.correlate` knows it by.

    Parameters
    ----------
    scores : Dataset
    name : str
        A network measure, a way to aggregate, a numeric coordinate ("Q", "Q_mean",
        "test_accuracy"), or a measure of layers, averaged over a network's convolutions
        ("stable_rank"); with the choices written out ("Q_raw_p1"), those; with ``log_`` in front,
        on a logarithmic axis.
    parameter : str
        Where the name came from, for the message.
    factorization, p : str, int
        Choices where the name leaves them open.

    Returns
    -------
    Column
        With the numbers themselves; where its `log` is true, its axis takes the logarithm.

    Raises
    ------
    GenpredictError
        For a name that is none of these; the message lists those that are.
    ValueError
        For a choice that the measure does not have.
    """
    return _chosen(columns_of(scores, name, parameter), name, factorization, p)


def axis_title(column: Column) -> str:
    """Return what stands at a column's axis: its name, choices and unit."""
    return composed(
        column.long_name,
        column.units,
        factorization=column.factorization or None,
        p=None if math.isnan(column.p) else int(column.p),
    )


def _chosen(columns: list[Column], name: str, factorization: str, p: int) -> Column:
    """Choose one of the columns that a name stands for; what the name writes out stays."""
    written = name.removeprefix(columns[0].name)  # such as _raw_p1
    for option, choice in (("factorization", factorization), ("p", p)):
        known = dict.fromkeys(getattr(column, option) for column in columns)
        if known.keys() <= {""} or (option == "p" and math.isnan(next(iter(known)))):
            continue
        if len(known) == 1 and _tag(option, next(iter(known))) in written:
            continue
        if choice not in known:
            offered = tuple(int(value) if option == "p" else value for value in known)
            raise ValueError(f"{option} must be one of {offered}, got {choice!r}")
        columns = [column for column in columns if getattr(column, option) == choice]
    return columns[0]


def _tag(option: str, choice: Any) -> str:
    return f"_p{int(choice)}" if option == "p" else f"_{choice}"


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
    listed = [names] if isinstance(names, str) else list(names)
    if not listed or len(set(listed)) < len(listed):
        raise ValueError(f"{parameter} must be one or more different names, got {names!r}")
    return listed
