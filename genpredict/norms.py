"""Norms of whole networks, the simplest rivals of any measure (docs/design.md 3.5).

They are made of the raw norms of every layer, whatever its kind, its weight flattened to
(n_o, rest). The kernel (`norms_of`) knows numbers alone; the others are what the table of network
measures names.

References
----------
.. [1] Y. Jiang, B. Neyshabur, H. Mobahi, D. Krishnan, S. Bengio, "Fantastic generalization
   measures and where to find them", ICLR 2020 (Appendix C).
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Array = NDArray[np.float64]


def norms_of(frobenius: Array, spectral: Array) -> dict[str, Array]:
    """Return the norms of networks from ‖W‖_F and σ_1 of their layers [1]_.

    Parameters
    ----------
    frobenius, spectral : array, shape (..., layers)
        NaN where a network has no such layer.

    Returns
    -------
    dict of str to array, shape (...)
        ``log_prod_frobenius_norm`` Σ ln‖W‖²_F and ``log_prod_spectral_norm`` Σ ln σ_1², −∞ where
        a layer is zero; ``log_sum_…`` = ln d + log_prod_…/d for d layers; ``fro_over_spec``
        Σ‖W‖²_F/σ_1², to which a layer of zeros adds nothing; ``param_norm`` Σ‖W‖²_F. NaN for a
        network without layers.

    Examples
    --------
    >>> norms_of(np.array([2.0, 1.0]), np.array([1.0, 1.0]))["fro_over_spec"]
    array(5.)
    """
    there = ~np.isnan(frobenius)
    count = np.where(there.any(-1), there.sum(-1), np.nan)
    squares, largest = np.square(frobenius), np.square(spectral)
    measures: dict[str, Array] = {}
    for name, norm in (("frobenius", frobenius), ("spectral", spectral)):
        with np.errstate(divide="ignore"):  # ln 0 = −∞ is meant
            logs = 2 * np.log(np.where(there, norm, 1.0))
        product = np.where(np.isnan(count), np.nan, logs.sum(-1))
        measures[f"log_prod_{name}_norm"] = product
        measures[f"log_sum_{name}_norm"] = np.log(count) + product / count
    ratios = squares / np.where(largest > 0, largest, 1.0)
    for name, parts in (("fro_over_spec", ratios), ("param_norm", squares)):
        total = np.where(there, parts, 0.0).sum(-1)
        measures[name] = np.where(np.isnan(count), np.nan, total)
    return measures


def log_prod_frobenius_norm(scores: xr.Dataset) -> xr.DataArray:
    """Return Σ ln‖W‖²_F over the layers of each network."""
    return _norm(scores, "log_prod_frobenius_norm")


def log_prod_spectral_norm(scores: xr.Dataset) -> xr.DataArray:
    """Return Σ ln σ_1² over the layers of each network."""
    return _norm(scores, "log_prod_spectral_norm")


def log_sum_frobenius_norm(scores: xr.Dataset) -> xr.DataArray:
    """Return ln d + (Σ ln‖W‖²_F)/d over the d layers of each network."""
    return _norm(scores, "log_sum_frobenius_norm")


def log_sum_spectral_norm(scores: xr.Dataset) -> xr.DataArray:
    """Return ln d + (Σ ln σ_1²)/d over the d layers of each network."""
    return _norm(scores, "log_sum_spectral_norm")


def fro_over_spec(scores: xr.Dataset) -> xr.DataArray:
    """Return Σ‖W‖²_F/σ_1² over the layers of each network."""
    return _norm(scores, "fro_over_spec")


def param_norm(scores: xr.Dataset) -> xr.DataArray:
    """Return Σ‖W‖²_F over the layers of each network."""
    return _norm(scores, "param_norm")


def _norm(scores: xr.Dataset, name: str) -> xr.DataArray:
    return xr.DataArray(norms_of(*layer_norms(scores))[name], dims="checkpoint")


def layer_norms(scores: xr.Dataset) -> tuple[Array, Array]:
    """Return ‖W‖_F and σ_1 of every layer flattened to (n_o, rest).

    A layer with one output has no unfolding of that shape; it is a vector, whose only singular
    value is its Frobenius norm, the same in every unfolding.

    Parameters
    ----------
    scores : Dataset
        With `frobenius_norm` and `spectral_norm`, as `score` makes.

    Returns
    -------
    tuple of array, shape (checkpoints, layers)
        NaN where a network has no such layer.
    """
    order = ("checkpoint", "layer", "unfolding", "factorization")
    variables = scores.variables  # without coordinates, which cost more than the arithmetic
    raw = list(variables["factorization"].values).index("raw")
    names = list(variables["unfolding"].values)
    inputs, outputs = names.index("in_channel"), names.index("out_channel")
    frobenius = variables["frobenius_norm"].transpose(*order).values[..., raw]
    spectral = variables["spectral_norm"].transpose(*order).values[..., raw]
    is_vector = np.isnan(frobenius[..., outputs])
    vector = frobenius[..., inputs]
    return (
        np.where(is_vector, vector, frobenius[..., outputs]),
        np.where(is_vector, vector, spectral[..., outputs]),
    )
