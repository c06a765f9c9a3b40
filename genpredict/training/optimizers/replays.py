"""Evaluating a mini-batch once more, as if nothing had happened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

RandomState = dict[torch.device, Tensor]
_CPU = torch.device("cpu")


def random_state(parameters: Iterable[Tensor]) -> RandomState:
    """Return the states of the generators that dropout draws from.

    Parameters
    ----------
    parameters : iterable of Tensor
        Of the network: their devices count, and the CPU.
    """
    states = {_CPU: torch.get_rng_state()}
    for device in {parameter.device for parameter in parameters}:
        if device.type == "cuda":
            states[device] = torch.cuda.get_rng_state(device)
    return states


@contextmanager
def replayed(start: RandomState, network: nn.Module | None) -> Iterator[None]:
    """Draw the same random numbers again within a block, and leave no trace of it.

    Parameters
    ----------
    start : RandomState
        As before the first evaluation: dropout then has the same masks.
    network : nn.Module, optional
        Its buffers (running statistics of batch norm, counters) are afterwards as they were
        before the block, so that the first evaluation alone moves them.

    Notes
    -----
    Generators, too, are afterwards as they were: a step draws what one evaluation draws.
    """
    buffers = [] if network is None else list(network.buffers())
    kept = [buffer.clone() for buffer in buffers]
    devices = [device for device in start if device.type == "cuda"]
    try:
        with torch.random.fork_rng(devices):
            for device, state in start.items():
                if device.type == "cuda":
                    torch.cuda.set_rng_state(state, device)
                else:
                    torch.set_rng_state(state)
            yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, kept, strict=True):
                buffer.copy_(value)
