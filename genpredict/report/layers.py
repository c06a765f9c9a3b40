"""What the layer heat map draws: qualities of all checkpoints, or of a sample that is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from genpredict.figures.labels import name_of, told_apart
from genpredict.report.marks import numbers
from genpredict.schema import MAIN_CHOICE, MAIN_CHOICE_NAME

#: Columns of the heat map; of more checkpoints it shows a sample.
MOST_COLUMNS = 60


def order_of(scores: xr.Dataset) -> tuple[str, NDArray[np.float64]]:
    """Return what checkpoints are ordered by: test accuracy, else the first target, else Q.

    Parameters
    ----------
    scores : Dataset
        Of checkpoints that are done.

    Returns
    -------
    name : str
        As a reader says it.
    values : array, shape (checkpoints,)
    """
    for name in ("test_accuracy", "generalization_gap"):
        if name in scores.variables and bool(scores[name].notnull().any()):
            return name_of(name), np.asarray(scores[name].values, dtype=np.float64)
    quality = scores["Q"].sel(MAIN_CHOICE)
    return f"{name_of('Q')}, {MAIN_CHOICE_NAME}", np.asarray(quality.values, dtype=np.float64)


def columns_shown(keys: NDArray[np.float64]) -> NDArray[np.intp]:
    """Choose the checkpoints of the heat map: all, or evenly spaced ones in their order.

    Parameters
    ----------
    keys : array, shape (checkpoints,)
        What orders them; checkpoints without a value come last, and only where all are shown.

    Returns
    -------
    array of int
        Positions, in order; of many, lowest and highest are among them.
    """
    order = np.argsort(keys, kind="stable")
    if len(order) <= MOST_COLUMNS:
        return order
    known = order[: int(np.isfinite(keys).sum())]
    places = np.linspace(0, len(known) - 1, min(MOST_COLUMNS, len(known)))
    return known[np.round(places).astype(np.intp)]


def heatmap_of(scores: xr.Dataset) -> dict[str, Any] | None:
    """Return low-rank qualities over layers and checkpoints, as the page takes them.

    Parameters
    ----------
    scores : Dataset
        Of checkpoints that are done.

    Returns
    -------
    dict or None
        None where there is no quality. `columns` (ids), `names` (short ones), `order` and its
        `order_values`, `total`; `quality` and `rank` by unfolding as lists (column, layer) with
        None where a network has no such entry; `layer_sets` of names and shapes with the `set_of`
        each column.
    """
    if not scores.sizes["checkpoint"] or "quality" not in scores or "layer" not in scores.dims:
        return None
    name, keys = order_of(scores)
    shown = columns_shown(keys)
    sample = scores.isel(checkpoint=shown)
    quality = sample["quality"].sel(MAIN_CHOICE)
    depth = int(np.flatnonzero(quality.notnull().any(("checkpoint", "unfolding")).values).max()) + 1
    ids = [str(label) for label in sample["checkpoint"].values]
    sets, set_of = _layer_sets(sample, depth)
    return {
        "columns": ids,
        "names": told_apart(ids),
        "order": name,
        "order_values": numbers(keys[shown]),
        "total": int(scores.sizes["checkpoint"]),
        "depth": depth,
        "quality": _by_unfolding(quality, depth),
        "rank": _by_unfolding(sample["rank"], depth),
        "layer_sets": sets,
        "set_of": set_of,
    }


def _by_unfolding(measure: xr.DataArray, depth: int) -> dict[str, list[list[float | int | None]]]:
    entries = measure.isel(layer=slice(depth)).transpose("unfolding", "checkpoint", "layer")
    return {
        str(unfolding): [numbers(row) for row in part]
        for unfolding, part in zip(entries["unfolding"].values, entries.values, strict=True)
    }


def _layer_sets(sample: xr.Dataset, depth: int) -> tuple[list[list[str]], list[int]]:
    """Return the layers of the networks, each list once, and which list a column has."""
    if "layer_name" not in sample.variables:
        texts = np.full((sample.sizes["checkpoint"], depth), "", dtype=object)
    else:
        texts = sample["layer_name"].transpose("checkpoint", "layer").values[:, :depth]
    rows = [tuple(str(text).removesuffix(".weight") for text in row) for row in texts]
    known = {row: i for i, row in enumerate(dict.fromkeys(rows))}
    return [list(row) for row in known], [known[row] for row in rows]
