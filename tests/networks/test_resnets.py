"""The CIFAR ResNets: published weights fit and reach their accuracy."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cifar10_accuracy import accuracy_on_cifar10
from torch.nn import functional

from genpredict.checkpoints import Checkpoint, open_checkpoints
from genpredict.networks import build_network
from genpredict.networks.resnet import PaddedBlock, ZeroPadding

#: Of ImageNet's channels, with which the published networks were trained.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
FILES = {
    "resnet20": "resnet20-12fca82f.th",
    "resnet32": "resnet32-d509ac18.th",
    "resnet56": "resnet56-4bfd9763.th",
}


def published(shared: Path, name: str) -> Checkpoint:
    """Open the published weights of a network."""
    return next(iter(open_checkpoints(shared / "data/checkpoints/akamaster" / FILES[name])))


@pytest.mark.parametrize("name", FILES)
def test_published_weights_fit(shared: Path, name: str) -> None:
    """Names and shapes are those of the files; the files are older than num_batches_tracked."""
    tensors = dict(published(shared, name).tensors())
    own = build_network(name).state_dict()
    assert {key for key in own if "num_batches" not in key} == set(tensors)
    assert all(own[key].shape == tensor.shape for key, tensor in tensors.items())
    assert [key for key in own if own[key].ndim > 1] == [
        key for key in tensors if tensors[key].ndim > 1
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "accuracy"), [("resnet20", 91.73)])
def test_published_weights_reach_their_accuracy(shared: Path, name: str, accuracy: float) -> None:
    """The published ResNet-20 classifies CIFAR-10 as well as its authors say."""
    network = build_network(name)
    missing, unexpected = network.load_state_dict(
        dict(published(shared, name).tensors()), strict=False
    )
    assert all("num_batches_tracked" in key for key in missing)
    assert not unexpected
    found = accuracy_on_cifar10(network, shared, mean=MEAN, std=STD)
    assert found == pytest.approx(accuracy, abs=0.02)


@pytest.mark.parametrize("side", [8, 7])
def test_padded_shortcut_against_average_pooling(side: int) -> None:
    """Option A is a 1×1 average pooling of stride 2 between zero channels."""
    features = torch.randn(2, 4, side, side)
    found = ZeroPadding(6, stride=2)(features)
    assert torch.equal(found[:, 3:7], functional.avg_pool2d(features, 1, stride=2, ceil_mode=True))
    assert not found[:, :3].any()
    assert not found[:, 7:].any()
    assert PaddedBlock(4, 10, 2)(features).shape == found.shape
