"""estimator="reference": the released code's answers, against it and against the oracle."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import spectral_cases as cases
import torch
from comparison import assert_evbmf, assert_layers
from hypothesis import given, settings
from hypothesis import strategies as st

from genpredict.spectral import evbmf, unfold, unfoldings

PATHS = cases.checkpoint_paths()
QUICK = ("resnet20-12fca82f.th", "base_cnn_v9_initial.pth")
needs_checkpoints = pytest.mark.skipif(not PATHS, reason=f"{cases.CHECKPOINTS} is absent")
checkpoints = pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.name, marks=[] if path.name in QUICK else pytest.mark.slow)
        for path in PATHS
    ],
)


@pytest.fixture(scope="module")
def released() -> ModuleType:
    """The released factorization of PyPI's rmsgd 1.0.2."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(
            "rmsgd.matrix_factorization", reason="rmsgd (extra `peers`) is not installed"
        )


@needs_checkpoints
@checkpoints
def test_checkpoints_against_rmsgd(path: Path, released: ModuleType) -> None:
    """Rank and low-rank singular values of every layer equal rmsgd's EVBMF in float64."""
    for name, weight in cases.layers_of(path):
        for unfolding in unfoldings(weight.shape):
            matrix = unfold(torch.from_numpy(weight), unfolding)
            _, theirs, _ = released.EVBMF(matrix)
            ours = evbmf(torch.from_numpy(weight), unfolding, estimator="reference")
            rank = int(ours.rank)
            assert rank == len(theirs), (name, unfolding)
            torch.testing.assert_close(
                ours.singular_values[:rank], theirs.diagonal(), rtol=1e-7, atol=1e-9
            )
            assert not ours.singular_values[rank:].any()


@needs_checkpoints
@checkpoints
def test_checkpoints_against_reference(path: Path) -> None:
    """Everything of every layer equals the oracle's, nothing set aside."""
    entries = assert_layers(cases.layers_of(path), estimator="reference", rel=1e-6)
    assert not any(entry.dead_output_channels for entry in entries)
    assert not any(entry.low_rank.null_directions for entry in entries)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    L=st.integers(2, 32),
    power=st.floats(0, 6),
    family=st.sampled_from(["random", "low_rank", "heavy_tailed"]),
    seed=st.integers(0, 2**20),
)
def test_matrices_against_reference(L: int, power: float, family: str, seed: int) -> None:
    """The same path of scipy's Brent on random matrices of ordinary families."""
    matrix = cases.matrix_of(family, L, round(L * 2**power), seed)
    assert_evbmf(matrix, "out_channel", estimator="reference", rel=1e-6)


def test_dead_channels_are_not_set_aside_against_reference() -> None:
    """A dead channel stays in, as in the released code."""
    weight = cases.weight_of((16, 8, 3, 3), 0)
    weight[3] *= 1e-6
    assert_layers([("w", weight), ("zero", np.zeros((4, 3, 3, 3)))], estimator="reference")


def test_scale_changes_the_answer_against_theory() -> None:
    """The absolute tolerance of 1e-5 is there: small weights get another relative variance."""
    matrix = torch.from_numpy(cases.matrix_of("low_rank", 24, 96, 1))
    one, small = (evbmf(c * matrix, estimator="reference") for c in (1.0, 1e-4))
    exact = [evbmf(c * matrix) for c in (1.0, 1e-4)]
    assert float(small.noise_variance) != pytest.approx(1e-8 * float(one.noise_variance), rel=1e-3)
    assert float(exact[1].noise_variance) == pytest.approx(1e-8 * float(exact[0].noise_variance))
