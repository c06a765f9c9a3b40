"""Which checkpoints are no independent draws, and how much they have in common."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from genpredict.errors import GenpredictError, GenpredictWarning
from genpredict.inference import Cluster, Inference
from genpredict.schema import COORDINATES, EXTRA_COORDINATES, TARGETS
from genpredict.stats.coefficients import Array

#: What an interval takes: fewer clusters say nothing of the spread between clusters.
LEAST_CLUSTERS = 5
#: The coordinate whose repeated values are clusters unless told otherwise.
RUN = "run"
#: Coordinates that tell draws of one setting apart, or are results of it.
_NO_SETTINGS = ("seed", "run", "source", "manifest_source", "architecture_index", "num_parameters",
                "flops", *TARGETS)  # fmt: skip

Codes = NDArray[np.intp]


def cluster_names(scores: xr.Dataset, cluster: Cluster) -> list[str]:
    """Return the coordinates whose values are clusters.

    Parameters
    ----------
    scores : Dataset
        Of the checkpoints that count.
    cluster : str or sequence of str, optional
        As of `Inference`.

    Returns
    -------
    list of str
        Empty where every checkpoint is a draw of its own. "auto" gives `run` where a run has
        several checkpoints.

    Raises
    ------
    GenpredictError
        For a name that is no coordinate along `checkpoint`.
    """
    if cluster == "auto":
        repeated = RUN in scores.coords and _repeats(scores[RUN].values)
        return [RUN] if repeated else []
    names = [] if cluster is None else [cluster] if isinstance(cluster, str) else list(cluster)
    names = [name for name in names if name not in ("", "none")]
    for name in names:
        if name not in scores.variables or scores[name].dims != ("checkpoint",):
            known = [str(n) for n, v in scores.coords.items() if v.dims == ("checkpoint",)]
            raise GenpredictError(
                f"cluster: {name!r} is no coordinate along checkpoint; there are {', '.join(known)}"
            )
    return names


def cluster_codes(scores: xr.Dataset, names: Sequence[str]) -> Codes | None:
    """Number the clusters of checkpoints.

    Parameters
    ----------
    scores : Dataset
    names : sequence of str
        Of `cluster_names`.

    Returns
    -------
    array of int, shape (checkpoints,), or None
        None where no names are given. A checkpoint that lacks a value is a cluster of its own.

    Examples
    --------
    >>> runs = ("checkpoint", ["1", "1", ""])
    >>> scores = xr.Dataset(coords={"checkpoint": ["a", "b", "c"], "run": runs})
    >>> cluster_codes(scores, ["run"])
    array([0, 0, 1])
    """
    if not names:
        return None
    table = pd.DataFrame({name: scores[name].values for name in names})
    missing = (table.isna() | (table == "")).any(axis=1).to_numpy()
    codes = table.groupby(list(names), sort=False, dropna=False).ngroup().to_numpy().copy()
    codes[missing] = codes.max(initial=-1) + 1 + np.arange(missing.sum())
    return np.asarray(np.unique(codes, return_inverse=True)[1], dtype=np.intp)


def checked_codes(scores: xr.Dataset, clusters: Sequence[str], settings: Inference) -> Codes | None:
    """Return the cluster of each checkpoint.

    Raises
    ------
    GenpredictError
        For Fisher's interval where checkpoints share a cluster.
    """
    codes = cluster_codes(scores, clusters)
    if (
        codes is not None
        and settings.interval == "fisher"
        and codes.max(initial=-1) + 1 < len(codes)
    ):
        raise GenpredictError(
            f"interval: Fisher's knows nothing of clusters, and checkpoints share their "
            f'{", ".join(clusters)}; take "jackknife" or "bca", or cluster=None (--cluster none) '
            f"where they are independent draws"
        )
    return codes


def warn_of_repetition(scores: xr.Dataset) -> str:
    """Warn of checkpoints that share their settings and differ in the seed.

    Parameters
    ----------
    scores : Dataset
        Of the checkpoints that count as independent.

    Returns
    -------
    str
        The warning, "" where there is no such repetition.
    """
    if "seed" not in scores.coords or not _differ(scores["seed"].values):
        return ""
    settings = [name for name in setting_names(scores) if _differ(scores[name].values)]
    if not settings:
        return ""
    frame = pd.DataFrame({name: scores[name].values for name in [*settings, "seed"]})
    settings = _telling(frame, settings)
    sizes = frame.groupby(settings, dropna=False)["seed"].nunique()
    if len(sizes) == len(frame) or int(sizes.max()) < 2:
        return ""
    text = (
        f"{len(frame)} checkpoints are {len(sizes)} settings of {', '.join(settings)} with up to "
        f"{int(sizes.max())} seeds each, and seeds of one setting are no independent draws; "
        f"cluster={settings!r} counts each setting once (--cluster {','.join(settings)}), "
        f"cluster=None (--cluster none) takes them as independent"
    )
    warnings.warn(text, GenpredictWarning, stacklevel=3)
    return text


def _telling(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return names that tell all settings apart; what others decide already is left out."""
    kept: list[str] = []
    count = 1
    for name in names:
        finer = frame.groupby([*kept, name], dropna=False).ngroups
        if finer > count:
            kept, count = [*kept, name], finer
    return kept


def setting_names(scores: xr.Dataset) -> list[str]:
    """List the coordinates that describe how a checkpoint was made, seeds and results apart.

    Parameters
    ----------
    scores : Dataset

    Returns
    -------
    list of str
    """
    known = [*COORDINATES, *EXTRA_COORDINATES]
    return [name for name in known if name in scores.coords and name not in _NO_SETTINGS]


def intraclass_correlation(values: Array, codes: Codes) -> float:
    """Return the share of the variance that lies between clusters: ICC(1) of one-way ANOVA.

    (MSB − MSW)/(MSB + (n₀ − 1)·MSW) with the mean squares between and within G clusters and n₀ =
    (n − Σn_g²/n)/(G − 1) (Fisher 1925; Shrout & Fleiss, Psychol. Bulletin 86 (1979) 420-428).

    Parameters
    ----------
    values : array, shape (n,)
    codes : array of int, shape (n,)
        From 0 without gaps.

    Returns
    -------
    float
        NaN where a cluster has one member each, there is one cluster, or all values are equal.

    Examples
    --------
    >>> intraclass_correlation(np.array([1.0, 1, 2, 2]), np.array([0, 0, 1, 1]))
    1.0
    """
    sizes = np.bincount(codes).astype(np.float64)
    n, count = float(len(values)), len(sizes)
    if count < 2 or count == n or np.ptp(values) == 0:
        return float("nan")
    scaled = (values - values.mean()) / values.std()
    means = np.bincount(codes, weights=scaled) / sizes
    between = (sizes * means**2).sum() / (count - 1)
    within = ((scaled - means[codes]) ** 2).sum() / (n - count)
    usual = (n - (sizes**2).sum() / n) / (count - 1)
    return float((between - within) / (between + (usual - 1) * within))


def _repeats(values: NDArray[np.generic]) -> bool:
    named = [value for value in values.tolist() if value not in ("", None) and value == value]
    return len(set(named)) < len(named)


def _differ(values: NDArray[np.generic]) -> bool:
    return len(pd.unique(pd.Series(values).dropna())) > 1
