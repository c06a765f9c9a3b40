"""Families of checkpoints side by side: how many they are, over which range, each a column.

Families that were trained in different ways are compared, not pooled: a correlation over two of
them tells them apart before it tells anything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from genpredict.errors import GenpredictError
from genpredict.inference import Cluster
from genpredict.schema import KNOWN
from genpredict.stats.clusters import cluster_codes, cluster_names
from genpredict.stats.groups import group_label, selected

#: Targets that are told of unless others are named.
DESCRIBED = ("test_accuracy", "generalization_gap")


def describe_families(
    scores: xr.Dataset,
    *,
    by: str = "family",
    targets: Sequence[str] = DESCRIBED,
    cluster: Cluster = "auto",
) -> pd.DataFrame:
    """Tell how many checkpoints and clusters each family has, and the ends of its targets.

    Parameters
    ----------
    scores : Dataset
        As of `genpredict.join_scores`; checkpoints that failed do not count.
    by : str
        Coordinate along `checkpoint` whose values are families.
    targets : sequence of str
        Coordinates along `checkpoint`, in their units.
    cluster : str or sequence of str, optional
        As of `correlate`.

    Returns
    -------
    DataFrame
        A row a family, by its name, in the order of the scores: `networks`, `clusters`, and
        `min_…` and `max_…` of each target.

    Raises
    ------
    GenpredictError
        For names that are no coordinates along `checkpoint`.

    Examples
    --------
    >>> rows = ("checkpoint", ["a", "a", "b"]), ("checkpoint", [60.0, 80.0, 90.0])
    >>> scores = xr.Dataset(coords=dict(zip(("family", "test_accuracy"), rows)))
    >>> describe_families(scores, targets=["test_accuracy"])
            networks  clusters  min_test_accuracy  max_test_accuracy
    family
    a              2         2               60.0               80.0
    b              1         1               90.0               90.0
    """
    scores = selected(scores, None)
    for parameter, names in (("by", [by]), ("targets", targets)):
        for name in names:
            if name not in scores.variables or scores[name].dims != ("checkpoint",):
                raise GenpredictError(f"{parameter}: {name!r} is no coordinate along checkpoint")
    codes = cluster_codes(scores, cluster_names(scores, cluster))
    frame = pd.DataFrame({name: scores[name].values for name in (by, *targets)})
    frame["cluster"] = np.arange(len(frame)) if codes is None else codes
    families = frame.groupby(by, sort=False)
    columns = {"networks": families.size(), "clusters": families["cluster"].nunique()}
    for name in targets:
        columns |= {f"{end}_{name}": families[name].agg(end) for end in ("min", "max")}
    return pd.DataFrame(columns)


def families_as_targets(
    correlations: xr.Dataset,
    families: pd.DataFrame,
    target: str = "test_accuracy",
    *,
    names: Mapping[str, str] | None = None,
) -> xr.Dataset:
    """Turn a table's families into its targets, for `plot_ranking` to draw them side by side.

    Parameters
    ----------
    correlations : Dataset, dims (measure, target, group)
        As of `correlate` with the coordinate of the families as its `by`.
    families : DataFrame
        Of `describe_families`; those rows of it, in that order, become targets.
    target : str
        Label along `target` whose correlations are kept.
    names : mapping of str to str, optional
        What families are called, by their values.

    Returns
    -------
    Dataset, dims (measure, target, group)
        One group; a target is called by its family and its range: "ResNets: 79 to 93 %".

    Raises
    ------
    GenpredictError
        For a family or a target that the table does not hold.
    """
    by = str(families.index.name)
    groups = [group_label([by], family) for family in families.index]
    held = {"target": [target], "group": groups}
    for dim, labels in held.items():
        unknown = sorted(set(labels) - set(correlations[dim].values.tolist()))
        if unknown:
            raise GenpredictError(
                f"correlations hold no {dim} {', '.join(unknown)}; correlate with by={by!r}"
            )
    titles = np.array([_title(row, target, names or {}) for row in families.itertuples()], object)
    table = correlations.sel(target=target, group=groups)
    table = table.drop_vars([n for n, v in table.variables.items() if v.dims in ((), ("group",))])
    column = ("target", titles)
    table = table.rename(group="target").assign_coords(target=column, target_long_name=column)
    return table.expand_dims(group=["all"]).transpose("measure", "target", "group")


def _title(family: Any, target: str, names: Mapping[str, str]) -> str:
    """Return a family's name with the ends of a target."""
    low, high = (getattr(family, f"{end}_{target}") for end in ("min", "max"))
    units = KNOWN[target].units if target in KNOWN else ""
    called = names.get(family.Index, family.Index)
    return f"{called}: {low:z.0f} to {high:z.0f} {units}".strip()
