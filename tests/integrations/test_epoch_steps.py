"""What every callback does, and that it finds RMSGD behind wrappers; frameworks are not needed."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

import genpredict
from genpredict.errors import GenpredictError
from genpredict.integrations import call_epoch_step
from genpredict.networks import build_network
from genpredict.training.optimizers import RMSGD


def stepped() -> RMSGD:
    torch.manual_seed(0)
    network = build_network("digits_cnn")
    optimizer = RMSGD(network.named_parameters(), lr=0.1)
    for seed in range(4):
        optimizer.zero_grad()
        generator = torch.Generator().manual_seed(seed)
        images = torch.randn(16, 1, 8, 8, generator=generator)
        nn.functional.cross_entropy(network(images), torch.arange(16) % 10).backward()
        optimizer.step()
    return optimizer


class Wrapped(torch.optim.Optimizer):
    """Hides an optimizer as accelerate, Lightning and ZeroRedundancyOptimizer do."""

    def __init__(self, name: str, optimizer: torch.optim.Optimizer) -> None:
        super().__init__([nn.Parameter(torch.ones(1))], {})
        setattr(self, name, optimizer)


@pytest.mark.parametrize("name", ["optimizer", "_optimizer", "optim"])
def test_numbers_are_the_optimizers_own(name: str) -> None:
    """Rates, stable ranks, and the Q that `score` finds in the network with linear layers."""
    optimizer, twin = stepped(), stepped()
    numbers = call_epoch_step([Wrapped(name, optimizer)])
    twin.epoch_step()
    rates = twin.learning_rates()
    for layer in twin.layers():
        assert numbers[f"rmsgd/rate/{layer.name}"] == rates[layer.name]
    weights = {layer.name: layer.weight for layer in optimizer.layers()}
    scores = genpredict.score({"network": weights})
    expected = genpredict.aggregate(scores, kinds=("conv", "linear"))
    q = float(expected.sel(factorization="low_rank", p=2).squeeze())
    assert numbers["rmsgd/Q"] == pytest.approx(q)
    assert optimizer.param_groups[0]["epoch"] == 1


def test_without_rmsgd_it_is_told() -> None:
    """Instead of doing nothing for a whole training."""
    other = torch.optim.SGD([nn.Parameter(torch.ones(2, 2))], lr=0.1)
    with pytest.raises(GenpredictError, match=r"^optimizers: none is RMSGD, .* genpredict\.RMSGD"):
        call_epoch_step([other])


def test_frameworks_are_loaded_at_their_first_use() -> None:
    """And a missing one is named with what to install."""
    code = (
        "import sys, genpredict.integrations as i\n"
        "sys.modules['transformers'] = None\n"
        "sys.modules['lightning'] = sys.modules['pytorch_lightning'] = None\n"
        "for name in ('TrainerEpochStep', 'LightningEpochStep'):\n"
        "    try: getattr(i, name)\n"
        "    except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "GenpredictError TrainerEpochStep: needs transformers; pip install transformers",
        "GenpredictError LightningEpochStep: needs lightning; pip install lightning",
    ]
