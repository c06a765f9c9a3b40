"""Sharpness: how much the loss rises when every weight moves by a share of itself.

References
----------
.. [1] M. Andriushchenko, F. Croce, M. Müller, M. Hein, N. Flammarion, "A modern look at the
   relationship between sharpness and generalization", ICML 2023.
.. [2] F. Croce, M. Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse
   parameter-free attacks", ICML 2020 (Auto-PGD).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from genpredict.network_measures.labelled_batches import (
    LabelledInputs,
    mean_gradient,
    mean_loss,
)

#: Standard deviation of the random perturbation, and how many are drawn.
AVERAGE_RADIUS, DRAWS = 0.1, 10
#: Largest perturbation of the ascent, both as shares of |w|, and its steps.
WORST_RADIUS, STEPS = 0.002, 20
#: The ascent's momentum ([2]_, Section 3).
MOMENTUM = 0.75


def average_sharpness(
    network: nn.Module,
    examples: LabelledInputs,
    *,
    radius: float = AVERAGE_RADIUS,
    draws: int = DRAWS,
    seed: int = 0,
) -> float:
    """Return the mean over δ ~ N(0, ρ²·diag(w²)) of L(w + δ) − L(w), in nat ([1]_, Eq. 3).

    Parameters
    ----------
    network : nn.Module
        In evaluation mode; its weights are put back.
    examples : LabelledInputs
    radius : float
        ρ.
    draws : int
        Number of perturbations.
    seed : int
        Of the draws, which are made on the CPU and so the same on every device.

    Returns
    -------
    float
    """
    generator = torch.Generator().manual_seed(seed)
    rises = []
    with _restored(network) as (parameters, weights):
        before = mean_loss(network, examples)
        for _ in range(draws):
            noise = [torch.randn(w.shape, generator=generator).to(w) for w in weights]
            _move(
                parameters,
                weights,
                [radius * w.abs() * n for w, n in zip(weights, noise, strict=True)],
            )
            rises.append(mean_loss(network, examples) - before)
    return float(torch.stack(rises).mean())


def worst_sharpness(
    network: nn.Module,
    examples: LabelledInputs,
    *,
    radius: float = WORST_RADIUS,
    steps: int = STEPS,
) -> float:
    """Return the largest L(w + δ) − L(w) met with |δ_i| ≤ ρ|w_i|, in nat ([1]_, Eq. 4).

    Ascent by the sign of the gradient, relative to |w|, from δ = 0, with momentum; the first step
    is 2ρ, halved each time the best loss has not risen, when the ascent goes on from the best δ.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode; its weights are put back.
    examples : LabelledInputs
    radius : float
        ρ.
    steps : int
        Gradients taken.

    Returns
    -------
    float
        At least 0.
    """
    with _restored(network) as (parameters, weights):
        reach = [radius * w.abs() for w in weights]
        here = [torch.zeros_like(w) for w in weights]  # δ/(ρ|w|), in [−1, 1]
        best, before_last, step = here, here, 2.0
        with torch.enable_grad():
            start, gradient = mean_gradient(network, parameters, examples)
        highest = start
        for _ in range(steps):
            ahead = [_bounded(x + step * g.sign()) for x, g in zip(here, gradient, strict=True)]
            there = [
                _bounded(x + MOMENTUM * (a - x) + (1 - MOMENTUM) * (x - b))
                for x, a, b in zip(here, ahead, before_last, strict=True)
            ]
            _move(parameters, weights, [r * x for r, x in zip(reach, there, strict=True)])
            with torch.enable_grad():
                loss, gradient = mean_gradient(network, parameters, examples)
            before_last, here = here, there
            if loss > highest:
                highest, best = loss, there
            else:
                step, here = step / 2, best
        return float(highest - start)


def _bounded(offset: Tensor) -> Tensor:
    return offset.clamp(-1.0, 1.0)


@contextmanager
def _restored(network: nn.Module) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Lend a network's parameters and their values, which are put back at the end."""
    parameters: list[Tensor] = [p for p in network.parameters() if p.requires_grad]
    weights = [parameter.detach().clone() for parameter in parameters]
    try:
        yield parameters, weights
    finally:
        _move(parameters, weights, [torch.zeros_like(w) for w in weights])


def _move(
    parameters: Sequence[Tensor], weights: Sequence[Tensor], offsets: Sequence[Tensor]
) -> None:
    """Set every parameter to its weight plus an offset."""
    with torch.no_grad():
        for parameter, weight, offset in zip(parameters, weights, offsets, strict=True):
            parameter.copy_(weight + offset)
