"""The EVBMF of the authors' released code, to compare with published numbers.

It differs from `genpredict.spectral.evbmf` in three ways (docs/design.md 3.3): τ̄ = 2.5129·√α, an
approximation; the noise variance is whatever local minimum scipy's bounded Brent ends in, with an
absolute tolerance that makes it depend on the scale of the weights; and nothing is set aside.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genpredict.spectral.evbmf import APPROXIMATE_TAU, LowRank

Spectrum = NDArray[np.float64]

#: scipy's default `xatol`, which the released code relies on: absolute, in units of variance.
ABSOLUTE_TOLERANCE = 1e-5


def solve_released(eigenvalues: Tensor, columns: Sequence[int]) -> LowRank:
    """Factorize spectra as the released code does, one after the other on the CPU.

    Parameters
    ----------
    eigenvalues : Tensor, shape (B, L), float64
        σ² of the full matrices, in descending order.
    columns : sequence of B int
        M of each.

    Returns
    -------
    LowRank
        Fields of shape (B,), (B,) and (B, L), on the device of the input.

    Notes
    -----
    One call of `scipy.optimize.minimize_scalar` a matrix: its path is the definition here, so it
    is called rather than rewritten.
    """
    spectra = eigenvalues.cpu().numpy()
    solutions = [_solve(spectrum, M) for spectrum, M in zip(spectra, columns, strict=True)]
    rank = torch.tensor([len(d) for _, d in solutions], device=eigenvalues.device)
    values = torch.zeros_like(eigenvalues)
    for row, (_, d) in enumerate(solutions):
        values[row, : len(d)] = torch.from_numpy(d)
    rows = torch.full_like(rank, eigenvalues.shape[-1])
    noise_variance = values.new_tensor([s for s, _ in solutions])
    return LowRank(rank, noise_variance, values, rows, rank.new_tensor(list(columns)))


def _solve(eigenvalues: Spectrum, columns: int) -> tuple[float, Spectrum]:
    """Return the noise variance and the shrunk signal singular values of one matrix."""
    if eigenvalues[0] == 0:
        return 0.0, eigenvalues[:0]
    alpha = len(eigenvalues) / columns
    s = _noise_variance(eigenvalues, columns)
    x = eigenvalues / (columns * s)
    signal = x[x > released_threshold(alpha)]
    return s, np.sqrt(eigenvalues[: len(signal)]) * _tau(signal, alpha) / signal


def released_threshold(alpha: float) -> float:
    """Return x̄ at the customary approximation of τ̄."""
    tau = APPROXIMATE_TAU * sqrt(alpha)
    return (1 + tau) * (1 + alpha / tau)


def _tau(x: Spectrum, alpha: float) -> Spectrum:
    z = x - 1 - alpha
    return (z + np.sqrt(np.maximum(z * z - 4 * alpha, 0))) / 2


def _noise_variance(eigenvalues: Spectrum, columns: int) -> float:
    """Minimise the free energy from scipy's single start."""
    from scipy.optimize import minimize_scalar  # takes a third of a second to import

    rows = len(eigenvalues)
    alpha = rows / columns
    threshold = released_threshold(alpha)
    first = min(ceil(rows / (1 + alpha)) - 1, rows)
    upper = eigenvalues.sum() / (rows * columns)
    lower = max(eigenvalues[first] / (columns * threshold), eigenvalues[first:].mean() / columns)
    minimum = minimize_scalar(
        _free_energy,
        bounds=(lower, upper),
        args=(eigenvalues, alpha, columns, threshold),
        method="bounded",
        options={"xatol": ABSOLUTE_TOLERANCE},
    )
    return float(minimum.x)


def _free_energy(
    s: float, eigenvalues: Spectrum, alpha: float, columns: int, threshold: float
) -> float:
    """Return F(s) of docs/design.md 3.3, with the released threshold."""
    x = eigenvalues / (columns * s)
    signal = x[x > threshold]
    tau = _tau(signal, alpha)
    cost = signal - tau + np.log1p(tau) + alpha * np.log1p(tau / alpha)
    return float(len(x) * np.log(s) + x[x <= threshold].sum() + cost.sum())
