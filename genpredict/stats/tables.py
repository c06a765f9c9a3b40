"""Correlations as tables: in long form for files, in short for the eye."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import xarray as xr

from genpredict.errors import GenpredictError
from genpredict.stats.known_coefficients import COEFFICIENTS, STATISTICS, check_coefficient
from genpredict.stats.multiplicity import ADJUSTMENTS

Adjustment = Literal["holm", "bh", "none"]
#: Attributes of a table that every row of a file repeats.
CHOICES = ("where", "partial", "cluster", "level")
#: P-values below these earn a star each.
STARS = (0.05, 0.01, 0.001)


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
        then the p-values adjusted by Holm and by Benjamini and Hochberg over the `family` of
        `correlate` (the whole table by default), then label, the measure with its choices, e.g.
        Q_low_rank_p2, as `plot_scatter` takes it. Then n_clusters, icc_measure, icc_target, the
        choices that hold for every row (where, partial, cluster, level) and note, why a number is
        missing. Rows by group, then target, then measure.

    Raises
    ------
    GenpredictError
        For another Dataset, such as scores.
    """
    if missing := what_is_missing(correlations):
        raise GenpredictError(missing)
    statistics = [c + s for c in COEFFICIENTS for s in STATISTICS]
    statistics += [f"{c}_pvalue_{how}" for c in COEFFICIENTS for how in ADJUSTMENTS]
    statistics += [f"{c}_simultaneous_{end}" for c in COEFFICIENTS for end in ("lower", "upper")]
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
    columns["label"] = correlations["measure"].values[measure]
    for name in ("n_clusters", "icc_measure", "icc_target", "note"):
        if name in correlations.data_vars:
            columns[name] = correlations[name].transpose(*order).values.ravel()
    for name in CHOICES:
        if name in correlations.attrs:
            columns[name] = [correlations.attrs[name]] * len(measure)
    return pd.DataFrame(columns)


def what_is_missing(correlations: xr.Dataset) -> str:
    """Return what keeps a Dataset from being a table of correlations, for a message; "" for none.

    Examples
    --------
    >>> what_is_missing(xr.Dataset(coords={"checkpoint": ["a.pt"]})).rpartition("; ")[2]
    'these are scores: give what genpredict.correlate(scores) returns'
    """
    dims = ("measure", "target", "group")
    missing = [dim for dim in dims if dim not in getattr(correlations, "dims", ())]
    if not missing:
        return ""
    text = (
        f"correlations must be a Dataset over {dims}, as genpredict.stats.correlate returns; "
        f"{', '.join(missing)} is missing"
    )
    if "checkpoint" in getattr(correlations, "dims", ()):
        text += "; these are scores: give what genpredict.correlate(scores) returns"
    return text


def choices_text(correlations: xr.Dataset) -> str:
    """Say what a table was made with, for its title; "" where nothing was chosen.

    Parameters
    ----------
    correlations : Dataset
        As of `correlate`.

    Returns
    -------
    str
        Such as "where epoch == 90; log_num_parameters held fixed; clusters by run".

    Examples
    --------
    >>> choices_text(xr.Dataset(attrs={"where": "epoch == 90", "cluster": "run"}))
    'where epoch == 90; clusters by run'
    """
    attrs: dict[str, Any] = {name: correlations.attrs.get(name, "") for name in CHOICES}
    parts = [
        f"where {attrs['where']}" if attrs["where"] else "",
        f"{attrs['partial'].replace(',', ', ')} held fixed" if attrs["partial"] else "",
        f"clusters by {attrs['cluster'].replace(',', ', ')}" if attrs["cluster"] else "",
    ]
    return "; ".join(part for part in parts if part)


def summary(
    correlations: xr.Dataset,
    *,
    coefficient: str = "rocc",
    adjust: Adjustment = "holm",
) -> pd.DataFrame:
    """Show one coefficient of every measure and target, as "+0.50 [+0.14, +0.75] **".

    Parameters
    ----------
    correlations : Dataset
        As of `correlate`.
    coefficient : {"rocc", "plcc", "krocc"}
    adjust : {"holm", "bh", "none"}
        The p-value that earns the stars: adjusted by Holm, by Benjamini and Hochberg over the
        `family` of `correlate`, or not adjusted.

    Returns
    -------
    DataFrame
        Texts: estimate, interval, and a star each for p below 0.05, 0.01 and 0.001; "–" where there
        is no value (a constant, or too few checkpoints). Rows are labels of measures, columns
        targets, under their group where the table has several.

    Raises
    ------
    GenpredictError
        For another coefficient or adjustment, or one that the table was not made with.

    Examples
    --------
    >>> summary(correlate(scores, by="epoch"), coefficient="plcc")  # doctest: +SKIP
    """
    names = [coefficient + part for part in ("", "_lower", "_upper", *_pvalue(adjust))]
    _check(correlations, coefficient, adjust, names)
    parts = [
        correlations[name].transpose("measure", "group", "target").values.ravel() for name in names
    ]
    texts = [_cell(*(float(value) for value in values)) for values in zip(*parts, strict=True)]
    groups, targets = (correlations[dim].values.tolist() for dim in ("group", "target"))
    columns = pd.Index(targets, name="target")
    if len(groups) > 1:
        columns = pd.MultiIndex.from_product([groups, targets], names=["group", "target"])
    rows = pd.Index(correlations["measure"].values, name="measure")
    return pd.DataFrame(np.reshape(texts, (len(rows), -1)), index=rows, columns=columns)


def disagreements(correlations: xr.Dataset) -> tuple[int, int]:
    """Count where interval and star part, over all coefficients.

    Parameters
    ----------
    correlations : Dataset
        As of `correlate`.

    Returns
    -------
    without_star, with_star : int
        Intervals that exclude 0 while Holm's p earns no star, and that hold 0 beside a star.
    """
    without_star = with_star = 0
    for key in COEFFICIENTS:
        if f"{key}_pvalue_holm" not in correlations:
            continue
        ends = correlations[f"{key}_lower"] * correlations[f"{key}_upper"]
        pvalue = correlations[f"{key}_pvalue_holm"]
        without_star += int(((ends > 0) & (pvalue >= STARS[0])).sum())
        with_star += int(((ends <= 0) & (pvalue < STARS[0])).sum())
    return without_star, with_star


def stars(pvalue: float) -> str:
    """Return a star for each of `STARS` that a p-value lies below; none for NaN.

    Examples
    --------
    >>> stars(0.003), stars(0.05)
    ('**', '')
    """
    return "*" * sum(pvalue < limit for limit in STARS)


def _cell(estimate: float, lower: float, upper: float, pvalue: float) -> str:
    if math.isnan(estimate):
        return "–"
    interval = "" if math.isnan(lower) else f"[{lower:+.2f}, {upper:+.2f}]"
    return " ".join(part for part in (f"{estimate:+.2f}", interval, stars(pvalue)) if part)


def _pvalue(adjust: str) -> tuple[str]:
    return ("_pvalue" if adjust == "none" else f"_pvalue_{adjust}",)


def _check(correlations: xr.Dataset, coefficient: str, adjust: str, names: Sequence[str]) -> None:
    check_coefficient(coefficient)
    if adjust not in get_args(Adjustment):
        raise GenpredictError(f"adjust must be one of {get_args(Adjustment)}, got {adjust!r}")
    missing = [name for name in names if name not in correlations]
    if missing:
        raise GenpredictError(
            f"correlations hold no {missing[0]}; give what correlate returned, made with "
            f"adjust={adjust!r} too"
        )
