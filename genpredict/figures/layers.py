"""Layer measures as a matrix (column, layer): what heat maps and evolutions draw."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from genpredict.figures.groups import in_order_of_people
from genpredict.figures.labels import axis_label, level_text, shortened, told_apart
from genpredict.figures.quantities import coordinate_of, done_only

#: What tells runs apart where they have no name.
_RUN_MARKS = ("network", "dataset", "optimizer", "seed", "learning_rate", "weight_decay")


@dataclass(frozen=True)
class LayerMatrix:
    """A number per column and layer.

    Parameters
    ----------
    values : array, shape (columns, layers)
        NaN where a network has no such layer.
    columns : list
        Checkpoint ids, or the values of a coordinate in ascending order.
    layers : list of str
        Names, where all networks have the same; else numbers by depth.
    depth : array, shape (layers,)
        Place of each layer among all of the networks, in [0, 1]: 0 is the input. Layers without
        this unfolding have a place, too.
    label : str
        Of the numbers, with the choices and the unit.
    rank : array, shape (columns, layers), optional
        Of the low-rank spectra that a quality was taken of.
    names : list of str
        Of the columns, where these are checkpoints.
    """

    values: NDArray[np.float64]
    columns: list[Any]
    layers: list[str]
    depth: NDArray[np.float64]
    label: str
    rank: NDArray[np.float64] | None = None
    names: list[str] = field(default_factory=list)


def layer_matrix(
    scores: xr.Dataset,
    measure: str,
    *,
    columns: str,
    factorization: str,
    p: int,
    unfolding: str,
    sort: str | None = None,
    names: str | None = None,
) -> LayerMatrix:
    """Take one number per layer out of a Dataset.

    Parameters
    ----------
    scores : Dataset
        With `measure` over `layer` and over `checkpoint` or the dimension `columns`.
    measure : str
        A variable over layers.
    columns : str
        ``"checkpoint"``, a dimension, or a coordinate that tells the checkpoints apart.
    factorization, p, unfolding : str, int, str
        Choices, for a measure that has these dimensions.
    sort : str, optional
        Coordinate that orders the checkpoints, the least first.
    names : str, optional
        Coordinate that names the checkpoints; by default their ids do.

    Returns
    -------
    LayerMatrix

    Raises
    ------
    ValueError
        For unknown names and choices; for a `columns` under which two checkpoints share a place.
    """
    _check_measure(scores, measure)
    if "checkpoint" in scores[measure].dims:
        scores, dim = done_only(scores), "checkpoint"
        scores = _ordered(scores, columns, sort)
    else:
        dim = columns
    chosen = {"factorization": factorization, "p": p, "unfolding": unfolding}
    selected, label = _chosen(scores[measure], chosen, measure)
    if set(selected.dims) != {dim, "layer"}:
        raise ValueError(
            f"measure {measure!r} has dimensions {scores[measure].dims}, must have 'layer' and "
            f"{dim!r}; select along the others"
        )
    matrix = selected.transpose(dim, "layer")
    there = matrix.notnull().any(dim).values  # padding beyond the deepest network
    rank = _rank(scores, measure, chosen, there) if dim == "checkpoint" else None
    places = scores[columns].values.tolist() if columns in scores.variables else []
    return LayerMatrix(
        np.asarray(matrix.values[:, there], dtype=np.float64),
        places or list(range(matrix.sizes[dim])),
        _layer_names(scores, there),
        _depth(scores[measure], there),
        label,
        rank,
        _column_names(scores, columns, names),
    )


def _column_names(scores: xr.Dataset, columns: str, names: str | None) -> list[str]:
    """Return the names of columns that are checkpoints, as short as keeps ids apart."""
    if names is not None and columns != "checkpoint":
        raise ValueError(f"names={names!r} names checkpoints, but columns is {columns!r}")
    if columns != "checkpoint" or "checkpoint" not in scores.variables:
        return []
    if names is None:
        return told_apart(scores["checkpoint"].values.tolist())
    coordinate = coordinate_of(scores, names, parameter="names")
    return [shortened(level_text(value), 24) for value in coordinate.values.tolist()]


def _check_measure(scores: xr.Dataset, measure: str) -> None:
    known = [str(name) for name, v in scores.data_vars.items() if "layer" in v.dims]
    known = [name for name in known if scores[name].dtype.kind in "fiub"]
    if not known:
        raise ValueError(
            "scores must hold measures of layers, as genpredict.score and open_scores give; these "
            "hold none"
        )
    if measure not in known:
        raise ValueError(
            f"measure: {measure!r} is no measure of layers here; there are {', '.join(known)}"
        )


def _ordered(scores: xr.Dataset, columns: str, sort: str | None) -> xr.Dataset:
    """Return the checkpoints in the order of the columns."""
    if columns == "checkpoint":
        if sort is None:
            return scores
        return scores.isel(checkpoint=_order(coordinate_of(scores, sort, parameter="sort").values))
    coordinate = coordinate_of(scores, columns, parameter="columns")
    levels, counts = np.unique(coordinate.values[coordinate.notnull().values], return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"{columns}: {counts.max()} checkpoints share the value "
            f"{level_text(levels[counts.argmax()])}; choose those of one run first (as with "
            f"--where), or draw a heat map over 'checkpoint'"
        )
    _check_one_run(scores, columns)
    scores = scores.isel(checkpoint=coordinate.notnull().values)
    return scores.isel(checkpoint=np.argsort(scores[columns].values, kind="stable"))


def _check_one_run(scores: xr.Dataset, columns: str) -> None:
    """Raise where the checkpoints are of several runs: what joins them would be no history."""
    if columns != "epoch":
        return
    for name in ["run"] if _levels(scores, "run") else _RUN_MARKS:
        levels = _levels(scores, name)
        if len(levels) > 1:
            some = ", ".join(level_text(level) for level in levels[:3])
            raise ValueError(
                f"{columns}: the checkpoints are of several runs ({name} is {some}"
                f"{', …' * (len(levels) > 3)}), which are no one history; choose those of one run "
                f'first (as with --where "{name} == {levels[0]!r}")'
            )


def _levels(scores: xr.Dataset, name: str) -> list[Any]:
    """Return the values that a coordinate of the checkpoints takes, unknown ones left out."""
    if name not in scores.coords or scores[name].dims != ("checkpoint",):
        return []
    known = pd.unique(scores[name].to_series())
    return [level for level in known.tolist() if level != "" and level == level]


def sort_keys(scores: xr.Dataset, sort: str) -> list[Any]:
    """Return the values that order the checkpoints that are done, the least first.

    Parameters
    ----------
    scores : Dataset
    sort : str
        A coordinate, as `layer_matrix` takes it.
    """
    keys = coordinate_of(done_only(scores), sort, parameter="sort").values
    ordered: list[Any] = keys[_order(keys)].tolist()
    return ordered


def _order(keys: NDArray[Any]) -> NDArray[np.intp]:
    """Return the order of numbers, or of texts as people count; what is not given comes last."""
    if keys.dtype.kind in "fiub":
        return np.argsort(keys, kind="stable")
    levels = pd.unique(pd.Series(keys)).tolist()
    ranked = sorted(levels, key=lambda level: (level == "", in_order_of_people(level)))
    places = {level: place for place, level in enumerate(ranked)}
    return np.argsort([places[key] for key in keys.tolist()], kind="stable")


def edges_of(matrix: LayerMatrix) -> NDArray[np.float64] | None:
    """Return where columns that are unevenly spaced numbers begin and end; else None."""
    numbers = [n for n in matrix.columns if isinstance(n, int | float)]
    if len(numbers) < max(3, len(matrix.columns)) or np.ptp(np.diff(numbers)) < 1e-9:
        return None
    places = np.asarray(numbers, dtype=np.float64)
    middles = (places[1:] + places[:-1]) / 2
    first, last = 2 * places[0] - middles[0], 2 * places[-1] - middles[-1]
    return np.concatenate([[first], middles, [last]])


def relative_depth(matrix: LayerMatrix) -> LayerMatrix:
    """Stretch every column to the same depth, so that networks of unlike depth compare.

    Parameters
    ----------
    matrix : LayerMatrix

    Returns
    -------
    LayerMatrix
        With as many rows as the deepest network has layers; row r of a network of d layers holds
        its layer ⌊r·d/rows⌋, counted from its input.
    """
    rows = matrix.values.shape[1]
    values = np.full_like(matrix.values, np.nan)
    rank = None if matrix.rank is None else np.full_like(matrix.rank, np.nan)
    for column, numbers in enumerate(matrix.values):
        layers = np.flatnonzero(~np.isnan(numbers))
        if len(layers):
            taken = layers[np.arange(rows) * len(layers) // rows]
            values[column] = numbers[taken]
            if rank is not None and matrix.rank is not None:
                rank[column] = matrix.rank[column, taken]
    percents = [f"{100 * (row + 0.5) / rows:.0f} %" for row in range(rows)]
    return replace(matrix, values=values, rank=rank, layers=percents)


def _chosen(
    variable: xr.DataArray, chosen: dict[str, Any], measure: str
) -> tuple[xr.DataArray, str]:
    """Select the choices that this measure has, and name them."""
    chosen = {dim: choice for dim, choice in chosen.items() if dim in variable.dims}
    for dim, choice in chosen.items():
        known = variable[dim].values.tolist()
        if choice not in known:
            raise ValueError(f"{dim} must be one of {tuple(known)}, got {choice!r}")
    return variable.sel(chosen), axis_label(measure, variable, **chosen)


def _rank(
    scores: xr.Dataset, measure: str, chosen: dict[str, Any], there: NDArray[np.bool_]
) -> NDArray[np.float64] | None:
    """Return the ranks behind a low-rank quality: 0 and 1 are no ordinary qualities."""
    if measure != "quality" or chosen["factorization"] != "low_rank" or "rank" not in scores:
        return None
    rank = scores["rank"]
    if "unfolding" in rank.dims:
        rank = rank.sel(unfolding=chosen["unfolding"])
    return np.asarray(rank.transpose("checkpoint", "layer").values[:, there], dtype=np.float64)


def _depth(variable: xr.DataArray, there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the places of some layers among those that any unfolding of any network has."""
    every = variable.notnull().any([dim for dim in variable.dims if dim != "layer"]).values
    places: NDArray[np.float64] = np.cumsum(every)[there] - 1.0
    depth: NDArray[np.float64] = places / max(every.sum() - 1, 1)
    return depth


def _layer_names(scores: xr.Dataset, there: NDArray[np.bool_]) -> list[str]:
    """Return the names that all networks share, else numbers from 1 by depth."""
    if "layer_name" in scores.variables:
        names = scores["layer_name"].transpose(..., "layer").values.reshape(-1, len(there))
        names = names[:, there]
        if len(names) and (names == names[0]).all():
            return [str(name).removesuffix(".weight") for name in names[0]]
    return [str(i + 1) for i in range(int(there.sum()))]
