"""All correlations of one group of checkpoints: estimates, intervals, p-values.

Arrays in, arrays out. Pairs (measure, target) that have the same checkpoints share one set of
resamples and of permutations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from genpredict.errors import GenpredictError
from genpredict.stats.coefficients import Array, covariate_basis, pearson, spearman
from genpredict.stats.intervals import (
    acceleration,
    bca_interval,
    fisher_interval,
    jackknife_interval,
    percentile_interval,
    skewed,
)
from genpredict.stats.kendall import (
    MOST_PAIRWISE,
    kendall,
    kendall_jackknife,
    kendall_resampled,
)
from genpredict.stats.permutation import permutation_pvalues
from genpredict.stats.resampling import Resampler, bootstrap_counts, jackknife_counts

Interval: TypeAlias = Literal["auto", "bca", "percentile", "fisher"]
COEFFICIENTS = ("plcc", "rocc", "krocc")
STATISTICS = ("", "_lower", "_upper", "_pvalue")
#: Up to this many checkpoints "auto" is BCa, above it is percentile.
MOST_BCA = 2000
#: Checkpoints left out in turn to estimate the acceleration; above, a random part of them.
MOST_JACKKNIFE = 2000


@dataclass(frozen=True)
class Settings:
    """How intervals and p-values are made; see `genpredict.stats.correlate`."""

    interval: Interval = "auto"
    resamples: int = 2000
    permutations: int = 9999
    level: float = 0.95
    min_n: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every choice, so that a typo fails before any work."""
        if self.interval not in get_args(Interval):
            raise GenpredictError(
                f"interval must be one of {get_args(Interval)}, got {self.interval!r}"
            )
        if not 0 < self.level < 1:
            raise GenpredictError(f"level must lie in (0, 1), such as 0.95, got {self.level}")
        for name, least in (("resamples", 2), ("permutations", 0), ("min_n", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise GenpredictError(f"{name} must be at least {least}, got {getattr(self, name)}")

    def interval_for(self, n: int) -> str:
        """Return the kind of interval of PLCC and ROCC for a group of n checkpoints."""
        if self.interval != "auto":
            return self.interval
        return "bca" if n <= MOST_BCA else "percentile"

    def krocc_interval_for(self, n: int) -> str:
        """Return the kind of interval of KROCC: the jackknife's where n is large."""
        kind = self.interval_for(n)
        return kind if kind == "fisher" or n <= MOST_PAIRWISE else "jackknife"


@dataclass(frozen=True)
class SharedRows:
    """Measures and targets that are known of exactly the same checkpoints."""

    rows: NDArray[np.bool_]
    measures: NDArray[np.intp]
    targets: NDArray[np.intp]


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
    x: Array, y: Array, z: Array, settings: Settings, within: NDArray[np.bool_] | None = None
) -> dict[str, Array]:
    """Correlate each measure with each target.

    Parameters
    ----------
    x : array, shape (m, n)
    y : array, shape (t, n)
    z : array, shape (k, n)
        Covariates, possibly none. A value that is not finite, in any of the three, leaves the
        checkpoint out of the pairs it concerns.
    settings : Settings
    within : array of bool, broadcastable to (m, t, n), optional
        Checkpoints that count for a pair.

    Returns
    -------
    dict of array, shape (m, t)
        `n`, and for each of plcc, rocc, krocc the estimate, `_lower`, `_upper`, `_pvalue`.
    """
    valid = valid_rows(x, y, z)
    if within is not None:
        valid = valid & within
    found = {"n": valid.sum(-1).astype(np.float64)}
    for coefficient in COEFFICIENTS:
        for statistic in STATISTICS:
            found[coefficient + statistic] = np.full(valid.shape[:2], np.nan)
    kind = settings.interval_for(int(valid.sum(-1).max(initial=0)))
    krocc_kind = settings.krocc_interval_for(int(valid.sum(-1).max(initial=0)))
    for block in shared_rows(valid):
        zs = z[:, block.rows]
        if enough(zs, settings):
            xs, ys = x[block.measures][:, block.rows], y[block.targets][:, block.rows]
            part = _estimate_complete(xs, ys, zs, settings, kind, krocc_kind)
            at = np.ix_(block.measures, block.targets)
            for name, values in part.items():
                found[name][at] = values
    return found


def enough(z: Array, settings: Settings) -> bool:
    """Say whether there are min_n checkpoints, and one more for each independent covariate.

    Parameters
    ----------
    z : array, shape (k, n)
    settings : Settings

    Returns
    -------
    bool
    """
    n = z.shape[1]
    least = max(settings.min_n, 3)
    return bool(n >= least and n >= least + independent(z))


def independent(z: Array) -> int:
    """Return how many covariates are left when constant and redundant ones are not counted."""
    return len(covariate_basis(z, z.shape[1])) - 1


def valid_rows(x: Array, y: Array, z: Array) -> NDArray[np.bool_]:
    """Mark the checkpoints of which a pair and all covariates are known, shape (m, t, n)."""
    known = np.isfinite(x)[:, None] & np.isfinite(y)[None]
    return np.asarray(known & np.isfinite(z).all(0))


def _estimate_complete(
    x: Array, y: Array, z: Array, settings: Settings, kind: str, krocc_kind: str
) -> dict[str, Array]:
    """Do the same where nothing is missing."""
    covariates = z if len(z) else None
    found = {"plcc": pearson(x, y, covariates), "rocc": spearman(x, y, covariates)}
    rng = np.random.default_rng([settings.seed, 1])
    tests = permutation_pvalues(x, y, z, permutations=settings.permutations, rng=rng)
    if covariates is None:
        found["krocc"] = kendall_pairs(x, y)
    bounds = _bounds(x, y, z, found, settings, kind)
    if covariates is None:
        bounds["krocc"] = _kendall_bounds(x, y, found["krocc"], settings, krocc_kind)
    for name in tuple(found):
        undefined = np.isnan(found[name])
        for end, values in zip(("_lower", "_upper"), bounds[name], strict=True):
            found[name + end] = np.where(undefined, np.nan, values)
        found[name + "_pvalue"] = np.where(undefined, np.nan, tests[name])
    return found


def _bounds(
    x: Array, y: Array, z: Array, found: dict[str, Array], settings: Settings, kind: str
) -> dict[str, tuple[Array, Array]]:
    """Return the intervals of PLCC and ROCC."""
    n, level, names = x.shape[1], settings.level, ("plcc", "rocc")
    if kind == "fisher":
        return {
            name: fisher_interval(
                found[name], n, level, coefficient=name, covariates=independent(z)
            )
            for name in names
        }
    resampled = resample(x, y, z, settings)
    if kind == "percentile":
        return {name: percentile_interval(resampled[name], level) for name in names}
    accelerated = accelerations(x, y, z, settings)
    return {
        name: bca_interval(found[name], resampled[name], accelerated[name], level) for name in names
    }


def resample(x: Array, y: Array, z: Array, settings: Settings) -> dict[str, Array]:
    """Return PLCC and ROCC of bootstrap resamples, shape (m, t, resamples)."""
    columns = Resampler(x, y, z)
    rng = np.random.default_rng(settings.seed)
    blocks = bootstrap_counts(x.shape[1], settings.resamples, rng)
    parts = [(columns.pearson(counts), columns.spearman(counts)) for counts in blocks]
    return {
        name: np.concatenate(some, axis=-1)
        for name, some in zip(("plcc", "rocc"), zip(*parts, strict=True), strict=True)
    }


def jackknife(x: Array, y: Array, z: Array, left_out: NDArray[np.intp]) -> dict[str, Array]:
    """Return PLCC and ROCC without each of some checkpoints, shape (m, t, len(left_out))."""
    columns = Resampler(x, y, z)
    parts = [
        (columns.pearson(counts), columns.spearman(counts))
        for counts in jackknife_counts(x.shape[1], left_out)
    ]
    return {
        name: np.concatenate(some, axis=-1)
        for name, some in zip(("plcc", "rocc"), zip(*parts, strict=True), strict=True)
    }


def accelerations(x: Array, y: Array, z: Array, settings: Settings) -> dict[str, Array]:
    """Return BCa's acceleration of PLCC and ROCC."""
    n = x.shape[1]
    values = jackknife(x, y, z, left_out_of(n, settings))
    return {name: skewed(some, n) for name, some in values.items()}


def left_out_of(n: int, settings: Settings) -> NDArray[np.intp]:
    """Return which checkpoints the jackknife leaves out in turn: all, or 2,000 at random."""
    if n <= MOST_JACKKNIFE:
        return np.arange(n)
    rng = np.random.default_rng([settings.seed, 2])
    return rng.choice(n, MOST_JACKKNIFE, replace=False)


def kendall_pairs(x: Array, y: Array) -> Array:
    """Return KROCC of each measure with each target, shape (m, t)."""
    return np.array([[kendall(one, other) for other in y] for one in x])


def _kendall_bounds(
    x: Array, y: Array, found: Array, settings: Settings, kind: str
) -> tuple[Array, Array]:
    """Return the interval of KROCC, one pair at a time."""
    n, level = x.shape[1], settings.level
    if kind == "fisher":
        return fisher_interval(found, n, level, coefficient="krocc")
    lower, upper = np.full(found.shape, np.nan), np.full(found.shape, np.nan)
    counts = None
    for i, t in np.argwhere(~np.isnan(found)):
        tau = found[i, t]
        if kind == "jackknife":
            ends = jackknife_interval(tau, kendall_jackknife(x[i], y[t]), level)
        else:
            if counts is None:
                counts = all_counts(n, settings)
            resampled = kendall_resampled(x[i], y[t], counts)
            if kind == "percentile":
                ends = percentile_interval(resampled, level)
            else:
                accelerated = acceleration(kendall_jackknife(x[i], y[t]))
                ends = bca_interval(tau, resampled, accelerated, level)
        lower[i, t], upper[i, t] = ends
    return lower, upper


def all_counts(n: int, settings: Settings) -> NDArray[np.intp]:
    """Return the counts of the resamples that PLCC and ROCC have, all at once."""
    rng = np.random.default_rng(settings.seed)
    return np.concatenate(list(bootstrap_counts(n, settings.resamples, rng)), axis=1)
