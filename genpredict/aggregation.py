"""From layer measures to network measures (docs/design.md 3.5).

The array kernel (`aggregate_entries`) knows numbers and masks only; `aggregate` adds the labels.

References
----------
.. [1] M. S. Hosseini, M. Tuli, K. N. Plataniotis, "Exploiting Explainable Metrics for Augmented
   SGD", CVPR 2022: Eq. 5.
.. [2] M. Jaegerman et al., "In Search of Probeable Generalization Measures", ICMLA 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from genpredict.schema import KINDS, NETWORK_MEASURES

Aggregation = Literal["l2", "mean", "geometric_mean"]
#: What a layer measure can be aggregated by.
AnyAggregation = Literal["l2", "mean", "geometric_mean", "sum"]
Weights = Literal["entries", "parameters"]
Empty = Literal["zero", "skip"]
RankOne = Literal["limit", "worst", "skip"]
_ENTRY = ("layer", "unfolding")


def aggregate(
    scores: xr.Dataset,
    *,
    measure: str = "quality",
    aggregation: AnyAggregation = "l2",
    weights: Weights = "entries",
    kinds: Sequence[str] = ("conv",),
    empty: Empty = "zero",
    rank_one: RankOne = "limit",
    unfolding: str | None = None,
) -> xr.DataArray:
    """Aggregate a measure of a network's entries (layer, unfolding) into one number, by default Q.

    Parameters
    ----------
    scores : Dataset
        With `quality`, `stable_rank`, `rank`, `spectral_norm` and the labels of layers, as `score`
        makes.
    measure : str
        Any layer measure that the scores hold.
    aggregation : {"l2", "mean", "geometric_mean", "sum"}
        √(mean of squares) is the paper's Eq. 5 [1]_. Entries that are NaN count in none.
    weights : {"entries", "parameters"}
        Every entry counts alike, or as many times as its layer has weights.
    kinds : sequence of str
        Kinds of layers that count; all layers of a network that has none of these.
    empty : {"zero", "skip"}
        Entries of rank 0 count as 0, or leave the norm and the count, as in GenProb [2]_.
    rank_one : {"limit", "worst", "skip"}
        Entries of rank 1 count as π/2, the limit of Eq. 4; or, having no second singular value to
        compare with, take condition number 1 (of quality alone); or leave the norm and the count.
    unfolding : str, optional
        Count the entries of this unfolding alone.

    Returns
    -------
    DataArray, dims (checkpoint, factorization, p), as far as the measure has them
        Q in radians. NaN where no entry counts. The choices are in its `attrs`.

    Raises
    ------
    ValueError
        For an option that is none of the above, or a measure that is not there or no number an
        entry.

    Examples
    --------
    >>> mean_alpha = aggregate(scores, measure="alpha", aggregation="mean")  # doctest: +SKIP
    """
    _check(aggregation, weights, empty, rank_one, kinds)
    value = _value(scores, measure, empty, rank_one)
    counted = _entries(scores, kinds, unfolding if "unfolding" in value.dims else None)
    if "unfolding" not in value.dims:
        counted = counted.any("unfolding")
        value = xr.Variable((*value.dims, "unfolding"), value.values[..., np.newaxis])
    order = [dim for dim in ("checkpoint", "factorization", "p") if dim in value.dims]
    arrays = [_where(counted, value).transpose(*order, *_ENTRY)]
    arrays += [_parameters(scores)] if weights == "parameters" else []
    numbers = xr.apply_ufunc(
        aggregate_entries,
        *arrays,
        input_core_dims=[list(_ENTRY), ["layer"]][: len(arrays)],
        kwargs={"aggregation": aggregation},
    )
    choices: dict[str, Any] = {"aggregation": aggregation, "kinds": list(kinds), "empty": empty}
    choices |= {"rank_one": rank_one, "unfolding": unfolding or "both"}
    if measure == "quality" and weights == "entries":
        name, attrs = "Q", NETWORK_MEASURES["Q"].attrs | choices
    else:
        of_measure = scores.variables[measure].attrs
        name, long_name = f"{measure}_{aggregation}", of_measure.get("long_name", measure)
        attrs = {"long_name": f"{aggregation} of {long_name}", **choices}
        attrs |= {"weights": weights, "units": of_measure.get("units", "1")}
    gone = [dim for dim in scores.dims if dim not in order]
    kept = scores.coords.to_dataset().drop_dims(gone, errors="ignore").coords
    return xr.DataArray(numbers, coords=kept, name=name, attrs=attrs)


def _value(scores: xr.Dataset, measure: str, empty: str, rank_one: str) -> xr.Variable:
    """Return a layer measure, NaN at the entries that leave it by their rank.

    This and what follows is of variables without coordinates: to align and merge those costs more
    than the arithmetic.
    """
    dims = {"checkpoint", *_ENTRY, "factorization", "p"}
    held = scores.data_vars.get(measure)
    if held is None or "layer" not in held.dims or set(held.dims) - dims or held.dtype.kind != "f":
        raise ValueError(f"measure must be a number of every layer here, got {measure!r}")
    value: xr.Variable = held.variable
    if "factorization" not in value.dims:
        return value
    rank = _spectrum_rank(scores)
    if rank_one == "worst" and measure == "quality":
        value = _where(rank != 1, value, np.arctan(scores.variables["stable_rank"]))
    if empty == "skip":
        value = _where(rank != 0, value)
    return _where(rank != 1, value) if rank_one == "skip" else value


def _parameters(scores: xr.Dataset) -> xr.Variable:
    """Count the weights of every layer."""
    shapes = scores["layer_shape"].values
    counts = [[prod(map(int, text.split("x"))) if text else 0 for text in row] for row in shapes]
    return xr.Variable(("checkpoint", "layer"), np.array(counts, dtype=np.float64))


def aggregate_entries(
    values: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
    *,
    aggregation: AnyAggregation = "l2",
) -> NDArray[np.float64]:
    """Aggregate over the last two axes, where NaN entries do not count.

    Parameters
    ----------
    values : array, shape (..., layers, unfoldings)
        Non-negative for a geometric mean.
    weights : array, shape (..., layers), optional
        How many times an entry counts; by default once.
    aggregation : {"l2", "mean", "geometric_mean", "sum"}

    Returns
    -------
    array, shape (...)
        NaN where nothing counts.

    Examples
    --------
    >>> aggregate_entries(np.array([[3.0, 4.0], [np.nan, np.nan]]))
    array(3.53553391)
    """
    there = ~np.isnan(values)
    share = there if weights is None else there * weights[..., np.newaxis]
    count = share.sum((-2, -1))
    with np.errstate(divide="ignore", invalid="ignore"):  # log 0 = −∞ and 0/0 = NaN are meant
        if aggregation == "l2":
            total = _sum(np.where(there, values**2, 0.0) * share)
            aggregated = np.sqrt(total / count)  # Eq. 5
        elif aggregation == "mean":
            aggregated = _sum(np.where(there, values, 0.0) * share) / count
        elif aggregation == "sum":
            aggregated = np.where(count, _sum(np.where(there, values, 0.0) * share), np.nan)
        else:
            logs = np.log(np.where(there, values, 1.0))
            aggregated = np.exp(_sum(np.where(there, logs * share, 0.0)) / count)
    return np.asarray(aggregated)


def _sum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add up the last two axes layer by layer, so that padding changes not a single bit."""
    total: NDArray[np.float64] = values.sum(-2).sum(-1)
    return total


def network_quality(scores: xr.Dataset) -> xr.DataArray:
    """Return Q, the paper's Eq. 5 over the convolutions, in radians."""
    return aggregate(scores)


def adjusted_network_quality(scores: xr.Dataset) -> xr.DataArray:
    """Return Q with entries of rank 1 as worst, in radians."""
    return aggregate(scores, rank_one="worst")


def num_layers(scores: xr.Dataset) -> xr.DataArray:
    """Count the layers of any kind."""
    return xr.DataArray((scores.variables["layer_name"] != "").sum("layer"))


def num_rank_zero(scores: xr.Dataset) -> xr.DataArray:
    """Count the entries of low-rank rank 0 among those that Q counts."""
    return _count_of_rank(scores, 0)


def num_rank_one(scores: xr.Dataset) -> xr.DataArray:
    """Count the entries of low-rank rank 1 among those that Q counts."""
    return _count_of_rank(scores, 1)


def _count_of_rank(scores: xr.Dataset, rank: int) -> xr.DataArray:
    of_rank = scores.variables["rank"] == rank
    return xr.DataArray((_entries(scores, ("conv",), None) & of_rank).sum(_ENTRY))


def _where(condition: xr.Variable, value: xr.Variable, other: Any = np.nan) -> xr.Variable:
    chosen: xr.Variable = xr.where(condition, value, other)  # type: ignore[no-untyped-call]
    return chosen


def _entries(scores: xr.Dataset, kinds: Sequence[str], unfolding: str | None) -> xr.Variable:
    """Mark the entries that exist and are of these kinds (of all, where a network has none)."""
    variables = scores.variables
    kind = variables["layer_kind"]
    of_kind = xr.Variable(kind.dims, np.isin(kind.values, list(kinds)))
    counted: xr.Variable = variables["rank"].notnull() & (of_kind | ~of_kind.any("layer"))
    if unfolding is not None:
        if unfolding not in variables["unfolding"].values:
            known = tuple(variables["unfolding"].values.tolist())
            raise ValueError(f"unfolding must be one of {known}, got {unfolding!r}")
        counted = counted & (variables["unfolding"].to_base_variable() == unfolding)
    return counted


def _spectrum_rank(scores: xr.Dataset) -> xr.Variable:
    """Return the number of singular values of each spectrum: 0, 1 or (raw) at least 2."""
    variables = scores.variables
    factorization = variables["factorization"].to_base_variable()
    of_raw = factorization.values.tolist().index("raw")
    raw = 2 * (variables["spectral_norm"].isel(factorization=of_raw) > 0)
    return _where(factorization == "low_rank", variables["rank"], raw)


def _check(aggregation: str, weights: str, empty: str, rank_one: str, kinds: Sequence[str]) -> None:
    if isinstance(kinds, str) or not kinds or not set(kinds) <= set(KINDS):
        raise ValueError(f"kinds must be a sequence of some of {KINDS}, got {kinds!r}")
    for name, value, known in (
        ("aggregation", aggregation, get_args(AnyAggregation)),
        ("weights", weights, get_args(Weights)),
        ("empty", empty, get_args(Empty)),
        ("rank_one", rank_one, get_args(RankOne)),
    ):
        if value not in known:
            raise ValueError(f"{name} must be one of {known}, got {value!r}")
