"""Scores of several families as one Dataset, told apart by a coordinate."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from genpredict.errors import GenpredictError
from genpredict.estimators import ESTIMATION
from genpredict.rows import join_rows

DIM = ("checkpoint",)


def join_scores(scores: Mapping[str, xr.Dataset], *, coordinate: str = "family") -> xr.Dataset:
    """Join scores that were made apart, and say of each checkpoint where it is from.

    Parameters
    ----------
    scores : mapping of str to Dataset
        As of `score` or `open_scores`, by the name of the family.
    coordinate : str
        What the names are called, along `checkpoint`.

    Returns
    -------
    Dataset
        The rows one family after the other, their ids with the family's name in front
        ("zoo/first.pt"). What some family does not hold, measures and coordinates, is NaN or ""
        there; network measures that not every family holds are left out, as are attributes.

    Raises
    ------
    GenpredictError
        When there is nothing to join, a family has the coordinate already, or the families were
        measured in different ways (`estimator` and the tolerances).

    Examples
    --------
    >>> families = {name: open_scores(f"{name}.zarr") for name in ("zoo", "mine")}  # doctest: +SKIP
    >>> correlate(join_scores(families), by="family")  # doctest: +SKIP
    """
    if not scores:
        raise GenpredictError("scores must hold at least one family, got none")
    _check_choices(scores)
    parts = []
    for family, part in scores.items():
        if coordinate in part.variables:
            raise GenpredictError(
                f"coordinate: the scores of {family!r} have {coordinate!r} already; give another "
                f"name for what tells the families apart"
            )
        count = part.sizes["checkpoint"]
        ids = np.array([f"{family}/{name}" for name in part["checkpoint"].values], dtype=object)
        names = ("checkpoint", np.full(count, family, dtype=object))
        parts.append(part.assign_coords({"checkpoint": ids, coordinate: names}))
    joined = join_rows([_with_room(part) for part in parts])
    whole = set[str]().union(*(_whole_numbers(part) for part in parts))
    complete = {name: joined[name] for name in whole if not joined[name].isnull().any()}
    return joined.assign({name: numbers.astype(np.int64) for name, numbers in complete.items()})


def _whole_numbers(scores: xr.Dataset) -> list[str]:
    """Return the variables along `checkpoint` that are whole numbers."""
    return [str(n) for n, v in scores.variables.items() if v.dtype.kind in "iub" and v.dims == DIM]


def _with_room(scores: xr.Dataset) -> xr.Dataset:
    """Return scores in which every number can be missing, as `join_rows` takes them."""
    floats = {name: scores[name].astype(np.float64) for name in _whole_numbers(scores)}
    return scores.drop_vars("layer").assign(floats)


def _check_choices(scores: Mapping[str, xr.Dataset]) -> None:
    """Raise where families were measured in different ways."""
    first, *others = scores
    for name in ESTIMATION:
        for other in others:
            here, there = (scores[family].attrs.get(name) for family in (first, other))
            if here != there:
                raise GenpredictError(
                    f"scores: {first!r} has {name} {here!r}, {other!r} {there!r}; score both in "
                    f"one way to compare them"
                )
