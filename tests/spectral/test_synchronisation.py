"""The batched kernels never make a GPU wait for the host."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import spectral_cases as cases
import torch
from synchronisation import NoHostReads, NoSynchronisation, refused
from torch import Tensor

from genpredict.spectral import (
    condition_number,
    dead_channels,
    effective_rank,
    frobenius_norm,
    null_directions,
    quality,
    solve_evbmf,
    sorting,
    spectral_norm,
    stable_rank,
    unfold,
)
from genpredict.spectral.spectrum import gram, gram_eigenvalues, unresolved
from genpredict.spectral.unfold import sides_left, without

VECTOR = torch.tensor([1.0, 2.0, 3.0, 4.0])
MASK = VECTOR > 2


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(lambda: VECTOR.sum().item(), id="item"),
        pytest.param(lambda: float(VECTOR[0]), id="float"),
        pytest.param(lambda: bool(MASK.any()), id="bool"),
        pytest.param(lambda: int(VECTOR.argmax()), id="int"),
        pytest.param(lambda: VECTOR.tolist(), id="tolist"),
        pytest.param(lambda: VECTOR.numpy(), id="numpy"),
        pytest.param(lambda: VECTOR[MASK], id="boolean index"),
        pytest.param(lambda: VECTOR.clone().__setitem__(MASK, 0.0), id="boolean assignment"),
        pytest.param(lambda: VECTOR.masked_select(MASK), id="masked_select"),
        pytest.param(lambda: VECTOR.nonzero(), id="nonzero"),
        pytest.param(lambda: torch.where(MASK), id="where with one argument"),
        pytest.param(lambda: torch.unique(VECTOR), id="unique"),
        pytest.param(lambda: torch.equal(VECTOR, VECTOR), id="equal"),
        pytest.param(lambda: torch.allclose(VECTOR, VECTOR), id="allclose"),
        pytest.param(lambda: VECTOR.repeat_interleave(MASK.long()), id="repeat_interleave"),
        pytest.param(lambda: VECTOR.to("meta"), id="copy to another device"),
    ],
)
def test_mode_refuses_against_theory(action: Callable[[], object]) -> None:
    """The mode catches each operation that would wait; without it they all pass."""
    action()
    assert refused(action) is not None


def test_mode_lets_pass_against_theory() -> None:
    """Arithmetic, sorting, gathering, masked_fill and casts on one device wait for nothing."""

    def action() -> Tensor:
        order = VECTOR.sort(descending=True).values.gather(-1, torch.tensor([0, 1]))
        return (
            torch.where(MASK[:2], order.double(), 0.0).masked_fill(~MASK[:2], 1.0)[None]
            @ order.double()
        )

    assert refused(action) is None


@pytest.fixture(scope="module")
def spectra() -> tuple[Tensor, Tensor, Tensor]:
    """Eigenvalues, rows and columns of matrices of all families and mixed sides."""
    rng = np.random.default_rng(0)
    eigenvalues = torch.zeros(21, 16, dtype=torch.float64)
    rows = torch.from_numpy(rng.integers(0, 17, 21))
    columns = rows * 3
    for i, L in enumerate(rows.tolist()):
        if L:
            matrix = cases.matrix_of(cases.FAMILIES[i % 7], L, 3 * L, i)
            sigma = np.linalg.svd(matrix, compute_uv=False)
            eigenvalues[i, :L] = torch.from_numpy(sigma**2)
    return eigenvalues, rows, columns


def test_evbmf_against_theory(spectra: tuple[Tensor, Tensor, Tensor]) -> None:
    """The solver runs without synchronisation on all intervals, and its answer is the same."""
    eigenvalues, rows, columns = spectra
    with NoHostReads(), NoSynchronisation():
        null = null_directions(eigenvalues, rows, tolerance=0.01)
        found = solve_evbmf(eigenvalues, rows - null, columns, compact=False)
    expected = solve_evbmf(eigenvalues, rows - null, columns, compact=True)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0)


def test_compact_solver_is_refused_against_theory(spectra: tuple[Tensor, Tensor, Tensor]) -> None:
    """The CPU's way, which asks how many intervals hold a minimum, is what the mode is for."""
    assert refused(lambda: solve_evbmf(*spectra, compact=True)) is not None


def test_unfolding_and_setting_aside_against_theory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unfolding, Gram matrices, dead channels and the sides left wait for nothing."""
    monkeypatch.setattr(sorting, "_is_on_cpu", lambda values: False)
    weights = torch.from_numpy(np.stack([cases.weight_of((8, 6, 3, 3), i) for i in range(5)]))
    with NoHostReads(), NoSynchronisation():
        dead = dead_channels(weights, tolerance=0.03, batch_dims=1)
        left = without(weights, *dead)
        for unfolding in ("in_channel", "out_channel"):
            sides_left((8, 6, 3, 3), unfolding, *dead)
            eigenvalues = gram_eigenvalues(gram(unfold(left, unfolding, batch_dims=1)))
            unresolved(eigenvalues)


def test_measures_against_theory(spectra: tuple[Tensor, Tensor, Tensor]) -> None:
    """So do the layer measures, of raw and of low-rank spectra."""
    eigenvalues, rows, _ = spectra
    sigma = eigenvalues.sqrt()
    with NoHostReads(), NoSynchronisation():
        for rank in (None, rows):
            condition_number(sigma, rank=rank)
            for p in (1, 2):
                stable_rank(sigma, p=p)
                quality(sigma, p=p, rank=rank)
        for measure in (effective_rank, spectral_norm, frobenius_norm):
            measure(sigma)
