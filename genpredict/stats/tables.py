"""Correlations as a table in long form, one row a measure, target and group."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from genpredict.stats.correlations import ADJUSTMENTS
from genpredict.stats.estimation import COEFFICIENTS, STATISTICS


def to_table(correlations: xr.Dataset) -> pd.DataFrame:
    """Return correlations in long form, as they go to CSV files.

    Parameters
    ----------
    correlations : Dataset
        As of `correlate`.

    Returns
    -------
    DataFrame
        Columns measure (its name, e.g. Q), factorization ("raw", "low_rank" or ""), p (1, 2 or
        missing), target, group, n, then c, c_lower, c_upper, c_pvalue for c in plcc, rocc, krocc,
        then the adjusted p-values. Rows by group, then target, then measure.
    """
    statistics = [c + s for c in COEFFICIENTS for s in STATISTICS]
    statistics += [f"{c}_pvalue_{how}" for c in COEFFICIENTS for how in ADJUSTMENTS]
    kept = ["n", *(name for name in statistics if name in correlations.data_vars)]
    order = ("group", "target", "measure")
    shape = [correlations.sizes[dim] for dim in order]
    group, target, measure = (at.ravel() for at in np.indices(shape))
    columns = {
        "measure": correlations["name"].values[measure],
        "factorization": correlations["factorization"].values[measure],
        "p": pd.array(correlations["p"].values[measure], dtype="Float64").astype("Int64"),
        "target": correlations["target"].values[target],
        "group": correlations["group"].values[group],
    }
    columns |= {name: correlations[name].transpose(*order).values.ravel() for name in kept}
    return pd.DataFrame(columns)
