"""How often a measure orders two networks the wrong way, at the worst change of a hyperparameter.

References
----------
.. [1] G. K. Dziugaite, A. Drouin, B. Neal, N. Rajkumar, E. Caballero, L. Wang, I. Mitliagkas,
   D. M. Roy, "In search of robust measures of generalization", NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from genpredict.errors import GenpredictError
from genpredict.stats.coefficients import Array
from genpredict.stats.columns import Named
from genpredict.stats.yardsticks.grid import Codes, grid_of

#: Least effective number of pairs of an environment that counts.
LEAST_EFFECTIVE = 12.0
_PAIR = ("measure", "target")


def robust_sign_error(
    scores: xr.Dataset,
    measures: Sequence[Named] | Named | None = None,
    targets: Sequence[Named] | Named | None = None,
    hyperparameters: Sequence[str] | str | None = None,
    *,
    test_samples: int = 10_000,
    least_effective: float = LEAST_EFFECTIVE,
    filter_noise: bool = True,
    where: str | xr.DataArray | None = None,
) -> xr.Dataset:
    """Weigh wrong signs over environments: pairs of settings that differ in one hyperparameter.

    An environment's error is the mean of ½(1 − sgn Δμ·sgn Δg) over all seeds × seeds, weighted by
    (w − ½)₊ with w = max(0, 1 − 2·exp(−2n(Δg/2)²))², the confidence that the target's sign is no
    accident of n test samples [1]_. 0 is perfect, ½ a coin.

    Parameters
    ----------
    scores : Dataset
        As of `score` or `open_scores`.
    measures, targets, hyperparameters, where
        As for `granulated_kendall`. Targets in percent are taken as fractions.
    test_samples : int
        n, images in the test set.
    least_effective : float
        An environment counts when (Σw)²/Σw² is at least this.
    filter_noise : bool
        False weighs all pairs alike.

    Returns
    -------
    Dataset
        (measure, target) `mean`, `percentile_90` and `maximum` over environments, `environments`
        that count (both directions of a pair of settings), and `n`; (measure, target,
        hyperparameter) `mean_by`, `maximum_by`, of the environments in which it changes. NaN where
        none counts.

    Raises
    ------
    GenpredictError
        For unknown names, measured columns as hyperparameters, or a number of samples below 1.
    """
    if test_samples < 1:
        raise GenpredictError(f"test_samples must be at least 1, got {test_samples}")
    grid = grid_of(scores, measures, targets, hyperparameters, where)
    shape = (len(grid.measures), len(grid.targets))
    whole = {name: np.full(shape, np.nan) for name in ("mean", "percentile_90", "maximum")}
    counts = {name: np.zeros(shape, dtype=np.int64) for name in ("environments", "n")}
    each = (*shape, len(grid.hyperparameters))
    by = {name: np.full(each, np.nan) for name in ("mean_by", "maximum_by")}
    samples = test_samples if filter_noise else None
    for i, t, x, y, codes in grid.pairs():
        scale = 100.0 if "%" in grid.targets[t].units else 1.0
        losses, axes = _losses(x, y / scale, codes, samples, least_effective)
        counts["environments"][i, t], counts["n"][i, t] = len(losses), len(x)
        if len(losses):
            whole["mean"][i, t], whole["maximum"][i, t] = losses.mean(), losses.max()
            whole["percentile_90"][i, t] = np.percentile(losses, 90)
        for h in set(axes.tolist()):
            by["mean_by"][i, t, h] = losses[axes == h].mean()
            by["maximum_by"][i, t, h] = losses[axes == h].max()
    words = {
        "mean": "sign error, mean over environments",
        "percentile_90": "sign error, 90th percentile over environments",
        "maximum": "sign error of the worst environment",
        "environments": "number of environments",
        "n": "number of checkpoints",
        "mean_by": "sign error, mean where this hyperparameter changes",
        "maximum_by": "sign error of the worst environment where this hyperparameter changes",
    }
    variables = {name: (_PAIR, array, words[name]) for name, array in (whole | counts).items()}
    return grid.table(
        variables | {n: ((*_PAIR, "hyperparameter"), array, words[n]) for n, array in by.items()}
    ).assign_attrs(test_samples=test_samples, least_effective=least_effective)


def _losses(
    x: Array, y: Array, codes: Codes, samples: int | None, least: float
) -> tuple[Array, Codes]:
    """Return the error of every environment that counts, and which hyperparameter changes in it."""
    losses, axes = [], []
    for first, second, axis in environments(codes):
        rise_x = np.subtract.outer(x[first], x[second])
        rise_y = np.subtract.outer(y[first], y[second])
        weights = np.ones_like(rise_y) if samples is None else noise_weights(rise_y, samples)
        total, squares = weights.sum(), (weights**2).sum()
        if squares > 0 and total**2 / squares >= least:
            wrong = (1 - np.sign(rise_x) * np.sign(rise_y)) / 2
            losses.append(float((weights * wrong).sum() / total))
            axes.append(axis)
    return np.array(losses), np.array(axes, dtype=np.intp)


def noise_weights(rise: Array, samples: int) -> Array:
    """Return (w − ½)₊, w = max(0, 1 − 2·exp(−2n(Δg/2)²))²: Hoeffding's bound for both networks.

    Examples
    --------
    >>> noise_weights(np.array([0.0, 0.02, 0.1]), 10_000).round(4)
    array([0.    , 0.0319, 0.5   ])
    """
    sure = np.maximum(0.0, 1 - 2 * np.exp(-2 * samples * (rise / 2) ** 2)) ** 2
    return np.asarray(np.maximum(sure - 0.5, 0.0))


def environments(codes: Codes) -> Iterator[tuple[Codes, Codes, int]]:
    """Yield the rows of two settings that differ in one hyperparameter, and which; both directions.

    Parameters
    ----------
    codes : array of int, shape (n, hyperparameters)
    """
    settings, member = np.unique(codes, axis=0, return_inverse=True)
    rows = [np.flatnonzero(member.ravel() == s) for s in range(len(settings))]
    for one in range(len(settings)):
        differ = settings != settings[one]
        for other in np.flatnonzero(differ.sum(1) == 1):
            yield rows[one], rows[other], int(np.flatnonzero(differ[other])[0])
