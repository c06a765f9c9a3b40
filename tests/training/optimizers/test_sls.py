"""The line search: against the paper's conditions, on real networks and on quadratics."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tiny_training import make_closure, tiny_batches, tiny_network
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from genpredict.errors import GenpredictError
from genpredict.training.optimizers import build_optimizer
from genpredict.training.optimizers.sls import SLS, armijo_holds, first_trial


class Quadratic(nn.Module):
    """f(w) = L/2·‖w‖²."""

    def __init__(self, curvature: float) -> None:
        super().__init__()
        self.curvature = curvature
        self.weight = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))

    def forward(self) -> Tensor:
        return self.curvature / 2 * self.weight.square().sum()


def closure_of(network: nn.Module) -> Any:
    """Return the closure of a network that takes no images."""

    def closure(backward: bool = True) -> Tensor:
        loss: Tensor = network()
        if backward:
            network.zero_grad()
            loss.backward()
        return loss

    return closure


@pytest.mark.parametrize("curvature", [0.1, 0.9, 3.0, 50.0, 1e3])
@pytest.mark.parametrize("c", [0.1, 0.5])
@pytest.mark.parametrize("weight_decay", [0.0, 2.0])
def test_first_step_against_theory(curvature: float, c: float, weight_decay: float) -> None:
    """On L/2·‖w‖² Armijo's condition is η ≤ 2(1−c)/(L+λ): the first βᵏ that is so small."""
    network = Quadratic(curvature)
    start = network.weight.detach().clone()
    optimizer = SLS(network.parameters(), lr=1.0, c=c, weight_decay=weight_decay)
    loss = optimizer.step(closure_of(network))
    total = curvature + weight_decay
    rate = next(0.9**k for k in range(100) if 0.9**k <= 2 * (1 - c) / total)
    assert optimizer.learning_rates() == {"0": pytest.approx(rate, rel=1e-12)}
    torch.testing.assert_close(network.weight.detach(), (1 - rate * total) * start)
    assert loss.item() == pytest.approx(curvature / 2 * 5)


@pytest.mark.parametrize(
    ("reset", "expected"), [("keep", 0.5), ("maximum", 10.0), ("grow", 0.5 * 2 ** (1 / 7))]
)
def test_what_a_search_starts_from_against_theory(reset: Any, expected: float) -> None:
    """η, η_max, or η·γ^(b/n) of the paper's reset."""
    options: dict[str, Any] = {"gamma": 2.0, "steps_per_epoch": 7, "max_lr": 10.0}
    assert first_trial(0.5, reset=reset, **options) == pytest.approx(expected, rel=1e-15)


def test_growth_over_an_epoch_against_theory() -> None:
    """On a flat function nothing is refused: the step size doubles in an epoch, up to max_lr."""
    network = Quadratic(1e-9)
    optimizer = SLS(network.parameters(), lr=1.0, steps_per_epoch=5, max_lr=3.0, weight_decay=0.0)
    sizes = []
    for _ in range(11):
        optimizer.step(closure_of(network))
        sizes.append(optimizer.learning_rates()["0"])
    assert sizes[5] == pytest.approx(2.0)
    assert sizes[10] == 3.0
    assert optimizer.param_groups[0]["trials"] == 11


def test_every_step_meets_armijos_condition_and_the_trial_before_does_not() -> None:
    """Evaluated anew from the weights before each step, on a network with batch norm."""
    network = tiny_network(dropout=0.0, layout=torch.contiguous_format).double()
    options: dict[str, Any] = {"lr": 10.0, "reset": "maximum", "weight_decay": 0.0}
    optimizer = SLS(network.named_parameters(), network=network, **options)
    group = optimizer.param_groups[0]
    shrunk = 0
    for images, labels in tiny_batches(12):
        batch = (images.double(), labels)
        before = _weights(network)
        done = group["trials"]
        loss = optimizer.step(make_closure(network, optimizer, batch)).item()
        after = _weights(network)
        gradient = nn.utils.parameters_to_vector([one.grad for one in network.parameters()])
        size, slope = group["step_size"], gradient.square().sum().item()
        torch.testing.assert_close(after, before - size * gradient)
        assert _loss(network, after, batch) <= loss - 0.1 * size * slope
        if group["trials"] - done > 1:
            shrunk += 1
            longer = size / 0.9
            assert _loss(network, before - longer * gradient, batch) > loss - 0.1 * longer * slope
        nn.utils.vector_to_parameters(after, network.parameters())
    assert shrunk > 6


def _weights(network: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(network.parameters()).detach().clone()


def _loss(network: nn.Module, weights: Tensor, batch: tuple[Tensor, Tensor]) -> float:
    """Evaluate a batch at given weights, leaving the weights so."""
    nn.utils.vector_to_parameters(weights, network.parameters())
    with torch.no_grad():
        return cross_entropy(network(batch[0]), batch[1]).item()


def test_trials_have_the_dropout_masks_of_the_gradient() -> None:
    """A step of length nearly 0 gives the loss of the first evaluation again."""
    network = tiny_network(dropout=0.5).double()
    optimizer = SLS(network.named_parameters(), network=network, lr=1e-9, weight_decay=0.0)
    images, labels = tiny_batches(1)[0]
    closure: Any = make_closure(network, optimizer, (images.double(), labels))
    optimizer.step(closure)
    assert len(closure.losses) == 2
    assert closure.losses[0] == pytest.approx(closure.losses[1], abs=1e-6)
    closure()  # with another mask it is another
    assert abs(closure.losses[2] - closure.losses[0]) > 1e-3


def test_a_scheduler_acts_as_a_multiplier() -> None:
    """Halving lr halves a step that is accepted at once, and 0 stands still for the time."""
    network = Quadratic(0.1)
    optimizer = SLS(network.parameters(), lr=1.0, reset="keep", weight_decay=0.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: (1.0, 0.5, 0.0, 1.0)[t])
    rates = []
    for _ in range(3):
        before = network.weight.detach().clone()
        optimizer.step(closure_of(network))
        rates.append(1 - (network.weight.detach() / before)[0].item())
        scheduler.step()
    assert rates == pytest.approx([0.1, 0.05, 0.0])
    assert optimizer.learning_rates() == {"0": 1.0}


def test_a_loss_that_is_not_finite_moves_nothing() -> None:
    """And counts as a failure; the step size stays."""
    network = Quadratic(1.0)
    optimizer = SLS(network.parameters(), weight_decay=0.0)
    optimizer.step(closure_of(network))
    size, weight = optimizer.param_groups[0]["step_size"], network.weight.detach().clone()
    network.curvature = math.nan
    optimizer.step(closure_of(network))
    assert optimizer.param_groups[0]["failures"] == 1
    assert optimizer.param_groups[0]["step_size"] == size
    assert torch.equal(network.weight.detach(), weight)


def test_a_search_that_is_given_up_moves_nothing() -> None:
    """0.9⁵ is too long a step where the curvature is 1000."""
    network = Quadratic(1e3)
    weight = network.weight.detach().clone()
    optimizer = SLS(network.parameters(), max_trials=5)
    optimizer.step(closure_of(network))
    assert optimizer.param_groups[0]["trials"] == 5
    assert optimizer.param_groups[0]["failures"] == 1
    assert torch.equal(network.weight.detach(), weight)


def test_armijo_refuses_what_is_not_a_number() -> None:
    """A trial at which the loss overflows is not accepted."""
    assert not armijo_holds(math.nan, 1.0, rate=0.1, squared_norm=1.0, c=0.1)
    assert not armijo_holds(math.inf, 1.0, rate=0.1, squared_norm=1.0, c=0.1)


def test_several_groups_are_refused() -> None:
    """A search has one step size."""
    groups = [{"params": [one]} for one in tiny_network().parameters()]
    with pytest.raises(GenpredictError, match="params: SLS takes one parameter group"):
        SLS(groups)


def test_a_step_without_a_closure_is_refused() -> None:
    """It has to evaluate."""
    with pytest.raises(GenpredictError, match="closure: SLS evaluates several times a step"):
        SLS(tiny_network().parameters()).step()


def test_a_first_step_above_the_bound_is_refused() -> None:
    """The registry says which optimizer."""
    with pytest.raises(GenpredictError, match=r"sls: lr: must be at most max_lr, 10\.0, not 20\.0"):
        build_optimizer("sls", tiny_network(), lr=20)
