"""Groups of measures besides those of every score: which are held, and how they rank."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from genpredict.report.tables import ranking, target_names
from genpredict.stats.column import Column
from genpredict.stats.columns import baseline_names, measure_columns
from genpredict.stats.groups import ALL
from genpredict.stats.measure_groups import groups_held


def columns_besides(done: xr.Dataset) -> list[Column]:
    """Return the columns of every group of measures that scores hold, but the groups of all scores.

    Parameters
    ----------
    done : Dataset
        Of checkpoints that count.

    Returns
    -------
    list of Column
        Without the baselines, and without columns that have no number at all.
    """
    held = list(groups_held(done))
    if not held:
        return []
    baselines = set(baseline_names(done))
    columns = measure_columns(done, held)
    return [
        column
        for column in columns
        if column.label not in baselines and bool(np.isfinite(column.numbers).any())
    ]


def groups_ranked(done: xr.Dataset, others: xr.Dataset | None) -> list[dict[str, Any]]:
    """Return a ranking of the measures of each group, all checkpoints together.

    Parameters
    ----------
    done : Dataset
        Of checkpoints that count.
    others : Dataset, optional
        Correlations of `columns_besides`, as of `genpredict.stats.correlate`.

    Returns
    -------
    list of dict
        `group`, `targets` and `rows`, as of the ranking.
    """
    return [] if others is None else list(_ranked(others, groups_held(done)))


def _ranked(others: xr.Dataset, group_of: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    owners = np.array([group_of.get(str(name), "") for name in others["name"].values])
    for group in dict.fromkeys(owner for owner in owners.tolist() if owner):
        part = others.isel(measure=owners == group)
        yield {
            "group": group.replace("_", " "),
            "targets": target_names(part),
            "rows": ranking(part, ALL),
        }
