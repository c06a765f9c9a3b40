"""Where layers stand before the first epoch: s(0) = 0, or what the weights given have."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from torch import Tensor

from genpredict.schema import POWERS
from genpredict.spectral import measure_weights
from genpredict.training.optimizers.rates import layer_stable_rank
from genpredict.training.optimizers.rmsgd.epoch import read_stable_ranks
from genpredict.training.optimizers.rmsgd.members import Members
from genpredict.training.optimizers.rmsgd.parameters import Group

MEASURED = "measured"


def has_newcomers(
    groups: Sequence[Group],
    state: Mapping[Tensor, Mapping[str, Any]],
    *,
    only_moving: bool,
) -> bool:
    """Return whether a parameter that is not frozen has no rate yet.

    With `only_moving` those without a gradient, which no step would move, do not count.
    """
    return any(
        parameter.requires_grad
        and not (only_moving and parameter.grad is None)
        and "rate" not in state.get(parameter, ())
        for group in groups
        for parameter in group["params"]
    )


def begin(
    groups: Sequence[Group],
    state: MutableMapping[Tensor, dict[str, Any]],
    stable_ranks: Mapping[int, float],
) -> None:
    """Give every parameter that is new and not frozen its η(0) and s(0).

    Parameters
    ----------
    groups : sequence of dict
        RMSGD's `param_groups`.
    state : mapping
        Its `state`.
    stable_ranks : mapping of int to float
        As `start_ranks` returns them; empty where no group needs them.
    """
    for group in groups:
        for parameter in group["params"]:
            if parameter.requires_grad and "rate" not in state.get(parameter, ()):
                s = stable_ranks.get(id(parameter), 0.0) if group["start"] == MEASURED else 0.0
                state[parameter].update(rate=group["start_lr"], stable_rank=s, has_signal=s > 0)


def start_ranks(groups: Sequence[Group], found: Members) -> dict[int, float]:
    """Measure the stable rank by which each parameter goes, by the id of the parameter."""
    options = groups[0]
    measures = measure_weights(
        [layer.weight for layer in found.layers],
        estimator=options["estimator"],
        dtype=options["dtype"],
    )
    stable_ranks = read_stable_ranks(measures, found.layers)
    parts = found.measured.parts()
    known = {}
    for member, source in zip(found.members, found.measured.sources, strict=True):
        if source is not None and member.group is not None:
            power = POWERS.index(member.group["p"])
            known[id(member.parameter)] = layer_stable_rank(
                [[of[power] for of in stable_ranks[part]] for part in parts[source]]
            )
    return known
