"""The free energy that EVBMF minimises, in the units of the weights: to look at, not to search.

References
----------
.. [1] S. Nakajima, M. Sugiyama, S. D. Babacan, R. Tomioka, "Global analytic solution of
   fully-observed variational Bayesian matrix factorization", JMLR 14 (2013) 1-37.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genpredict.spectral.evbmf import scaled_free_energy, signal_threshold


def free_energy(
    eigenvalues: Tensor,
    noise_variance: Tensor | float,
    rows: Tensor | int,
    columns: Tensor | int,
) -> Tensor:
    """Evaluate the free energy of EVBMF at given noise variances.

    F(s) = L·log s + Σ_{x_i ≤ x̄} x_i + Σ_{x_i > x̄} [1 + α + α/τ_i + log(1+τ_i) + α·log(1+τ_i/α)],
    with x_i = λ_i/(M·s) [1]_ (docs/design.md 3.3).

    Parameters
    ----------
    eigenvalues : Tensor, shape (..., n)
        λ = σ² in descending order; those beyond the first `rows` do not count.
    noise_variance : Tensor, shape (...), or float
        s > 0, in squared weights. Leading dimensions broadcast: one spectrum takes a whole grid.
    rows, columns : Tensor, shape (...), or int
        L and M ≥ L, the sides of the matrix.

    Returns
    -------
    Tensor, shape (...)
        Up to constants. Times M/2 it is in nats: differences are of (a bound on) log-evidence.

    Raises
    ------
    ValueError
        For a noise variance that is not positive, or sides that are not 1 ≤ L ≤ M.

    Examples
    --------
    The solution of `evbmf` is the least:

    >>> from genpredict.spectral import evbmf, singular_values
    >>> rng = torch.Generator().manual_seed(0)
    >>> matrix = torch.randn(8, 32, generator=rng, dtype=torch.float64)
    >>> grid = evbmf(matrix).noise_variance * torch.tensor([0.9, 1.0, 1.1])
    >>> int(free_energy(singular_values(matrix).square(), grid, 8, 32).argmin())
    1
    """
    values = eigenvalues.double()
    s, L, M = (values.new_tensor(one) if not isinstance(one, Tensor) else one.to(values)
               for one in (noise_variance, rows, columns))  # fmt: skip
    _check(s, L, M)
    alpha = L / M
    inside = torch.arange(values.shape[-1], device=values.device) < L.unsqueeze(-1)
    x = (values * inside) / (M * s).unsqueeze(-1)
    signal = x > signal_threshold(alpha).unsqueeze(-1)
    return scaled_free_energy(x, torch.ones_like(s), signal, alpha, L) + L * s.log()


def _check(s: Tensor, L: Tensor, M: Tensor) -> None:
    if not (s > 0).all():
        raise ValueError(f"noise_variance must be positive, got {float(s.min()):g}")
    if not ((L >= 1) & (L <= M)).all():
        raise ValueError(
            f"rows and columns must be 1 ≤ L ≤ M, got {L.long().tolist()} and "
            f"{M.long().tolist()}; rows are the smaller side"
        )
