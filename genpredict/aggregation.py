"""From layer measures to network measures (docs/design.md 3.5).

The array kernel (`aggregate_entries`) knows numbers and masks only; `aggregate` adds the labels.

References
----------
.. [1] M. S. Hosseini, M. Tuli, K. N. Plataniotis, "Exploiting Explainable Metrics for Augmented
   SGD", CVPR 2022: Eq. 5.
.. [2] M. Jaegerman et al., "In Search of Probeable Generalization Measures", ICMLA 2021.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from genpredict.errors import GenpredictError
from genpredict.extensions import resolve
from genpredict.schema import INTEGERS, KINDS, NETWORK_MEASURES, TARGETS, NetworkMeasure

Aggregation = Literal["l2", "mean", "geometric_mean"]
Empty = Literal["zero", "skip"]
RankOne = Literal["limit", "worst", "skip"]
_ENTRY = ("layer", "unfolding")


def aggregate(
    scores: xr.Dataset,
    *,
    aggregation: Aggregation = "l2",
    kinds: Sequence[str] = ("conv",),
    empty: Empty = "zero",
    rank_one: RankOne = "limit",
    unfolding: str | None = None,
) -> xr.DataArray:
    """Aggregate the quality of a network's entries (layer, unfolding) into one number, Q.

    Parameters
    ----------
    scores : Dataset
        With `quality`, `stable_rank`, `rank`, `spectral_norm` and `layer_kind`, as `score` makes.
    aggregation : {"l2", "mean", "geometric_mean"}
        √(mean of squares) is the paper's Eq. 5 [1]_.
    kinds : sequence of str
        Kinds of layers that count; all layers of a network that has none of these.
    empty : {"zero", "skip"}
        Entries of rank 0 count as 0, or leave the norm and the count, as in GenProb [2]_.
    rank_one : {"limit", "worst", "skip"}
        Entries of rank 1 count as π/2, the limit of Eq. 4; or, having no second singular value to
        compare with, take condition number 1; or leave the norm and the count.
    unfolding : str, optional
        Count the entries of this unfolding alone.

    Returns
    -------
    DataArray, dims (checkpoint, factorization, p)
        In radians. NaN where no entry counts. The choices are in its `attrs`.

    Raises
    ------
    ValueError
        For an option that is none of the above.
    """
    _check(aggregation, empty, rank_one, kinds)
    counted = _entries(scores, kinds, unfolding)
    rank = _spectrum_rank(scores)
    value = scores["quality"]
    if rank_one == "worst":
        value = value.where(rank != 1, np.arctan(scores["stable_rank"]))
    if empty == "skip":
        counted = counted & (rank != 0)
    if rank_one == "skip":
        counted = counted & (rank != 1)
    order = ("checkpoint", "factorization", "p", *_ENTRY)
    found: xr.DataArray = xr.apply_ufunc(
        aggregate_entries,
        value.where(counted).transpose(*order),
        input_core_dims=[list(_ENTRY)],
        kwargs={"aggregation": aggregation},
    )
    choices: dict[str, Any] = {"aggregation": aggregation, "kinds": list(kinds), "empty": empty}
    choices |= {"rank_one": rank_one, "unfolding": unfolding or "both"}
    return found.rename("Q").assign_attrs(NETWORK_MEASURES["Q"].attrs | choices)


def aggregate_entries(
    values: NDArray[np.float64], *, aggregation: Aggregation = "l2"
) -> NDArray[np.float64]:
    """Aggregate over the last two axes, where NaN entries do not count.

    Parameters
    ----------
    values : array, shape (..., layers, unfoldings)
        Non-negative.
    aggregation : {"l2", "mean", "geometric_mean"}

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
    count = there.sum((-2, -1))
    with np.errstate(divide="ignore", invalid="ignore"):  # log 0 = −∞ and 0/0 = NaN are meant
        if aggregation == "l2":
            total = _sum(np.where(there, values**2, 0.0))
            found = np.sqrt(total / count)  # Eq. 5
        elif aggregation == "mean":
            found = _sum(np.where(there, values, 0.0)) / count
        else:
            logs = np.log(np.where(there, values, 1.0))
            found = np.exp(_sum(logs) / count)
    return np.asarray(found)


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
    return (scores["layer_name"] != "").sum("layer")


def num_rank_zero(scores: xr.Dataset) -> xr.DataArray:
    """Count the entries of low-rank rank 0 among those that Q counts."""
    return _count_of_rank(scores, 0)


def num_rank_one(scores: xr.Dataset) -> xr.DataArray:
    """Count the entries of low-rank rank 1 among those that Q counts."""
    return _count_of_rank(scores, 1)


def _count_of_rank(scores: xr.Dataset, rank: int) -> xr.DataArray:
    return (scores["rank"].where(_entries(scores, ("conv",), None)) == rank).sum(_ENTRY)


def with_network_measures(
    scores: xr.Dataset, table: Iterable[NetworkMeasure] = tuple(NETWORK_MEASURES.values())
) -> xr.Dataset:
    """Add Q, Q_adjusted and the counts beside them, and the generalization gap where it follows.

    Parameters
    ----------
    scores : Dataset
        Layer measures of `score` or of a store. Network measures that are there stay.
    table : iterable of NetworkMeasure
        What to add; by default those of every score.

    Returns
    -------
    Dataset
        The same with the network measures as variables, Q first, counts as whole numbers, and
        layers numbered.
    """
    scores = with_gap(_whole(scores).assign_coords(layer=np.arange(scores.sizes["layer"])))
    return add_network_measures(scores, table)


def add_network_measures(scores: xr.Dataset, table: Iterable[NetworkMeasure]) -> xr.Dataset:
    """Compute the network measures that are not there, and put all of them first.

    Parameters
    ----------
    scores : Dataset
        With layer measures.
    table : iterable of NetworkMeasure

    Returns
    -------
    Dataset
        NaN for checkpoints that are not done.

    Raises
    ------
    GenpredictError
        For a measure whose function cannot be imported or returns no number a checkpoint.
    """
    measures: dict[str, xr.DataArray] = {}
    for row in table:
        if row.name in scores.data_vars:
            measures[row.name] = scores[row.name]
            continue
        function = resolve(row.function, f"measure {row.name}")
        computed = _checked(row, function(scores), scores).where(scores["status"] == "done")
        measures[row.name] = computed.assign_attrs(computed.attrs | row.attrs)
    others = {name: variable for name, variable in scores.items() if name not in measures}
    first: dict[Any, xr.Variable] = {name: values.variable for name, values in measures.items()}
    first |= {name: values.variable for name, values in others.items()}
    return xr.Dataset(first, coords=scores.coords, attrs=scores.attrs)


def _checked(row: NetworkMeasure, values: Any, scores: xr.Dataset) -> xr.DataArray:
    """Return the result of a function; raise where it is not one number a checkpoint."""
    known = {"checkpoint", "factorization", "p"}
    if not isinstance(values, xr.DataArray) or "checkpoint" not in values.dims:
        shape = f"shape {np.shape(values)}" if hasattr(values, "shape") else str(type(values))
    elif set(values.dims) <= known and values.sizes["checkpoint"] == scores.sizes["checkpoint"]:
        return values.transpose("checkpoint", ...)
    else:
        shape = f"{dict(values.sizes)}"
    raise GenpredictError(
        f"measure {row.name}: {row.function} must return a DataArray over checkpoint (and "
        f"factorization, p), got {shape}"
    )


def with_gap(scores: xr.Dataset) -> xr.Dataset:
    """Add generalization_gap = train_accuracy − test_accuracy, in percentage points."""
    if not {"train_accuracy", "test_accuracy"} <= set(scores.coords):
        return scores
    # numpy's arithmetic, here and below: xarray's first takes a second to load all of Dask
    gap = scores["train_accuracy"].values - scores["test_accuracy"].values
    gap = gap.round(9)  # equal gaps are ties
    if "generalization_gap" in scores.coords:
        given = scores["generalization_gap"].values
        gap = np.where(np.isnan(given), gap, given)
    attrs = TARGETS["generalization_gap"].attrs
    return scores.assign_coords(generalization_gap=("checkpoint", gap, attrs))


def _whole(scores: xr.Dataset) -> xr.Dataset:
    """Make the coordinates that count something integers, where every checkpoint has them."""
    whole: dict[str, Any] = {}
    for name in INTEGERS:
        if name in scores.coords:
            column = scores[name]
            if column.dtype.kind == "f" and _is_whole(column.values):
                whole[name] = (column.dims, column.values.astype(np.int64), column.attrs)
    return scores.assign_coords(whole)


def _is_whole(values: NDArray[np.float64]) -> bool:
    return len(values) > 0 and bool(((np.abs(values) < 2**53) & (values == np.floor(values))).all())


def _entries(scores: xr.Dataset, kinds: Sequence[str], unfolding: str | None) -> xr.DataArray:
    """Mark the entries that exist and are of these kinds (of all, where a network has none)."""
    of_kind = scores["layer_kind"].isin(list(kinds))
    counted = scores["rank"].notnull() & (of_kind | ~of_kind.any("layer"))
    if unfolding is not None:
        if unfolding not in scores["unfolding"].values:
            known = tuple(scores["unfolding"].values.tolist())
            raise ValueError(f"unfolding must be one of {known}, got {unfolding!r}")
        counted = counted & (scores["unfolding"] == unfolding)
    return counted


def _spectrum_rank(scores: xr.Dataset) -> xr.DataArray:
    """Return the number of singular values of each spectrum: 0, 1 or (raw) at least 2."""
    raw = 2 * (scores["spectral_norm"].sel(factorization="raw") > 0)
    return scores["rank"].where(scores["factorization"] == "low_rank", raw)


def _check(aggregation: str, empty: str, rank_one: str, kinds: Sequence[str]) -> None:
    if isinstance(kinds, str) or not kinds or not set(kinds) <= set(KINDS):
        raise ValueError(f"kinds must be a sequence of some of {KINDS}, got {kinds!r}")
    for name, value, known in (
        ("aggregation", aggregation, get_args(Aggregation)),
        ("empty", empty, get_args(Empty)),
        ("rank_one", rank_one, get_args(RankOne)),
    ):
        if value not in known:
            raise ValueError(f"{name} must be one of {known}, got {value!r}")
