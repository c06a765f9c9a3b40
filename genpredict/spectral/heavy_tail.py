"""Heavy tails of a layer's spectrum: the exponent of a power law, and norms made with it.

The eigenvalues are λ_i = σ_i² of an unfolding. Singular values up to 1e-12 of the largest are the
rounding errors of a decomposition and count as zeros, which leave the sample. Below 8 values that
count, and where they are all equal, every measure is NaN.

References
----------
.. [1] A. Clauset, C. R. Shalizi, M. E. J. Newman, "Power-law distributions in empirical data",
   SIAM Review 51 (2009) 661-703.
.. [2] C. H. Martin, T. Peng, M. W. Mahoney, "Predicting trends in the quality of state-of-the-art
   neural networks without access to training or testing data", Nature Communications 12 (2021).
"""

from __future__ import annotations

import torch
from torch import Tensor

from genpredict.spectral.power_law import Tails, least_distance, tails

#: Fewer eigenvalues make no fit.
FEWEST = 8
#: Singular values up to this share of the largest are zero but for rounding.
NEGLIGIBLE = 1e-12
#: Relative error of √(x²).
ROUNDING = 1e-15


def alpha_xmin(singular_values: Tensor) -> Tensor:
    """Return the eigenvalue xmin at which the power-law tail begins [1]_.

    It is the λ, any but the largest, of least Kolmogorov-Smirnov distance between the tail from it
    on and the power law fitted to that tail; the first of several.

    Parameters
    ----------
    singular_values : Tensor, shape (..., n)
        In descending order.

    Returns
    -------
    Tensor, shape (...)
        In squared units of the weights.
    """
    sigma = singular_values.flip(-1).reshape(-1, singular_values.shape[-1])
    counted = _counted(sigma)
    every_tail = _tails(sigma, counted)
    exponent = 1 + every_tail.size / every_tail.log_excess  # Eq. 3.1
    candidates = counted & (every_tail.size > 1) & _first_of_equals(sigma)
    fit = least_distance(every_tail, exponent, candidates, two_sided=True)
    xmin = sigma.gather(-1, fit.start.unsqueeze(-1)).squeeze(-1).square()
    failed = fit.exponent.isnan() | (counted.sum(-1) < FEWEST)
    return xmin.masked_fill(failed, torch.nan).reshape(singular_values.shape[:-1])


def alpha(singular_values: Tensor, alpha_xmin: Tensor) -> Tensor:
    """Return the exponent α = 1 + m/Σ ln(λ_j/xmin) over the m eigenvalues λ_j ≥ xmin [1]_.

    Parameters
    ----------
    singular_values : Tensor, shape (..., n)
        In descending order.
    alpha_xmin : Tensor, shape (...)
        As `alpha_xmin` finds it.

    Returns
    -------
    Tensor, shape (...)

    Examples
    --------
    >>> sigma = torch.arange(16, 0, -1, dtype=torch.float64)
    >>> alpha(sigma, torch.tensor(64.0, dtype=torch.float64))
    tensor(2.3113, dtype=torch.float64)
    """
    logs, tail = _log_ratios(singular_values, alpha_xmin)
    return 1 + tail.sum(-1) / logs.sum(-1)


def alpha_distance(singular_values: Tensor, alpha_xmin: Tensor, alpha: Tensor) -> Tensor:
    """Return the Kolmogorov-Smirnov distance between the tail and its power law, in [0, 1].

    Parameters
    ----------
    singular_values : Tensor, shape (..., n)
        In descending order.
    alpha_xmin, alpha : Tensor, shape (...)

    Returns
    -------
    Tensor, shape (...)
    """
    logs, tail = _log_ratios(singular_values, alpha_xmin)
    law = torch.exp((1 - alpha).unsqueeze(-1) * logs)  # the share above λ_j
    m = tail.sum(-1, keepdim=True)
    above = torch.arange(1, logs.shape[-1] + 1, dtype=logs.dtype, device=logs.device) / m
    sides = torch.maximum((above - law).abs(), (above - 1 / m - law).abs())
    return sides.where(tail, 0.0).amax(-1).masked_fill(alpha_xmin.isnan(), torch.nan)


def alpha_weighted(singular_values: Tensor, alpha: Tensor) -> Tensor:
    """Return α·log10 λ_max [2]_.

    Parameters
    ----------
    singular_values : Tensor, shape (..., n)
        In descending order.
    alpha : Tensor, shape (...)

    Returns
    -------
    Tensor, shape (...)
    """
    return alpha * 2 * singular_values[..., 0].log10()


def log_alpha_norm(singular_values: Tensor, alpha: Tensor) -> Tensor:
    """Return log10 Σ λ^α [2]_, without overflow at any scale.

    Parameters
    ----------
    singular_values : Tensor, shape (..., n)
        In descending order.
    alpha : Tensor, shape (...)

    Returns
    -------
    Tensor, shape (...)
    """
    sigma = singular_values
    logs = (sigma / sigma[..., :1]).log()  # −∞ for a zero, whose power is 0
    total = torch.exp(2 * alpha.unsqueeze(-1) * logs).sum(-1)
    return alpha * 2 * sigma[..., 0].log10() + total.log10()


def _counted(sigma: Tensor) -> Tensor:
    """Mark the singular values, last the largest, that are not zero."""
    return (sigma > NEGLIGIBLE * sigma[..., -1:]) & (sigma > 0)


def _tails(sigma: Tensor, counted: Tensor) -> Tails:
    """Return the tails of λ = σ²: twice the logarithms of σ, so that no square underflows."""
    half = tails(sigma, counted)
    return Tails(2 * half.log_values, 2 * half.log_excess, half.size)


def _first_of_equals(sigma: Tensor) -> Tensor:
    """Mark ascending values that exceed the one before: a tail holds all equals of its first."""
    first = torch.ones_like(sigma, dtype=torch.bool)
    first[:, 1:] = sigma[:, 1:] > sigma[:, :-1]
    return first


def _log_ratios(singular_values: Tensor, alpha_xmin: Tensor) -> tuple[Tensor, Tensor]:
    """Return ln(λ_j/xmin), 0 outside the tail, and which λ_j are in it; NaN where xmin is."""
    threshold = alpha_xmin.sqrt().unsqueeze(-1)
    tail = singular_values >= threshold * (1 - ROUNDING)
    logs = 2 * (singular_values / threshold).clamp_min(1.0).log()
    return logs.where(tail | logs.isnan(), 0.0), tail
