"""A small network with batch norm and dropout, and the closure that training gives optimizers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

Closure = Callable[..., Tensor]


def tiny_network(
    *, dropout: float = 0.3, seed: int = 0, layout: torch.memory_format = torch.channels_last
) -> nn.Module:
    """Build a network for 6 × 6 images of two channels, laid out as in training."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(2, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Conv2d(6, 4, 3),
        nn.Flatten(),
        nn.Linear(16, 3),
    )
    return network.to(memory_format=layout)


def tiny_batches(count: int, *, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Draw mini-batches of 16 images and labels."""
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randn(16, 2, 6, 6, generator=generator),
            torch.randint(0, 3, (16,), generator=generator),
        )
        for _ in range(count)
    ]


def make_closure(network: nn.Module, optimizer: Optimizer, batch: tuple[Tensor, Tensor]) -> Closure:
    """Return the closure of the step protocol; its attribute `losses` lists every evaluation."""
    images, labels = batch
    losses: list[float] = []

    def closure(backward: bool = True) -> Tensor:
        if backward:
            optimizer.zero_grad()
        with torch.set_grad_enabled(backward):
            loss = cross_entropy(network(images), labels)
        if backward:
            loss.backward()
        losses.append(loss.item())
        return loss

    closure.losses = losses  # type: ignore[attr-defined]
    return closure


def train_steps(
    network: nn.Module, optimizer: Optimizer, batches: list[tuple[Tensor, Tensor]]
) -> None:
    """Take one step a batch, and an `epoch_step` after every fourth where there is one."""
    for index, batch in enumerate(batches, start=1):
        optimizer.step(make_closure(network, optimizer, batch))
        if index % 4 == 0 and hasattr(optimizer, "epoch_step"):
            optimizer.epoch_step()
