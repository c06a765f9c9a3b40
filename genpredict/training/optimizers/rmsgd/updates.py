"""How RMSGD moves parameters: two forms of momentum, each one tensor at a time and in lists.

Every function changes parameters and velocities in place and leaves gradients as they are.
Velocities start from 0. Rates are Python floats, so that nothing waits for the device.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genpredict.errors import GenpredictError


class Batch(NamedTuple):
    """Tensors that move together, one entry each.

    Parameters
    ----------
    parameters, gradients : list of Tensor
    velocities : list of Tensor
        Empty where momentum is 0.
    rates : list of float
        Learning rates.
    """

    parameters: list[Tensor]
    gradients: list[Tensor]
    velocities: list[Tensor]
    rates: list[float]

    def alike(self) -> list[Batch]:
        """Split into batches of one device and dtype, on which list operations are fast."""
        places: dict[object, list[int]] = defaultdict(list)
        for index, parameter in enumerate(self.parameters):
            places[parameter.device, parameter.dtype].append(index)
        return [self._part(some) for some in places.values()]

    def _part(self, indices: list[int]) -> Batch:
        return Batch(
            [self.parameters[index] for index in indices],
            [self.gradients[index] for index in indices],
            [self.velocities[index] for index in indices] if self.velocities else [],
            [self.rates[index] for index in indices],
        )


def gather(group: dict[str, Any], state: MutableMapping[Tensor, dict[str, Any]]) -> Batch:
    """Gather the parameters of a group that have gradients; give new ones a velocity.

    A parameter that was frozen with a gradient left over from before stays where it is.

    Parameters
    ----------
    group : dict
        One of RMSGD's `param_groups`.
    state : mapping
        Its `state`, which takes up new velocities.

    Returns
    -------
    Batch

    Raises
    ------
    GenpredictError
        If a gradient is sparse.
    """
    batch = Batch([], [], [], [])
    for parameter in group["params"]:
        if parameter.grad is None or not parameter.requires_grad:
            continue
        if parameter.grad.is_sparse:
            raise GenpredictError(
                "params: sparse gradients are not supported; build the embedding with sparse=False"
            )
        own = state[parameter]
        batch.parameters.append(parameter)
        batch.gradients.append(parameter.grad)
        batch.rates.append(effective_rate(group, own))
        if group["momentum"]:
            if "momentum_buffer" not in own:
                own["momentum_buffer"] = torch.zeros_like(parameter)
            batch.velocities.append(own["momentum_buffer"])
    return batch


def effective_rate(group: Mapping[str, Any], state: Mapping[str, Any]) -> float:
    """Return η times what a scheduler has made of the group's lr, relative to the first lr."""
    rate: float = state.get("rate", group["start_lr"])
    factor: float = float(group["lr"]) / group["start_lr"]
    return rate * factor


def update(
    batch: Batch,
    *,
    momentum: float,
    weight_decay: float,
    nesterov: bool,
    released: bool,
    foreach: bool | None,
) -> None:
    """Move parameters by one step.

    With g the gradient plus weight_decay·w, α the momentum and η the rate, the paper's form
    (Algorithm 1) is v ← αv − ηg, w ← w + v: the velocity holds the rate, so that a new rate acts
    on new gradients alone. Nesterov looks ahead: w ← w + αv − ηg with the new v. The released
    form is torch's: v ← αv + g, w ← w − ηv; Nesterov: w ← w − η(g + αv).

    Parameters
    ----------
    batch : Batch
    momentum, weight_decay : float
    nesterov, released : bool
    foreach : bool, optional
        In lists, or one tensor after the other; on the CPU both give the same bits in float32
        and float64. By default in lists where the first parameter is not on the CPU.
    """
    if foreach is None:
        foreach = batch.parameters[0].device.type != "cpu"
    if foreach:
        form = _released_lists if released else _paper_lists
        for some in batch.alike():
            gradients = some.gradients
            if weight_decay:
                added = torch._foreach_add(gradients, some.parameters, alpha=weight_decay)
                gradients = list(added)
            form(some._replace(gradients=gradients), momentum, nesterov)
        return
    single = _released_tensor if released else _paper_tensor
    velocities: Sequence[Tensor | None] = batch.velocities or [None] * len(batch.parameters)
    for w, g, v, rate in zip(*batch[:2], velocities, batch.rates, strict=True):
        single(w, g.add(w, alpha=weight_decay) if weight_decay else g, v, rate, momentum, nesterov)


def _paper_tensor(
    w: Tensor, g: Tensor, v: Tensor | None, rate: float, momentum: float, nesterov: bool
) -> None:
    step = g * -rate
    if v is None:
        w.add_(step)
        return
    v.mul_(momentum).add_(step)
    if nesterov:
        w.add_(v, alpha=momentum).add_(step)
    else:
        w.add_(v)


def _paper_lists(batch: Batch, momentum: float, nesterov: bool) -> None:
    w, g, v, rates = batch
    steps = torch._foreach_mul(g, [-rate for rate in rates])
    if not v:
        torch._foreach_add_(w, steps)
        return
    torch._foreach_mul_(v, momentum)
    torch._foreach_add_(v, steps)
    if nesterov:
        torch._foreach_add_(w, v, alpha=momentum)
        torch._foreach_add_(w, steps)
    else:
        torch._foreach_add_(w, v)


def _released_tensor(
    w: Tensor, g: Tensor, v: Tensor | None, rate: float, momentum: float, nesterov: bool
) -> None:
    direction = g
    if v is not None:
        v.mul_(momentum).add_(g)
        direction = g.add(v, alpha=momentum) if nesterov else v
    w.add_(direction * -rate)


def _released_lists(batch: Batch, momentum: float, nesterov: bool) -> None:
    w, g, v, rates = batch
    directions = g
    if v:
        torch._foreach_mul_(v, momentum)
        torch._foreach_add_(v, g)
        directions = list(torch._foreach_add(g, v, alpha=momentum)) if nesterov else v
    torch._foreach_add_(w, torch._foreach_mul(directions, [-rate for rate in rates]))
