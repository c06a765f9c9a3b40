"""A model fitted to all of a store, and applied to another of the same definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from genpredict.errors import GenpredictError
from genpredict.options import SELECTIONS, identity_of
from genpredict.stats.column import Column
from genpredict.stats.columns import Named, columns_of
from genpredict.stats.groups import selected
from genpredict.stats.prediction.features import design, feature_columns, one_target
from genpredict.stats.prediction.models import Pipeline, fitting, model_named
from genpredict.stats.prediction.splits import LEAST_TRAINING

#: What decides rows or measures, not what a measure is.
_OTHER = (*SELECTIONS, "measures")


@dataclass(frozen=True)
class Predictor:
    """A fitted pipeline, and what it may be applied to.

    Parameters
    ----------
    pipeline : Pipeline
        Of scikit-learn.
    features : tuple of str
        Labels of columns, e.g. ``Q_low_rank_p2``.
    target : str
    units : str
        Of the target.
    model : str
    definitions : mapping
        How the features were measured: number of the definitions, estimator, tolerances, patterns.
    trained_on : int
        Number of checkpoints.
    least, most : tuple of float
        Range of each feature.
    """

    pipeline: Pipeline
    features: tuple[str, ...]
    target: str
    units: str
    model: str
    definitions: Mapping[str, Any]
    trained_on: int
    least: tuple[float, ...]
    most: tuple[float, ...]


def definitions_of(scores: xr.Dataset) -> dict[str, Any]:
    """Return what decides the numbers of a store's measures."""
    identity = identity_of({str(name): value for name, value in scores.attrs.items()})
    return {name: value for name, value in identity.items() if name not in _OTHER}


def fit_predictor(
    scores: xr.Dataset,
    target: Named = "test_accuracy",
    features: Sequence[str] | str | None = None,
    model: str = "ridge",
    *,
    where: str | xr.DataArray | None = None,
    seed: int = 0,
) -> Predictor:
    """Fit a model to all checkpoints of which the target is known.

    `cross_validate` says what its predictions are worth.

    Parameters
    ----------
    scores : Dataset
        As of `score` or `open_scores`.
    target, features, model, where
        As for `cross_validate`.
    seed : int

    Returns
    -------
    Predictor

    Raises
    ------
    GenpredictError
        For unknown names, targets as features, and fewer than 5 checkpoints.
    """
    scores = selected(scores, where)
    column = one_target(scores, target)
    known = np.isfinite(column.numbers)
    if known.sum() < LEAST_TRAINING:
        raise GenpredictError(
            f"target: {column.label} is known of {known.sum()} checkpoints; it takes "
            f"{LEAST_TRAINING}"
        )
    columns = feature_columns(scores, features)
    x, y = design(columns)[known], column.numbers[known]
    pipeline = model_named(model).pipeline(seed)
    with fitting():
        pipeline.fit(x, y)
    ends = [[end(part[np.isfinite(part)], initial=start) for part in x.T]
            for end, start in ((np.min, np.inf), (np.max, -np.inf))]  # fmt: skip
    return Predictor(
        pipeline=pipeline,
        features=tuple(one.label for one in columns),
        target=column.label,
        units=column.units,
        model=model,
        definitions=definitions_of(scores),
        trained_on=int(known.sum()),
        least=tuple(map(float, ends[0])),
        most=tuple(map(float, ends[1])),
    )


def apply_predictor(
    predictor: Predictor, scores: xr.Dataset, *, where: str | xr.DataArray | None = None
) -> xr.Dataset:
    """Predict the target of checkpoints.

    Parameters
    ----------
    predictor : Predictor
    scores : Dataset
        Measured as those were that the model was fitted to.
    where : str or DataArray of bool, optional

    Returns
    -------
    Dataset, dims (checkpoint,)
        `prediction`; `outside`, how many features lie outside the range of the training set; the
        target too, where the scores have it.

    Raises
    ------
    GenpredictError
        When the scores lack a feature, or were measured by other definitions.
    """
    scores = selected(scores, where)
    _check_definitions(predictor, scores)
    columns = [_feature(scores, label) for label in predictor.features]
    x = design(columns)
    outside = ((x < predictor.least) | (x > predictor.most)).sum(1)
    variables: dict[str, Any] = {
        "prediction": (
            "checkpoint",
            predictor.pipeline.predict(x),
            {"long_name": f"predicted {predictor.target}", "units": predictor.units},
        ),
        "outside": (
            "checkpoint",
            outside,
            {"long_name": "features outside the training range", "units": "1"},
        ),
    }
    if predictor.target in scores.variables:
        variables[predictor.target] = ("checkpoint", scores[predictor.target].values)
    return xr.Dataset(variables, coords={"checkpoint": scores["checkpoint"].values})


def _check_definitions(predictor: Predictor, scores: xr.Dataset) -> None:
    here = definitions_of(scores)
    differing = [
        f"{name} {there!r} in the model, {here.get(name)!r} in the scores"
        for name, there in predictor.definitions.items()
        if here.get(name) != there
    ]
    if differing:
        raise GenpredictError(
            f"these scores were measured by other definitions than the model's: "
            f"{'; '.join(differing)}; score the checkpoints anew, or fit a model to these scores"
        )


def _feature(scores: xr.Dataset, label: str) -> Column:
    try:
        columns = columns_of(scores, label, "features")
    except GenpredictError as error:
        raise GenpredictError(
            f"these scores lack {label}, a feature of the model; score with --measures, or fit a "
            f"model without it"
        ) from error
    return columns[0]
