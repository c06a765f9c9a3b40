"""Intervals of every pair of a sample, by the kind that is asked for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from genpredict.inference import BOOTSTRAP, Inference
from genpredict.stats.bootstrap import bca_interval, percentile_interval, skewed
from genpredict.stats.coefficients import Array
from genpredict.stats.intervals import fisher_interval, t_interval
from genpredict.stats.methods import Method, left_out_of
from genpredict.stats.sample import Sample

Bounds = tuple[Array, Array]


def all_bounds(
    methods: Mapping[str, Method], sample: Sample, inference: Inference
) -> dict[str, Bounds]:
    """Return the bounds of every coefficient, shape (m, t) each.

    Resamples repeat what few values do: pairs of which a column has half its values equal take
    the jackknife's interval in place of the bootstrap's.

    Parameters
    ----------
    methods : mapping of str to Method
    sample : Sample
    inference : Inference

    Returns
    -------
    dict of (lower, upper)
    """
    kinds = {key: interval_kind(key, sample, inference) for key in methods}
    redrawn = {key: methods[key] for key, kind in kinds.items() if kind in BOOTSTRAP}
    replicates = resample(redrawn, sample, inference)
    bounds = {}
    for key, method in methods.items():
        kind, known, level = kinds[key], method.estimate, inference.level
        if kind == "fisher":
            bounds[key] = fisher_interval(
                known, sample.n, level, coefficient=key, covariates=sample.independent
            )
        elif kind in BOOTSTRAP:
            bounds[key] = _resampled_bounds(method, replicates[key], kind, inference)
        else:
            bounds[key] = _t_bounds(method, kind, level)
    return bounds


def _t_bounds(method: Method, kind: str, level: float) -> Bounds:
    return t_interval(method.estimate, method.errors(kind), level, degrees=method.sample.degrees)


def _resampled_bounds(method: Method, replicates: Array, kind: str, inference: Inference) -> Bounds:
    sample, level = method.sample, inference.level
    if kind == "percentile":
        bounds = percentile_interval(replicates, level)
    else:
        left = method.left_out(left_out_of(sample, inference.seed))
        acceleration = skewed(left, sample.clusters)
        bounds = bca_interval(method.estimate, replicates, acceleration, level)
    uneven = sample.mostly_one_value
    if not uneven.any():
        return bounds
    wald = _t_bounds(method, "jackknife", level)
    lower, upper = (np.where(uneven, *ends) for ends in zip(wald, bounds, strict=True))
    return lower, upper


def interval_kind(key: str, sample: Sample, inference: Inference) -> str:
    """Return how a coefficient's interval is made."""
    return inference.interval_for(sample.n, coefficient=key)


def resample(
    methods: Mapping[str, Method], sample: Sample, inference: Inference
) -> dict[str, Array]:
    """Return coefficients of bootstrap resamples of clusters, shape (m, t, resamples)."""
    if not methods:
        return {}
    rng = np.random.default_rng(inference.seed)
    parts: dict[str, list[Array]] = {key: [] for key in methods}
    for counts in sample.bootstrap(inference.resamples, rng):
        for key, method in methods.items():
            parts[key].append(method.resampled(counts))
    return {key: np.concatenate(blocks, axis=-1) for key, blocks in parts.items()}
