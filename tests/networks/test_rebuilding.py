"""Networks built anew from the weights of a checkpoint."""

from __future__ import annotations

import pytest
import torch

from genpredict.errors import GenpredictError
from genpredict.networks import build_network
from genpredict.networks.rebuilding import rebuild_network

CELL = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"


@pytest.mark.parametrize(
    ("name", "built"),
    [("digits_cnn", "digits_cnn"), ("resnet20", "resnet20"), ("8:16:8:16:8", "sss:8:16:8:16:8"),
     (CELL, f"tss:{CELL}")],
)  # fmt: skip
def test_outputs_against_the_network(name: str, built: str) -> None:
    """The same outputs, from tensors in any order, for other channels and classes than usual."""
    torch.manual_seed(0)
    network = build_network(built, num_classes=7, in_channels=2)
    network(torch.randn(4, 2, 8, 8))  # statistics of its own
    tensors = dict(sorted(network.state_dict().items()))
    without = {key: value for key, value in tensors.items() if "num_batches" not in key}
    images = torch.randn(3, 2, 8, 8)
    expected = network.eval()(images)
    for state in (tensors, without):
        assert torch.equal(rebuild_network(name, state)(images), expected)


def test_other_weights_are_refused() -> None:
    """Unknown names and weights of another network are named."""
    state = build_network("digits_cnn").state_dict()
    with pytest.raises(GenpredictError, match="no network is called 'lenet'"):
        rebuild_network("lenet", state)
    with pytest.raises(GenpredictError, match="'resnet20': the weights are of another network"):
        rebuild_network("resnet20", state)
    state["head.weight"] = torch.ones(4, 9)
    with pytest.raises(GenpredictError, match=r"'head\.weight' is missing"):
        rebuild_network("digits_cnn", state)
