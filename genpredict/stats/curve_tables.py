"""Tables of a specification curve: a row a group, a row a specification."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from genpredict.stats.specifications import CONVENTIONS


def curve_table(curves: xr.Dataset) -> pd.DataFrame:
    """Return a row a group: the median, its range, the shares of signs, the tests of the curve.

    Parameters
    ----------
    curves : Dataset
        As of `multiverse`.
    """
    estimate = curves["estimate"]
    return pd.DataFrame(
        {
            "group": curves["group"].values,
            "n": curves["n"].values,
            "clusters": curves["n_clusters"].values,
            "least": estimate.min("specification").values,
            "median": curves["median"].values,
            "most": estimate.max("specification").values,
            "p": curves["median_pvalue"].values,
            "above 0": curves["share_positive"].values,
            "below 0": curves["share_negative"].values,
            "p of signs": curves["sign_pvalue"].values,
        }
    )


def specification_table(curves: xr.Dataset) -> pd.DataFrame:
    """Return a row a group and specification: its choices and its correlation.

    Parameters
    ----------
    curves : Dataset
        As of `multiverse`.
    """
    frame = curves["estimate"].transpose("group", "specification").to_dataframe().reset_index()
    kept = ["group", *CONVENTIONS, "estimate"]
    return (
        frame[kept]
        .rename(columns={"estimate": curves.attrs["coefficient"]})
        .assign(
            target=curves.attrs["target"],
            estimator=curves.attrs["estimator"],
            **{name: curves.attrs[name] for name in ("where", "cluster")},
        )
    )
