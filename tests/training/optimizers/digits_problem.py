"""A small real problem for optimizers: scikit-learn's digits and small networks, deterministic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import torch
from torch import Tensor, nn


@cache
def digits(samples: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Images, shape (N, 1, 8, 8), in [0, 1], and labels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images = torch.from_numpy(found.images[:samples]).to(dtype).unsqueeze(1) / 16
    return images, torch.from_numpy(found.target[:samples]).long()


def small_network(*, seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    """Two convolutions, the second with a bias, batch norm after the first, a linear head."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(48, 10),
    ).to(dtype)


def batches(
    epoch: int, *, samples: int = 256, size: int = 64, dtype: torch.dtype = torch.float64
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the mini-batches of an epoch, in an order that the epoch alone decides."""
    images, labels = digits(samples, dtype)
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(epoch))
    for some in order.split(size):
        yield images[some], labels[some]


def closure_of(
    network: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor
) -> Callable[[], float]:
    """Return the closure of one mini-batch."""

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        return loss

    return closure  # type: ignore[return-value]  # torch's annotation says float, and means this
