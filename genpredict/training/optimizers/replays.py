"""Evaluating a mini-batch once more, as if nothing had happened."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim import Optimizer

from genpredict.errors import GenpredictError

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
def replayed(start: RandomState) -> Iterator[None]:
    """Draw the same random numbers again within a block, and leave no trace of it.

    Parameters
    ----------
    start : RandomState
        As before the first evaluation: dropout then has the same masks.

    Notes
    -----
    Generators are afterwards as they were: a step draws what one evaluation draws. So are the
    buffers (running statistics of batch norm, counters) of every module that the block calls: the
    first evaluation alone moves them.
    """
    devices = [device for device in start if device.type == "cuda"]
    with torch.random.fork_rng(devices), _buffers_kept():
        for device, state in start.items():
            if device.type == "cuda":
                torch.cuda.set_rng_state(state, device)
            else:
                torch.set_rng_state(state)
        yield


@contextmanager
def _buffers_kept() -> Iterator[None]:
    """Put the buffers of every module that is called within a block back."""
    seen: set[int] = set()
    kept: dict[int, tuple[Tensor, Tensor]] = {}

    def keep(module: nn.Module, inputs: object) -> None:
        if id(module) not in seen:
            seen.update(id(part) for part in module.modules())
            for buffer in module.buffers():
                kept.setdefault(id(buffer), (buffer, buffer.clone()))

    handle = register_module_forward_pre_hook(keep)
    try:
        yield
    finally:
        handle.remove()
        with torch.no_grad():
            for buffer, before in kept.values():
                buffer.copy_(before)


def takes_backward(closure: Callable[..., Tensor]) -> bool:
    """Return whether a closure can evaluate without computing gradients."""
    try:
        return "backward" in inspect.signature(closure).parameters
    except ValueError:  # written in C
        return False


@contextmanager
def gradients_kept(weights: Sequence[Tensor]) -> Iterator[None]:
    """Give a block gradients of its own."""
    gradients = [weight.grad for weight in weights]
    for weight in weights:
        weight.grad = None
    try:
        yield
    finally:
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient


def refuse_scaler(optimizer: Optimizer) -> None:
    """Refuse a step within ``GradScaler.step``, which hands its scale over as an attribute.

    Raises
    ------
    GenpredictError
        With the remedy.
    """
    if hasattr(optimizer, "grad_scale"):
        for name in ("grad_scale", "found_inf"):  # GradScaler does so only after a step
            delattr(optimizer, name)
        raise GenpredictError(
            f"GradScaler: {type(optimizer).__name__} evaluates more than once a step, and would "
            f"take the scaled gradients of its closure for gradients; use autocast in bfloat16 "
            f"without a scaler and call optimizer.step(closure)"
        )
