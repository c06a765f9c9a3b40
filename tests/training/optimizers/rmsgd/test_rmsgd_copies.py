"""RMSGD's state through every door that state goes through: loaded twice, copied, distributed."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
from digits_problem import batches, closure_of, small_network
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from genpredict.errors import GenpredictError
from genpredict.training.optimizers import RMSGD

Door = Callable[[nn.Module, RMSGD], tuple[nn.Module, RMSGD]]


def train(network: nn.Module, optimizer: RMSGD, epochs: range) -> None:
    for epoch in epochs:
        for images, labels in batches(epoch, samples=128, dtype=torch.float32):
            optimizer.step(closure_of(network, optimizer, images, labels))
        optimizer.epoch_step()


def fresh(**options: Any) -> tuple[nn.Module, RMSGD]:
    network = small_network(seed=3, dtype=torch.float32)
    network[3].bias.requires_grad_(False)
    return network, RMSGD(network.named_parameters(), **options)


def loaded_twice(network: nn.Module, optimizer: RMSGD) -> tuple[nn.Module, RMSGD]:
    other, loaded = fresh(lr=0.5)
    other.load_state_dict(network.state_dict())
    for _ in range(2):
        loaded.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    return other, loaded


def deep_copied(network: nn.Module, optimizer: RMSGD) -> tuple[nn.Module, RMSGD]:
    other, copied = copy.deepcopy((network, optimizer))
    copied.load_state_dict(copied.state_dict())
    return other, copied


def pickled(network: nn.Module, optimizer: RMSGD) -> tuple[nn.Module, RMSGD]:
    other, unpickled = pickle.loads(pickle.dumps((network, optimizer)))
    unpickled.load_state_dict(unpickled.state_dict())
    return other, unpickled


def saved_whole(network: nn.Module, optimizer: RMSGD) -> tuple[nn.Module, RMSGD]:
    file = io.BytesIO()
    torch.save((network, optimizer), file)
    file.seek(0)
    read: tuple[nn.Module, RMSGD] = torch.load(file, weights_only=False)
    return read


DOORS: list[Door] = [loaded_twice, deep_copied, pickled, saved_whole]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("options", [{}, {"start": "measured"}], ids=str)
def test_goes_on_bit_for_bit(door: Door, options: dict[str, Any]) -> None:
    """Loaded twice, copied, pickled: two more epochs end with the same bits."""
    network, optimizer = fresh(**options)
    train(network, optimizer, range(2))
    other, resumed = door(network, optimizer)
    train(network, optimizer, range(2, 4))
    train(other, resumed, range(2, 4))
    for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert resumed.learning_rates() == optimizer.learning_rates()


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")  # one process is meant
@pytest.mark.parametrize("options", [{}, {"network": True}, {"momentum": 0.0}], ids=str)
def test_distributed_checkpoints_go_on_bit_for_bit(tmp_path: Path, options: dict[str, Any]) -> None:
    """get_state_dict, save, load, set_state_dict, a frozen parameter among the others."""

    def build() -> tuple[nn.Module, RMSGD]:
        network, _ = fresh()
        chosen = {**options, "network": network} if options.get("network") else options
        return network, RMSGD(network.parameters(), **chosen)

    network, optimizer = build()
    train(network, optimizer, range(2))
    weights, state = get_state_dict(network, optimizer)
    dcp.save({"weights": weights, "state": state}, checkpoint_id=tmp_path, no_dist=True)
    other, resumed = build()
    weights, state = get_state_dict(other, resumed)
    dcp.load({"weights": weights, "state": state}, checkpoint_id=tmp_path, no_dist=True)
    set_state_dict(other, resumed, model_state_dict=weights, optim_state_dict=state)
    assert resumed.learning_rates() == optimizer.learning_rates()
    train(network, optimizer, range(2, 4))
    train(other, resumed, range(2, 4))
    for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert resumed.learning_rates() == optimizer.learning_rates()


def test_named_state_is_matched_by_name() -> None:
    """Two weights of one shape, given the other way round: each keeps its own momentum."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    named = list(network.named_parameters())
    optimizer = RMSGD(named)
    network(torch.randn(8, 4)).square().sum().backward()
    optimizer.step()
    turned = RMSGD([(f"module.{name}", one) for name, one in reversed(named)])
    turned.load_state_dict(optimizer.state_dict())
    for _, one in named:
        mine, theirs = (o.state[one]["momentum_buffer"] for o in (optimizer, turned))
        assert torch.equal(mine, theirs)


def test_named_state_of_other_names_is_refused() -> None:
    """Torch would match by place; the message names a parameter and the ways out."""
    network = small_network()
    state = RMSGD(network.named_parameters()).state_dict()
    renamed = RMSGD([(f"trunk.{name}", one) for name, one in network.named_parameters()])
    with pytest.raises(GenpredictError, match=r"^state_dict: .* 0\.weight is only in the state; "):
        renamed.load_state_dict(state)
    RMSGD(network.parameters()).load_state_dict(state)


def test_a_state_of_an_older_version_is_taken() -> None:
    """What groups lacked then is filled up with what was the case."""
    network = small_network()
    state = RMSGD(network.named_parameters()).state_dict()
    for group in state["param_groups"]:
        for name in ("start", "steps", "longest_epoch"):
            del group[name]
    optimizer = RMSGD(network.named_parameters())
    optimizer.load_state_dict(state)
    optimizer.epoch_step()
    assert optimizer.param_groups[0]["start"] == "zero"
