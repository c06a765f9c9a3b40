"""SAM: its two evaluations, against its equations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_training import make_closure, tiny_batches, tiny_network
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from genpredict.errors import GenpredictError
from genpredict.training.optimizers.sharpness import SAM


@pytest.mark.parametrize("adaptive", [False, True])
def test_steps_against_equations(adaptive: bool) -> None:
    """ε = ρ·g/‖g‖, or ρ·w²g/‖|w|g‖; v ← αv + g(w+ε) + λw; w ← w − ηv; written out on one vector."""
    lr, alpha, decay, rho = 0.05, 0.9, 5e-3, 0.1
    network = tiny_network(dropout=0.0, layout=torch.contiguous_format).double()
    options: dict[str, Any] = {"lr": lr, "momentum": alpha, "weight_decay": decay, "rho": rho}
    optimizer = SAM(network.parameters(), network=network, adaptive=adaptive, **options)
    oracle = tiny_network(dropout=0.0, layout=torch.contiguous_format).double()
    v: Tensor | float = 0.0
    for images, labels in tiny_batches(5):
        batch = (images.double(), labels)
        w = nn.utils.parameters_to_vector(oracle.parameters()).detach().clone()
        g = _gradient(oracle, w, batch)
        scaled = w.abs() * g if adaptive else g
        epsilon = rho * (w.abs() * scaled if adaptive else g) / scaled.norm()
        v = alpha * v + _gradient(oracle, w + epsilon, batch) + decay * w
        nn.utils.vector_to_parameters(w - lr * v, oracle.parameters())
        optimizer.step(make_closure(network, optimizer, batch))
    for mine, expected in zip(network.parameters(), oracle.parameters(), strict=True):
        # pytorch-optimizer takes the norm in float32
        torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-7)


def _gradient(network: nn.Module, weights: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the gradient of a batch at given weights."""
    nn.utils.vector_to_parameters(weights, network.parameters())
    loss = cross_entropy(network(batch[0]), batch[1])
    return nn.utils.parameters_to_vector(torch.autograd.grad(loss, list(network.parameters())))


def test_both_evaluations_have_the_same_dropout_masks() -> None:
    """With a radius of nearly 0 they give the same loss; a third one does not."""
    network = tiny_network(dropout=0.5)
    optimizer = SAM(network.parameters(), network=network, rho=1e-8, lr=1e-9)
    closure: Any = make_closure(network, optimizer, tiny_batches(1)[0])
    optimizer.step(closure)
    closure()
    first, second, third = closure.losses
    assert first == pytest.approx(second, abs=1e-5)
    assert abs(third - first) > 1e-3


def test_the_second_evaluation_is_uphill() -> None:
    """At w + ε the loss is higher than at w."""
    network = tiny_network()
    optimizer = SAM(network.parameters(), network=network)
    for batch in tiny_batches(5):
        closure: Any = make_closure(network, optimizer, batch)
        optimizer.step(closure)
        assert closure.losses[1] > closure.losses[0]


def test_a_closure_that_fails_uphill_leaves_the_weights() -> None:
    """They are where they were before the step, and the next step starts from there."""
    network = tiny_network()
    optimizer = SAM(network.parameters(), network=network)
    batch = tiny_batches(1)[0]
    optimizer.step(make_closure(network, optimizer, batch))
    before = {key: value.clone() for key, value in network.named_parameters()}
    closure: Any = make_closure(network, optimizer, batch)

    def failing(backward: bool = True) -> Tensor:
        if closure.losses:
            raise KeyboardInterrupt
        loss: Tensor = closure(backward)
        return loss

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(failing)
    for key, value in network.named_parameters():
        assert torch.equal(value, before[key]), key
    assert not any("old_p" in state for state in optimizer.state.values())


def test_no_copy_of_the_weights_is_left_in_the_state() -> None:
    """State is SGD's momentum and nothing else."""
    network = tiny_network()
    optimizer = SAM(network.parameters(), network=network)
    optimizer.step(make_closure(network, optimizer, tiny_batches(1)[0]))
    assert {key for state in optimizer.state.values() for key in state} == {"momentum_buffer"}


def test_schedulers_reach_the_descent() -> None:
    """Groups of SAM and of the SGD below are the same, also after loading a state."""
    network = tiny_network()
    optimizer = SAM(network.parameters(), network=network, lr=0.2)
    optimizer.load_state_dict(optimizer.state_dict())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    optimizer.step(make_closure(network, optimizer, tiny_batches(1)[0]))
    scheduler.step()
    assert optimizer.base_optimizer.param_groups[0]["lr"] == 0.1


def test_a_step_without_a_closure_is_refused() -> None:
    """It has to evaluate."""
    with pytest.raises(GenpredictError, match="closure: SAM evaluates twice a step"):
        SAM(tiny_network().parameters()).step()
