"""Which checkpoints count, and in which groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from genpredict.errors import GenpredictError

#: Label of the group of all checkpoints.
ALL = "all"


def selected(scores: xr.Dataset, where: str | xr.DataArray | None) -> xr.Dataset:
    """Keep the checkpoints that are done and meet a condition.

    Parameters
    ----------
    scores : Dataset
    where : str or DataArray of bool, optional
        A condition on coordinates in the syntax of ``pandas.DataFrame.query``, such as
        ``"epoch == 90 and dataset == 'cifar10'"``.

    Returns
    -------
    Dataset

    Raises
    ------
    GenpredictError
        For a condition that cannot be read, or that nothing meets.

    Examples
    --------
    >>> scores = xr.Dataset(coords={"checkpoint": ["a", "b"], "epoch": ("checkpoint", [12, 90])})
    >>> selected(scores, "epoch == 90")["checkpoint"].item()
    'b'
    """
    if "status" in scores.variables:
        scores = scores.isel(checkpoint=scores["status"].values == "done")
    if where is None:
        return scores
    if isinstance(where, xr.DataArray):
        mask = where.reindex(checkpoint=scores["checkpoint"], fill_value=False).values.astype(bool)
    else:
        mask = _meets(scores, where)
    if not mask.any():
        raise GenpredictError(f"where: none of {len(mask)} scored checkpoints meets {where!r}")
    return scores.isel(checkpoint=mask)


def where_text(where: str | xr.DataArray | None) -> str:
    """Return how a table's attributes tell which checkpoints were chosen."""
    return where if isinstance(where, str) else "" if where is None else "a mask"


def groups_of(scores: xr.Dataset, by: Sequence[str] | str | None) -> dict[str, NDArray[np.bool_]]:
    """Divide checkpoints into groups by coordinates.

    Parameters
    ----------
    scores : Dataset
    by : sequence of str, optional
        Coordinates along `checkpoint`; every combination of values that occurs is a group.

    Returns
    -------
    dict of str to array of bool, shape (checkpoints,)
        ``all`` first, then ``network=basecnn`` and so on, sorted by value. A checkpoint that lacks
        a value is in ``all`` alone.

    Raises
    ------
    GenpredictError
        For an unknown coordinate.

    Examples
    --------
    >>> scores = xr.Dataset(coords={"checkpoint": ["a", "b"], "epoch": ("checkpoint", [90.0, 12])})
    >>> list(groups_of(scores, "epoch"))
    ['all', 'epoch=12', 'epoch=90']
    """
    count = scores.sizes["checkpoint"]
    masks: dict[str, NDArray[np.bool_]] = {ALL: np.ones(count, dtype=bool)}
    names = [by] if isinstance(by, str) else list(by or [])
    if not names:
        return masks
    table = pd.DataFrame({name: _coordinate(scores, name) for name in names})
    missing = (table.isna() | (table == "")).any(axis=1)
    for values, rows in table[~missing].groupby(names, sort=True).indices.items():
        at = np.flatnonzero(~missing.to_numpy())[rows]
        mask = np.zeros(count, dtype=bool)
        mask[at] = True
        masks[group_label(names, values)] = mask
    return masks


def group_label(names: Sequence[str], values: Any) -> str:
    """Return the label of the group that has these values of coordinates.

    Examples
    --------
    >>> group_label(["network", "epoch"], ("resnet20", 12.0))
    'network=resnet20,epoch=12'
    """
    listed = values if isinstance(values, tuple) else (values,)
    return ",".join(f"{name}={_text(value)}" for name, value in zip(names, listed, strict=True))


def _text(value: Any) -> str:
    """Return a value as text, whole numbers without a decimal point."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:g}"


def _coordinate(scores: xr.Dataset, name: str) -> Any:
    if name in scores.variables and scores[name].dims == ("checkpoint",):
        return scores[name].values
    known = [str(n) for n, v in scores.coords.items() if v.dims == ("checkpoint",)]
    raise GenpredictError(
        f"by: {name!r} is no coordinate along checkpoint; there are {', '.join(known)}"
    )


def _meets(scores: xr.Dataset, where: str) -> NDArray[np.bool_]:
    coords = {
        str(name): scores[name].values
        for name in scores.variables
        if scores[name].dims == ("checkpoint",)
    }
    table = pd.DataFrame(coords)
    try:
        kept = table.query(where, engine="python").index
    except Exception as error:  # any: pandas raises whatever the expression runs into
        raise GenpredictError(
            f"where: cannot read {where!r} ({error}); write a condition on coordinates such as "
            f'"epoch == 90"; there are {", ".join(coords)}'
        ) from error
    mask = np.zeros(len(table), dtype=bool)
    mask[kept] = True
    return mask
