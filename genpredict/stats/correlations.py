"""The table of correlations: measure × target × group, with intervals and p-values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr

from genpredict.errors import GenpredictError
from genpredict.stats.columns import (
    Column,
    Named,
    covariate_values,
    measure_columns,
    target_columns,
)
from genpredict.stats.estimation import COEFFICIENTS, STATISTICS, Interval, Settings, estimate
from genpredict.stats.groups import groups_of, selected
from genpredict.stats.multiplicity import benjamini_hochberg, holm
from genpredict.stats.threads import one_blas_thread

Family = Literal["table", "group"]
DIMS = ("measure", "target", "group")
LONG_NAMES = {
    "plcc": "Pearson's r (PLCC)",
    "rocc": "Spearman's ρ (ROCC)",
    "krocc": "Kendall's τ-b (KROCC)",
}
ADJUSTMENTS = {"holm": holm, "bh": benjamini_hochberg}
_KINDS = {"interval": Settings.interval_for, "krocc_interval": Settings.krocc_interval_for}
_WORDS = {
    "": "",
    "_lower": ", lower bound",
    "_upper": ", upper bound",
    "_pvalue": ", p-value",
    "_pvalue_holm": ", p-value adjusted by Holm",
    "_pvalue_bh": ", p-value adjusted by Benjamini-Hochberg",
}


def correlate(
    scores: xr.Dataset,
    *,
    measures: Sequence[Named] | Named | None = None,
    targets: Sequence[Named] | Named | None = None,
    by: Sequence[str] | str | None = None,
    where: str | xr.DataArray | None = None,
    interval: Interval = "auto",
    resamples: int = 2000,
    permutations: int = 9999,
    level: float = 0.95,
    min_n: int = 5,
    partial: Sequence[str] | str | None = None,
    seed: int = 0,
    adjust: Sequence[str] = ("holm", "bh"),
    family: Family = "table",
) -> xr.Dataset:
    """Correlate measures with targets, signed, with confidence intervals and p-values.

    Parameters
    ----------
    scores : Dataset
        As of `score` or `open_scores`.
    measures : sequence of str or DataArray, optional
        Default `Q` by factorization and p, and low-rank `Q_adjusted` by p: of raw spectra, which
        have no rank 1, both are the same number. The baselines (log number of parameters, number of
        layers, entries of rank 0 and 1) always follow.
    targets : sequence of str or DataArray, optional
        Default: those of `schema.TARGETS` that the scores have.
    by : sequence of str, optional
        Coordinates; correlations within each combination of their values, beside all. So
        ``by="epoch"`` is the evolution.
    where : str or DataArray of bool, optional
        Checkpoints that count, such as ``"epoch == 90"``.
    interval : {"auto", "bca", "percentile", "fisher"}
        "auto" is BCa for groups of up to 2,000 checkpoints, percentile above. KROCC is bootstrapped
        up to 1,000 checkpoints; above it has the jackknife's interval. The variables `interval`
        and `krocc_interval` tell which.
    resamples : int
        Of the bootstrap; the same ones for all measures and targets of the same checkpoints.
    permutations : int
        For the p-values. None is below 1/(permutations + 1): a Holm-adjusted one not below that
        times the number of tests.
    level : float
        Coverage of the intervals.
    min_n : int
        Groups (and pairs) of fewer checkpoints, plus one a covariate, give NaN.
    partial : sequence of str, optional
        Covariates: correlations of what is left of measure and target (of their ranks for ROCC)
        after linear regression on them (on their ranks). Texts such as `network` count as
        indicators. KROCC has no accepted form for several covariates, and is NaN.
    seed : int
        Resamples and permutations are functions of it and of the number of checkpoints alone.
    adjust : sequence of {"holm", "bh"}
        Multiplicity of tests; see Notes.
    family : {"table", "group"}
        Which tests of a coefficient are adjusted together: all of the table, baselines and groups
        included, or those of each group apart.

    Returns
    -------
    Dataset, dims (measure, target, group)
        `n`, and for c in plcc, rocc, krocc: c, c_lower, c_upper, c_pvalue, c_pvalue_holm,
        c_pvalue_bh; (group) `interval`, `krocc_interval`. Checkpoints of which measure, target or a
        covariate is not a finite number are left out of that pair and not counted in its n.

    Raises
    ------
    GenpredictError
        For names that the scores do not have, or options out of range.

    Notes
    -----
    Intervals of few checkpoints promise more than they hold: of bivariate normal tables of 11 to 32
    checkpoints, 91 to 94 % of the 95 % BCa intervals of PLCC hold the truth (of ROCC 93 to 97 %);
    from about 100 on it is 95 %. Fisher's do better there, but know nothing of skewed or clustered
    data. The p-value and the interval are made in different ways, and may disagree at the edge.
    Checkpoints of few networks are clusters, not independent draws: look within groups, too.

    A family is the tests among which one would pick a finding. Who looks at every group picks among
    all of them, so the whole table is the default; asking for groups then costs the pooled tests
    some power, which is the price of having looked. ``family="group"`` is for groups that are
    questions of their own, each of which would be reported whatever the others say (a data set a
    paper section): at 5 %, each group then has its own 5 % chance of a false finding. A measure
    and target fixed beforehand is one test: read its plain p-value. Three coefficients of a pair
    are one question asked thrice and are not counted; choose one beforehand.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> accuracy = rng.normal(70, 5, 40)
    >>> scores = xr.Dataset(
    ...     {"norm": ("checkpoint", accuracy + rng.normal(0, 5, 40))},
    ...     coords={"checkpoint": np.arange(40), "test_accuracy": ("checkpoint", accuracy)},
    ... )
    >>> found = correlate(scores, measures=["norm"]).squeeze()
    >>> [round(float(found[name]), 2) for name in ("plcc", "plcc_lower", "plcc_upper")]
    [0.56, 0.27, 0.75]
    """
    settings = Settings(interval, resamples, permutations, level, min_n, seed)
    unknown = set(adjust) - set(ADJUSTMENTS)
    if unknown:
        raise GenpredictError(f"adjust must hold some of {tuple(ADJUSTMENTS)}, got {adjust!r}")
    if family not in get_args(Family):
        raise GenpredictError(f"family must be one of {get_args(Family)}, got {family!r}")
    scores = selected(scores, where)
    rows, columns = measure_columns(scores, measures), target_columns(scores, targets)
    x, y = matrix(rows), matrix(columns)
    z = covariate_values(scores, partial)
    groups = groups_of(scores, by)
    with one_blas_thread():
        parts = [estimate(x[:, g], y[:, g], z[:, g], settings) for g in groups.values()]
    found = xr.Dataset(
        {name: (DIMS, np.stack([part[name] for part in parts], axis=-1)) for name in parts[0]},
        coords=labels(rows, columns, list(groups)),
    )
    largest = found["n"].max(("measure", "target")).values
    for name, kind_for in _KINDS.items():
        kinds = [kind_for(settings, int(n)) for n in largest]
        found[name] = ("group", np.array(kinds, dtype=object))
    found = found.assign(n=found["n"].astype(np.int64))
    found = described(_adjusted(found, adjust, family), settings, partial)
    return found.assign_attrs(family=family)


def matrix(columns: Sequence[Column]) -> Any:
    """Stack columns as rows of an array, shape (columns, checkpoints)."""
    return np.stack([column.values for column in columns])


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
        "long_name": ("measure", np.array([column.long_name for column in measures], dtype=object)),
        "target_long_name": (
            "target",
            np.array([column.long_name for column in targets], dtype=object),
        ),
    }


def described(
    found: xr.Dataset, settings: Settings, partial: Sequence[str] | str | None
) -> xr.Dataset:
    """Add names, units and the choices made."""
    for name, values in found.data_vars.items():
        coefficient = str(name).split("_")[0]
        if coefficient in COEFFICIENTS and values.dtype.kind == "f":
            words = _WORDS.get(str(name).removeprefix(coefficient), "")
            values.attrs = {"long_name": LONG_NAMES[coefficient] + words, "units": "1"}
    found["n"].attrs = {"long_name": "number of checkpoints", "units": "1"}
    names = [] if partial is None else [partial] if isinstance(partial, str) else list(partial)
    return found.assign_attrs(
        interval=settings.interval,
        level=settings.level,
        resamples=settings.resamples,
        permutations=settings.permutations,
        seed=settings.seed,
        min_n=settings.min_n,
        partial=",".join(names),
    )


def _adjusted(found: xr.Dataset, adjust: Sequence[str], family: Family) -> xr.Dataset:
    """Add p-values adjusted over the table or each group, after those of each coefficient."""
    ordered, groups = {"n": found["n"]}, found.sizes["group"]
    for coefficient in COEFFICIENTS:
        names = [coefficient + statistic for statistic in STATISTICS]
        ordered |= {name: found[name] for name in names}
        pvalue = found[coefficient + "_pvalue"]
        for how in adjust:
            parts = [pvalue.values] if family == "table" else np.split(pvalue.values, groups, -1)
            adjusted = np.concatenate([ADJUSTMENTS[how](part) for part in parts], axis=-1)
            ordered[f"{coefficient}_pvalue_{how}"] = pvalue.copy(data=adjusted)
    others = [name for name in found.data_vars if name not in ordered]
    return xr.Dataset(ordered | {str(name): found[name] for name in others})
