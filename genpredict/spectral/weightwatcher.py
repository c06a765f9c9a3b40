"""WeightWatcher's measures of a layer, by the convention of its `analyze` with default options.

A convolution is the set of its kernel positions, matrices W[:, :, i, j] with λ = σ²/2, a linear
layer one matrix with λ = σ²; the eigenvalues of a layer are pooled. Agrees with version 0.7.7 of
the package [1]_ wherever it fits a power law and torch runs on the CPU. Where it marks a failed fit
by α = −1, which enters its means, the measures here are NaN.

References
----------
.. [1] C. H. Martin, "WeightWatcher", version 0.7.7, https://weightwatcher.ai.
.. [2] C. H. Martin, T. Peng, M. W. Mahoney, "Predicting trends in the quality of state-of-the-art
   neural networks without access to training or testing data", Nature Communications 12 (2021).
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from genpredict.spectral.power_law import PowerLaw, least_distance, tails
from genpredict.spectral.sorting import ascending
from genpredict.spectral.spectrum import gram, gram_eigenvalues

#: Layers with fewer or more eigenvalues, or a longer side, have no measures.
FEWEST_EIGENVALUES, MOST_EIGENVALUES, LONGEST_SIDE = 8, 15_000, 50_000
#: Eigenvalues up to this one are left out of the fit.
THRESHOLD = 1e-5
#: Fewer eigenvalues than this above the threshold are fitted without bias, by tails of at least 8.
SMALL_SAMPLE, SMALLEST_TAIL = 20, 8
#: Added to each share of the entropy, against log 0.
EPSILON = 1e-10
#: Kernel positions with eigenvalues below this share of their largest are decomposed anew by
#: singular values: a Gram matrix has lost half of their digits.
RESOLUTION = 1e-10
#: Elements of kernel positions' Gram matrices held at a time: on the CPU few, so that memory just
#: freed is taken again, elsewhere many, for few calls.
CPU_GRAMS, DEVICE_GRAMS = 1 << 20, 1 << 22


class WeightWatcherMeasures(NamedTuple):
    """Measures of B layers, each of shape (B,), float64, named as by WeightWatcher."""

    alpha: Tensor
    alpha_weighted: Tensor
    log_alpha_norm: Tensor
    log_norm: Tensor
    log_spectral_norm: Tensor
    stable_rank: Tensor
    entropy: Tensor
    xmin: Tensor
    D: Tensor
    num_evals: Tensor


def weightwatcher_measures(weights: Tensor) -> WeightWatcherMeasures:
    """Measure layers of one shape as WeightWatcher does.

    Parameters
    ----------
    weights : Tensor, shape (B, n_o, n_i, *kernel)
        Finite, in torch's layout.

    Returns
    -------
    WeightWatcherMeasures
        NaN for every measure of a shape outside the limits, and for those of the fit where none
        succeeds.
    """
    B, shape = len(weights), tuple(weights.shape[1:])
    if not has_measures(shape):
        nothing = torch.full((B,), torch.nan, dtype=torch.float64, device=weights.device)
        return WeightWatcherMeasures(*[nothing] * len(WeightWatcherMeasures._fields))
    held = CPU_GRAMS if weights.device.type == "cpu" else DEVICE_GRAMS
    rows = max(1, held // (prod(shape[2:]) * min(shape[:2]) ** 2))
    parts = [_measure(part) for part in torch.split(weights, rows)]
    return WeightWatcherMeasures(*map(torch.cat, zip(*parts, strict=True)))


def has_measures(shape: tuple[int, ...]) -> bool:
    """Tell whether WeightWatcher's limits admit a layer of this shape.

    Examples
    --------
    >>> has_measures((64, 3, 3, 3)), has_measures((2, 512)), has_measures((64, 1, 7))
    (True, False, False)
    """
    eigenvalues = min(shape[:2]) * prod(shape[2:])
    return FEWEST_EIGENVALUES <= eigenvalues <= MOST_EIGENVALUES and max(shape[:2]) <= LONGEST_SIDE


def pooled_eigenvalues(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pooled eigenvalues of layers of one shape, and how many are not zero.

    Parameters
    ----------
    weights : Tensor, shape (B, n_o, n_i, *kernel)

    Returns
    -------
    eigenvalues : Tensor, shape (B, min(n_o, n_i)·k)
        Of all k kernel positions, in ascending order, float64.
    rank : Tensor, shape (B,)
        Number of those whose root exceeds max(n_o, n_i)·ε times the largest root, float64.
    """
    B, n_o, n_i = weights.shape[:3]
    of_positions = weights.reshape(B * n_o * n_i, -1).mT
    in_double = torch.empty(of_positions.shape, dtype=torch.float64, device=weights.device)
    matrices = in_double.copy_(of_positions).reshape(-1, n_o, n_i)  # both in one pass
    squares = _squared_singular_values(matrices if n_o <= n_i else matrices.mT)
    squares = squares.reshape(-1, B, min(n_o, n_i)).transpose(0, 1).reshape(B, -1)
    pooled = ascending(squares * (0.5 if weights.ndim > 3 else 1.0))
    roots = pooled.sqrt()
    smallest = roots[:, -1:] * max(n_o, n_i) * torch.finfo(torch.float64).eps
    return pooled, (roots > smallest).sum(-1).double()


def _squared_singular_values(matrices: Tensor) -> Tensor:
    """Return σ² of matrices, shape (K, L, M) with L ≤ M, in float64."""
    if matrices.shape[1] == 1:
        return matrices.square().sum(-1)
    eigenvalues = gram_eigenvalues(gram(matrices))
    lost = (eigenvalues[:, -1] < RESOLUTION * eigenvalues[:, 0]).nonzero().squeeze(-1)
    if lost.numel():
        eigenvalues[lost] = torch.linalg.svdvals(matrices[lost]).square()
    return eigenvalues


def _measure(weights: Tensor) -> WeightWatcherMeasures:
    """Measure layers within the limits."""
    eigenvalues, rank = pooled_eigenvalues(weights)
    fit = fit_eigenvalues(eigenvalues)
    largest, total = eigenvalues[:, -1], eigenvalues.sum(-1)
    there = largest.where(largest > 0, torch.nan)
    log_largest = there.log10()
    powers = torch.exp(fit.exponent.unsqueeze(-1) * (eigenvalues / there.unsqueeze(-1)).log())
    xmin = eigenvalues.gather(-1, fit.start.unsqueeze(-1)).squeeze(-1)
    return WeightWatcherMeasures(
        alpha=fit.exponent,
        alpha_weighted=fit.exponent * log_largest,
        log_alpha_norm=fit.exponent * log_largest + powers.sum(-1).log10(),
        log_norm=log_largest + (total / there).log10(),
        log_spectral_norm=log_largest,
        stable_rank=total / there,
        entropy=_entropy(eigenvalues / total.where(total > 0, torch.nan).unsqueeze(-1), rank),
        xmin=xmin.masked_fill(fit.exponent.isnan(), torch.nan),
        D=fit.distance,
        num_evals=torch.full_like(total, eigenvalues.shape[-1]),
    )


def fit_eigenvalues(eigenvalues: Tensor) -> PowerLaw:
    """Fit a power law to the pooled eigenvalues above 1e-5.

    Candidates for xmin are all but the largest; the distance is max |1 − (x_j/x_i)^(1−α) −
    (j−i)/m|, the left side of each step alone. Fewer than 20 values are fitted without bias,
    α = 1 + (m−1)/Σ ln(x_j/x_i), by tails of at least 8 of them.

    Parameters
    ----------
    eigenvalues : Tensor, shape (B, N)
        In ascending order.

    Returns
    -------
    PowerLaw
    """
    counted = eigenvalues > THRESHOLD
    every_tail = tails(eigenvalues, counted)
    m = every_tail.size
    small = (counted.sum(-1) < SMALL_SAMPLE).unsqueeze(-1)
    exponent = 1 + torch.where(small, m - 1, m) / every_tail.log_excess
    candidates = counted & (m > 1) & (~small | (m >= SMALLEST_TAIL))
    return least_distance(every_tail, exponent, candidates, two_sided=False)


def _entropy(shares: Tensor, rank: Tensor) -> Tensor:
    """Return −Σ p ln p/ln rank with p = share + 1e-10; NaN where there are not two eigenvalues."""
    p = shares + EPSILON
    return -(p * p.log()).sum(-1) / rank.where(rank > 1, torch.nan).log()
