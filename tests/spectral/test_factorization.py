"""What evbmf refuses at the door."""

from __future__ import annotations

import pytest
import torch

from genpredict.spectral import evbmf, singular_values


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    """Also where so many are infinite that everything beside them looks dead."""
    with pytest.raises(ValueError, match="weights must be finite"):
        evbmf(torch.full((3, 4), value))


def test_weights_that_are_no_real_numbers_are_refused() -> None:
    """Complex and integer weights have no spectrum here."""
    with pytest.raises(ValueError, match="real floating point"):
        evbmf(torch.ones(3, 4, dtype=torch.complex64))
    with pytest.raises(ValueError, match="float64 or float32"):
        singular_values(torch.ones(3, 4, dtype=torch.complex64))


@pytest.mark.parametrize("tolerance", [-0.1, 1.0, 5.0, torch.nan])
def test_tolerances_outside_the_unit_interval_are_refused(tolerance: float) -> None:
    """A tolerance of 1 or more would set everything aside."""
    with pytest.raises(ValueError, match="dead_tolerance must lie in"):
        evbmf(torch.randn(3, 4), dead_tolerance=tolerance)


def test_numpy_arrays_are_taken() -> None:
    """The same numbers as of the tensor; what is neither is refused by name."""
    weights = torch.randn(8, 6, 3, 3, generator=torch.Generator().manual_seed(0)).double()
    for a, b in zip(evbmf(weights.numpy()), evbmf(weights), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(TypeError, match=r"weights must be a torch Tensor or a numpy array .* list"):
        evbmf([[1.0, 2.0]])  # type: ignore[arg-type]
