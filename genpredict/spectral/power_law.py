"""Fit power laws to the tails of many samples at once, every start of a tail tried.

A continuous power law p(x) ∝ x^−α above xmin is fitted by maximum likelihood [1]_ (Eq. 3.1) at
every candidate xmin, and the candidate of least Kolmogorov-Smirnov distance is taken. Candidates
times values are evaluated in blocks, so memory stays bounded, and nothing waits for the device.

References
----------
.. [1] A. Clauset, C. R. Shalizi, M. E. J. Newman, "Power-law distributions in empirical data",
   SIAM Review 51 (2009) 661-703.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

#: Elements of a block of candidates times values: fits a core's cache; on a GPU, fills the device.
CPU_BLOCK, DEVICE_BLOCK = 1 << 15, 1 << 24
#: Tails whose mean of ln(x/xmin) is no more than this consist of one value, but for rounding.
FLAT = 1e-12


class Tails(NamedTuple):
    """Every tail x_i, …, x_N of samples of one size N, in ascending order.

    Attributes
    ----------
    log_values : Tensor, shape (B, N)
        ln(x_j/x_N); where a value does not count, that of the value after it.
    log_excess : Tensor, shape (B, N)
        s_i = Σ_{j ≥ i} ln(x_j/x_i), exactly 0 where the tail is one value.
    size : Tensor, shape (N,)
        m = N − i, the number of values in the tail.
    """

    log_values: Tensor
    log_excess: Tensor
    size: Tensor


class PowerLaw(NamedTuple):
    """A power law above the i-th of the ascending values; NaN and i = 0 where none fits.

    Attributes
    ----------
    exponent, distance : Tensor, shape (B,)
        α and the Kolmogorov-Smirnov distance.
    start : Tensor, shape (B,), int64
        i, from 0.
    """

    exponent: Tensor
    distance: Tensor
    start: Tensor


def tails(values: Tensor, counted: Tensor) -> Tails:
    """Take the logarithms and their sums over every tail.

    Both are sums of gaps ln(x_{k+1}/x_k) ≥ 0, so that nothing cancels, equal values have gap 0
    exactly, and a power of two as common factor changes no bit.

    Parameters
    ----------
    values : Tensor, shape (B, N)
        In ascending order.
    counted : Tensor, shape (B, N), bool
        False for the values, always the least, that are left out.

    Returns
    -------
    Tails
    """
    N = values.shape[-1]
    size = torch.arange(N, 0, -1, dtype=values.dtype, device=values.device)
    lower = values[:, :-1].where(counted[:, :-1], 1.0)
    difference = (values[:, 1:] - values[:, :-1]).where(counted[:, :-1], 0.0)
    gaps = torch.log1p(difference / lower)
    log_values = torch.zeros_like(values)
    log_values[:, :-1] = -gaps.flip(-1).cumsum(-1).flip(-1)
    log_excess = torch.zeros_like(values)
    log_excess[:, :-1] = (gaps * size[1:]).flip(-1).cumsum(-1).flip(-1)
    return Tails(log_values, log_excess, size)


def least_distance(
    tails: Tails, exponent: Tensor, candidates: Tensor, *, two_sided: bool
) -> PowerLaw:
    """Choose, among candidate starts of the tail, the first of least distance.

    Parameters
    ----------
    tails : Tails
        Of B samples of N values.
    exponent : Tensor, shape (B, N)
        α at each start.
    candidates : Tensor, shape (B, N), bool
        Starts that may be chosen.
    two_sided : bool
        Compare the law with the empirical distribution on both sides of each of its steps, which
        is the Kolmogorov-Smirnov statistic; else on their left side alone.

    Returns
    -------
    PowerLaw
    """
    fits = candidates & (tails.log_excess > FLAT * tails.size) & torch.isfinite(exponent)
    distance = _distances(tails, exponent.where(fits, 1.0), two_sided=two_sided)
    start = distance.masked_fill(~fits, torch.inf).argmin(-1, keepdim=True)
    failed = ~fits.any(-1)
    return PowerLaw(
        exponent.gather(-1, start).squeeze(-1).masked_fill(failed, torch.nan),
        distance.gather(-1, start).squeeze(-1).masked_fill(failed, torch.nan),
        start.squeeze(-1).masked_fill(failed, 0),
    )


def _distances(tails: Tails, exponent: Tensor, *, two_sided: bool) -> Tensor:
    """Return the distance at every start, shape (B, N), a block of them at a time."""
    B, N = exponent.shape
    budget = CPU_BLOCK if exponent.device.type == "cpu" else DEVICE_BLOCK
    starts = max(1, min(N, budget // N))
    samples = max(1, budget // (starts * N))
    distance = torch.empty_like(exponent)
    for row in range(0, B, samples):
        rows = slice(row, row + samples)
        slopes, logs = 1 - exponent[rows], tails.log_values[rows]
        for first in range(0, N, starts):
            block = slice(first, first + starts)
            distance[rows, block] = _block_distances(slopes, logs, tails.size, block, two_sided)
    return distance


def _block_distances(
    slopes: Tensor, logs: Tensor, size: Tensor, block: slice, two_sided: bool
) -> Tensor:
    """Return the distances at the starts of a block, shape (B, starts)."""
    slope = slopes[:, block, None]
    left = size[block, None]
    # What the law leaves above x_j, (x_j/x_i)^(1−α), less what the sample does, (N − j)/m.
    excess = torch.mul(slope, logs[:, None, block.start :])
    excess.sub_(slope * logs[:, block, None]).exp_()
    excess.sub_(size[None, block.start :] / left)
    square = excess[..., : slope.shape[1]]
    square.masked_fill_(torch.ones_like(square[0], dtype=torch.bool).tril(-1), 0.0)  # j < i
    above, below = excess.amax(-1), -excess.amin(-1)
    if two_sided:
        above = above + 1 / left.squeeze(-1)  # the step at x_j comes down to (N − j − 1)/m
    return torch.maximum(above, below)
