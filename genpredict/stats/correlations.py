"""The table of correlations: measure × target × group, with intervals and p-values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, Unpack, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from genpredict.errors import GenpredictError
from genpredict.inference import MOST_RESAMPLED, Inference, InferenceOptions, inference_of
from genpredict.stats.clusters import (
    checked_codes,
    cluster_names,
    warn_of_repetition,
)
from genpredict.stats.coefficients import Array
from genpredict.stats.column import Column
from genpredict.stats.columns import Named, measure_columns, names_of, target_columns
from genpredict.stats.covariates import covariate_values
from genpredict.stats.estimation import estimate
from genpredict.stats.groups import groups_of, selected, where_text
from genpredict.stats.known_coefficients import (
    COEFFICIENTS,
    STATISTICS,
)
from genpredict.stats.labelling import described, labels
from genpredict.stats.multiplicity import ADJUSTMENTS
from genpredict.stats.threads import one_blas_thread

Family = Literal["table", "group"]
DIMS = ("measure", "target", "group")


def correlate(
    scores: xr.Dataset,
    *,
    measures: Sequence[Named] | Named | None = None,
    targets: Sequence[Named] | Named | None = None,
    by: Sequence[str] | str | None = None,
    where: str | xr.DataArray | None = None,
    partial: Sequence[str] | str | None = None,
    adjust: Sequence[str] = ("holm", "bh"),
    family: Family = "table",
    simultaneous: bool = False,
    inference: Inference | None = None,
    **options: Unpack[InferenceOptions],
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
    partial : sequence of str, optional
        Covariates: correlations of what is left of measure and target (of their ranks for ROCC)
        after linear regression on them (on their ranks). Texts such as `network` count as
        indicators. KROCC has no accepted form for several covariates, and is NaN.
    adjust : sequence of {"holm", "bh"}
        Multiplicity of tests; see Notes.
    family : {"table", "group"}
        Which tests of a coefficient are adjusted together: all of the table, baselines and groups
        included, or those of each group apart.
    simultaneous : bool
        Add intervals that hold all at once, c_simultaneous_lower and c_simultaneous_upper: of a
        family of tests, all contain the truth in `level` of cases (Bonferroni, from the standard
        errors of the jackknife or of influence functions).
    inference : Inference, optional
        How intervals and p-values are made, clusters included.
    **options
        Fields of `Inference` by name, such as ``cluster="run"`` or ``level=0.9``; they go before
        those of `inference`.

    Returns
    -------
    Dataset, dims (measure, target, group)
        `n`, and for each coefficient c of plcc, rocc, krocc: c, c_lower, c_upper, c_pvalue,
        c_pvalue_holm, c_pvalue_bh; `n_clusters` (n where checkpoints are independent), the
        intraclass correlations `icc_measure` and `icc_target` of clusters, and `note`, why a number
        is not given; (group) `interval`, `krocc_interval`. Checkpoints of which measure, target or
        a covariate is not a finite number are left out of that pair and not counted in its n. The
        attributes hold all choices.

    Raises
    ------
    GenpredictError
        For names that the scores do not have, options out of range, and Fisher's interval of
        clusters.

    Warns
    -----
    GenpredictWarning
        Where settings repeat with other seeds, which are no independent draws, and `cluster` does
        not say so.

    Notes
    -----
    Checkpoints of one run, or seeds of one setting, are clusters. Their intervals leave out whole
    clusters in turn, and their p-values permute whole clusters; taken as independent, 10 runs of 10
    epochs would find half of all unrelated measures significant at 5 %.

    P-values test independence. PLCC's also tests zero correlation where far outliers make that
    another question (a studentized permutation, from 8 draws on). With covariates, ROCC's
    tests whether the residuals of the linear regressions are independent; no p and no interval is
    given where measure and target both depend on a covariate in a curve, and no interval of ROCC
    where the covariates' ranks explain much less than the covariates do.

    Intervals hold the truth about as often as they say where n is small and where values are tied:
    of bivariate normal tables of 6, 11 and 30 checkpoints, continuous, rounded, in three levels or
    as counts, 92.5 % of the 95 % intervals of each coefficient do, or more. Asked for by name, BCa
    of 10 and 30 checkpoints with ties covers 89 % or more. A column that is mostly one value, from
    which fewer than 10 values differ, has no interval; where half the values are equal, or a few of
    PLCC lie far out, the interval is at least as wide as for unrelated columns.

    The p-value and the interval are made in different ways, and may disagree at the edge; an
    interval speaks of one pair, an adjusted p of the whole family.

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
    >>> table = correlate(scores, measures=["norm"]).squeeze()
    >>> [round(float(table[name]), 2) for name in ("plcc", "plcc_lower", "plcc_upper")]
    [0.56, 0.23, 0.77]
    """
    settings = inference_of(inference, options)
    _check(adjust, family)
    scores = selected(scores, where)
    rows, columns = measure_columns(scores, measures), target_columns(scores, targets)
    x, y, z = matrix(rows), matrix(columns), covariate_values(scores, partial)
    groups = groups_of(scores, by)
    clusters = cluster_names(scores, settings.cluster)
    codes = checked_codes(scores, clusters, settings)
    repetition = warn_of_repetition(scores) if settings.cluster == "auto" and not clusters else ""
    tests = len(rows) * len(columns) * (len(groups) if family == "table" else 1)
    with one_blas_thread():
        parts = [
            estimate(
                *((x, y, z) if g.all() else (x[:, g], y[:, g], z[:, g])), settings, tests=tests,
                codes=None if codes is None else codes[g],
            )
            for g in groups.values()
        ]  # fmt: skip
    table = xr.Dataset(
        {name: (DIMS, np.stack([part[name] for part in parts], axis=-1)) for name in parts[0]},
        coords=labels(rows, columns, list(groups)),
    )
    if simultaneous:
        table = _with_simultaneous(table, (x, y, z), groups, codes, settings, family)
    table = _with_kinds(table, settings)
    table = described(_adjusted(table, adjust, family), settings)
    return table.assign_attrs(
        family=family,
        by=",".join(names_of(by)),
        partial=",".join(names_of(partial)),
        where=where_text(where),
        cluster=",".join(clusters),
        repetition=repetition,
        tests=_largest_family(table, family),
    )


def _with_simultaneous(
    table: xr.Dataset,
    columns: tuple[Array, Array, Array],
    groups: dict[str, NDArray[np.bool_]],
    codes: NDArray[np.intp] | None,
    settings: Inference,
    family: str,
) -> xr.Dataset:
    """Add intervals at a level that is shared by all tests of the family."""
    share = (1 - settings.level) / max(_largest_family(table, family, ""), 1)
    many = int(table["n"].max()) > MOST_RESAMPLED
    wide = replace(
        settings,
        interval="influence" if many else "jackknife",
        permutations=0,
        level=1 - share,
    )
    for key in COEFFICIENTS:
        for end in ("_lower", "_upper"):
            table[f"{key}_simultaneous{end}"] = table[key].copy(deep=True)
    for place, some in enumerate(groups.values()):
        within = None if codes is None else codes[some]
        x, y, z = (part[:, some] for part in columns)
        part = estimate(x, y, z, wide, codes=within)
        for key in COEFFICIENTS:
            for end in ("_lower", "_upper"):
                table[f"{key}_simultaneous{end}"][..., place] = part[key + end]
    return table


def _largest_family(table: xr.Dataset, family: str, of: str = "_pvalue") -> int:
    """Return how many tests of a coefficient were adjusted together, at most."""
    counts = [
        table[key + of].notnull().sum(DIMS if family == "table" else DIMS[:2])
        for key in COEFFICIENTS
    ]
    return max(int(count.max()) for count in counts)


def _check(adjust: Sequence[str], family: str) -> None:
    if set(adjust) - set(ADJUSTMENTS):
        raise GenpredictError(f"adjust must hold some of {tuple(ADJUSTMENTS)}, got {adjust!r}")
    if family not in get_args(Family):
        raise GenpredictError(f"family must be one of {get_args(Family)}, got {family!r}")


def _with_kinds(table: xr.Dataset, settings: Inference) -> xr.Dataset:
    """Say of each group how its intervals are made, by its largest pair."""
    largest = table["n"].max(("measure", "target")).values
    for name, coefficient in (("interval", "rocc"), ("krocc_interval", "krocc")):
        kinds = [settings.interval_for(int(n), coefficient=coefficient) for n in largest]
        table[name] = ("group", np.array(kinds, dtype=object))
    return table.assign({name: table[name].astype(np.int64) for name in ("n", "n_clusters")})


def matrix(columns: Sequence[Column]) -> Any:
    """Stack columns as rows of an array, shape (columns, checkpoints)."""
    return np.stack([column.numbers for column in columns])


def _adjusted(table: xr.Dataset, adjust: Sequence[str], family: Family) -> xr.Dataset:
    """Add p-values adjusted over the table or each group, after those of each coefficient."""
    ordered, groups = {"n": table["n"]}, table.sizes["group"]
    for coefficient in COEFFICIENTS:
        names = [coefficient + statistic for statistic in STATISTICS]
        ordered |= {name: table[name] for name in names}
        pvalue = table[coefficient + "_pvalue"]
        for how in adjust:
            parts = [pvalue.values] if family == "table" else np.split(pvalue.values, groups, -1)
            adjusted = np.concatenate([ADJUSTMENTS[how](part) for part in parts], axis=-1)
            ordered[f"{coefficient}_pvalue_{how}"] = pvalue.copy(data=adjusted)
    others = [name for name in table.data_vars if name not in ordered]
    return xr.Dataset(ordered | {str(name): table[name] for name in others})
