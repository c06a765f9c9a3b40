"""Layer measures: numbers read off a spectrum (docs/design.md 3.4).

Every function takes singular values in descending order along the last axis, with leading batch
dimensions, zeros beyond the rank. `rank` is the number r of singular values that the spectrum has:
by default all of them (a raw spectrum); for a low-rank spectrum, EVBMF's rank.

References
----------
.. [1] M. S. Hosseini, M. Tuli, K. N. Plataniotis, "Exploiting Explainable Metrics for Augmented
   SGD", CVPR 2022.
.. [2] O. Roy, M. Vetterli, "The effective rank: A measure of effective dimensionality",
   EUSIPCO 2007.
.. [3] Y. Zhou et al., "Temperature Balancing, Layer-wise Weight Analysis, and Neural Network
   Training", NeurIPS 2023.
"""

from __future__ import annotations

import torch
from torch import Tensor


def stable_rank(singular_values: Tensor, *, p: int = 2) -> Tensor:
    """Return the stable rank (1/n)·Σ (σ_i/σ_1)^p, the paper's Eq. 2.

    Parameters
    ----------
    singular_values : Tensor, shape (..., n)
        n is the smaller side of the full matrix, also for a low-rank spectrum.
    p : int
        2 is the right-hand side of Eq. 2 as printed, 1 its left-hand side and the released code.

    Returns
    -------
    Tensor, shape (...)
        In [0, 1]; 0 for a spectrum of zeros.

    Examples
    --------
    >>> stable_rank(torch.tensor([2.0, 1.0, 0.0, 0.0]))
    tensor(0.3125)
    """
    return _relative(singular_values).pow(p).mean(-1)


def condition_number(singular_values: Tensor, *, rank: Tensor | None = None) -> Tensor:
    """Return 1 − σ_r/σ_1, the paper's Eq. 3.

    Parameters
    ----------
    singular_values : Tensor, shape (..., n)
    rank : Tensor, shape (...), int64, optional
        r; by default n.

    Returns
    -------
    Tensor, shape (...)
        In [0, 1]; 1 when r = 0 or the spectrum is zero, 0 when r = 1.

    Examples
    --------
    >>> condition_number(torch.tensor([4.0, 3.0, 1.0]))
    tensor(0.7500)
    """
    relative = _relative(singular_values)
    if rank is None:
        return 1 - relative[..., -1]
    last = (rank - 1).clamp_min(0).unsqueeze(-1)
    return 1 - relative.gather(-1, last).squeeze(-1)


def quality(singular_values: Tensor, *, p: int = 2, rank: Tensor | None = None) -> Tensor:
    """Return the quality arctan(stable_rank/condition_number), the paper's Eq. 4.

    Parameters
    ----------
    singular_values : Tensor, shape (..., n)
    p : int
        Power of the stable rank.
    rank : Tensor, shape (...), int64, optional
        r; by default n.

    Returns
    -------
    Tensor, shape (...)
        In radians, in [0, π/2]; 0 when r = 0, π/2 when r = 1.
    """
    return quality_angle(
        stable_rank(singular_values, p=p), condition_number(singular_values, rank=rank)
    )


def quality_angle(stable_rank: Tensor, condition_number: Tensor) -> Tensor:
    """Return arctan(stable_rank/condition_number), the paper's Eq. 4, in radians.

    Parameters
    ----------
    stable_rank, condition_number : Tensor, shapes that broadcast

    Returns
    -------
    Tensor
    """
    return torch.atan2(stable_rank, condition_number)


def spectral_entropy(singular_values: Tensor) -> Tensor:
    """Return the entropy −Σ π_i·log π_i of π_i = σ_i/Σσ, in nats; 0 for a spectrum of zeros."""
    total = singular_values.sum(-1, keepdim=True)
    share = singular_values / total.where(total > 0, 1.0)
    return 0.0 - torch.xlogy(share, share).sum(-1)  # so that none is −0


def effective_rank(singular_values: Tensor) -> Tensor:
    """Return the effective rank exp(entropy), between 1 and r; 0 for a spectrum of zeros [2]_.

    Examples
    --------
    >>> effective_rank(torch.tensor([1.0, 1.0, 0.0]))
    tensor(2.)
    """
    return torch.where(singular_values[..., 0] > 0, spectral_entropy(singular_values).exp(), 0.0)


def spectral_norm(singular_values: Tensor) -> Tensor:
    """Return σ_1, in units of the weights."""
    return singular_values[..., 0]


def frobenius_norm(singular_values: Tensor) -> Tensor:
    """Return √Σσ², in units of the weights."""
    return singular_values.square().sum(-1).sqrt()


def participation_ratio(singular_values: Tensor) -> Tensor:
    """Return (Σσ²)²/Σσ⁴, the number of directions that share the energy; 0 for zeros.

    Examples
    --------
    >>> participation_ratio(torch.tensor([2.0, 2.0, 0.0]))
    tensor(2.)
    """
    squares = _relative(singular_values).square()
    fourth = squares.square().sum(-1)
    return squares.sum(-1).square() / fourth.where(fourth > 0, 1.0)


def hill_alpha(singular_values: Tensor) -> Tensor:
    """Return Hill's estimate of the exponent of the tail of eigenvalues λ = σ².

    With λ ascending and i = ⌊n/2⌋ (from 0), α = 1 + m/Σ_{j≥i} ln(λ_j/λ_i) for the m = n − i
    eigenvalues of the tail; the choice of i is that of [3]_.

    Parameters
    ----------
    singular_values : Tensor, shape (..., n)

    Returns
    -------
    Tensor, shape (...)
        At least 1, which it is where λ_i = 0; ∞ where all of the tail are equal and not 0. Both to
        rounding: n·ε of σ_1 is 0.
    """
    n = singular_values.shape[-1]
    tail = n - n // 2
    rounding = n * torch.finfo(singular_values.dtype).eps
    relative = _relative(singular_values)[..., :tail]
    logs = 2 * relative.where(relative > rounding, 0.0).log()
    smallest = logs[..., -1:]
    total = torch.where(smallest.isneginf(), torch.inf, logs - smallest).sum(-1)
    return 1 + tail / total.where(total > 10 * tail * rounding, 0.0)


def _relative(singular_values: Tensor) -> Tensor:
    """Return σ_i/σ_1; zeros where σ_1 is 0."""
    largest = singular_values[..., :1]
    return singular_values / largest.where(largest > 0, 1.0)
