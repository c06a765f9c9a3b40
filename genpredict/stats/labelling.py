"""What stands beside the numbers of a table: coordinates, names, units, how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from genpredict.inference import Inference
from genpredict.stats.column import Column
from genpredict.stats.known_coefficients import CORRECTIONS, STATISTICS, coefficient_of

_WORDS = STATISTICS | CORRECTIONS
#: Variables beside the coefficients: label and unit.
_OTHERS = {
    "n": "number of checkpoints",
    "n_clusters": "number of clusters",
    "icc_measure": "intraclass correlation of the measure",
    "icc_target": "intraclass correlation of the target",
    "note": "why a number is not given",
}


def labels(
    measures: Sequence[Column], targets: Sequence[Column], groups: Sequence[str]
) -> dict[str, Any]:
    """Return the coordinates of a table.

    Parameters
    ----------
    measures, targets : sequence of Column
    groups : sequence of str

    Returns
    -------
    dict
        Of `measure`, `target` and `group`, and what is known of each measure and target.
    """
    return {
        "measure": np.array([column.label for column in measures], dtype=object),
        "target": np.array([column.label for column in targets], dtype=object),
        "group": np.array(groups, dtype=object),
        "name": ("measure", np.array([column.name for column in measures], dtype=object)),
        "factorization": (
            "measure",
            np.array([column.factorization for column in measures], dtype=object),
        ),
        "p": ("measure", np.array([column.p for column in measures])),
        "long_name": ("measure", np.array([column.title for column in measures], dtype=object)),
        "target_long_name": (
            "target",
            np.array([column.title for column in targets], dtype=object),
        ),
    }


def described(table: xr.Dataset, settings: Inference) -> xr.Dataset:
    """Add names, units and the settings of inference.

    Parameters
    ----------
    table : Dataset
    settings : Inference

    Returns
    -------
    Dataset
    """
    for name, values in table.data_vars.items():
        row = coefficient_of(str(name))
        if row is not None and values.dtype.kind == "f":
            words = _WORDS.get(str(name).removeprefix(row.key), "")
            values.attrs = {"long_name": row.long_name + words, "units": "1"}
    for name, long_name in _OTHERS.items():
        if name in table:
            table[name].attrs = {"long_name": long_name, "units": "" if name == "note" else "1"}
    return table.assign_attrs(settings_attrs(settings))


def settings_attrs(settings: Inference) -> dict[str, Any]:
    """Return what the attributes of every table say of how it was made."""
    return {
        "interval": settings.interval,
        "level": settings.level,
        "resamples": settings.resamples,
        "permutations": settings.permutations,
        "seed": settings.seed,
        "min_n": settings.min_n,
    }
