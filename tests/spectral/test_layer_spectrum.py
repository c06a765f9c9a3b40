"""`layer_spectrum` and `free_energy`: what one looks at before trusting a rank."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genpredict.spectral import (
    Estimator,
    evbmf,
    free_energy,
    layer_spectrum,
    singular_values,
    unfold,
)


def test_threshold_parts_signal_from_noise_against_evbmf() -> None:
    """√(M s x̄) of what is left lies between the last signal and the first noise."""
    rng = torch.Generator().manual_seed(1)
    weight = torch.randn(24, 10, 3, 3, generator=rng, dtype=torch.float64)
    weight[:12] += 4 * torch.randn(1, 10, 3, 3, generator=rng, dtype=torch.float64)
    full = weight.clone()
    full[3] = 0.0  # a dead channel
    cases: list[tuple[torch.Tensor, Estimator]] = [
        (weight, "global"),
        (full, "global"),
        (weight, "reference"),
    ]
    for one, estimator in cases:
        found = layer_spectrum(one, "out_channel", estimator=estimator)
        cut = (found.columns * found.noise_variance * found.threshold) ** 0.5
        assert found.rank >= 1
        assert int((found.raw > cut).sum()) == found.rank
        assert found.rows == 24 - int(one is full)
        assert found.columns == 90


def test_layer_with_nothing_left() -> None:
    """All-zero weights have a spectrum of zeros, no signal and no noise."""
    found = layer_spectrum(torch.zeros(4, 6))
    assert (found.rank, found.noise_variance, found.rows) == (0, 0.0, 0)
    assert not found.raw.any()


def test_fields_against_evbmf() -> None:
    """They are those of the functions one by one; gradients are left behind."""
    weight = torch.randn(6, 5, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    found, one = layer_spectrum(weight, "in_channel"), evbmf(weight, "in_channel")
    torch.testing.assert_close(found.raw, singular_values(unfold(weight.double(), "in_channel")))
    torch.testing.assert_close(found.low_rank, one.singular_values)
    assert (found.rank, found.noise_variance) == (int(one.rank), float(one.noise_variance))
    assert (found.rows, found.columns) == (5, 18)
    assert not found.raw.requires_grad


def spectrum_of(rows: int, columns: int, signals: int) -> torch.Tensor:
    """Make eigenvalues of noise and some signals."""
    rng = torch.Generator().manual_seed(rows)
    left, right = (torch.randn(n, signals, generator=rng).double() for n in (rows, columns))
    matrix = torch.randn(rows, columns, generator=rng).double() + left @ right.T
    return singular_values(matrix).square()


def test_free_energy_against_a_loop() -> None:
    """The formula of docs/design.md 3.3, term by term, on a grid of noise variances."""
    eigenvalues, L, M = spectrum_of(7, 20, 2), 7, 20
    grid = torch.linspace(0.3, 30, 40, dtype=torch.float64)
    alpha = L / M
    taus = np.linspace(1e-3, 9, 900_001)
    zero = np.log1p(taus) + alpha * np.log1p(taus / alpha) - taus
    tau_bar = taus[np.flatnonzero(zero > 0)[-1]]
    limit = (1 + tau_bar) * (1 + alpha / tau_bar)
    wanted = []
    for s in grid.tolist():
        total = L * np.log(s)
        for x in (eigenvalues / (M * s)).tolist():
            z = x - 1 - alpha
            tau = (z + np.sqrt(z * z - 4 * alpha)) / 2 if x > limit else np.nan
            cost = 1 + alpha + alpha / tau + np.log1p(tau) + alpha * np.log1p(tau / alpha)
            total += cost if x > limit else x
        wanted.append(total)
    np.testing.assert_allclose(free_energy(eigenvalues, grid, L, M), wanted, rtol=1e-9)


def test_no_noise_variance_has_less_free_energy_than_evbmf() -> None:
    """On a fine grid around it, at either estimator's answer."""
    rng = torch.Generator().manual_seed(3)
    weight = torch.randn(16, 60, generator=rng, dtype=torch.float64) ** 3
    values = singular_values(weight).square()
    exact, released = (
        float(evbmf(weight, estimator=estimator).noise_variance)
        for estimator in ("global", "reference")
    )
    least = free_energy(values, exact, 16, 60)
    s_up = float(values.sum()) / (16 * 60)
    grid = torch.linspace(0.2 * s_up, s_up, 5001, dtype=torch.float64)
    assert (free_energy(values, grid, 16, 60) >= least - 1e-9).all()
    assert free_energy(values, released, 16, 60) >= least - 1e-9


def test_batched_free_energy_equals_looped() -> None:
    """Each matrix with its own sides; eigenvalues beyond the first L do not count."""
    values = torch.stack([spectrum_of(6, 30, 1), spectrum_of(6, 12, 2)])
    s, rows, columns = (
        torch.tensor([0.9, 1.4]).double(),
        torch.tensor([6, 4]),
        torch.tensor([30, 12]),
    )
    both = free_energy(values, s, rows, columns)
    for i, (L, M) in enumerate(((6, 30), (4, 12))):
        torch.testing.assert_close(both[i], free_energy(values[i, :L], float(s[i]), L, M))


def test_free_energy_names_bad_options() -> None:
    values = spectrum_of(6, 30, 1)
    with pytest.raises(ValueError, match="noise_variance must be positive, got 0"):
        free_energy(values, 0.0, 6, 30)
    with pytest.raises(ValueError, match="rows and columns must be 1 ≤ L ≤ M, got 30 and 6; rows"):
        free_energy(values, 1.0, 30, 6)
