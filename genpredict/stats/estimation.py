"""All correlations of one group of checkpoints: estimates, intervals, p-values.

Arrays in, arrays out. Pairs (measure, target) that have the same checkpoints share one set of
resamples and of permutations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genpredict.inference import Inference
from genpredict.stats.bounds import all_bounds
from genpredict.stats.clusters import intraclass_correlation
from genpredict.stats.coefficients import Array, covariate_basis
from genpredict.stats.known_coefficients import COEFFICIENTS, STATISTICS
from genpredict.stats.linear_methods import Spearman
from genpredict.stats.methods import Method
from genpredict.stats.pvalues import all_pvalues
from genpredict.stats.reasons import (
    curved,
    disagreeing,
    few_draws,
    nearly_constant,
    unmoved,
)
from genpredict.stats.sample import Sample, sample_of

_APART = f"no interval of {COEFFICIENTS['rocc'].title}: covariates explain ranks and values apart"
#: What a table says of every pair beside the coefficients.
COUNTS = ("n", "n_clusters", "icc_measure", "icc_target")


@dataclass(frozen=True)
class SharedRows:
    """Measures and targets that are known of exactly the same checkpoints."""

    rows: NDArray[np.bool_]
    measures: NDArray[np.intp]
    targets: NDArray[np.intp]

    def of(self, columns: Array, which: NDArray[np.intp] | slice) -> Array:
        """Return some columns at the checkpoints, not copied where that is all of them."""
        whole = isinstance(which, slice) or np.array_equal(which, np.arange(len(columns)))
        chosen = columns if whole else columns[which]
        return chosen if self.rows.all() else chosen[:, self.rows]


def shared_rows(valid: NDArray[np.bool_]) -> Iterator[SharedRows]:
    """Sort pairs by the checkpoints they have.

    Parameters
    ----------
    valid : array of bool, shape (m, t, n)

    Yields
    ------
    SharedRows
        Every pair is in one of them.
    """
    packed = np.packbits(valid, axis=-1)
    pairs: dict[bytes, dict[int, list[int]]] = {}
    for i, t in np.ndindex(valid.shape[:2]):
        pairs.setdefault(packed[i, t].tobytes(), {}).setdefault(t, []).append(i)
    for by_target in pairs.values():
        blocks: dict[tuple[int, ...], list[int]] = {}
        for t, measures in by_target.items():
            blocks.setdefault(tuple(measures), []).append(t)
        for measures_, targets in blocks.items():
            rows = valid[measures_[0], targets[0]]
            yield SharedRows(rows, np.array(measures_), np.array(targets))


def estimate(
    x: Array,
    y: Array,
    z: Array,
    inference: Inference,
    *,
    codes: NDArray[np.intp] | None = None,
    within: NDArray[np.bool_] | None = None,
    tests: int | None = None,
) -> dict[str, Any]:
    """Correlate each measure with each target.

    Parameters
    ----------
    x : array, shape (m, n)
    y : array, shape (t, n)
    z : array, shape (k, n)
        Covariates, possibly none. A value that is not finite, in any of the three, leaves the
        checkpoint out of the pairs it concerns.
    inference : Inference
    codes : array of int, shape (n,), optional
        Cluster of each checkpoint; None where all are independent.
    within : array of bool, broadcastable to (m, t, n), optional
        Checkpoints that count for a pair.
    tests : int, optional
        How many tests are adjusted together; by default those of this group.

    Returns
    -------
    dict of array, shape (m, t)
        `n`, `n_clusters`, `icc_measure`, `icc_target`, `note` (text), and for each coefficient the
        estimate, `_lower`, `_upper`, `_pvalue`.
    """
    valid = valid_rows(x, y, z)
    if within is not None:
        valid = valid & within
    shape = valid.shape[:2]
    table: dict[str, Any] = {name: np.full(shape, np.nan) for name in COUNTS}
    table["note"] = np.full(shape, "", dtype=object)
    for coefficient in COEFFICIENTS:
        for statistic in STATISTICS:
            table[coefficient + statistic] = np.full(shape, np.nan)
    permutations = inference.permutations_for(tests or shape[0] * shape[1])
    for block in shared_rows(valid):
        some = None if codes is None else codes[block.rows]
        sample = sample_of(block.of(x, block.measures), block.of(y, block.targets),
                           block.of(z, slice(None)), some)  # fmt: skip
        at = np.ix_(block.measures, block.targets)
        for name, part in _counts(sample).items():
            table[name][at] = part
        if not enough(sample, inference):
            table["note"][at] = _too_few(sample, inference)
            continue
        for name, part in estimate_sample(sample, inference, permutations).items():
            table[name][at] = part
    return table


def _counts(sample: Sample) -> dict[str, Any]:
    counts: dict[str, Any] = {"n": float(sample.n), "n_clusters": float(sample.clusters)}
    if sample.clustered and sample.n:
        of_x, of_y = (
            np.array([intraclass_correlation(row, sample.codes) for row in rows])
            for rows in (sample.x, sample.y)
        )
        counts |= {"icc_measure": of_x[:, None], "icc_target": of_y[None]}
    return counts


def _too_few(sample: Sample, inference: Inference) -> str:
    return f"it takes {least_checkpoints(sample, inference)} checkpoints, and there are {sample.n}"


def enough(sample: Sample, inference: Inference) -> bool:
    """Say whether there are min_n checkpoints, and one more for each independent covariate."""
    return sample.n >= least_checkpoints(sample, inference)


def least_checkpoints(sample: Sample, inference: Inference) -> int:
    """Return how many checkpoints a number takes."""
    return max(inference.min_n, 3) + (sample.independent if sample.n else 0)


def independent(z: Array) -> int:
    """Return how many covariates are left when constant and redundant ones are not counted."""
    return len(covariate_basis(z, z.shape[1])) - 1


def valid_rows(x: Array, y: Array, z: Array) -> NDArray[np.bool_]:
    """Mark the checkpoints of which a pair and all covariates are known, shape (m, t, n)."""
    known = np.isfinite(x)[:, None] & np.isfinite(y)[None]
    return np.asarray(known & np.isfinite(z).all(0))


def methods_of(sample: Sample, keys: Iterable[str] | None = None) -> dict[str, Method]:
    """Return coefficients of a sample by their keys; all that are registered by default."""
    methods = {}
    for key in COEFFICIENTS if keys is None else keys:
        resolved = COEFFICIENTS[key].resolve()
        known = isinstance(resolved, type) and issubclass(resolved, Method)
        methods[key] = resolved(sample) if known else Method(sample, resolved)
    return methods


def estimate_sample(
    sample: Sample, inference: Inference, permutations: tuple[int, int]
) -> dict[str, Any]:
    """Return all numbers of a sample without missing values, shape (m, t) each, and the notes."""
    methods = methods_of(sample)
    bent = curved(sample) if sample.independent else None
    constancy = nearly_constant(sample)
    few = few_draws(sample, inference)
    pvalues = all_pvalues(methods, sample, inference, permutations)
    bounds = {} if few else all_bounds(methods, sample, inference)
    table: dict[str, Any] = {"note": _notes(constancy, few, bent)}
    for key, method in methods.items():
        undefined = np.isnan(method.estimate)
        table[key] = method.estimate
        unknown = undefined if bent is None else undefined | bent
        table[key + "_pvalue"] = np.where(unknown, np.nan, pvalues[key])
        unknown = unknown | (constancy != "")
        if sample.independent and isinstance(method, Spearman):
            apart = disagreeing(method)
            table["note"] = np.where(apart & (table["note"] == ""), _APART, table["note"])
            unknown = unknown | apart
        nothing = np.full_like(method.estimate, np.nan)
        for end, bound in zip(
            ("_lower", "_upper"), bounds.get(key, (nothing, nothing)), strict=True
        ):
            table[key + end] = np.where(unknown, np.nan, bound)
        table["note"] = np.where(table["note"] == "", unmoved(key, table), table["note"])
    return table


def _notes(constancy: Array, few: str, bent: Array | None) -> Array:
    notes: Any = np.where(constancy != "", constancy, few)
    if bent is not None:
        text = (
            "no p, no interval: both depend on the covariates in curves, which are not held fixed"
        )
        notes = np.where(bent, text, notes)
    return np.asarray(notes, dtype=object)
