"""Kendall's rank correlation, one hyperparameter at a time.

References
----------
.. [1] Y. Jiang, B. Neyshabur, H. Mobahi, D. Krishnan, S. Bengio, "Fantastic generalization measures
   and where to find them", ICLR 2020, section 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from genpredict.stats.coefficients import Array
from genpredict.stats.columns import Named
from genpredict.stats.kendall import concordance
from genpredict.stats.yardsticks.grid import Codes, grid_of, joint_codes

_PAIR = ("measure", "target")


def granulated_kendall(
    scores: xr.Dataset,
    measures: Sequence[Named] | Named | None = None,
    targets: Sequence[Named] | Named | None = None,
    hyperparameters: Sequence[str] | str | None = None,
    *,
    where: str | xr.DataArray | None = None,
) -> xr.Dataset:
    """Correlate ranks among networks that differ in one hyperparameter.

    τ is the mean of sgn Δμ·sgn Δg over ordered pairs, ties 0. ψ_i is the mean of τ over the cells
    in which all hyperparameters but the i-th are fixed, each cell counting the same; Ψ is the mean
    of ψ_i [1]_. A measure that tells the values of one hyperparameter apart and nothing else has a
    high τ and a low Ψ.

    Parameters
    ----------
    scores : Dataset
        As of `score` or `open_scores`.
    measures, targets : sequence of str or DataArray, optional
        As for `correlate`, baselines included.
    hyperparameters : sequence of str, optional
        Coordinates; by default the settings that differ. Seeds of one setting share its cells.
    where : str or DataArray of bool, optional
        Checkpoints that count.

    Returns
    -------
    Dataset
        (measure, target, hyperparameter) `psi`, NaN where no cell has two networks, and `cells`,
        how many have; (measure, target) `Psi`, the mean of those ψ that there are, `tau` and `n`.

    Raises
    ------
    GenpredictError
        For unknown names, and measured columns as hyperparameters.
    """
    grid = grid_of(scores, measures, targets, hyperparameters, where)
    shape = (len(grid.measures), len(grid.targets))
    psi = np.full((*shape, len(grid.hyperparameters)), np.nan)
    cells = np.zeros(psi.shape, dtype=np.int64)
    tau, n = np.full(shape, np.nan), np.zeros(shape, dtype=np.int64)
    for i, t, x, y, codes in grid.pairs():
        tau[i, t], n[i, t] = pair_mean(x, y), len(x)
        for h in range(codes.shape[1]):
            taus = cell_means(x, y, joint_codes(np.delete(codes, h, axis=1)))
            cells[i, t, h] = len(taus)
            psi[i, t, h] = np.mean(taus) if taus else np.nan
    known = ~np.isnan(psi)
    total = np.where(known, psi, 0.0).sum(-1)
    mean = np.divide(total, known.sum(-1), out=np.full(shape, np.nan), where=known.any(-1))
    return grid.table(
        {
            "psi": ((*_PAIR, "hyperparameter"), psi, "granulated Kendall coefficient ψ"),
            "cells": ((*_PAIR, "hyperparameter"), cells, "number of cells"),
            "Psi": (_PAIR, mean, "mean granulated Kendall coefficient Ψ"),
            "tau": (_PAIR, tau, "Kendall's τ, ties 0"),
            "n": (_PAIR, n, "number of checkpoints"),
        }
    )


def pair_mean(x: Array, y: Array) -> float:
    """Return the mean of sgn·sgn over ordered pairs; NaN of fewer than two.

    Examples
    --------
    >>> pair_mean(np.array([1.0, 2, 3]), np.array([1.0, 3, 3]))
    0.6666666666666666
    """
    n = len(x)
    return float(concordance(x, y).sum() / (n * (n - 1))) if n > 1 else float("nan")


def cell_means(x: Array, y: Array, cell: Codes) -> list[float]:
    """Return `pair_mean` of every cell of two networks or more."""
    order = np.argsort(cell, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(cell[order])) + 1)
    return [pair_mean(x[rows], y[rows]) for rows in parts if len(rows) > 1]
