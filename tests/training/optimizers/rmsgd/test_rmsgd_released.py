"""`variant="released"` does what the package `rmsgd` 1.0.2 does, step for step."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from digits_problem import batches, closure_of, small_network
from torch import nn

from genpredict.errors import GenpredictError
from genpredict.training.optimizers import RMSGD
from genpredict.training.optimizers.rates import Progress
from genpredict.training.optimizers.rmsgd.released import released_progress

OPTIONS = {"lr": 0.03, "beta": 0.98, "momentum": 0.9, "weight_decay": 5e-4}


def released(network: nn.Module, **options: Any) -> Any:
    """Build the package's optimizer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import rmsgd
    return rmsgd.RMSGD(network.parameters(), **options)


def epoch_step(peer: Any) -> None:
    """Run the package's epoch_step without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer.epoch_step()


def train_both(
    network: nn.Module,
    twin: nn.Module,
    optimizer: RMSGD,
    peer: Any,
    *,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    """Train twins for 20 epochs and compare rates and weights after each."""
    for epoch in range(20):
        for images, labels in batches(epoch, dtype=dtype):
            loss = optimizer.step(closure_of(network, optimizer, images, labels))
            other = peer.step(closure_of(twin, peer, images, labels))
            torch.testing.assert_close(loss, other, rtol=tolerance, atol=tolerance)
        optimizer.epoch_step()
        epoch_step(peer)
        rates = list(optimizer.learning_rates().values())
        np.testing.assert_allclose(rates, peer.lr_vector, rtol=tolerance, err_msg=f"epoch {epoch}")
        for one, other in zip(network.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("linear", [False, True])
def test_twenty_epochs_against_rmsgd(linear: bool) -> None:
    """Losses, rates and weights of a convolutional network to 1e-6, some layers held for long."""
    network, twin = small_network(), small_network()
    optimizer = RMSGD(network.parameters(), variant="released", linear=linear, **OPTIONS)
    peer = released(twin, linear=linear, **OPTIONS)
    train_both(network, twin, optimizer, peer, dtype=torch.float64, tolerance=1e-6)
    rates = set(peer.lr_vector.round(6))
    assert len(rates) == 2 + linear
    assert 0.03 in rates  # a layer that is still held


def test_wide_unfoldings_and_no_momentum_against_rmsgd() -> None:
    """So with a layer of more rows than columns, whose stable rank it divides by the rows."""

    def wide() -> nn.Sequential:
        torch.manual_seed(4)
        return nn.Sequential(
            nn.Conv2d(1, 40, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(40, 12, 3, stride=4),
            nn.Flatten(),
            nn.Linear(48, 10),
        ).double()

    network, twin = wide(), wide()
    with torch.no_grad():  # a signal to begin with
        for one in (network, twin):
            one[0].weight += torch.linspace(-2, 2, 40, dtype=torch.float64)[:, None, None, None]
    options = {"lr": 0.01, "beta": 0.9, "momentum": 0.0, "weight_decay": 0.0}
    optimizer = RMSGD(network.named_parameters(), variant="released", linear=True, **options)
    peer = released(twin, linear=True, **options)
    train_both(network, twin, optimizer, peer, dtype=torch.float64, tolerance=1e-6)


def test_single_precision_against_rmsgd() -> None:
    """In float32 the package's spectra have seven digits, and so has the agreement."""
    network, twin = (small_network(dtype=torch.float32) for _ in range(2))
    optimizer = RMSGD(network.parameters(), variant="released", **OPTIONS)
    peer = released(twin, **OPTIONS)
    train_both(network, twin, optimizer, peer, dtype=torch.float32, tolerance=2e-4)


@pytest.mark.parametrize("seed", range(5))
def test_rule_against_rmsgd(seed: int) -> None:
    """The rule alone: stable ranks come to life in any order, some layers are passed over."""
    rng = np.random.default_rng(seed)
    network = nn.Sequential(*(nn.Conv2d(2, 2, 1, bias=False) for _ in range(12)))
    peer = released(network, lr=0.03, beta=0.9)
    layers = [Progress(0.03)] * 12
    born = rng.integers(1, 6, 12)
    for epoch in range(8):
        found = np.where(born <= epoch, rng.uniform(0, 0.5, 12), 0.0)
        peer.metrics.__class__ = type("Fixed", (), {
            "__call__": lambda self: None, "KG": lambda self, epoch, found=found: found.copy(),
        })  # fmt: skip
        peer.epoch_step()
        layers = released_progress(layers, found, epoch=epoch, lr=0.03, beta=0.9, zeta=1.0)
        np.testing.assert_allclose([layer.rate for layer in layers], peer.velocity, rtol=1e-12)


def test_frozen_parameters_against_rmsgd() -> None:
    """A frozen weight is not measured and takes the rate before it, at the front lr for ever."""
    network, twin = small_network(), small_network()
    for one in (network, twin):
        one[0].weight.requires_grad_(False)
    optimizer = RMSGD(network.parameters(), variant="released", **OPTIONS)
    peer = released(twin, **OPTIONS)
    optimizer.epoch_step()
    epoch_step(peer)
    rates = list(optimizer.learning_rates().values())
    np.testing.assert_allclose(rates, peer.lr_vector, rtol=1e-12)
    assert rates[0] == 0.03
    assert rates[-1] == pytest.approx(1.98 * 0.03)


def test_nesterov_against_torch() -> None:
    """With one rate for all it is torch's SGD, Nesterov included (where the package fails)."""
    network, twin = small_network(), small_network()
    options = {"lr": 0.03, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": True}
    optimizer = RMSGD(network.parameters(), variant="released", **options)
    peer = torch.optim.SGD(twin.parameters(), **options)
    for epoch in range(3):
        for images, labels in batches(epoch):
            optimizer.step(closure_of(network, optimizer, images, labels))
            peer.step(closure_of(twin, peer, images, labels))
    for one, other in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_what_it_has_no_form_of_is_refused() -> None:
    """The power 2, no hold, a second group."""
    network = small_network()
    with pytest.raises(GenpredictError, match=r"^p: must be 1 with variant=\"released\""):
        RMSGD(network.parameters(), variant="released", p=2)
    with pytest.raises(GenpredictError, match=r"^hold: must be True with variant"):
        RMSGD(network.parameters(), variant="released", hold=False)
    groups = [{"params": network[0].parameters()}, {"params": network[3].parameters()}]
    with pytest.raises(GenpredictError, match=r'^variant: "released" takes one parameter group'):
        RMSGD(groups, variant="released")


def test_estimator_is_its_own() -> None:
    """It measures by the reference estimator, and says so."""
    optimizer = RMSGD(small_network().parameters(), variant="released")
    assert optimizer.param_groups[0]["estimator"] == "reference"
