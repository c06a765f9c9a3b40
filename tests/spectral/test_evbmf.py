"""EVBMF of spectra: the exact solver against the brute-force oracle."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import spectral_cases as cases
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Array

from genpredict.spectral.evbmf import (
    LowRank,
    median_of_first,
    null_directions,
    signal_threshold,
    solve_evbmf,
)

COMPACT = pytest.mark.parametrize("compact", [True, False])
FREE_ENERGY_TOLERANCE = 1e-9  # per row

#: Spectra as a list of singular values: clusters, ties and wide ranges come by themselves.
spectra = st.lists(st.floats(1e-4, 1e4), min_size=2, max_size=24).map(
    lambda values: np.sort(np.array(values))[::-1].copy()
)
aspects = st.floats(0, 6).map(lambda power: 2**-power)


@st.composite
def matrices(draw: st.DrawFn, largest: int = 64) -> tuple[Array, int]:
    """Singular values and number of columns of a matrix of one of the families."""
    family = draw(st.sampled_from(cases.FAMILIES))
    L = draw(st.integers(2, largest))
    M = round(L / draw(aspects))
    matrix = cases.matrix_of(family, L, M, draw(st.integers(0, 2**20)))
    return reference.singular_values(matrix), M


def solve(sigma: Array, M: int, *, compact: bool = True) -> LowRank:
    """Solve one spectrum with the engine."""
    return solve_evbmf(
        torch.from_numpy(sigma**2)[None],
        torch.tensor([len(sigma)]),
        torch.tensor([M]),
        compact=compact,
    )


def excess(s: float, best: float, lam: Array, M: int) -> float:
    """Free energy of s above that of the oracle's minimum, per row."""
    alpha = len(lam) / M
    xbar = reference.x_bar(alpha, reference.tau_bar(alpha))
    low, high = reference.noise_variance_bounds(lam, M, xbar)
    assert low * (1 - 1e-12) <= s <= high * (1 + 1e-12)
    energies = [reference.free_energy(value, lam, M, xbar) for value in (s, best)]
    return (energies[0] - energies[1]) / len(lam)


def assert_solution(found: LowRank, sigma: Array, M: int) -> None:
    """Free energy no higher than brute force's; where the minimum is one, everything equal."""
    slow = reference.evbmf_of_spectrum(sigma, M)
    above = excess(float(found.noise_variance), slow.noise_variance, sigma**2, M)
    assert above <= FREE_ENERGY_TOLERANCE
    if int(found.rank) != slow.rank:  # two minima of one height
        assert abs(above) < 1e-13
        return
    assert float(found.noise_variance) == pytest.approx(slow.noise_variance, rel=1e-9)
    expected = np.concatenate([slow.d, np.zeros(len(sigma) - slow.rank)])
    np.testing.assert_allclose(found.singular_values[0], expected, rtol=1e-9, atol=0)


@COMPACT
@settings(max_examples=60, deadline=None, derandomize=True)
@given(case=matrices())
def test_solution_of_matrices_against_reference(case: tuple[Array, int], compact: bool) -> None:
    """The noise variance is brute force's global minimiser, rank and d follow, on all families."""
    sigma, M = case
    assert_solution(solve(sigma, M, compact=compact), sigma, M)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(sigma=spectra, aspect=aspects)
def test_solution_of_spectra_against_reference(sigma: Array, aspect: float) -> None:
    """The same on spectra made up by hypothesis, with clusters, ties and gaps."""
    M = round(len(sigma) / aspect)
    assert_solution(solve(sigma, M), sigma, M)


@pytest.mark.parametrize("family", cases.FAMILIES)
@pytest.mark.parametrize(("L", "M"), [(2, 2), (2, 128), (128, 128), (100, 1600)])
def test_solution_by_size_against_reference(family: str, L: int, M: int) -> None:
    """Square, wide and tiny matrices of every family."""
    sigma = reference.singular_values(cases.matrix_of(family, L, M, seed=L + M))
    assert_solution(solve(sigma, M), sigma, M)


@pytest.mark.slow
@pytest.mark.parametrize("family", cases.FAMILIES)
@pytest.mark.parametrize(("L", "M"), [(256, 256), (512, 512), (512, 2048), (256, 16384)])
def test_solution_of_large_matrices_against_reference(family: str, L: int, M: int) -> None:
    """Sides up to 512 and aspect ratios down to 1/64."""
    sigma = reference.singular_values(cases.matrix_of(family, L, M, seed=L + M))
    assert_solution(solve(sigma, M), sigma, M)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["low_rank", "heavy_tailed"])
def test_solution_of_widest_matrices_against_reference(family: str) -> None:
    """L = 512 at alpha = 1/64."""
    sigma = reference.singular_values(cases.matrix_of(family, 512, 32768, seed=0))
    assert_solution(solve(sigma, 32768), sigma, 32768)


@pytest.mark.slow
@settings(max_examples=600, deadline=None, derandomize=True)
@given(case=matrices(largest=160))
def test_solution_of_many_matrices_against_reference(case: tuple[Array, int]) -> None:
    """The same property on many more matrices."""
    sigma, M = case
    assert_solution(solve(sigma, M), sigma, M)


@COMPACT
def test_batch_of_mixed_sides_against_reference(compact: bool) -> None:
    """Batched equals looped, to rounding, though L and M differ within the batch."""
    rng = np.random.default_rng(0)
    n = 24
    sides = [(int(L), int(L * rng.integers(1, 9))) for L in rng.integers(1, n + 1, 40)] + [(n, n)]
    found = [
        reference.singular_values(cases.matrix_of(cases.FAMILIES[i % 7], L, M, i))
        for i, (L, M) in enumerate(sides)
    ]
    padded = np.stack([np.concatenate([sigma, np.zeros(n - len(sigma))]) for sigma in found])
    rows, columns = (torch.tensor(side) for side in zip(*sides, strict=True))
    together = solve_evbmf(torch.from_numpy(padded**2), rows, columns, compact=compact)
    for i, sigma in enumerate(found):
        alone = solve_evbmf(
            torch.from_numpy(padded[i : i + 1] ** 2),
            rows[i : i + 1],
            columns[i : i + 1],
            compact=compact,
        )
        assert together.rank[i] == alone.rank[0]
        torch.testing.assert_close(
            together.noise_variance[i], alone.noise_variance[0], rtol=1e-13, atol=0
        )
        torch.testing.assert_close(
            together.singular_values[i], alone.singular_values[0], rtol=1e-13, atol=0
        )
        slow = reference.evbmf_of_spectrum(sigma, sides[i][1])
        assert int(alone.rank) == slow.rank
        assert float(alone.noise_variance) == pytest.approx(slow.noise_variance, rel=1e-9)


def test_values_beyond_the_rows_are_not_looked_at_against_theory() -> None:
    """What lies beyond the first L eigenvalues changes nothing."""
    lam = torch.tensor([[9.0, 4.0, 1.0, 0.5], [9.0, 4.0, 1.0, 0.0]], dtype=torch.float64)
    found = solve_evbmf(lam, torch.tensor([3, 3]), torch.tensor([12, 12]))
    assert found.noise_variance[0] == found.noise_variance[1]
    assert found.rank[0] == found.rank[1]


@COMPACT
def test_nothing_left_and_one_row_against_theory(compact: bool) -> None:
    """L = 0: rank 0 and noise variance 0; L = 1: rank 0 and noise variance lambda/M; no NaN."""
    lam = torch.tensor([[4.0, 1.0], [4.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    found = solve_evbmf(lam, torch.tensor([0, 1, 2]), torch.tensor([0, 8, 8]), compact=compact)
    assert found.rank.tolist() == [0, 0, 0]
    assert found.noise_variance.tolist() == [0.0, 0.5, 0.0]
    assert found.singular_values.tolist() == [[0.0, 0.0]] * 3


@settings(max_examples=60, deadline=None, derandomize=True)
@given(sigma=spectra, aspect=aspects, power=st.integers(-6, 6))
def test_scale_equivariance_against_theory(sigma: Array, aspect: float, power: int) -> None:
    """Scaling by c = 10^power scales s by c^2 and d by c, and leaves the rank unchanged."""
    M = round(len(sigma) / aspect)
    c = 10.0**power
    one, other = solve(sigma, M), solve(c * sigma, M)
    assert int(one.rank) == int(other.rank)
    assert float(other.noise_variance) == pytest.approx(c**2 * float(one.noise_variance), rel=1e-9)
    torch.testing.assert_close(other.singular_values, c * one.singular_values, rtol=1e-9, atol=0)


def test_signal_threshold_against_scipy() -> None:
    """The Newton for tau_bar ends where scipy's brentq does, for alpha from 1e-5 to 1."""
    alpha = np.geomspace(1e-5, 1, 60)
    expected = [reference.x_bar(a, reference.tau_bar(a)) for a in alpha]
    np.testing.assert_allclose(signal_threshold(torch.from_numpy(alpha)), expected, rtol=1e-13)


@given(
    values=st.lists(st.floats(0, 1e6), min_size=1, max_size=9),
    extra=st.lists(st.floats(0, 1e6), max_size=4),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_median_of_first_against_numpy(values: list[float], extra: list[float]) -> None:
    """The median of the first values equals numpy's, for even and odd counts."""
    together = sorted(values, reverse=True) + extra
    found = median_of_first(
        torch.tensor([together], dtype=torch.float64), torch.tensor([len(values)])
    )
    assert float(found) == pytest.approx(float(np.median(values)), rel=1e-15)


def test_null_directions_against_theory() -> None:
    """At the threshold is null, above is not; at tolerance 0 exact zeros; beyond L nothing."""
    sigma = torch.tensor([[4.0, 2.0, 1.0, 0.0], [4.0, 2.0, 1.0, 0.5]], dtype=torch.float64)
    rows = torch.tensor([3, 4])
    assert null_directions(sigma**2, rows, tolerance=0.5).tolist() == [1, 1]
    assert null_directions(sigma**2, rows, tolerance=0.49).tolist() == [0, 1]
    assert null_directions(sigma**2, rows + 1, tolerance=0.0)[0] == 1


@given(
    sigma=st.lists(st.sampled_from([0.0, 1e-9, 0.009, 0.02, 0.3, 1.0, 5.0]), min_size=1),
    tolerance=st.sampled_from([0.0, 0.01, 0.5]),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_null_directions_against_reference(sigma: list[float], tolerance: float) -> None:
    """The count equals the oracle's, with zeros and ties, for even and odd L."""
    values = np.sort(np.array(sigma))[::-1].copy()
    slow = len(values) - len(reference.without_null_directions(values, tolerance))
    padded = torch.from_numpy(np.concatenate([values, [0.0, 0.0]]) ** 2)[None]
    rows = torch.tensor([len(values)])
    assert int(null_directions(padded, rows, tolerance=tolerance)) == slow
