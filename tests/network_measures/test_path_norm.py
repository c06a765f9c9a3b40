"""The path norm of networks."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from genpredict.network_measures.path_norm import log_path_norm
from genpredict.network_measures.scaled_tensor import log_sum, scaled
from genpredict.networks import build_network

CELL = "tss:|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|"


def randomized(network: nn.Module) -> nn.Module:
    """Give every parameter and every running statistic values of its own."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        for name, buffer in network.named_buffers():
            if "running" in name:
                buffer.copy_(torch.rand_like(buffer) + (0.5 if "var" in name else -0.5))
    return network


def test_linear_layers_against_reference() -> None:
    """Without biases it is the sum over paths, each the product of its squared weights."""
    network = randomized(
        nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2, bias=False))
    )
    first, second = (p.detach().double().numpy() for p in network.parameters())
    paths = itertools.product(range(3), range(4), range(2))
    expected = sum((first[h, i] * second[o, h]) ** 2 for i, h, o in paths)
    assert log_path_norm(network, (3,)) == pytest.approx(math.log(expected), rel=1e-12)


def test_folded_biases_against_reference() -> None:
    """A bias before a batch norm is folded into it, then squared: (b·s + t)², not b²·s² + t²."""
    network = randomized(nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU()))
    conv, norm, _ = network.double()
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    shift = norm.bias + (conv.bias - norm.running_mean) * scale
    weight = conv.weight * scale.view(-1, 1, 1, 1)
    total = (weight.square().sum((1, 2, 3)) + shift.square()).sum()
    expected = float(total.detach().log())
    assert log_path_norm(network, (2, 3, 3)) == pytest.approx(expected, rel=1e-12)


def by_loop(network: nn.Module, shape: tuple[int, ...]) -> float:
    """Square a network whose convolutions have no bias before a norm, in plain arithmetic."""
    squared = network.double().eval()
    with torch.no_grad():
        for module in squared.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                scale = module.weight / (module.running_var + module.eps).sqrt()
                module.bias.copy_(module.bias - module.running_mean * scale)
                module.weight.copy_(scale)
                module.running_mean.zero_()
                module.running_var.fill_(1 - module.eps)
        for parameter in squared.parameters():
            parameter.square_()
        return math.log(float(squared(torch.ones(1, *shape, dtype=torch.float64)).sum()))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("digits_cnn", (1, 8, 8)),
        ("resnet20", (3, 32, 32)),
        ("sss:8:16:8:16:8", (3, 16, 16)),
        (CELL, (3, 8, 8)),
        ("shufflenetv2", (3, 32, 32)),
    ],
)
def test_networks_by_name_against_plain_forward(name: str, shape: tuple[int, ...]) -> None:
    """Five networks equal the plain forward pass of their squared parameters."""
    torch.manual_seed(0)
    network = randomized(build_network(name))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    result = log_path_norm(network, shape)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert result == pytest.approx(by_loop(network, shape), rel=1e-9)


@pytest.mark.parametrize("factor", [1e-20, 1e20])
def test_deep_networks_against_theory(factor: float) -> None:
    """Weights times c: ln path norm of 60 layers shifts by 120 ln c, far beyond float64."""
    torch.manual_seed(2)
    layers = [nn.Linear(5, 5, bias=False).double() for _ in range(60)]
    network = nn.Sequential(*layers)
    before = log_path_norm(network, (5,))
    with torch.no_grad():
        for layer in layers:
            layer.weight *= factor
    assert log_path_norm(network, (5,)) == pytest.approx(before + 120 * math.log(factor), rel=1e-10)


def test_residual_sums_of_unlike_scale_against_theory() -> None:
    """A branch that is e^2000 times its shortcut drowns it; one that small adds nothing."""
    large = scaled(torch.full((3,), 2.0, dtype=torch.float64), log_scale=2000.0)
    one = torch.ones(3, dtype=torch.float64)
    for total in (large + one, one + large, torch.cat([large, scaled(one)]), large - one):
        assert log_sum(total) == pytest.approx(2000 + math.log(6), rel=1e-14)


@pytest.mark.parametrize("function", [torch.sigmoid, torch.tanh, nn.functional.silu])
def test_other_functions_see_true_values(function: object) -> None:
    """What is not homogeneous is applied to the values themselves."""
    values = torch.linspace(0.1, 2, 5, dtype=torch.float64)
    apart: Tensor = function(scaled(values / 8, log_scale=math.log(8)))  # type: ignore[operator]
    expected = float(function(values).sum().log())  # type: ignore[operator]
    assert log_sum(apart) == pytest.approx(expected, rel=1e-14)


def test_no_path_against_theory() -> None:
    """Weights of zero leave no path: −∞."""
    network = nn.Linear(3, 2, bias=False)
    nn.init.zeros_(network.weight)
    assert log_path_norm(network, (3,)) == -math.inf
