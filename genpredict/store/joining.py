"""Scores of several families as one Dataset, told apart by a coordinate."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from genpredict.errors import GenpredictError
from genpredict.estimators import ESTIMATION
from genpredict.rows import join_rows
from genpredict.store.reading import open_scores

DIM = ("checkpoint",)


class Families(NamedTuple):
    """Scores of several families, what these are called, and which coordinates make clusters."""

    scores: xr.Dataset
    names: dict[str, str]
    cluster: list[str]


def open_families(path: str | Path) -> Families:
    """Open the stores that a file lists, and join them.

    Parameters
    ----------
    path : str or Path
        A TOML file: a table ``families`` with `store` (beside the file) and `name` of each, a list
        `cluster` of coordinates, and a table `absent` of what numbers of coordinates stand for
        where a network has none, as β of RMSGD alone.

    Returns
    -------
    Families
        Scores as of `join_scores`.

    Raises
    ------
    GenpredictError
        For a file that cannot be read or lacks an entry, and as `join_scores`.

    Examples
    --------
    >>> scores, names, cluster = open_families("families.toml")  # doctest: +SKIP
    >>> describe_families(scores, cluster=cluster)  # doctest: +SKIP
    """
    path = Path(path)
    try:
        listed: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        rows = dict(listed["families"])
        stores = {name: path.parent / row["store"] for name, row in rows.items()}
        names = {name: str(row["name"]) for name, row in rows.items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GenpredictError(
            f"{path}: no list of families ({type(error).__name__}: {error}); it needs a table "
            f"[families.NAME] with store and name for each"
        ) from error
    scores = join_scores({name: open_scores(store) for name, store in stores.items()})
    absent = {name: scores[name].fillna(value) for name, value in listed.get("absent", {}).items()}
    return Families(scores.assign_coords(absent), names, list(listed.get("cluster", [])))


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
