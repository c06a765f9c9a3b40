"""A network of one's own, registered at run time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from genpredict.errors import GenpredictError
from genpredict.networks import build_network, list_networks, register_network, registry
from genpredict.training import train


@pytest.fixture(autouse=True)
def _only_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a test registers."""
    monkeypatch.setattr(registry, "_FAMILIES", dict(registry._FAMILIES))


def tiny_cnn(*, num_classes: int, in_channels: int) -> nn.Module:
    """Stand in for somebody's network."""
    return nn.Sequential(
        nn.Conv2d(in_channels, 4, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, num_classes),
    )


BUILD = f"{__name__}:tiny_cnn"


def test_a_registered_network_is_listed_built_and_trained(tmp_path: Path) -> None:
    """By its name, like any other."""
    register_network("tiny_cnn", BUILD, in_channels=1, smallest_side=4)
    register_network("tiny_cnn", BUILD, in_channels=1, smallest_side=4)  # again is no other
    assert "tiny_cnn" in list_networks()
    assert build_network("tiny_cnn", num_classes=3)(torch.zeros(2, 1, 8, 8)).shape == (2, 3)
    run = train(output=tmp_path, network="tiny_cnn", epochs=1, num_train=50)
    assert run.settings.network == "tiny_cnn"
    with pytest.raises(GenpredictError, match="image_side: tiny_cnn needs images of at least 4"):
        build_network("tiny_cnn", image_side=3)


@pytest.mark.parametrize(
    ("name", "build", "message"),
    [
        ("resnet18", BUILD, "name: a network 'resnet18' is there already"),
        ("Tiny", BUILD, "name: 'Tiny' must be of lower-case letters"),
        ("sss:1", BUILD, "name: 'sss:1' must be of lower-case letters"),
        ("tiny", "nowhere", "build: must be 'module:function', got 'nowhere'"),
    ],
)
def test_what_cannot_be_registered_is_told(name: str, build: str, message: str) -> None:
    """A name that is taken or no name, a function that is not named as text."""
    with pytest.raises(GenpredictError, match=message):
        register_network(name, build)


def test_a_function_that_is_not_there_is_told() -> None:
    """When the network is built, not before: registering imports nothing."""
    register_network("tiny", "no_such_package:build")
    with pytest.raises(GenpredictError, match="tiny: no_such_package:build cannot be imported"):
        build_network("tiny")
