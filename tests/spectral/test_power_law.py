"""The start of least distance, found by way of bounds."""

from __future__ import annotations

import pytest
import torch

from genpredict.spectral import power_law
from genpredict.spectral.power_law import SHORT, Tails, least_distance, tails


def samples(size: int) -> torch.Tensor:
    """Make ascending samples: noise, a power law, exponentials, steps, ties, one outlier."""
    generator = torch.Generator().manual_seed(size)
    uniform = torch.rand(6, size, generator=generator, dtype=torch.float64)
    kinds = [
        uniform[0],
        uniform[1].pow(-0.7),
        -uniform[2].log(),
        (8 * uniform[3]).ceil(),
        torch.ones(size, dtype=torch.float64),
        torch.where(torch.arange(size) == 0, 1e9, 1 + 1e-3 * uniform[5]),
    ]
    return torch.stack(kinds).sort(dim=-1).values


def fit_of(size: int) -> tuple[Tails, torch.Tensor, torch.Tensor]:
    """Return the tails of samples, their exponents and the candidates."""
    ascending = samples(size)
    every_tail = tails(ascending, torch.ones_like(ascending, dtype=torch.bool))
    exponent = 1 + every_tail.size / every_tail.log_excess
    return every_tail, exponent, (every_tail.size > 1).expand_as(exponent)


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("size", [SHORT + 1, 130, 1000])
def test_starts_against_every_distance(
    size: int, two_sided: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounds leave the first start of least distance, and the bits of its fit, as they are."""
    fast = least_distance(*fit_of(size), two_sided=two_sided)
    monkeypatch.setattr(power_law, "SHORT", size)
    full = least_distance(*fit_of(size), two_sided=two_sided)
    assert fast.start.tolist() == full.start.tolist()
    for name in ("exponent", "distance"):
        assert getattr(fast, name).numpy().tobytes() == getattr(full, name).numpy().tobytes()
    assert fast.exponent.isnan().tolist() == [False] * 4 + [True, False]


@pytest.mark.parametrize("two_sided", [False, True])
def test_bounds_against_every_distance(two_sided: bool) -> None:
    """No bound exceeds the distance, and hardly a start of noise is left to be looked at."""
    every_tail, exponent, fits = fit_of(500)
    fits = fits & exponent.isfinite()
    slopes = (1 - exponent).where(fits, 0.0)
    bound = power_law._lower_bounds(every_tail, slopes, two_sided=two_sided)
    distance = power_law._distances(every_tail, slopes, two_sided=two_sided)
    assert bool((bound <= distance * (1 + 1e-12)).all())
    left = power_law._may_be_least(every_tail, slopes, fits, two_sided=two_sided)
    assert int(left[:3].sum()) < 0.2 * left[:3].numel()
