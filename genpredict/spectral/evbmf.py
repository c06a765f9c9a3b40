"""Empirical variational Bayesian matrix factorization (EVBMF), solved exactly and in batches.

EVBMF splits the spectrum of a matrix into signal and noise: given the noise variance s, a
singular value is signal when σ² > M·s·x̄, and is shrunk; s itself minimises the free energy F(s).
F has many local minima on real layers, and this module finds the least of them without a grid:
between the breakpoints σ_k²/(M·x̄), where the number of signals changes, F has at most one
minimum, and it is the root of a concave function (docs/design.md 3.3).

All functions work on eigenvalues of Gram matrices, scaled by the largest admissible noise variance
s_up = Σλ/(LM), in the variable t = s_up/s ≥ 1. In these units u_i = λ_i/(M·s_up) sums to L,
x_i = u_i·t, and every quantity is free of the scale of the weights.

References
----------
.. [1] S. Nakajima, M. Sugiyama, S. D. Babacan, R. Tomioka, "Global analytic solution of
   fully-observed variational Bayesian matrix factorization", JMLR 14 (2013) 1-37.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

#: Noise variances below this share of s_up are rounding errors of the spectrum.
NOISE_FLOOR = 1e-14
#: Newton steps: quadratic convergence needs about 8 on real layers; near-double roots halve.
NEWTON_STEPS = 60
THRESHOLD_STEPS = 5
#: τ̄/√α: right at α = 1, approximate below; where Newton starts, and where the released code ends.
APPROXIMATE_TAU = 2.5129


class LowRank(NamedTuple):
    """A batch of EVBMF solutions.

    Parameters
    ----------
    rank : Tensor, shape (...), int64
        Number of signal singular values r.
    noise_variance : Tensor, shape (...)
        The noise variance s, in units of squared weights.
    singular_values : Tensor, shape (..., n)
        The shrunk singular values d_1 ≥ … ≥ d_r, then zeros.
    rows, columns : Tensor, shape (...), int64
        L and M, the sides of what was factorized: without dead channels and null directions.
    """

    rank: Tensor
    noise_variance: Tensor
    singular_values: Tensor
    rows: Tensor
    columns: Tensor


def signal_threshold(alpha: Tensor) -> Tensor:
    """Solve for the threshold x̄ above which an eigenvalue in units of M·s is signal.

    x̄ = (1 + τ̄)(1 + α/τ̄), with τ̄ the positive root of log(1+τ) + α·log(1+τ/α) = τ.

    Parameters
    ----------
    alpha : Tensor, shape (...)
        Aspect ratio L/M in (0, 1].

    Returns
    -------
    Tensor, shape (...)
        The threshold x̄.

    Notes
    -----
    The defining function τ − log(1+τ) − α·log(1+τ/α) is convex, and the customary approximation
    τ̄ ≈ 2.5129·√α lies right of its minimum, so Newton from there converges.

    Examples
    --------
    >>> signal_threshold(torch.tensor([1.0, 0.25], dtype=torch.float64))
    tensor([4.9108, 2.7191], dtype=torch.float64)
    """
    tau = APPROXIMATE_TAU * alpha.sqrt()
    for _ in range(THRESHOLD_STEPS):
        value = tau - torch.log1p(tau) - alpha * torch.log1p(tau / alpha)
        slope = 1 - 1 / (1 + tau) - alpha / (alpha + tau)
        tau = tau - value / slope
    return (1 + tau) * (1 + alpha / tau)


def null_directions(eigenvalues: Tensor, rows: Tensor, *, tolerance: float) -> Tensor:
    """Count the directions that training has driven to (nearly) nothing.

    Parameters
    ----------
    eigenvalues : Tensor, shape (..., n)
        σ² in descending order; those beyond the first `rows` do not count.
    rows : Tensor, shape (...), int64
        L, the number of singular values of what is left of the matrix.
    tolerance : float
        A singular value is null when it is at most this times the median of the first L.

    Returns
    -------
    Tensor, shape (...), int64
        The number of null directions, all of them at the end of the first L.
    """
    values = eigenvalues.sqrt()
    limit = tolerance * median_of_first(values, rows)
    inside = _position(values) < rows.unsqueeze(-1)
    return (inside & (values <= limit.unsqueeze(-1))).sum(-1)


def median_of_first(values: Tensor, count: Tensor) -> Tensor:
    """Return the median of the first `count` of values in descending order; 0 where count is 0.

    Parameters
    ----------
    values : Tensor, shape (..., n)
        Descending along the last axis.
    count : Tensor, shape (...), int64
        How many count; the mean of the two middle ones where that is even.

    Returns
    -------
    Tensor, shape (...)
    """
    middle = torch.stack([(count - 1).clamp_min(0) // 2, count // 2], dim=-1)
    pair = values.gather(-1, middle.clamp_max(values.shape[-1] - 1))
    return torch.where(count > 0, pair.mean(-1), 0.0)


def solve_evbmf(
    eigenvalues: Tensor, rows: Tensor, columns: Tensor, *, compact: bool | None = None
) -> LowRank:
    """Factorize spectra by EVBMF at the global minimum of the free energy.

    Parameters
    ----------
    eigenvalues : Tensor, shape (B, n), float64
        σ² in descending order. Only the first `rows` of each spectrum are looked at.
    rows : Tensor, shape (B,), int64
        L of each matrix, at most n; 0 where nothing is left.
    columns : Tensor, shape (B,), int64
        M ≥ L of each matrix.
    compact : bool, optional
        Gather the few intervals that can hold a minimum before the Newton steps. That asks the
        device how many there are; False iterates on all intervals and never synchronises.
        By default True on the CPU, where asking is free, and False elsewhere. Both give the
        same minimum.

    Returns
    -------
    LowRank
        Fields of shape (B,), (B,) and (B, n).

    Notes
    -----
    dF/d log s is, on an interval with k signals, the concave function

        G_k(t) = (L−k) − αk − R_k·t − α·Σ_{i≤k} 1/τ_i(t),    R_k = Σ_{i>k} u_i,

    and F has a minimum where it falls through zero. Its tangent at the interval's right end lies
    above it, so a tangent that is negative on the whole interval rules the interval out: on real
    layers that leaves about two of L. Newton from the right end converges monotonically.
    """
    problem = _Problem.of(eigenvalues, rows, columns)
    if compact is None:
        compact = eigenvalues.device.type == "cpu"
    t, promising = _first_newton_step(problem)
    at = _select(promising, compact)
    root, valid = _newton(problem, *at, t[at], compact)
    energies, points = _energies(problem, at, root, valid & promising[at])
    best = energies.argmin(-1, keepdim=True)
    solution = _solution(problem, points.gather(-1, best).squeeze(-1), best.squeeze(-1))
    return LowRank(*solution, rows, columns)


def factorize(
    eigenvalues: Tensor, rows: Tensor, columns: Tensor, *, null_tolerance: float
) -> LowRank:
    """Set null directions aside, and factorize what is left of spectra by EVBMF.

    Parameters
    ----------
    eigenvalues : Tensor, shape (B, n), float64
        σ² of matrices without dead channels, in descending order.
    rows, columns : Tensor, shape (B,), int64
        Their sides L ≤ M; L is at most n.
    null_tolerance : float
        As of `null_directions`.

    Returns
    -------
    LowRank
        Its `rows` are less by the number of null directions.
    """
    null = null_directions(eigenvalues, rows, tolerance=null_tolerance)
    return solve_evbmf(eigenvalues, rows - null, columns)


class _Problem(NamedTuple):
    """A batch of free energies in scaled form; see the module's docstring for u and t."""

    sigma: Tensor  # (B, n) singular values, zero beyond the first L
    u: Tensor  # (B, n) eigenvalues in units of M·s_up
    rest: Tensor  # (B, n) R_k = Σ_{i>k} u_i for k = 0 … n−1
    alpha: Tensor  # (B,)
    threshold: Tensor  # (B,) x̄
    rows: Tensor  # (B,) L, as floats
    max_rank: Tensor  # (B,) largest number of signals on the search interval
    t_max: Tensor  # (B,) s_up/s_lo
    scale: Tensor  # (B,) s_up

    @classmethod
    def of(cls, eigenvalues: Tensor, rows: Tensor, columns: Tensor) -> _Problem:
        left = eigenvalues * (_position(eigenvalues) < rows.unsqueeze(-1))
        L, M = rows.clamp_min(1).to(left.dtype), columns.clamp_min(1).to(left.dtype)
        alpha = L / M
        total = left.sum(-1)
        scale = total / (L * M)
        u = left * (L / total.where(total > 0, 1.0)).unsqueeze(-1)
        rest = u.flip(-1).cumsum(-1).flip(-1)
        threshold = signal_threshold(alpha)
        max_rank = _max_rank(rows.clamp_min(1), columns.clamp_min(1))
        next_u = u.gather(-1, max_rank.unsqueeze(-1)).squeeze(-1)
        mean = rest.gather(-1, max_rank.unsqueeze(-1)).squeeze(-1) / (L - max_rank)
        floor = torch.maximum(next_u / threshold, mean).clamp_min(NOISE_FLOOR)
        t_max = 1 / floor.clamp_max(1.0)
        return cls(left.sqrt(), u, rest, alpha, threshold, L, max_rank, t_max, scale)


def _position(values: Tensor) -> Tensor:
    return torch.arange(values.shape[-1], device=values.device)


def _first_newton_step(problem: _Problem) -> tuple[Tensor, Tensor]:
    """Take the Newton step from every interval's right end; tell which may hold a minimum."""
    u, k = problem.u, _position(problem.u)
    breakpoints = problem.threshold.unsqueeze(-1) / u  # inf where u = 0
    right = torch.minimum(breakpoints, problem.t_max.unsqueeze(-1))
    left = _left_ends(breakpoints)
    noise = k >= k.unsqueeze(-1)  # (k, i): i is noise when k signals are
    inverse, slope = _signal_sums(u.unsqueeze(-2), right.unsqueeze(-1), noise, problem.alpha)
    G, dG = _derivative(problem.alpha, problem.rows, problem.rest, k, right, inverse, slope)
    t = right - G / dG
    inside = (k <= problem.max_rank.unsqueeze(-1)) & (left < right)
    return t, inside & (G < 0) & (dG < 0) & (t >= left)


def _left_ends(breakpoints: Tensor) -> Tensor:
    """Shift the breakpoints by one: interval k starts where the k-th eigenvalue turns signal."""
    ones = torch.ones_like(breakpoints[..., :1])
    return torch.cat([ones, breakpoints[..., :-1].clamp_min(1.0)], dim=-1)


def _signal_sums(u: Tensor, t: Tensor, noise: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """Return Σ 1/τ_i over the signals and minus its derivative by t.

    d(1/τ)/dz = −1/(τ·√(z²−4α)). Noise entries are sent to infinity, where both terms vanish.
    """
    alpha = alpha.reshape(-1, *[1] * (max(u.ndim, t.ndim) - 1))
    z = (u * t).masked_fill_(noise, 1e100).sub_(1 + alpha)
    root = (z * z).sub_(4 * alpha).sqrt_()
    inverse = z.add_(root).reciprocal_().mul_(2)  # 1/τ, τ = (z + √(z²−4α))/2
    total = inverse.sum(-1)
    return total, inverse.div_(root).mul_(u).sum(-1)


def _derivative(
    alpha: Tensor, L: Tensor, rest: Tensor, k: Tensor, t: Tensor, inverse: Tensor, slope: Tensor
) -> tuple[Tensor, Tensor]:
    """Return G_k(t) and its derivative by t, from the sums over the signals."""
    if t.ndim > alpha.ndim:
        alpha, L = alpha.unsqueeze(-1), L.unsqueeze(-1)
    G = (L - k) - alpha * k - rest * t - alpha * inverse
    return G, alpha * slope - rest


def _select(promising: Tensor, compact: bool) -> tuple[Tensor, Tensor]:
    """Index the intervals to iterate on: (matrix, k), the promising ones or all."""
    if compact:
        matrix, k = promising.nonzero(as_tuple=True)
        return matrix, k
    every = torch.arange(promising.numel(), device=promising.device)
    return every // promising.shape[-1], every % promising.shape[-1]


def _newton(
    problem: _Problem, matrix: Tensor, k: Tensor, t: Tensor, compact: bool
) -> tuple[Tensor, Tensor]:
    """Iterate to the root of G_k on each selected interval; tell where there is one.

    The iterates fall monotonically towards the root, so a step that does not fall any more has
    arrived (the rest is rounding). One that leaves the interval, or finds G rising, shows that
    there is no root.
    """
    u, rest, L = problem.u[matrix], problem.rest[matrix, k], problem.rows[matrix]
    alpha, threshold = problem.alpha[matrix], problem.threshold[matrix]
    previous = u.gather(-1, (k - 1).clamp_min(0).unsqueeze(-1)).squeeze(-1)
    left = torch.where(k > 0, threshold / previous, 1.0).clamp_min(1.0)
    noise = _position(u) >= k.unsqueeze(-1)
    valid = torch.ones_like(t, dtype=torch.bool)
    for _ in range(NEWTON_STEPS):
        inverse, slope = _signal_sums(u, t.unsqueeze(-1), noise, alpha)
        G, dG = _derivative(alpha, L, rest, k, t, inverse, slope)
        following = t - G / dG
        valid = valid & (dG < 0) & (following >= left)
        falls = valid & (following < t)
        t = torch.where(falls, following, t)
        if compact and not falls.any():
            break
    return t, valid


def _energies(
    problem: _Problem, at: tuple[Tensor, Tensor], root: Tensor, valid: Tensor
) -> tuple[Tensor, Tensor]:
    """Tabulate F and t over every matrix' candidates: n intervals, then the two bounds."""
    matrix, k = at
    batch, n = problem.u.shape
    u = problem.u[matrix]
    signal = _position(u) < k.unsqueeze(-1)
    F = scaled_free_energy(u, root, signal, problem.alpha[matrix], problem.rows[matrix])
    inner = torch.full_like(problem.u, torch.inf).index_put(at, F.where(valid, torch.inf))
    points = torch.ones_like(problem.u).index_put(at, root.where(valid, 1.0))

    bounds = torch.stack([torch.ones_like(problem.t_max), problem.t_max], dim=-1)
    x = problem.u.unsqueeze(-2) * bounds.unsqueeze(-1)
    outer = scaled_free_energy(
        problem.u.unsqueeze(-2).expand(batch, 2, n),
        bounds,
        x > problem.threshold[:, None, None],
        problem.alpha.unsqueeze(-1),
        problem.rows.unsqueeze(-1),
    )
    return torch.cat([inner, outer], dim=-1), torch.cat([points, bounds], dim=-1)


def scaled_free_energy(u: Tensor, t: Tensor, signal: Tensor, alpha: Tensor, L: Tensor) -> Tensor:
    """Return F of docs/design.md 3.3 up to the constant L·log s_up, at noise variance s_up/t.

    Parameters
    ----------
    u : Tensor, shape (..., n)
        Eigenvalues in units of M·s_up.
    t : Tensor, shape (...)
        s_up/s.
    signal : Tensor of bool, shape (..., n)
        Which eigenvalues are signal at t.
    alpha, L : Tensor, shape (...)

    Returns
    -------
    Tensor, shape (...)
    """
    alpha = alpha.unsqueeze(-1)
    x = u * t.unsqueeze(-1)
    tau = _tau(x, alpha)
    cost = (1 + alpha) + alpha / tau + torch.log1p(tau) + alpha * torch.log1p(tau / alpha)
    return torch.where(signal, cost, x).sum(-1) - L * t.log()


def _tau(x: Tensor, alpha: Tensor) -> Tensor:
    """Return τ = (z + √(z²−4α))/2 with z = x − 1 − α; for noise entries some positive number."""
    z = (x - 1 - alpha).clamp_min(2 * alpha.sqrt())
    return (z + (z * z - 4 * alpha).clamp_min(0).sqrt()) / 2


def _solution(problem: _Problem, t: Tensor, candidate: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Read rank, noise variance and shrunk singular values off the minimum at t."""
    alpha = problem.alpha.unsqueeze(-1)
    x = problem.u * t.unsqueeze(-1)
    above = (x > problem.threshold.unsqueeze(-1)).sum(-1).minimum(problem.max_rank)
    rank = torch.where(candidate < x.shape[-1], candidate, above)
    signal = _position(x) < rank.unsqueeze(-1)
    shrunk = problem.sigma * _tau(x, alpha) / x  # d = σ·τ/x
    return rank, problem.scale / t, torch.where(signal, shrunk, 0.0)


def _max_rank(rows: Tensor, columns: Tensor) -> Tensor:
    """Return ⌈L/(1+α)⌉ − 1, the most signals that s ≥ s_lo allows, in exact integers."""
    both = rows + columns
    return (rows * columns + both - 1) // both - 1
