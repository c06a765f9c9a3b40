"""What RMSGD does once an epoch: from its groups to layers, from their measures to rates."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor

from genpredict.errors import GenpredictError
from genpredict.layers.selection import Layer
from genpredict.schema import FACTORIZATIONS, POWERS
from genpredict.spectral import LayerMeasures
from genpredict.training.optimizers.rates import Progress, layer_stable_rank, next_progress
from genpredict.training.optimizers.rmsgd.layers import (
    Measured,
    named_layers,
    released_layers,
    unnamed_layers,
)
from genpredict.training.optimizers.rmsgd.parameters import Group, parameter_names
from genpredict.training.optimizers.rmsgd.released import released_progress, released_stable_rank

#: Of each layer and unfolding (as `schema.UNFOLDINGS`) the stable ranks of each power (`POWERS`).
StableRanks = list[list[list[float]]]
State = Mapping[Tensor, Mapping[str, Any]]
MutableState = Mapping[Tensor, MutableMapping[str, Any]]


def find_layers(groups: Sequence[Group]) -> Measured:
    """Find the layers among the parameters of all groups, by the rules of their variant.

    Parameters
    ----------
    groups : sequence of dict
        RMSGD's `param_groups`.

    Returns
    -------
    Measured
    """
    names = parameter_names(groups)
    parameters = [one for group in groups for one in group["params"]]
    linear = groups[0]["linear"]
    if groups[0]["variant"] == "released":
        return released_layers(names, parameters, linear=linear)
    if "param_names" in groups[0]:
        return named_layers(dict(zip(names, parameters, strict=True)), linear=linear)
    return unnamed_layers(names, parameters, linear=linear)


def read_stable_ranks(measures: LayerMeasures, layers: Sequence[Layer]) -> StableRanks:
    """Read the low-rank stable ranks in one transfer from the device.

    Parameters
    ----------
    measures : LayerMeasures
        Of the layers, in their order.
    layers : sequence of Layer

    Returns
    -------
    list
        Of each layer and unfolding the stable ranks of each power; NaN where an unfolding does
        not exist.

    Raises
    ------
    GenpredictError
        If the numbers of layers differ, or weights are not finite.
    """
    if len(measures.finite) != len(layers):
        raise GenpredictError(
            f"measures: must be of the {len(layers)} layers of layers(), got {len(measures.finite)}"
        )
    low_rank = measures.stable_rank[:, :, FACTORIZATIONS.index("low_rank")]
    rows = torch.cat([measures.finite.unsqueeze(-1), low_rank.flatten(1)], dim=1).tolist()
    broken = [layer.name for layer, row in zip(layers, rows, strict=True) if not row[0]]
    if broken:
        raise GenpredictError(
            f"{', '.join(broken)}: weights are NaN or infinite, training diverged; lower lr or zeta"
        )
    powers = len(POWERS)
    return [[row[1 : 1 + powers], row[1 + powers :]] for row in rows]


def paper_rates(
    groups: Sequence[Group], state: State, measured: Measured, stable_ranks: StableRanks
) -> dict[int, Progress]:
    """Apply the paper's rule to every measured parameter.

    Parameters
    ----------
    groups : sequence of dict
        RMSGD's `param_groups`.
    state : mapping
        Its `state`.
    measured : Measured
    stable_ranks : list
        As `read_stable_ranks` returns them.

    Returns
    -------
    dict of int to Progress
        By the index of the parameter.
    """
    every = [(group, one) for group in groups for one in group["params"]]
    found = {}
    for owner, parts in measured.parts().items():
        group, parameter = every[owner]
        power = POWERS.index(group["p"])
        s = layer_stable_rank([[of[power] for of in stable_ranks[part]] for part in parts])
        found[owner] = next_progress(
            _last(state[parameter]),
            s,
            lr=group["start_lr"],
            beta=group["beta"],
            zeta=group["zeta"],
            hold=group["hold"],
        )
    return found


def released_rates(
    groups: Sequence[Group], state: State, measured: Measured, stable_ranks: StableRanks
) -> dict[int, Progress]:
    """Apply the released optimizer's rule to its one group; as `paper_rates`."""
    (group,) = groups
    power = POWERS.index(1)
    found = released_progress(
        [_last(state[group["params"][owner]]) for owner in measured.owners],
        [
            released_stable_rank(layer.weight.shape, (inner[power], outer[power]))
            for layer, (inner, outer) in zip(measured.layers, stable_ranks, strict=True)
        ],
        epoch=group["epoch"],
        lr=group["start_lr"],
        beta=group["beta"],
        zeta=group["zeta"],
    )
    return dict(zip(measured.owners, found, strict=True))


def write_rates(
    groups: Sequence[Group],
    state: MutableState,
    measured: Measured,
    progress: Mapping[int, Progress],
) -> None:
    """Put rates down, those of parameters that are not measured too, and count the epoch.

    Parameters
    ----------
    groups : sequence of dict
        RMSGD's `param_groups`.
    state : mapping
        Its `state`.
    measured : Measured
        Whose rate each parameter takes, scaled by the ratio of the groups' first lr.
    progress : mapping of int to Progress
        Of every measured parameter, by its index.
    """
    every = [(group, one) for group in groups for one in group["params"]]
    for owner, found in progress.items():
        state[every[owner][1]].update(found._asdict())
    for (group, parameter), source in zip(every, measured.sources, strict=True):
        if source is not None:
            scale = group["start_lr"] / every[source][0]["start_lr"]
            state[parameter]["rate"] = progress[source].rate * scale
    for group in groups:
        group["epoch"] += 1


def _last(state: Mapping[str, Any]) -> Progress:
    """Read where a parameter stood an epoch ago off its state."""
    return Progress(state["rate"], state.get("stable_rank", 0.0), state.get("has_signal", False))
