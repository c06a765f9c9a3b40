"""Inputs with labels, walked in bounded batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

#: Inputs a forward pass, and a backward pass.
BATCH = 250


@dataclass(frozen=True)
class LabelledInputs:
    """What a network takes, and the class of each input.

    Attributes
    ----------
    inputs : Tensor, shape (N, ...)
        Normalized as in training.
    labels : Tensor, shape (N,), int64
    """

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size: int = BATCH) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and labels, at most `size` at a time, in order."""
        yield from zip(torch.split(self.inputs, size), torch.split(self.labels, size), strict=True)


def mean_loss(network: nn.Module, examples: LabelledInputs) -> Tensor:
    """Return the mean cross entropy (nat) over all inputs, shape (), without gradients."""
    total = examples.inputs.new_zeros((), dtype=torch.float64)
    with torch.no_grad():
        for inputs, labels in examples.batches():
            loss = nn.functional.cross_entropy(network(inputs), labels, reduction="sum")
            total += loss.double()
    return total / len(examples)


def mean_gradient(
    network: nn.Module, parameters: list[Tensor], examples: LabelledInputs
) -> tuple[Tensor, list[Tensor]]:
    """Return the mean cross entropy (nat), shape (), and its gradient by every parameter."""
    total = examples.inputs.new_zeros((), dtype=torch.float64)
    gradient = [torch.zeros_like(parameter) for parameter in parameters]
    for inputs, labels in examples.batches():
        loss = nn.functional.cross_entropy(network(inputs), labels, reduction="sum")
        loss = loss / len(examples)
        for sum_, part in zip(gradient, torch.autograd.grad(loss, parameters), strict=True):
            sum_ += part
        total += loss.detach().double()
    return total, gradient
