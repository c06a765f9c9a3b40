"""What so many checkpoints can tell at all, said in a sentence.

References
----------
.. [1] J. Cohen, "Statistical power analysis for the behavioral sciences", 2nd ed., Erlbaum, 1988.
.. [2] C. Spearman, "The proof and measurement of association between two things", Am. J.
   Psychology 15 (1904) 72-101: attenuation.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.special import ndtri

#: Share of the tables in which a detectable correlation is detected.
POWER = 0.8


def detectable_correlation(n: float, *, level: float = 0.95, power: float = POWER) -> float:
    """Return the smallest |ρ| that n independent draws tell from 0.

    tanh((z_{(1+level)/2} + z_power)/√(n − 3)), by Fisher's transform [1]_.

    Parameters
    ----------
    n : float
        Independent draws, or as many as clustered ones are worth.
    level, power : float

    Returns
    -------
    float
        1 where n is 3 or less.

    Examples
    --------
    >>> round(detectable_correlation(30), 2), round(detectable_correlation(1000), 2)
    (0.49, 0.09)
    """
    if n <= 3:
        return 1.0
    return float(np.tanh((ndtri((1 + level) / 2) + ndtri(power)) / np.sqrt(n - 3)))


def effective_number(n: int, clusters: int, icc_measure: float, icc_target: float) -> float:
    """Return how many independent draws clustered checkpoints are worth for a correlation.

    n/(1 + (n/clusters − 1)·icc_measure·icc_target): the variance of a mean of products, whose
    intraclass correlation is the product of both; never fewer than the clusters, nor more than n.

    Examples
    --------
    >>> effective_number(30, 10, 1.0, 1.0), effective_number(30, 10, 0.0, 0.9)
    (10.0, 30.0)
    """
    alike = max(np.nan_to_num(icc_measure), 0.0) * max(np.nan_to_num(icc_target), 0.0)
    worth = n / (1 + (n / clusters - 1) * alike) if clusters else 0.0
    return float(min(max(worth, clusters), n))


def power_sentence(table: xr.Dataset, target: str, group: str = "all") -> str:
    """Say what the checkpoints of a table can tell, and what its seeds leave to predict.

    Parameters
    ----------
    table : Dataset
        As of `correlate`.
    target, group : str
        Labels.

    Returns
    -------
    str
        "" where there is nothing to say of.
    """
    part = table.sel(target=target, group=group)
    n, clusters = int(part["n"].max()), int(part["n_clusters"].max())
    if n < 4:
        return ""
    iccs = [float(part[f"icc_{which}"].median()) for which in ("measure", "target")]
    worth = effective_number(n, clusters, *iccs)
    least = detectable_correlation(worth, level=float(table.attrs["level"]))
    what = f"{n:,} checkpoints"
    if clusters < n:
        what += f" in {clusters:,} clusters, worth about {worth:,.0f} draws,"
    text = f"{what} tell a correlation of {least:.2f} or more from 0 in {POWER:.0%} of cases"
    if clusters < n and 0 < iccs[1] < 1:
        text += (
            f"; clusters account for {iccs[1]:.0%} of the target's variance, so a measure that is "
            f"one within each of them cannot correlate beyond {np.sqrt(iccs[1]):.2f}"
        )
    return text
