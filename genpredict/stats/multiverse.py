"""A correlation under every convention at once: how much of it is a choice.

References
----------
.. [1] U. Simonsohn, J. P. Simmons, L. D. Nelson, "Specification curve analysis", Nature Human
   Behaviour 4 (2020) 1208-1214.
.. [2] S. Steegen, F. Tuerlinckx, A. Gelman, W. Vanpaemel, "Increasing transparency through a
   multiverse analysis", Perspectives on Psychological Science 11 (2016) 702-712.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Unpack

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from genpredict.errors import GenpredictError
from genpredict.inference import Inference, InferenceOptions, inference_of
from genpredict.stats.clusters import checked_codes, cluster_names
from genpredict.stats.coefficients import Array
from genpredict.stats.columns import NEEDED, Named, names_of, target_columns
from genpredict.stats.estimation import methods_of, shared_rows
from genpredict.stats.groups import groups_of, selected, where_text
from genpredict.stats.known_coefficients import check_coefficient
from genpredict.stats.labelling import settings_attrs
from genpredict.stats.permutation import random_orders
from genpredict.stats.sample import sample_of
from genpredict.stats.specifications import (
    CONVENTIONS,
    Specification,
    specifications,
    specified_values,
)
from genpredict.stats.threads import one_blas_thread

#: Permutations of the curve's test unless a number is given.
CURVE_PERMUTATIONS = 999


def multiverse(
    scores: xr.Dataset,
    target: Named,
    by: Sequence[str] | str | None = None,
    *,
    coefficient: str = "rocc",
    where: str | xr.DataArray | None = None,
    known: xr.Dataset | None = None,
    inference: Inference | None = None,
    **options: Unpack[InferenceOptions],
) -> xr.Dataset:
    """Correlate network quality with a target under every specification.

    A specification is one choice of all conventions: raw or low-rank spectrum, p, aggregation,
    kinds of layers, what entries of rank 0 and 1 count as, unfolding. A finding that holds under
    few of them is a finding about these [1]_ [2]_.

    Parameters
    ----------
    scores : Dataset
        With layer measures, as of `score` or `open_scores`.
    target : str or DataArray
        One target, such as ``"test_accuracy"``.
    by : sequence of str, optional
        Coordinates; the curve within each combination of their values, too.
    coefficient : str
        "rocc", "plcc" or "krocc".
    where : str or DataArray of bool, optional
        Checkpoints that count.
    known : Dataset, optional
        What an earlier call returned for these scores; its values of specifications are taken.
    inference : Inference, optional
    **options
        Fields of `Inference` by name: `permutations` (999 unless given), `seed`, `cluster`,
        `min_n`.

    Returns
    -------
    Dataset, dims (specification, group)
        `estimate`, the signed correlation; (specification, checkpoint) `values`; (group) `n`,
        `n_clusters`, `median`, `share_positive`, `share_negative`, and two p-values of the whole
        curve: `median_pvalue`, how often a shuffled target has as large a |median|, and
        `sign_pvalue`, how often as many specifications of one sign. Coordinates along
        `specification` hold its choices.

    Raises
    ------
    GenpredictError
        For unknown names, several targets, or scores without layer measures.
    """
    settings = inference_of(inference, options)
    check_coefficient(coefficient)
    scores = selected(scores, where)
    columns = target_columns(scores, target)
    if len(columns) > 1:
        raise GenpredictError(f"target: must be one column, got {[c.label for c in columns]}")
    chosen = specifications()
    values = _values(scores, chosen, known)
    clusters = cluster_names(scores, settings.cluster)
    codes = checked_codes(scores, clusters, settings)
    groups = groups_of(scores, by)
    with one_blas_thread():
        curves = [
            curve(
                values[:, g], columns[0].numbers[g], None if codes is None else codes[g],
                settings, coefficient,
            )
            for g in groups.values()
        ]  # fmt: skip
    table = _table(chosen, values, scores, list(groups), curves)
    return table.assign_attrs(
        settings_attrs(settings),
        target=columns[0].label,
        target_long_name=columns[0].title,
        coefficient=coefficient,
        estimator=str(scores.attrs.get("estimator", "")),
        cluster=",".join(clusters),
        by=",".join(names_of(by)),
        where=where_text(where),
    )


def _values(scores: xr.Dataset, chosen: list[Specification], known: xr.Dataset | None) -> Array:
    """Return network quality under each specification, shape (specifications, checkpoints)."""
    ready: dict[str, Array] = {}
    if known is not None and np.array_equal(known["checkpoint"], scores["checkpoint"]):
        labels = [str(label) for label in known["specification"].values]
        ready = dict(zip(labels, known["values"].values, strict=True))
    missing = [one for one in chosen if one.label not in ready]
    if missing:
        loaded = scores[[name for name in NEEDED if name in scores.variables]].load()
        ready |= {one.label: column for one, column in specified_values(loaded, missing)}
    return np.stack([ready[one.label] for one in chosen])


def curve(
    x: Array,
    y: Array,
    codes: NDArray[np.intp] | None,
    settings: Inference,
    coefficient: str,
) -> dict[str, Any]:
    """Correlate all specifications with a target, and test the curve as a whole.

    Parameters
    ----------
    x : array, shape (specifications, n)
    y : array, shape (n,)
    codes : array of int, shape (n,), optional
        Clusters, which change places as wholes.
    settings : Inference
    coefficient : str

    Returns
    -------
    dict
        `estimate`, shape (specifications,), and numbers of the curve.
    """
    there = np.isfinite(y)
    base = sample_of(x[:, there], y[None, there], np.empty((0, there.sum())),
                     None if codes is None else codes[there])  # fmt: skip
    estimate = estimates(base.x, base.y, settings, coefficient)[:, 0]
    count = CURVE_PERMUTATIONS if settings.permutations == "auto" else settings.permutations
    observed = _statistics(estimate[:, None])
    exceeded = np.zeros(2)
    rng = np.random.default_rng([settings.seed, 3])
    if base.n and np.isfinite(observed[:, 0]).all():
        for orders in random_orders(base, count, rng):
            null = _statistics(estimates(base.x, base.y[0][orders], settings, coefficient))
            exceeded += (null >= observed - 1e-11).sum(1)
    pvalues = (1 + exceeded) / (1 + count) if count else np.full(2, np.nan)
    pvalues = np.where(np.isfinite(observed[:, 0]), pvalues, np.nan)
    shown = estimate[np.isfinite(estimate)]
    shares = [(shown > 0).mean(), (shown < 0).mean()] if len(shown) else [np.nan] * 2
    return {
        "estimate": estimate,
        "n": base.n,
        "n_clusters": base.clusters,
        "median": np.median(shown) if len(shown) else np.nan,
        "share_positive": shares[0],
        "share_negative": shares[1],
        "median_pvalue": pvalues[0],
        "sign_pvalue": pvalues[1],
    }


def estimates(x: Array, y: Array, settings: Inference, coefficient: str) -> Array:
    """Correlate specifications with targets, shape (specifications, targets).

    Parameters
    ----------
    x : array, shape (specifications, n)
        NaN values leave their checkpoint out.
    y : array, shape (targets, n)
    settings : Inference
    coefficient : str
    """
    estimated = np.full((len(x), len(y)), np.nan)
    for block in shared_rows(np.isfinite(x)[:, None]):
        if block.rows.sum() < max(settings.min_n, 3):
            continue
        columns = block.of(x, block.measures), block.of(y, slice(None))
        sample = sample_of(*columns, np.empty((0, block.rows.sum())))
        estimated[block.measures] = methods_of(sample, [coefficient])[coefficient].estimate
    return estimated


def _statistics(estimate: Array) -> Array:
    """Return |median| and the share of the commoner sign of each column, shape (2, columns)."""
    known = np.isfinite(estimate)
    count = known.sum(0)
    sound = count > 0
    median = np.full(estimate.shape[1], np.nan)
    median[sound] = np.nanmedian(estimate[:, sound], axis=0)
    signs = np.stack([(estimate > 0).sum(0), (estimate < 0).sum(0)]).max(0)
    share = np.divide(signs, count, out=np.full(estimate.shape[1], np.nan), where=sound)
    return np.stack([np.abs(median), share])


_WORDS = {
    "n": "number of checkpoints",
    "n_clusters": "number of clusters",
    "median": "median over specifications",
    "share_positive": "share of specifications with a positive correlation",
    "share_negative": "share of specifications with a negative correlation",
    "median_pvalue": "p-value of the curve's median",
    "sign_pvalue": "p-value of the curve's signs",
}


def _table(
    chosen: list[Specification],
    values: Array,
    scores: xr.Dataset,
    groups: list[str],
    curves: list[dict[str, Any]],
) -> xr.Dataset:
    choices = [asdict(one) for one in chosen]
    coords: dict[str, Any] = {
        name: ("specification", np.array([choice[name] for choice in choices],
                                         dtype=None if name == "p" else object))
        for name in CONVENTIONS
    }  # fmt: skip
    coords["specification"] = np.array([one.label for one in chosen], dtype=object)
    coords["group"] = np.array(groups, dtype=object)
    coords["checkpoint"] = scores["checkpoint"].values
    estimate = np.stack([one["estimate"] for one in curves], axis=1)
    variables: dict[str, Any] = {
        "estimate": (("specification", "group"), estimate, {"long_name": "correlation"}),
        "values": (("specification", "checkpoint"), values, {"long_name": "network quality"}),
    }
    for name, long_name in _WORDS.items():
        variables[name] = ("group", np.array([one[name] for one in curves]),
                           {"long_name": long_name, "units": "1"})  # fmt: skip
    return xr.Dataset(variables, coords=coords)
