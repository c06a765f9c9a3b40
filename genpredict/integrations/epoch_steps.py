"""What every callback does at the end of an epoch, whatever the framework."""

from __future__ import annotations

from collections.abc import Iterable

from torch.optim import Optimizer

from genpredict.errors import GenpredictError
from genpredict.schema import FACTORIZATIONS, POWERS
from genpredict.spectral import LayerMeasures
from genpredict.training.optimizers.rmsgd import RMSGD

#: In front of the names of what is logged.
PREFIX = "rmsgd"


def call_epoch_step(optimizers: Iterable[Optimizer]) -> dict[str, float]:
    """Call `epoch_step` of every RMSGD among some optimizers, and say what came of it.

    Parameters
    ----------
    optimizers : iterable of Optimizer
        Wrapped ones (accelerate's, ZeroRedundancyOptimizer) too.

    Returns
    -------
    dict of str to float
        ``rmsgd/rate/NAME`` and ``rmsgd/stable_rank/NAME`` of every measured layer, and ``rmsgd/Q``,
        the network quality of all of them (low rank, p = 2).

    Raises
    ------
    GenpredictError
        If there is no RMSGD among them.

    Examples
    --------
    >>> import torch
    >>> network = torch.nn.Linear(6, 4)
    >>> numbers = call_epoch_step([RMSGD(network.named_parameters())])
    >>> sorted(numbers)
    ['rmsgd/Q', 'rmsgd/rate/weight', 'rmsgd/stable_rank/weight']
    """
    numbers: dict[str, float] = {}
    ours = [one for one in map(unwrapped, optimizers) if isinstance(one, RMSGD)]
    if not ours:
        raise GenpredictError(
            "optimizers: none is RMSGD, whose epoch_step this callback calls; leave it out, or "
            "build the optimizer with genpredict.RMSGD"
        )
    for index, optimizer in enumerate(ours):
        prefix = f"{PREFIX}{index}" if len(ours) > 1 else PREFIX
        measures = optimizer.epoch_step()
        numbers |= {f"{prefix}/{name}": value for name, value in _told(optimizer, measures).items()}
    return numbers


def unwrapped(optimizer: Optimizer) -> Optimizer:
    """Return the optimizer within accelerate's, Lightning's and torch's wrappers."""
    while not isinstance(optimizer, RMSGD):
        inner = next(
            (
                one
                for name in ("optimizer", "_optimizer", "optim")
                if isinstance(one := getattr(optimizer, name, None), Optimizer)
            ),
            None,
        )
        if inner is None:
            return optimizer
        optimizer = inner
    return optimizer


def _told(optimizer: RMSGD, measures: LayerMeasures) -> dict[str, float]:
    """Name rates, stable ranks and Q."""
    low_rank = FACTORIZATIONS.index("low_rank")
    power = POWERS.index(optimizer.param_groups[0]["p"])
    stable = measures.stable_rank[:, :, low_rank, power].nanmean(dim=1).tolist()
    rates = optimizer.learning_rates()
    told: dict[str, float] = {}
    for layer, s in zip(optimizer.layers(), stable, strict=True):
        told[f"stable_rank/{layer.name}"] = s
        parameter = layer.name.partition("[")[0]
        if parameter in rates:
            told[f"rate/{parameter}"] = rates[parameter]
    quality = measures.quality[:, :, low_rank, POWERS.index(2)]
    told["Q"] = float((quality**2).nanmean().sqrt())  # Eq. 5
    return told
