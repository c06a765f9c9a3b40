"""Power laws fitted to the tails of spectra."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import kstest
from synchronisation import refused
from torch import Tensor

from genpredict.spectral import heavy_tail, power_law

KINDS = ("noise", "pareto", "lognormal", "spiked", "uniform")
NAMES = ("alpha_xmin", "alpha", "alpha_distance", "alpha_weighted", "log_alpha_norm")


def spectrum(kind: str, seed: int) -> NDArray[np.float64]:
    """Draw a spectrum of a kind, in descending order, at any scale."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(8, 80))
    noise = rng.standard_normal((n, n + int(rng.integers(0, 60))))
    sigma = {
        "noise": lambda: np.linalg.svd(noise, compute_uv=False),
        "pareto": lambda: rng.pareto(rng.uniform(1, 6), n) + 1,
        "lognormal": lambda: np.exp(rng.standard_normal(n) * rng.uniform(0.2, 2)),
        "spiked": lambda: np.linalg.svd(noise + rng.standard_normal((n, 1)), compute_uv=False),
        "uniform": lambda: rng.uniform(0.01, 1, n),
    }[kind]()
    return np.sort(sigma)[::-1] * 10 ** rng.uniform(-4, 4)


def measured(sigma: Tensor) -> dict[str, Tensor]:
    """Take all measures of spectra, each handed the ones before."""
    xmin = heavy_tail.alpha_xmin(sigma)
    alpha = heavy_tail.alpha(sigma, xmin)
    distance = heavy_tail.alpha_distance(sigma, xmin, alpha)
    weighted = heavy_tail.alpha_weighted(sigma, alpha)
    norm = heavy_tail.log_alpha_norm(sigma, alpha)
    return dict(zip(NAMES, (xmin, alpha, distance, weighted, norm), strict=True))


def by_loop(eigenvalues: NDArray[np.float64], *, two_sided: bool = True) -> dict[str, float]:
    """Fit every tail in turn; the distance by scipy, or of the left side of steps alone."""
    x = np.sort(eigenvalues)
    best = (np.inf, np.nan, np.nan)
    for xmin in x[:-1]:
        tail = x[x >= xmin]
        alpha = 1 + len(tail) / np.log(tail / xmin).sum()
        if two_sided:
            distance = kstest(tail, lambda v, a=alpha, m=xmin: 1 - (v / m) ** (1 - a)).statistic
        else:
            law = 1 - (tail / xmin) ** (1 - alpha)
            distance = np.abs(law - np.arange(len(tail)) / len(tail)).max()
        if distance < best[0] - 1e-13:
            best = (distance, xmin, alpha)
    distance, xmin, alpha = best
    weighted = alpha * np.log10(x[-1])
    norm = weighted + np.log10(((x / x[-1]) ** alpha).sum())
    return dict(zip(NAMES, (xmin, alpha, distance, weighted, norm), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_every_measure_against_scipy(kind: str) -> None:
    """All five measures equal a loop over tails with scipy's Kolmogorov-Smirnov statistic."""
    for seed in range(6):
        sigma = spectrum(kind, seed)
        expected = by_loop(sigma**2)
        for name, value in measured(torch.from_numpy(sigma.copy())).items():
            assert float(value) == pytest.approx(expected[name], rel=1e-6), (name, seed)


def check_powerlaw(seeds: range) -> None:
    """Compare with the package on spectra of five kinds."""
    powerlaw = pytest.importorskip("powerlaw", reason="a peer, for comparison alone")
    for seed in seeds:
        sigma = spectrum(KINDS[seed % len(KINDS)], seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = powerlaw.Fit(sigma**2, verbose=0, parameter_ranges={"alpha": (1, None)})
        ours = measured(torch.from_numpy(sigma.copy()))
        if float(ours["alpha_xmin"]) == pytest.approx(fit.xmin, rel=1e-9):
            assert float(ours["alpha"]) == pytest.approx(fit.alpha, rel=1e-6)
        else:
            left = by_loop(sigma**2, two_sided=False)
            assert fit.xmin == pytest.approx(left["alpha_xmin"], rel=1e-9)


def test_exponent_against_powerlaw() -> None:
    """α is the package's where xmin is; where not, the package looked at one side of steps."""
    check_powerlaw(range(10))


@pytest.mark.slow
def test_200_exponents_against_powerlaw() -> None:
    """The comparison on 200 spectra."""
    check_powerlaw(range(200))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1e-30, 1e-6, 3.0, 1e30])
def test_scaling_against_theory(kind: str, scale: float) -> None:
    """Weights times c: xmin times c², α and the distance unchanged, the norms shifted."""
    sigma = torch.from_numpy(spectrum(kind, 7).copy())
    before, after = measured(sigma), measured(scale * sigma)
    shift = 2 * before["alpha"] * np.log10(scale)
    torch.testing.assert_close(
        after["alpha_xmin"], scale**2 * before["alpha_xmin"], rtol=1e-9, atol=0
    )
    for name in ("alpha", "alpha_distance"):
        torch.testing.assert_close(after[name], before[name], rtol=1e-9, atol=0)
    for name in ("alpha_weighted", "log_alpha_norm"):
        torch.testing.assert_close(after[name], before[name] + shift, rtol=1e-9, atol=1e-9)


def degenerate(n: int) -> dict[str, Tensor]:
    """Spectra of n values that no power law fits."""
    equal = torch.ones(n, dtype=torch.float64)
    rank_one = torch.zeros(n, dtype=torch.float64)
    rank_one[0] = 2.0
    noisy = rank_one + 1e-16 * torch.rand(n, dtype=torch.float64)
    nearly = equal + 2e-16 * torch.arange(n, 0, -1)
    return {"equal": equal, "rank one": rank_one, "rounding": noisy, "nearly equal": nearly,
            "zero": torch.zeros(n, dtype=torch.float64)}  # fmt: skip


@pytest.mark.parametrize("n", [2, 3, 7, 8, 40])
def test_degenerate_spectra_against_theory(n: int) -> None:
    """Where no tail has two different values, every measure is NaN, without a warning."""
    for name, sigma in degenerate(n).items():
        for scale in (1e-30, 1.0):
            values = measured(scale * sigma)
            assert all(value.isnan() for value in values.values()), (name, scale)


@pytest.mark.parametrize("n", range(2, 8))
def test_fewer_than_eight_values_against_theory(n: int) -> None:
    """Fewer than 8 values are NaN, also with zeros beside them."""
    sigma = torch.arange(n, 0, -1, dtype=torch.float64)
    padded = torch.cat([sigma, torch.zeros(9, dtype=torch.float64)])
    for spectrum_ in (sigma, padded):
        assert all(value.isnan() for value in measured(spectrum_).values())


def test_two_values_against_reference() -> None:
    """Ten values of two sizes: the tail that holds both is the only one that has an exponent."""
    sigma = torch.tensor([3.0] * 4 + [2.0] * 6, dtype=torch.float64)
    values = measured(sigma)
    assert float(values["alpha_xmin"]) == pytest.approx(4.0)
    assert float(values["alpha"]) == pytest.approx(1 + 10 / (4 * 2 * np.log(1.5)))


def test_batches_against_single_spectra() -> None:
    """A batch, cut anywhere, gives the bits of its spectra one by one."""
    rng = np.random.default_rng(0)
    sigma = torch.from_numpy(np.sort(rng.pareto(2, (300, 37)) + 1)[:, ::-1].copy())
    together = measured(sigma.reshape(150, 2, 37))
    for row in (0, 1, 150, 299):
        for name, value in measured(sigma[row]).items():
            assert value == together[name].flatten()[row], name


def test_nothing_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere than on the CPU, no measure reads a number back; the bits are those of the CPU."""
    rng = np.random.default_rng(1)
    sigma = torch.from_numpy(np.sort(rng.pareto(2, (9, 61)) + 1)[:, ::-1].copy())
    expected = measured(sigma)
    monkeypatch.setattr(power_law, "_is_on_cpu", lambda tensor: False)
    assert refused(lambda: measured(sigma)) is None
    for name, value in measured(sigma).items():
        assert torch.equal(value, expected[name]), name
