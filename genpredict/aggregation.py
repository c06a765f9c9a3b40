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
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from genpredict.schema import INTEGERS, KINDS, NETWORK_MEASURES, TARGETS

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
            total = np.where(there, values**2, 0.0).sum((-2, -1))
            found = np.sqrt(total / count)  # Eq. 5
        elif aggregation == "mean":
            found = np.where(there, values, 0.0).sum((-2, -1)) / count
        else:
            logs = np.log(np.where(there, values, 1.0))
            found = np.exp(logs.sum((-2, -1)) / count)
    return np.asarray(found)


def with_network_measures(scores: xr.Dataset) -> xr.Dataset:
    """Add Q, Q_adjusted and the counts beside them, and the generalization gap where it follows.

    Parameters
    ----------
    scores : Dataset
        Layer measures of `score` or of a store.

    Returns
    -------
    Dataset
        The same with the network measures of docs/design.md 3.5 as variables, Q first.
    """
    scores = with_gap(_whole(scores).assign_coords(layer=np.arange(scores.sizes["layer"])))
    conv = _entries(scores, ("conv",), None)
    rank = scores["rank"].where(conv)
    done = scores["status"] == "done"
    measures = {
        "Q": aggregate(scores),
        "Q_adjusted": aggregate(scores, rank_one="worst"),
        "num_layers": (scores["layer_name"] != "").sum("layer").where(done),
        "num_rank_zero": (rank == 0).sum(_ENTRY).where(done),
        "num_rank_one": (rank == 1).sum(_ENTRY).where(done),
    }
    for name, measure in measures.items():
        measures[name] = measure.assign_attrs(measure.attrs | NETWORK_MEASURES[name].attrs)
    ordered = xr.Dataset(measures, attrs=scores.attrs).merge(scores, join="exact", compat="equals")
    return ordered.assign_attrs(scores.attrs)


def with_gap(scores: xr.Dataset) -> xr.Dataset:
    """Add generalization_gap = train_accuracy − test_accuracy, in percentage points."""
    if not {"train_accuracy", "test_accuracy"} <= set(scores.coords):
        return scores
    gap = (scores["train_accuracy"] - scores["test_accuracy"]).round(9)  # equal gaps are ties
    if "generalization_gap" in scores.coords:
        gap = scores["generalization_gap"].where(scores["generalization_gap"].notnull(), gap)
    gap.attrs = TARGETS["generalization_gap"].attrs
    return scores.assign_coords(generalization_gap=("checkpoint", gap.data, gap.attrs))


def _whole(scores: xr.Dataset) -> xr.Dataset:
    """Make the coordinates that count something integers, where every checkpoint has them."""
    for name in INTEGERS:
        if name in scores.coords:
            values = scores[name]
            if values.dtype.kind == "f" and _is_whole(values.values):
                scores = scores.assign_coords({name: values.astype(np.int64)})
    return scores


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
