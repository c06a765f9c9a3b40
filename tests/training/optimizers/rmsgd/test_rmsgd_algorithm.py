"""RMSGD follows Algorithm 1 as an independent program computes it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from algorithm1 import Algorithm1, Options
from digits_problem import batches, closure_of, small_network
from torch import nn

from genpredict.training.optimizers import RMSGD

#: Of every parameter of `small_network`, whose rate it takes.
OWNERS = {
    "0.weight": "0.weight",
    "1.weight": "0.weight",
    "1.bias": "0.weight",
    "3.weight": "3.weight",
    "3.bias": "3.weight",
    "7.weight": "7.weight",
    "7.bias": "7.weight",
}
CONV = {"lr": 0.03, "momentum": 0.9, "weight_decay": 5e-4}
HEAD = {"lr": 0.05, "beta": 0.9, "zeta": 0.5, "momentum": 0.8, "nesterov": True, "p": 2}
BIAS = {"lr": 0.06, "weight_decay": 0.0, "momentum": 0.0}


def group_of(name: str) -> dict[str, Any]:
    """Return the hyperparameters of a parameter: three groups, biases of convolutions apart."""
    if name.startswith("7"):
        return HEAD
    return BIAS if name == "3.bias" else CONV


def rmsgd(network: nn.Module) -> RMSGD:
    """Build the optimizer with its three groups."""
    groups: list[dict[str, Any]] = []
    for options in (CONV, BIAS, HEAD):
        named = [(n, p) for n, p in network.named_parameters() if group_of(n) is options]
        groups.append({"params": named, **options})
    return RMSGD(groups)


def oracle(network: nn.Module) -> Algorithm1:
    """Build the oracle from the weights of a network."""
    weights = {n: p.detach().numpy().copy() for n, p in network.named_parameters()}
    return Algorithm1(weights, OWNERS, {name: Options(**group_of(name)) for name in weights})


def oracle_epoch(one: Algorithm1, network: nn.Module, epoch: int) -> None:
    """Train the oracle for an epoch; the network serves to compute gradients at its weights."""
    parameters = dict(network.named_parameters())
    for images, labels in batches(epoch):
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(torch.from_numpy(one.weights[name]))
        network.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        one.step({name: p.grad.numpy().copy() for name, p in parameters.items()})
    one.epoch_step()


def saved_and_loaded(network: nn.Module, optimizer: RMSGD) -> tuple[nn.Module, RMSGD]:
    """Write network and optimizer to a file, read them into new ones."""
    file = io.BytesIO()
    torch.save({"network": network.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    read = torch.load(file, weights_only=True)
    other = small_network(seed=99)
    other.load_state_dict(read["network"])
    fresh = rmsgd(other)
    fresh.load_state_dict(read["optimizer"])
    return other, fresh


def test_thirty_epochs_against_algorithm1() -> None:
    """Rates and weights of three groups, through save and load at a random epoch."""
    network, mirror = small_network(), small_network()
    optimizer, one = rmsgd(network), oracle(network)
    interruption = int(np.random.default_rng(7).integers(5, 25))
    for epoch in range(30):
        if epoch == interruption:
            network, optimizer = saved_and_loaded(network, optimizer)
        for images, labels in batches(epoch):
            optimizer.step(closure_of(network, optimizer, images, labels))
        optimizer.epoch_step()
        oracle_epoch(one, mirror, epoch)
        rates = optimizer.learning_rates()
        assert rates == pytest.approx(one.rates, rel=1e-7, abs=1e-12), f"epoch {epoch}"
        for name, parameter in network.named_parameters():
            expected = torch.from_numpy(one.weights[name])
            torch.testing.assert_close(parameter.detach(), expected, rtol=1e-6, atol=1e-9)
    assert one.signals == {"0.weight": False, "3.weight": True, "7.weight": True}  # one is held
    assert len({round(rate, 6) for rate in one.rates.values()}) == 4  # the others have moved


@pytest.mark.parametrize("hold", [True, False])
def test_signals_that_come_and_go_against_algorithm1(hold: bool) -> None:
    """A lost signal sends a rate to the floor at 0, from which the next one lifts it again."""
    rng = np.random.default_rng(0)
    weight = nn.Parameter(torch.zeros(12, 8, 3, 3, dtype=torch.float64))
    options = {"lr": 0.03, "beta": 0.5, "zeta": 0.7, "hold": hold}
    optimizer = RMSGD([("weight", weight)], **options)
    start = {"weight": weight.detach().numpy().copy()}
    one = Algorithm1(start, {"weight": "weight"}, {"weight": Options(**options)})
    rates = []
    for rank in (0, 0, 4, 0, 0, 2):  # 0: noise alone
        signal = rng.normal(size=(12, rank)) @ rng.normal(size=(rank, 72))
        one.weights["weight"] = (3 * signal + rng.normal(size=(12, 72))).reshape(12, 8, 3, 3)
        weight.data.copy_(torch.from_numpy(one.weights["weight"]))
        optimizer.epoch_step()
        one.epoch_step()
        rates.append(optimizer.learning_rates()["weight"])
        assert rates[-1] == pytest.approx(one.rates["weight"], rel=1e-9)
    assert rates[:2] == ([0.03, 0.03] if hold else [0.015, 0.0075])
    assert rates[2] > 0.05
    assert rates[3:5] == [0, 0]
    assert rates[5] > 0


def test_recurrent_gates_against_algorithm1() -> None:
    """The rate of an LSTM's weight follows the mean stable rank of its four gates."""
    torch.manual_seed(1)
    network = nn.LSTM(8, 6, batch_first=True).double()
    pattern = torch.randn(4, 6, 1, dtype=torch.float64) @ torch.randn(1, 8, dtype=torch.float64)
    with torch.no_grad():
        network.weight_ih_l0.copy_(network.weight_ih_l0 + pattern.flatten(0, 1))
    optimizer = RMSGD(network.named_parameters(), lr=0.02)
    names = [name for name, _ in network.named_parameters()]
    owners = {name: name.replace("bias", "weight") for name in names}
    weights = {name: p.detach().numpy().copy() for name, p in network.named_parameters()}
    one = Algorithm1(
        weights,
        owners,
        dict.fromkeys(names, Options(lr=0.02)),
        parts={name: 4 for name in names if "weight" in name},
    )
    optimizer.epoch_step()
    one.epoch_step()
    assert one.rates["weight_ih_l0"] != 0.02
    assert optimizer.learning_rates() == pytest.approx(one.rates, rel=1e-9)
