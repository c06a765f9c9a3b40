"""The engine on published networks and NATS archives, layer by layer against the oracle."""

from __future__ import annotations

from pathlib import Path

import pytest
import spectral_cases as cases
from comparison import TOLERANCES, Tolerances, assert_evbmf, assert_layers

from genpredict.checkpoints import open_checkpoints
from genpredict.spectral import unfoldings

PATHS = cases.checkpoint_paths()
QUICK = ("resnet20-12fca82f.th", "base_cnn_v9_initial.pth")
needs_checkpoints = pytest.mark.skipif(not PATHS, reason=f"{cases.CHECKPOINTS} is absent")


@needs_checkpoints
@TOLERANCES
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.name, marks=[] if path.name in QUICK else pytest.mark.slow)
        for path in PATHS
    ],
)
def test_checkpoint_against_reference(path: Path, tolerances: Tolerances) -> None:
    """Rank, noise variance, counts and all measures of every layer of a published network."""
    assert_layers(cases.layers_of(path), **tolerances)


@needs_checkpoints
def test_low_rank_singular_values_against_reference() -> None:
    """D of every unfolding of ResNet-20."""
    path = cases.CHECKPOINTS / "akamaster" / "resnet20-12fca82f.th"
    for _, weight in cases.layers_of(path):
        for unfolding in unfoldings(weight.shape):
            assert_evbmf(weight, unfolding)


@pytest.mark.skipif(not cases.ARCHIVES.exists(), reason=f"{cases.ARCHIVES} is absent")
@pytest.mark.parametrize(
    "index",
    [
        pytest.param(index, marks=[] if index == 0 else pytest.mark.slow)
        for index in (0, 11, 71, 136, 537, 1093, 4096, 4176, 4619, 8201)
    ],
)
def test_archive_against_reference(index: int) -> None:
    """Every layer of a network of NATS-Bench's size space, at both tolerances."""
    (checkpoint,) = open_checkpoints(cases.ARCHIVES, indices=[index])
    layers = [
        (name, weight.double().numpy())
        for name, weight in checkpoint.tensors().items()
        if weight.ndim >= 2
    ]
    assert len(layers) >= 23
    assert_layers(layers)
    assert_layers(layers, dead_tolerance=0.0, null_tolerance=0.0)
