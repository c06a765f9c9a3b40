"""What may be trained on when a group is held out: nothing that has seen the group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from genpredict.errors import GenpredictError
from genpredict.stats.clusters import cluster_codes, setting_names
from genpredict.stats.columns import names_of
from genpredict.stats.groups import groups_of

Mask = NDArray[np.bool_]
#: Fewest checkpoints that a model is fitted to.
LEAST_TRAINING = 5


def splits(
    scores: xr.Dataset, leave_out: Sequence[str] | str, clusters: Sequence[str]
) -> Iterator[tuple[str, Mask, Mask]]:
    """Yield each held-out group, and what a model for it may be trained on.

    A checkpoint is trained on when it is outside the group and shares no cluster, and no setting
    (all hyperparameters alike; seeds and runs aside), with any checkpoint of the group.

    Parameters
    ----------
    scores : Dataset
    leave_out : sequence of str
        Coordinates; every combination of their values is held out in turn.
    clusters : sequence of str
        Coordinates of clusters.

    Yields
    ------
    group : str
    held_out, training : array of bool, shape (checkpoints,)

    Raises
    ------
    GenpredictError
        For unknown coordinates, fewer than two groups, or a group that leaves too little to train.
    """
    names = names_of(leave_out)
    try:
        groups = groups_of(scores, names)
    except GenpredictError as error:
        raise GenpredictError(str(error).replace("by:", "leave_out:", 1)) from error
    del groups["all"]
    if len(groups) < 2:
        raise GenpredictError(
            f"leave_out: {', '.join(names) or 'nothing'} gives {len(groups)} groups; it takes two"
        )
    shared = [_settings(scores), *(c for c in [cluster_codes(scores, clusters)] if c is not None)]
    for group, held_out in groups.items():
        training = ~held_out
        for codes in shared:
            training &= ~np.isin(codes, codes[held_out])
        if training.sum() < LEAST_TRAINING:
            raise GenpredictError(
                f"leave_out: {group} shares runs, clusters or settings with all but "
                f"{training.sum()} of the other checkpoints, and a model trained on those has seen "
                f"it; hold out what tells settings apart, such as network or optimizer"
            )
        yield group, held_out, training


def _settings(scores: xr.Dataset) -> NDArray[np.intp]:
    """Number the settings of checkpoints; each its own where no coordinate describes them."""
    names = [name for name in setting_names(scores) if scores[name].dims == ("checkpoint",)]
    if "run" in scores.coords:
        names = [name for name in names if name != "epoch"]  # epochs of a run are one setting
    if not names:
        return np.arange(scores.sizes["checkpoint"])
    table = pd.DataFrame({name: scores[name].values for name in names})
    return np.asarray(table.groupby(names, dropna=False, sort=False).ngroup(), dtype=np.intp)
