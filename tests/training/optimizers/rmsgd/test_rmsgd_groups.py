"""Whose rate a parameter takes when weights and the others come in groups of their own."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import nn

from genpredict.errors import GenpredictError
from genpredict.networks import build_network
from genpredict.training.optimizers import RMSGD
from genpredict.training.optimizers.rmsgd.order import depth_order


def decay_groups(network: nn.Module, *, named: bool) -> list[dict[str, Any]]:
    """Weights first, biases and norms second, without weight decay: as timm and others do it."""
    parts: list[list[Any]] = [[], []]
    for name, parameter in network.named_parameters():
        parts[parameter.ndim < 2].append((name, parameter) if named else parameter)
    return [{"params": parts[0]}, {"params": parts[1], "weight_decay": 0.0}]


def give_signals(network: nn.Module) -> None:
    """Give every weight a stable rank of its own."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for index, weight in enumerate(p for p in network.parameters() if p.ndim > 1):
            left = torch.randn(len(weight), 1 + index % 3, generator=generator)
            right = torch.randn(1 + index % 3, weight[0].numel(), generator=generator)
            noise = torch.randn(weight.shape, generator=generator)
            weight.copy_(0.02 * noise + (left @ right).view_as(weight))


def encoder() -> nn.Module:
    return nn.TransformerEncoder(
        nn.TransformerEncoderLayer(16, 2, dim_feedforward=24, norm_first=True, batch_first=True),
        num_layers=2,
        enable_nested_tensor=False,
    )


def rates(optimizer: RMSGD) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"RMSGD: .*start=\"measured\"")
        optimizer.epoch_step()
    return optimizer.learning_rates()


NETWORKS = {
    "resnet20": lambda: build_network("resnet20"),
    "sequential": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Sequential(nn.Conv2d(8, 6, 3, bias=False)),
        nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(6, 4),
    ),
    "encoder": encoder,
    "lstm": lambda: nn.Sequential(nn.LSTM(8, 6, num_layers=2), nn.LayerNorm(6), nn.Linear(6, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("how", ["named", "network", "named and network"])
def test_groups_by_weight_decay_against_one_group(name: str, how: str) -> None:
    """Every parameter has the rate that it has in one group, without a warning."""
    torch.manual_seed(0)
    network = NETWORKS[name]()
    give_signals(network)
    expected = rates(RMSGD(network.named_parameters()))
    groups = decay_groups(network, named="named" in how)
    found = rates(RMSGD(groups, network=network if "network" in how else None))
    assert len(set(expected.values())) > 2, "every weight has a stable rank of its own"
    assert found == expected


def test_groups_without_names_warn_and_network_mends_it() -> None:
    """Shapes alone do not tell whose bias a vector is."""
    network = NETWORKS["sequential"]()
    give_signals(network)
    optimizer = RMSGD(decay_groups(network, named=False), start="measured")
    with pytest.warns(UserWarning, match=r"RMSGD: whose learning rate group1\.param0\[8\] and 5 "):
        optimizer.epoch_step()


def test_groups_that_are_parts_of_the_network_do_not_warn() -> None:
    """Backbone and head, each with its biases, each in order."""
    network = NETWORKS["sequential"]()
    expected = rates(RMSGD(network.named_parameters()))
    groups = [{"params": network[:4].parameters()}, {"params": network[5].parameters()}]
    assert list(rates(RMSGD(groups)).values()) == list(expected.values())


def test_names_that_tell_nothing_warn() -> None:
    """A norm that may lie before or after a weight takes another's rate in either case."""
    names = [["alpha.weight", "beta.weight"], ["norm.weight"]]
    groups = [
        {"params": [(name, nn.Parameter(torch.randn((6, 5) if "norm" not in name else 6)))
                    for name in part]}
        for part in names
    ]  # fmt: skip
    with pytest.warns(UserWarning, match=r"learning rate norm\.weight should take is a guess"):
        RMSGD(groups).epoch_step()


def test_a_network_without_the_parameters_is_refused() -> None:
    """By name."""
    with pytest.raises(GenpredictError, match=r"^network: has no parameter weight; give"):
        RMSGD(nn.Linear(3, 2).named_parameters(), network=nn.Linear(3, 2))


def test_order_against_named_parameters() -> None:
    """Torn apart by whether a name is a weight's, the order of depth comes back."""
    for build in NETWORKS.values():
        parameters = dict(build().named_parameters())
        parts = [
            [n for n, p in parameters.items() if (p.ndim < 2) is flag] for flag in (False, True)
        ]
        joined = depth_order(parts)
        modules = list(dict.fromkeys(name.rpartition(".")[0] for name in joined))
        assert modules == list(dict.fromkeys(name.rpartition(".")[0] for name in parameters))


def test_a_group_of_another_lr_scales_against_hand() -> None:
    """Half the lr of the weight's group is half its rate."""
    network = nn.Sequential(nn.Linear(20, 16))
    give_signals(network)
    (weight, bias) = network.named_parameters()
    found = rates(RMSGD([{"params": [weight]}, {"params": [bias], "lr": 0.015}], lr=0.03))
    assert found["0.bias"] == pytest.approx(found["0.weight"] / 2)
