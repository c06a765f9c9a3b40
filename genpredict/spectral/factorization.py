"""EVBMF of weights, from the tensor to its low-rank singular values."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from genpredict.estimators import DEAD_TOLERANCE, NULL_TOLERANCE, check_method
from genpredict.spectral.arrays import as_tensor
from genpredict.spectral.evbmf import LowRank, factorize
from genpredict.spectral.released import solve_released
from genpredict.spectral.spectrum import singular_values
from genpredict.spectral.unfold import (
    dead_channels,
    sides_left,
    unfold,
    without,
)


def evbmf(
    weights: Tensor | np.ndarray[Any, Any],
    unfolding: str = "out_channel",
    *,
    batch_dims: int = 0,
    estimator: str = "global",
    dead_tolerance: float = DEAD_TOLERANCE,
    null_tolerance: float = NULL_TOLERANCE,
) -> LowRank:
    """Factorize a layer into signal and noise by EVBMF.

    Parameters
    ----------
    weights : Tensor or ndarray, shape (*batch, n_o, n_i, *kernel)
        Finite weights in torch's layout; a matrix (n_o, n_i) is its own unfolding.
    unfolding : {"out_channel", "in_channel"}
        The channels that make the rows.
    batch_dims : int
        Number of leading batch dimensions.
    estimator : {"global", "reference"}
        The exact minimum of the free energy, or what the released code finds.
    dead_tolerance : float
        Channels with norms up to this share of the median are set aside first (global only).
    null_tolerance : float
        So are singular values up to this share of the median (global only). Both 0 drop exact
        zeros only.

    Returns
    -------
    LowRank
        rank, noise_variance (in squared weights), rows and columns, all of shape batch, and
        singular_values of shape (*batch, n), n being the smaller side of the full unfolding.

    Raises
    ------
    ValueError
        For weights that are not finite floating point numbers, another unfolding or estimator,
        or tolerances outside [0, 1).

    References
    ----------
    .. [1] S. Nakajima, M. Sugiyama, S. D. Babacan, R. Tomioka, "Global analytic solution of
       fully-observed variational Bayesian matrix factorization", JMLR 14 (2013) 1-37.

    Examples
    --------
    >>> import torch
    >>> noise = torch.randn(32, 128, generator=torch.Generator().manual_seed(0))
    >>> low_rank = evbmf(torch.ones(32, 128) + noise)
    >>> low_rank.rank, low_rank.singular_values.count_nonzero()
    (tensor(1), tensor(1))
    """
    weights = as_tensor(weights, "weights")
    _check(weights, estimator, dead_tolerance, null_tolerance)
    batch = weights.shape[:batch_dims]
    shape = tuple(weights.shape[batch_dims:])
    flat = weights.detach().double().reshape(-1, *shape)
    if estimator == "reference":
        eigenvalues = singular_values(unfold(flat, unfolding, batch_dims=1)).square()
        columns = flat[0].numel() // eigenvalues.shape[-1]
        low_rank = solve_released(eigenvalues, [columns] * len(flat))
    else:
        dead = dead_channels(flat, tolerance=dead_tolerance, batch_dims=1)
        left = unfold(without(flat, *dead), unfolding, batch_dims=1)
        rows, columns_left = sides_left(shape, unfolding, *dead)
        eigenvalues = singular_values(left).square()
        low_rank = factorize(eigenvalues, rows, columns_left, null_tolerance=null_tolerance)
    return LowRank(*(field.reshape((*batch, *field.shape[1:])) for field in low_rank))


def _check(weights: Tensor, estimator: str, dead_tolerance: float, null_tolerance: float) -> None:
    check_method(estimator, dead_tolerance, null_tolerance)
    if not weights.is_floating_point():
        raise ValueError(f"weights must be real floating point numbers, got {weights.dtype}")
    if not torch.isfinite(weights).all():
        raise ValueError("weights must be finite; found NaN or infinity")
