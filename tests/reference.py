"""Slow oracle of docs/design.md 3.1-3.5 in plain numpy and scipy, one matrix at a time, float64.

It takes another route than genpredict wherever there is one: full SVDs instead of Gram matrices,
channels cut out instead of zeroed, a dense grid with Brent's methods instead of Newton on the
concave pieces. It shares no code with genpredict and imports nothing of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from threadpoolctl import ThreadpoolController

Array = NDArray[np.float64]

DEAD_TOLERANCE = 0.03  # docs/design.md 3.3
NULL_TOLERANCE = 0.01  # docs/design.md 3.3
BLAS = ThreadpoolController()
GRID_POINTS = 65  # per interval between breakpoints; the intervals are many


# --- 3.1 unfolding -------------------------------------------------------------------------------


def unfold(weight: Array, unfolding: str) -> Array:
    """Unfold a weight into a matrix with rows <= columns (3.1)."""
    if unfolding == "out_channel":
        matrix = weight.reshape(weight.shape[0], -1)
    else:
        matrix = np.moveaxis(weight, 1, 0).reshape(weight.shape[1], -1)
    return matrix.T if matrix.shape[0] > matrix.shape[1] else matrix


def unfoldings(weight: Array) -> list[str]:
    """Name the unfoldings that exist: one of a 2-D weight, none whose smaller side is 1 (3.1)."""
    names = ["out_channel"] if weight.ndim == 2 else ["in_channel", "out_channel"]
    return [name for name in names if min(unfold(weight, name).shape) >= 2]


# --- 3.3 what is set aside -----------------------------------------------------------------------


def dead_channels(weight: Array, axis: int, tolerance: float) -> NDArray[np.bool_]:
    """Mark the slices along an axis with norm <= tolerance * median of the non-zero norms (3.3)."""
    slices = np.moveaxis(weight, axis, 0)
    norms = np.array([math.sqrt(float((part**2).sum())) for part in slices])
    if not norms.any():
        return np.ones(len(norms), dtype=bool)
    return norms <= tolerance * float(np.median(norms[norms > 0]))


def without_dead_channels(weight: Array, tolerance: float) -> Array:
    """Cut the dead slices of axes 0 and 1, both found in the full tensor (3.3)."""
    live_output = ~dead_channels(weight, 0, tolerance)
    live_input = ~dead_channels(weight, 1, tolerance)
    return weight[live_output][:, live_input]


def singular_values(matrix: Array) -> Array:
    """All singular values, descending (3.2)."""
    if matrix.size == 0:
        return np.zeros(0)
    with BLAS.limit(limits=1):  # threads of several test processes would wait for each other
        return np.linalg.svd(matrix, compute_uv=False)


def without_null_directions(sigma: Array, tolerance: float) -> Array:
    """Drop singular values <= tolerance * their median (3.3)."""
    if sigma.size == 0:
        return sigma
    return sigma[sigma > tolerance * float(np.median(sigma))]


# --- 3.3 free energy -----------------------------------------------------------------------------


def tau_bar(alpha: float) -> float:
    """Root of log(1+t) + alpha log(1+t/alpha) = t (3.3)."""

    def excess(t: float) -> float:
        return math.log1p(t) + alpha * math.log1p(t / alpha) - t

    unit = math.sqrt(alpha)
    return float(brentq(excess, unit, 20 * unit, xtol=1e-16 * unit, rtol=4 * np.finfo(float).eps))


def x_bar(alpha: float, tau: float) -> float:
    """Threshold on x of a signal, (1+tau)(1+alpha/tau) (3.3)."""
    return (1 + tau) * (1 + alpha / tau)


def signal_tau(x: Array, alpha: float) -> Array:
    """tau_i = (z + sqrt(z^2 - 4 alpha))/2 with z = x - 1 - alpha (3.3)."""
    z = x - 1 - alpha
    return (z + np.sqrt(z**2 - 4 * alpha)) / 2


def free_energy_with(s: Array | float, lam: Array, M: int, signals: int) -> Array:
    """F(s) of 3.3 with the number of signals given (the largest ``signals`` of lam).

    ``s`` may be a grid, shape (g,); the result has its shape.
    """
    L = len(lam)
    alpha = L / M
    x = lam / (M * np.asarray(s)[..., None])
    tau = signal_tau(x[..., :signals], alpha)
    # x_i - tau_i = 1 + alpha + alpha/tau_i, so that nothing cancels at small s
    signal = 1 + alpha + alpha / tau + np.log1p(tau) + alpha * np.log1p(tau / alpha)
    return L * np.log(s) + x[..., signals:].sum(-1) + signal.sum(-1)


def free_energy(s: float, lam: Array, M: int, xbar: float) -> float:
    """F(s) of 3.3: the signals are those with x_i > xbar."""
    return float(free_energy_with(s, lam, M, int((lam / (M * s) > xbar).sum())))


def free_energy_slope(s: float, lam: Array, M: int, signals: int) -> float:
    """dF/d log s = L - sum x_i + sum over signals of tau_i (3.3, in x instead of y).

    Written with x_i - tau_i = 1 + alpha + alpha/tau_i, so that nothing cancels at small s.
    """
    L = len(lam)
    alpha = L / M
    x = lam / (M * s)
    tau = signal_tau(x[:signals], alpha)
    return float(L - x[signals:].sum() - (1 + alpha + alpha / tau).sum())


def noise_variance_bounds(
    lam: Array, M: int, xbar: float, *, released: bool = False
) -> tuple[float, float]:
    """[s_lo, s_up] of 3.3; as released: ceil(L/(1+alpha)) in floats, and no floor of 1e-14."""
    L = len(lam)
    upper = lam.sum() / (L * M)
    above = math.ceil(L / (1 + L / M)) if released else math.ceil(Fraction(L * M, L + M))
    h = min(above - 1, L) - 1
    floor = 0.0 if released else 1e-14 * upper
    lower = max(lam[h + 1] / (M * xbar), lam[h + 1 :].mean() / M, floor)
    return float(min(lower, upper)), float(upper)


# --- 3.3 the two searches ------------------------------------------------------------------------


def refine(
    energy: Callable[[float], float], slope: Callable[[float], float], low: float, high: float
) -> float:
    """Local minimum of ``energy`` within a bracket: bounded Brent, then brentq on the slope.

    Values alone settle a minimum to about 1e-8 only; the sign change of the slope around it
    settles it to rounding.
    """
    u = float(
        minimize_scalar(energy, bounds=(low, high), method="bounded", options={"xatol": 1e-9}).x
    )
    for end, sign in ((high, 1), (low, -1)):  # falls all the way: the end of the bracket
        if sign * slope(low) <= 0 >= sign * slope(high) and energy(end) <= energy(u) + 1e-12:
            return end
    width = 1e-8
    while width < 2 * (high - low):
        left, right = max(low, u - width), min(high, u + width)
        if slope(left) < 0 < slope(right):
            return float(brentq(slope, left, right, xtol=1e-15, rtol=4 * np.finfo(float).eps))
        width *= 4
    return u


def candidates_in(left: float, right: float, lam: Array, M: int, xbar: float) -> list[float]:
    """Grid points and refined local minima of F between two neighbouring breakpoints."""
    signals = int((lam / (M * math.sqrt(left * right)) > xbar).sum())

    def energy(u: float) -> float:
        return float(free_energy_with(math.exp(u), lam, M, signals))

    def slope(u: float) -> float:
        return free_energy_slope(math.exp(u), lam, M, signals)

    grid = np.linspace(math.log(left), math.log(right), GRID_POINTS)
    values = free_energy_with(np.exp(grid), lam, M, signals)
    found = [left, right]
    for j, value in enumerate(values):
        before, after = max(j - 1, 0), min(j + 1, len(grid) - 1)
        if value <= values[before] and value <= values[after] and grid[before] < grid[after]:
            found.append(math.exp(refine(energy, slope, grid[before], grid[after])))
            found.append(math.exp(grid[j]))
    return [min(max(s, left), right) for s in found]


def global_noise_variance(lam: Array, M: int) -> float:
    """Global minimiser of F on [s_lo, s_up] by brute force over all intervals (3.3)."""
    alpha = len(lam) / M
    xbar = x_bar(alpha, tau_bar(alpha))
    low, high = noise_variance_bounds(lam, M, xbar)
    breaks = [float(s) for s in lam / (M * xbar) if low < s < high]
    edges = sorted({low, high, *breaks})
    candidates = [low, high]
    for left, right in pairwise(edges):
        candidates += candidates_in(left, right, lam, M, xbar)
    return min(candidates, key=lambda s: free_energy(s, lam, M, xbar))


def released_noise_variance(lam: Array, M: int) -> float:
    """``estimator="reference"``: scipy's bounded Brent with its absolute xatol of 1e-5 (3.3)."""
    alpha = len(lam) / M
    xbar = x_bar(alpha, 2.5129 * math.sqrt(alpha))
    bounds = noise_variance_bounds(lam, M, xbar, released=True)
    found = minimize_scalar(
        free_energy,
        args=(lam, M, xbar),
        bounds=bounds,
        method="bounded",
        options={"xatol": 1e-5},
    )
    return float(found.x)


def shrink(sigma: Array, L: int, M: int, s: float) -> Array:
    """Low-rank singular values d_i of the signals among sigma (3.3)."""
    lam = sigma**2
    a = 1 - (L + M) * s / lam
    return sigma / 2 * (a + np.sqrt(a**2 - 4 * L * M * s**2 / lam**2))


@dataclass(frozen=True)
class LowRank:
    """EVBMF of one unfolding: sides after what was set aside, noise variance, d of the signals."""

    L: int
    M: int
    lam: Array
    noise_variance: float
    d: Array
    null_directions: int

    @property
    def rank(self) -> int:
        return len(self.d)


def evbmf_of_spectrum(sigma: Array, M: int, *, estimator: str = "global") -> LowRank:
    """EVBMF of what is left: L singular values of a matrix with M columns (3.3)."""
    lam = sigma**2
    L = len(sigma)
    if L == 0 or not lam.any():
        return LowRank(L, M, lam, 0.0, np.zeros(0), 0)
    if L == 1:
        return LowRank(L, M, lam, float(lam[0] / M), np.zeros(0), 0)
    alpha = L / M
    if estimator == "global":
        tau, s = tau_bar(alpha), global_noise_variance(lam, M)
    else:
        tau, s = 2.5129 * math.sqrt(alpha), released_noise_variance(lam, M)
    signals = sigma[lam > M * s * x_bar(alpha, tau)]
    return LowRank(L, M, lam, s, shrink(signals, L, M, s), 0)


def evbmf(
    weight: Array,
    unfolding: str,
    *,
    estimator: str = "global",
    dead_tolerance: float = DEAD_TOLERANCE,
    null_tolerance: float = NULL_TOLERANCE,
) -> LowRank:
    """EVBMF of one unfolding of a weight; dead and null set aside unless "reference" (3.3)."""
    if estimator == "reference":
        matrix = unfold(weight, unfolding)
        return evbmf_of_spectrum(singular_values(matrix), matrix.shape[1], estimator=estimator)
    live = without_dead_channels(weight, dead_tolerance)
    if live.size == 0:
        return LowRank(0, 0, np.zeros(0), 0.0, np.zeros(0), 0)
    matrix = unfold(live, unfolding)
    sigma = singular_values(matrix)
    kept = without_null_directions(sigma, null_tolerance)
    found = evbmf_of_spectrum(kept, matrix.shape[1])
    return LowRank(
        found.L, found.M, found.lam, found.noise_variance, found.d, len(sigma) - len(kept)
    )


# --- 3.4 layer measures --------------------------------------------------------------------------


def stable_rank(sigma: Array, n: int, p: int) -> float:
    """(1/n) sum (sigma_i/sigma_1)^p (3.4, the paper's Eq. 2)."""
    if len(sigma) == 0 or sigma[0] == 0:
        return 0.0
    return float(((sigma / sigma[0]) ** p).sum() / n)


def condition_number(sigma: Array) -> float:
    """1 - sigma_r/sigma_1; 1 when r = 0 (3.4, Eq. 3)."""
    if len(sigma) == 0 or sigma[0] == 0:
        return 1.0
    return float(1 - sigma[-1] / sigma[0])


def quality(sigma: Array, n: int, p: int) -> float:
    """arctan2(stable rank, condition number) (3.4, Eq. 4)."""
    return math.atan2(stable_rank(sigma, n, p), condition_number(sigma))


def spectral_entropy(sigma: Array) -> float:
    """-sum pi_i log pi_i with pi = sigma/sum sigma (3.4); 0 when r = 0."""
    if len(sigma) == 0 or sigma[0] == 0:
        return 0.0
    shares = [float(value / sigma.sum()) for value in sigma]
    return -sum(share * math.log(share) for share in shares if share > 0)


def effective_rank(sigma: Array) -> float:
    """exp(spectral entropy); 0 when r = 0 (3.4)."""
    if len(sigma) == 0 or sigma[0] == 0:
        return 0.0
    return math.exp(spectral_entropy(sigma))


def measures(sigma: Array, n: int) -> dict[str, float]:
    """All measures of 3.4 of one spectrum; those with a p under name_p1 and name_p2."""
    return {
        "stable_rank_p1": stable_rank(sigma, n, 1),
        "stable_rank_p2": stable_rank(sigma, n, 2),
        "condition_number": condition_number(sigma),
        "quality_p1": quality(sigma, n, 1),
        "quality_p2": quality(sigma, n, 2),
        "effective_rank": effective_rank(sigma),
        "spectral_entropy": spectral_entropy(sigma),
        "spectral_norm": float(sigma[0]) if len(sigma) else 0.0,
        "frobenius_norm": math.sqrt(float((sigma**2).sum())),
    }


# --- 3.5 network measures ------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One (layer, unfolding) of a network with all its numbers."""

    layer: str
    kind: str
    unfolding: str
    n: int
    m: int
    sigma: Array
    low_rank: LowRank
    dead_output_channels: int
    dead_input_channels: int

    def measures(self, factorization: str) -> dict[str, float]:
        """Measures of the raw or the low-rank spectrum (3.4); n is the full tensor's (3.3)."""
        return measures(self.sigma if factorization == "raw" else self.low_rank.d, self.n)

    def rank(self, factorization: str) -> int:
        """Number of values of the spectrum; an all-zero weight has rank 0 (3.4)."""
        if factorization == "low_rank":
            return self.low_rank.rank
        return len(self.sigma) if self.sigma[0] > 0 else 0


def score(
    layers: Iterable[tuple[str, Array]],
    *,
    estimator: str = "global",
    dead_tolerance: float = DEAD_TOLERANCE,
    null_tolerance: float = NULL_TOLERANCE,
) -> list[Entry]:
    """Measure every unfolding of a list of (name, weight)."""
    options = {"dead_tolerance": dead_tolerance, "null_tolerance": null_tolerance}
    weights = [(name, np.asarray(weight, dtype=np.float64)) for name, weight in layers]
    return [
        entry_of(name, weight, unfolding, estimator=estimator, **options)
        for name, weight in weights
        for unfolding in unfoldings(weight)
    ]


def entry_of(
    name: str,
    weight: Array,
    unfolding: str,
    *,
    estimator: str = "global",
    dead_tolerance: float = DEAD_TOLERANCE,
    null_tolerance: float = NULL_TOLERANCE,
) -> Entry:
    """Measure one unfolding of one weight; with "reference" nothing is set aside (3.3)."""
    matrix = unfold(weight, unfolding)
    dead = (0, 0)
    if estimator == "global":
        dead = tuple(int(dead_channels(weight, axis, dead_tolerance).sum()) for axis in (0, 1))
    return Entry(
        layer=name,
        kind="linear" if weight.ndim == 2 else "conv",
        unfolding=unfolding,
        n=matrix.shape[0],
        m=matrix.shape[1],
        sigma=singular_values(matrix),
        low_rank=evbmf(
            weight,
            unfolding,
            estimator=estimator,
            dead_tolerance=dead_tolerance,
            null_tolerance=null_tolerance,
        ),
        dead_output_channels=dead[0],
        dead_input_channels=dead[1],
    )


def network_quality(
    entries: Sequence[Entry],
    *,
    factorization: str = "low_rank",
    p: int = 2,
    kinds: Sequence[str] = ("conv",),
    aggregation: str = "l2",
    empty: str = "zero",
    rank_one: str = "limit",
    unfolding: str | None = None,
) -> float:
    """Q of 3.5 (Eq. 5) with its options; ``rank_one="worst"`` is Q_adjusted."""
    if not any(entry.kind == "conv" for entry in entries):
        kinds = ("conv", "linear")
    values = []
    for entry in entries:
        if entry.kind not in kinds or unfolding not in (None, entry.unfolding):
            continue
        rank = entry.rank(factorization)
        found = entry.measures(factorization)
        value = found[f"quality_p{p}"]
        if rank == 0 and empty == "skip":
            continue
        if rank == 1 and rank_one == "skip":
            continue
        if rank == 1 and rank_one == "worst":
            value = math.atan(found[f"stable_rank_p{p}"])
        values.append(value)
    return aggregate(values, aggregation)


def aggregate(values: Sequence[float], aggregation: str) -> float:
    """l2: root of the mean square (Eq. 5); mean; geometric_mean (0 where one value is 0)."""
    if not values:
        return math.nan
    if aggregation == "l2":
        return math.sqrt(sum(value**2 for value in values) / len(values))
    if aggregation == "mean":
        return sum(values) / len(values)
    return math.prod(value ** (1 / len(values)) for value in values)
