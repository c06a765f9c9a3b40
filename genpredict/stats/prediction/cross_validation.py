"""How well measures predict networks of a kind that the model has not seen.

References
----------
.. [1] D. R. Roberts et al., "Cross-validation strategies for data with temporal, spatial,
   hierarchical, or phylogenetic structure", Ecography 40 (2017) 913-929.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from genpredict.errors import GenpredictError
from genpredict.inference import Inference, InferenceOptions, inference_of
from genpredict.stats.clusters import LEAST_CLUSTERS, cluster_codes, cluster_names
from genpredict.stats.coefficients import Array
from genpredict.stats.column import Column
from genpredict.stats.columns import Named, names_of
from genpredict.stats.groups import selected
from genpredict.stats.intervals import standard_error
from genpredict.stats.kendall import kendall
from genpredict.stats.labelling import settings_attrs
from genpredict.stats.prediction.features import (
    baseline_columns,
    design,
    feature_columns,
    one_target,
)
from genpredict.stats.prediction.models import Model, fitting, model_named
from genpredict.stats.prediction.splits import splits

#: Which columns a model is fitted to, in the order of the table.
FEATURES = ("measures", "baselines")


def r_squared(truth: Array, predicted: Array) -> float:
    """Return 1 − Σ(y − ŷ)²/Σ(y − ȳ)²; below 0 the mean of all would predict better."""
    total = ((truth - truth.mean()) ** 2).sum()
    return float(1 - ((truth - predicted) ** 2).sum() / total) if total > 0 else float("nan")


def mean_absolute_error(truth: Array, predicted: Array) -> float:
    """Return the mean of |y − ŷ|, in the target's unit."""
    return float(np.abs(truth - predicted).mean())


#: What a prediction is judged by: function of truth and prediction, least and greatest value.
QUALITIES: dict[str, tuple[Callable[[Array, Array], float], float, float, str]] = {
    "r2": (r_squared, -np.inf, 1.0, "R² of held-out predictions"),
    "kendall": (kendall, -1.0, 1.0, "Kendall's τ-b of prediction and truth"),
    "error": (mean_absolute_error, 0.0, np.inf, "mean absolute error"),
}


def cross_validate(
    scores: xr.Dataset,
    target: Named,
    features: Sequence[str] | str | None = None,
    model: str = "ridge",
    leave_out: Sequence[str] | str = "network",
    *,
    where: str | xr.DataArray | None = None,
    inference: Inference | None = None,
    **options: Unpack[InferenceOptions],
) -> xr.Dataset:
    """Predict a target for groups that are held out, beside the same model on the baselines alone.

    Parameters
    ----------
    scores : Dataset
        As of `score` or `open_scores`.
    target : str or DataArray
        One target, such as ``"test_accuracy"``.
    features : sequence of str, optional
        Measures as of `correlate`; default Q, low-rank Q_adjusted and the baselines.
    model : str
        "ridge", "random_forest", "gradient_boosting" or "gaussian_process".
    leave_out : sequence of str
        Coordinates (network, dataset, optimizer, …): each of their values is held out in turn. What
        shares a run, a cluster or a setting with the group is not trained on either [1]_.
    where : str or DataArray of bool, optional
        Checkpoints that count.
    inference : Inference, optional
    **options
        Fields of `Inference` by name: `cluster`, `level`, `seed` (of models, too).

    Returns
    -------
    Dataset
        (features, checkpoint) `prediction`; (checkpoint) `truth`, `held_out` (its group); for q in
        r2, kendall, error: (features) q, q_lower, q_upper, and (features, group) q_by;
        `gain`, `gain_lower`, `gain_upper`, `gain_pvalue`: by how much the measures' error is below
        the baselines'; `n`, `n_clusters`. `features` is "measures" and "baselines". Intervals leave
        out each cluster in turn (the held-out groups themselves where there are at least 5), and
        take the fitted models as given.

    Raises
    ------
    GenpredictError
        For unknown names and models, targets as features, and groups that leave nothing unseen to
        train on.
    """
    settings = inference_of(inference, options)
    scores = selected(scores, where)
    column = one_target(scores, target)
    scores = scores.isel(checkpoint=np.isfinite(column.numbers))
    truth = one_target(scores, target).numbers
    chosen = {"measures": feature_columns(scores, features), "baselines": baseline_columns(scores)}
    clusters = cluster_names(scores, settings.cluster)
    held = [*splits(scores, leave_out, clusters)]
    groups = np.full(len(truth), "", dtype=object)
    for group, held_out, _ in held:
        groups[held_out] = group
    kept = groups != ""
    predictions = np.stack(
        [predicted(chosen[name], truth, held, model_named(model), settings.seed)
         for name in FEATURES]
    )  # fmt: skip
    codes = _codes(scores, groups, clusters, settings)
    table = judged(truth[kept], predictions[:, kept], groups[kept], codes[kept], settings)
    table = table.assign_coords(checkpoint=scores["checkpoint"].values[kept])
    return table.assign_attrs(
        settings_attrs(settings),
        target=column.label,
        target_long_name=column.title,
        units=column.units,
        model=model,
        leave_out=",".join(names_of(leave_out)),
        cluster=",".join(clusters),
        measures=",".join(one.label for one in chosen["measures"]),
        baselines=",".join(one.label for one in chosen["baselines"]),
        where=where if isinstance(where, str) else "" if where is None else "a mask",
    )


def _codes(
    scores: xr.Dataset, groups: NDArray[Any], clusters: Sequence[str], settings: Inference
) -> NDArray[np.intp]:
    """Return clusters of errors: the held-out groups, whose errors are one model's, if enough."""
    names, codes = np.unique(groups.astype(str), return_inverse=True)
    if (names != "").sum() >= LEAST_CLUSTERS:
        return np.asarray(codes, dtype=np.intp)
    known = cluster_codes(scores, clusters)
    return np.arange(len(groups)) if known is None else known


def predicted(
    columns: Sequence[Column],
    truth: Array,
    held: Sequence[tuple[str, NDArray[np.bool_], NDArray[np.bool_]]],
    model: Model,
    seed: int,
) -> Array:
    """Predict every held-out group from what may be trained on, shape (checkpoints,).

    Parameters
    ----------
    columns : sequence of Column
        Without any, the mean of the training targets is predicted.
    truth : array, shape (checkpoints,)
    held : sequence of (group, held out, training)
        As of `splits`.
    model : Model
    seed : int
    """
    predictions = np.full(len(truth), np.nan)
    x = design(columns) if columns else np.zeros((len(truth), 1))
    for _, held_out, training in held:
        pipeline = model.pipeline(seed)
        with fitting():
            pipeline.fit(x[training], truth[training])
        predictions[held_out] = pipeline.predict(x[held_out])
    return predictions


def judged(
    truth: Array,
    predictions: Array,
    groups: NDArray[Any],
    codes: NDArray[np.intp],
    settings: Inference,
) -> xr.Dataset:
    """Judge predictions as a whole and by group.

    Parameters
    ----------
    truth : array, shape (n,)
    predictions : array, shape (features, n)
    groups : array of str, shape (n,)
    codes : array of int, shape (n,)
        Clusters, left out in turn for intervals.
    settings : Inference
    """
    names = list(dict.fromkeys(groups.tolist()))
    members = [codes != code for code in np.unique(codes)]
    variables: dict[str, Any] = {
        "prediction": (("features", "checkpoint"), predictions),
        "truth": ("checkpoint", truth),
        "held_out": ("checkpoint", groups),
    }
    for key, (quality, least, most, long_name) in QUALITIES.items():
        whole = [quality(truth, row) for row in predictions]
        ends = [
            bounds(value, [quality(truth[m], row[m]) for m in members], settings.level)
            for value, row in zip(whole, predictions, strict=True)
        ]
        by = [[quality(truth[groups == g], row[groups == g]) for g in names] for row in predictions]
        attrs = {"long_name": long_name}
        variables[key] = ("features", whole, attrs)
        variables[key + "_lower"] = ("features", [max(low, least) for low, _, _ in ends])
        variables[key + "_upper"] = ("features", [min(high, most) for _, high, _ in ends])
        variables[key + "_by"] = (("features", "group"), by, attrs)
    gap = np.abs(truth - predictions[1]) - np.abs(truth - predictions[0])
    low, high, pvalue = bounds(gap.mean(), [gap[m].mean() for m in members], settings.level)
    variables |= {"gain": gap.mean(), "gain_lower": low, "gain_upper": high, "gain_pvalue": pvalue}
    variables |= {"n": len(truth), "n_clusters": len(members)}
    coords = {"features": np.array(FEATURES, dtype=object), "group": np.array(names, dtype=object)}
    return xr.Dataset(variables, coords=coords)


def default_leave_out(scores: xr.Dataset) -> str | None:
    """Return what tells settings apart and leaves something unseen to train on; None for nothing.

    Parameters
    ----------
    scores : Dataset
        Of checkpoints that count.

    Returns
    -------
    str or None
        The first of network, data set, optimizer and learning rate that will do.
    """
    for name in ("network", "dataset", "optimizer", "learning_rate"):
        if name in scores.coords:
            try:
                if len([*splits(scores, name, cluster_names(scores, "auto"))]) > 1:
                    return name
            except GenpredictError:  # one value alone, or all of it seen: look at the next
                continue
    return None


def bounds(value: float, left_out: Sequence[float], level: float) -> tuple[float, float, float]:
    """Return value ± t·se of the jackknife over clusters, and the two-sided p of 0.

    NaN of fewer than 5 clusters, or where a value is undefined without one of them.
    """
    count = len(left_out)
    error = float(standard_error(np.array(left_out)))
    if count < LEAST_CLUSTERS or not error > 0:
        return float("nan"), float("nan"), float("nan")
    half = stdtrit(count - 1, (1 + level) / 2) * error
    return value - half, value + half, float(2 * stdtr(count - 1, -abs(value) / error))
