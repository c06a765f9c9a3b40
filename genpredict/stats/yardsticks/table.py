"""All yardsticks of a store beside each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
import xarray as xr

from genpredict.stats.columns import Named
from genpredict.stats.yardsticks.granulated import granulated_kendall
from genpredict.stats.yardsticks.information import conditional_mutual_information
from genpredict.stats.yardsticks.sign_error import robust_sign_error


@dataclass(frozen=True)
class Yardstick:
    """A number of every measure and target.

    Parameters
    ----------
    function : callable
        A yardstick.
    variable : str
        Of its Dataset, over (measure, target).
    column : str
        Its name in a table.
    title : str
        Over its column on a terminal.
    """

    function: Callable[..., xr.Dataset]
    variable: str
    column: str
    title: str


#: What a table of yardsticks holds, in order.
YARDSTICKS = (
    Yardstick(granulated_kendall, "n", "n", "n"),
    Yardstick(granulated_kendall, "tau", "tau", "τ"),
    Yardstick(granulated_kendall, "Psi", "Psi", "Ψ"),
    Yardstick(robust_sign_error, "mean", "sign_error_mean", "error mean"),
    Yardstick(robust_sign_error, "percentile_90", "sign_error_90", "90 %"),
    Yardstick(robust_sign_error, "maximum", "sign_error_maximum", "worst"),
    Yardstick(robust_sign_error, "environments", "environments", "of"),
    Yardstick(conditional_mutual_information, "K", "K", "K"),
)


def yardstick_table(
    scores: xr.Dataset,
    measures: Sequence[Named] | Named | None = None,
    targets: Sequence[Named] | Named | None = None,
    hyperparameters: Sequence[str] | str | None = None,
    *,
    where: str | xr.DataArray | None = None,
) -> pd.DataFrame:
    """Score measures by every yardstick.

    Parameters
    ----------
    scores : Dataset
    measures, targets, hyperparameters, where
        As for `granulated_kendall`.

    Returns
    -------
    DataFrame
        A row a target and measure: measure, target, the columns of `YARDSTICKS`, then psi_ and each
        hyperparameter. ``attrs["hyperparameters"]`` lists these.
    """
    asked = (measures, targets, hyperparameters)
    functions = dict.fromkeys(row.function for row in YARDSTICKS)
    tables = {function: function(scores, *asked, where=where) for function in functions}
    granulated = tables[granulated_kendall]
    order = ("target", "measure")
    stacked = {
        row.column: tables[row.function][row.variable].transpose(*order).values.ravel()
        for row in YARDSTICKS
    }
    for name in granulated["hyperparameter"].values:
        psi = granulated["psi"].sel(hyperparameter=name)
        stacked[f"psi_{name}"] = psi.transpose(*order).values.ravel()
    labels = pd.MultiIndex.from_product(
        [granulated[dim].values for dim in order], names=order
    ).to_frame(index=False)
    frame = pd.concat([labels[["measure", "target"]], pd.DataFrame(stacked)], axis=1)
    frame.attrs["hyperparameters"] = granulated["hyperparameter"].values.tolist()
    return frame
