"""Both spectra of one layer, with the levels that part signal from noise."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from genpredict.estimators import DEAD_TOLERANCE, NULL_TOLERANCE, Estimator
from genpredict.spectral.arrays import as_tensor
from genpredict.spectral.evbmf import signal_threshold
from genpredict.spectral.factorization import evbmf
from genpredict.spectral.released import released_threshold
from genpredict.spectral.spectrum import singular_values
from genpredict.spectral.unfold import unfold


class LayerSpectrum(NamedTuple):
    """What EVBMF makes of one unfolding of a layer; what `plot_spectrum` draws.

    Parameters
    ----------
    raw : Tensor, shape (n,)
        Singular values of the full unfolding.
    low_rank : Tensor, shape (n,)
        Shrunk singular values, then zeros.
    rank : int
    noise_variance : float
        s, in squared weights.
    rows, columns : int
        L and M, the sides of what is left of the unfolding once dead channels and null directions
        are set aside.
    threshold : float
        x̄: signal is what exceeds √(M s x̄).
    """

    raw: Tensor
    low_rank: Tensor
    rank: int
    noise_variance: float
    rows: int
    columns: int
    threshold: float


def layer_spectrum(
    weight: Tensor | np.ndarray[Any, Any],
    unfolding: str = "out_channel",
    *,
    estimator: Estimator = "global",
    dead_tolerance: float = DEAD_TOLERANCE,
    null_tolerance: float = NULL_TOLERANCE,
) -> LayerSpectrum:
    """Factorize one unfolding of a layer, and keep what the answer rests on.

    Parameters
    ----------
    weight : Tensor or ndarray, shape (n_o, n_i, *kernel)
        Finite weights in torch's layout.
    unfolding, estimator, dead_tolerance, null_tolerance
        As of `evbmf`.

    Returns
    -------
    LayerSpectrum
        In double precision.

    Raises
    ------
    ValueError
        As of `evbmf`.

    Examples
    --------
    >>> noise = torch.randn(32, 16, 3, 3, generator=torch.Generator().manual_seed(0))
    >>> low_rank = layer_spectrum(1 + noise, "in_channel")
    >>> low_rank.rank, low_rank.rows, low_rank.columns
    (1, 16, 288)
    """
    weight = as_tensor(weight, "weight").detach().double()
    low_rank = evbmf(
        weight,
        unfolding,
        estimator=estimator,
        dead_tolerance=dead_tolerance,
        null_tolerance=null_tolerance,
    )
    rows, columns = int(low_rank.rows), int(low_rank.columns)
    return LayerSpectrum(
        singular_values(unfold(weight, unfolding)),
        low_rank.singular_values,
        int(low_rank.rank),
        float(low_rank.noise_variance),
        rows,
        columns,
        _threshold(max(rows, 1) / max(columns, 1), estimator),
    )


def _threshold(alpha: float, estimator: str) -> float:
    """Return x̄ at α = L/M, at the released code's τ̄ where that is the estimator."""
    if estimator == "global":
        return float(signal_threshold(torch.tensor(alpha, dtype=torch.float64)))
    return released_threshold(alpha)
