"""The size space: parameter counts and names of NATS-Bench, and its trained weights at work."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cifar10_accuracy import accuracy_on_cifar10

from genpredict.checkpoints import open_checkpoints
from genpredict.networks import build_network

COUNTS = {
    "8:8:8:8:8": 11_714,
    "8:8:8:16:32": 49_202,
    "8:8:40:32:40": 144_834,
    "8:16:24:32:40": 115_490,
}
#: Of CIFAR-10's channels, as in NATS-Bench's training.
MEAN = (125.3 / 255, 123.0 / 255, 113.9 / 255)
STD = (63.0 / 255, 62.1 / 255, 66.7 / 255)


@pytest.mark.parametrize(("widths", "count"), COUNTS.items())
def test_number_of_parameters(widths: str, count: int) -> None:
    """Networks of the size space have NATS-Bench's numbers of parameters."""
    network = build_network(f"sss:{widths}")
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_state_dicts_of_archives_fit(shared: Path) -> None:
    """Every network of the mini archives loads, name by name."""
    for checkpoint in open_checkpoints(shared / "data/nats-sss-mini"):
        network = build_network(f"sss:{checkpoint.metadata['network']}")
        network.load_state_dict(dict(checkpoint.tensors()), strict=True)


def test_initial_weights_are_those_of_torch() -> None:
    """NATS-Bench initializes nothing itself: uniform within ±1/√fan_in, the classifier, too."""
    torch.manual_seed(0)
    for key, weight in build_network("sss:64:64:64:64:64").named_parameters():
        if weight.ndim > 1:
            bound = weight[0].numel() ** -0.5
            assert 0.95 * bound < weight.abs().max().item() <= bound, key


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 11])
def test_trained_weights_reach_their_accuracy(shared: Path, index: int) -> None:
    """Networks with an archive's weights classify CIFAR-10 as well as the archive says.

    Widths of 8:8:8:8:8 are equal, so that skip connections do nothing; those of 8:8:8:16:32
    differ, which takes the projection of the last cell.
    """
    archive = shared / f"data/nats-sss-mini/{index:06d}.pickle.pbz2"
    checkpoint = next(iter(open_checkpoints(archive)))
    network = build_network(f"sss:{checkpoint.metadata['network']}")
    network.load_state_dict(dict(checkpoint.tensors()))
    found = accuracy_on_cifar10(network, shared, mean=MEAN, std=STD)
    assert found == pytest.approx(checkpoint.metadata["test_accuracy"], abs=0.015)
