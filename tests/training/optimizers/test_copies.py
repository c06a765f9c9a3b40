"""Every optimizer of the registry goes on after deepcopy and pickle as if it were the original."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny_training import make_closure, tiny_batches, tiny_network, train_steps
from torch import nn

from genpredict.errors import GenpredictError
from genpredict.training.optimizers import OPTIMIZERS, build_optimizer
from genpredict.training.optimizers.sharpness import SAM
from genpredict.training.optimizers.sls import SLS

COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda pair: pickle.loads(pickle.dumps(pair)),
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_copies_go_on_bit_for_bit(name: str, how: str) -> None:
    """Network and optimizer copied together, then the state dict of one loaded into the other."""
    network = tiny_network(dropout=0.0)
    optimizer = build_optimizer(name, network)
    train_steps(network, optimizer, tiny_batches(4))
    other, copied = COPIES[how]((network, optimizer))
    copied.load_state_dict(copied.state_dict())
    later = tiny_batches(4, seed=1)
    for one, its in ((network, optimizer), (other, copied)):
        train_steps(one, its, later)
    for key, value in network.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key
    assert copied.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize("kind", [SAM, SLS])
def test_statistics_move_once_without_a_network(kind: type[torch.optim.Optimizer]) -> None:
    """Further evaluations of a step leave running statistics alone, whoever holds the modules."""
    network, alone = tiny_network(dropout=0.0), tiny_network(dropout=0.0)
    batch = tiny_batches(1)[0]
    optimizer = kind(network.parameters())
    closure: Any = make_closure(network, optimizer, batch)
    optimizer.step(closure)
    alone(batch[0])
    assert len(closure.losses) > 1
    for mine, other in zip(network.buffers(), alone.buffers(), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("kind", [SAM, SLS])
def test_a_grad_scaler_with_a_closure_is_refused(kind: type[torch.optim.Optimizer]) -> None:
    """Its closure's gradients are scaled; weights stay, and steps without it go on."""
    network = tiny_network()
    optimizer = kind(network.parameters())
    batch = tiny_batches(1)[0]
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    closure = make_closure(network, optimizer, batch)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    scaler.scale(closure()).detach()
    with pytest.raises(GenpredictError, match=r"^GradScaler: S.* scaled gradients .* bfloat16"):
        scaler.step(optimizer, closure)
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    optimizer.step(closure)
    torch.amp.GradScaler("cpu", enabled=False).step(optimizer, closure)


def test_a_plain_closure_serves_the_line_search() -> None:
    """Without the parameter `backward` it takes the same steps, and gradients are the first's."""
    networks = [tiny_network(dropout=0.0) for _ in range(2)]
    for network, is_plain in zip(networks, (True, False), strict=True):
        optimizer = SLS(network.parameters(), lr=10.0)
        for batch in tiny_batches(3):
            closure = make_closure(network, optimizer, batch)
            loss = optimizer.step((lambda c=closure: c()) if is_plain else closure)
            assert isinstance(loss, torch.Tensor)
        assert optimizer.param_groups[0]["trials"] > 3
    for mine, other in zip(*(n.parameters() for n in networks), strict=True):
        assert torch.equal(mine, other)
        assert torch.equal(mine.grad, other.grad)


def test_a_closure_that_is_an_object_serves_the_line_search() -> None:
    """As frameworks make them, taking anything and computing gradients whatever they are told."""
    network = nn.Linear(3, 1)
    optimizer = SLS(network.parameters())

    class Frameworks:
        def __call__(self, *args: object, **kwargs: object) -> torch.Tensor:
            optimizer.zero_grad()
            loss = network(torch.ones(4, 3)).square().mean()
            loss.backward()
            return loss

    losses = [float(optimizer.step(Frameworks()).detach()) for _ in range(3)]
    assert losses == sorted(losses, reverse=True)
