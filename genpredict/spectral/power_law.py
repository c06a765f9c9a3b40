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

from math import ceil
from typing import NamedTuple

import torch
from torch import Tensor

#: Values of a tail at which the distance is bounded from below before it is computed; samples of up
#: to so many are not worth the bound, which leaves about a thirtieth of the starts of others.
PROBES, SHORT = 16, 64
#: A bound may exceed the distance that it bounds by so little, from rounding.
SLACK = 1e-12
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
    slopes = (1 - exponent).where(fits, 0.0)
    if _is_on_cpu(exponent) and exponent.shape[-1] > SHORT:
        fits = _may_be_least(tails, slopes, fits, two_sided=two_sided)
        distance = _distances_at(tails, slopes, fits, two_sided=two_sided)
    else:
        distance = _distances(tails, slopes, two_sided=two_sided)
    start = distance.masked_fill(~fits, torch.inf).argmin(-1, keepdim=True)
    failed = ~fits.any(-1)
    return PowerLaw(
        exponent.gather(-1, start).squeeze(-1).masked_fill(failed, torch.nan),
        distance.gather(-1, start).squeeze(-1).masked_fill(failed, torch.nan),
        start.squeeze(-1).masked_fill(failed, 0),
    )


def _is_on_cpu(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu"


def _may_be_least(tails: Tails, slopes: Tensor, fits: Tensor, *, two_sided: bool) -> Tensor:
    """Mark the starts that may be the best: their bound is below the distance of one of them.

    On a GPU the question of how many there are would wait for the device.
    """
    bound = _lower_bounds(tails, slopes, two_sided=two_sided).masked_fill_(~fits, torch.inf)
    promising = torch.zeros_like(fits).scatter_(-1, bound.argmin(-1, keepdim=True), True)
    distance = _distances_at(tails, slopes, promising, two_sided=two_sided)
    return fits & ((1 - SLACK) * bound <= distance.amax(-1, keepdim=True))


def _lower_bounds(tails: Tails, slopes: Tensor, *, two_sided: bool) -> Tensor:
    """Return the distance at every start over a few values of its tail alone, shape (B, N)."""
    B, N = slopes.shape
    start = torch.arange(N).unsqueeze(-1)
    at = N - 1 - (N - 1 - start) * torch.arange(PROBES) // PROBES
    size = tails.size.unsqueeze(-1)
    above = tails.size[at] / size
    bound = torch.empty_like(slopes)
    step = max(1, CPU_BLOCK // (N * PROBES))
    for first in range(0, B, step):
        rows = slice(first, first + step)
        logs = tails.log_values[rows]
        probes = logs.index_select(-1, at.flatten()).reshape(-1, *at.shape)
        bound[rows] = _largest_gap(
            slopes[rows].unsqueeze(-1), probes, logs.unsqueeze(-1), above, size, two_sided=two_sided
        )
    return bound


def _distances_at(tails: Tails, slopes: Tensor, wanted: Tensor, *, two_sided: bool) -> Tensor:
    """Return the distances at the starts that are wanted, 0 elsewhere, shape (B, N)."""
    distance = torch.zeros_like(slopes)
    rows, starts = wanted.nonzero(as_tuple=True)
    step = max(1, CPU_BLOCK // slopes.shape[1])
    for some, first in zip(torch.split(rows, step), torch.split(starts, step), strict=True):
        logs, slope = tails.log_values[some], slopes[some, first].unsqueeze(-1)
        lowest, size = logs.gather(-1, first.unsqueeze(-1)), tails.size[first].unsqueeze(-1)
        above = (tails.size / size).clamp_max(1.0)
        distance[some, first] = _largest_gap(slope, logs, lowest, above, size, two_sided=two_sided)
    return distance


def _distances(tails: Tails, slopes: Tensor, *, two_sided: bool) -> Tensor:
    """Return the distance at every start, shape (B, N), a block of them at a time."""
    B, N = slopes.shape
    budget = CPU_BLOCK if _is_on_cpu(slopes) else DEVICE_BLOCK
    starts = max(1, min(ceil(N / 4), budget // N))
    samples = max(1, budget // (starts * N))
    distance = torch.empty_like(slopes)
    for first in range(0, N, starts):
        block = slice(first, first + starts)
        size = tails.size[block, None]
        above = (tails.size[first:] / size).clamp_max(1.0)
        for row in range(0, B, samples):
            rows = slice(row, row + samples)
            logs = tails.log_values[rows]
            distance[rows, block] = _largest_gap(
                slopes[rows, block, None], logs[:, None, first:], logs[:, block, None], above, size,
                two_sided=two_sided,
            )  # fmt: skip
    return distance


def _largest_gap(
    slope: Tensor, logs: Tensor, lowest: Tensor, above: Tensor, size: Tensor, *, two_sided: bool
) -> Tensor:
    """Return the distance between law and sample over the last axis.

    Parameters
    ----------
    slope, lowest, size : Tensor
        1 − α, ln x_i and m of a start.
    logs, above : Tensor
        ln x_j, and the share (N − j)/m of the sample from x_j on; 1 for j < i, where the law is
        cut to 1 as well.
    """
    # what the law leaves above x_j, (x_j/x_i)^(1−α), less what the sample does
    excess = torch.mul(slope, logs).sub_(slope * lowest).clamp_(max=0.0).exp_().sub_(above)
    highest, deepest = excess.amax(-1), -excess.amin(-1)
    if two_sided:
        highest = highest + 1 / size.squeeze(-1)  # the step at x_j goes down to (N − j − 1)/m
    return torch.maximum(highest, deepest)
