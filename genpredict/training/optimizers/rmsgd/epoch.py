"""What RMSGD does once an epoch: from its groups to layers, from their measures to rates."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor

from genpredict.errors import GenpredictError
from genpredict.layers import Layer
from genpredict.schema import FACTORIZATIONS, POWERS
from genpredict.spectral import LayerMeasures
from genpredict.training.optimizers.rates import Progress, layer_stable_rank, next_progress
from genpredict.training.optimizers.rmsgd.members import Members
from genpredict.training.optimizers.rmsgd.parameters import Group
from genpredict.training.optimizers.rmsgd.released import released_progress, released_stable_rank

#: Of each layer and unfolding (as `schema.UNFOLDINGS`) the stable ranks of each power (`POWERS`).
StableRanks = list[list[list[float]]]
State = Mapping[Tensor, Mapping[str, Any]]
MutableState = Mapping[Tensor, MutableMapping[str, Any]]


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
    found: Members, state: State, stable_ranks: StableRanks
) -> tuple[dict[int, Progress], dict[int, Progress]]:
    """Apply the paper's rule.

    Parameters
    ----------
    found : Members
    state : mapping
        RMSGD's `state`.
    stable_ranks : list
        As `read_stable_ranks` returns them.

    Returns
    -------
    tuple of dict of int to Progress
        Of the measured parameters, and of those whose weight another optimizer moves: these go by
        its stable rank and the hyperparameters of their own group. By the place of the parameter.
    """
    members, parts = found.members, found.measured.parts()

    def advance(index: int, owner: int) -> Progress:
        member = members[index]
        assert member.group is not None
        group, power = member.group, POWERS.index(member.group["p"])
        s = layer_stable_rank([[of[power] for of in stable_ranks[part]] for part in parts[owner]])
        return next_progress(
            last_progress(group, state, member.parameter),
            s,
            lr=group["start_lr"],
            beta=group["beta"],
            zeta=group["zeta"],
            hold=group["hold"],
        )

    own = {owner: advance(owner, owner) for owner in parts if members[owner].group is not None}
    led = {
        index: advance(index, source)
        for index, source in enumerate(found.measured.sources)
        if source is not None and members[index].group is not None and members[source].group is None
    }
    return own, led


def released_rates(
    found: Members, state: State, stable_ranks: StableRanks
) -> tuple[dict[int, Progress], dict[int, Progress]]:
    """Apply the released optimizer's rule to its one group; as `paper_rates`."""
    owners = found.measured.owners
    group = found.members[0].group
    assert group is not None
    power = POWERS.index(1)
    progress = released_progress(
        [last_progress(group, state, found.members[owner].parameter) for owner in owners],
        [
            released_stable_rank(layer.weight.shape, (inner[power], outer[power]))
            for layer, (inner, outer) in zip(found.layers, stable_ranks, strict=True)
        ],
        epoch=group["epoch"],
        lr=group["start_lr"],
        beta=group["beta"],
        zeta=group["zeta"],
    )
    return dict(zip(owners, progress, strict=True)), {}


def write_rates(
    found: Members,
    state: MutableState,
    own: Mapping[int, Progress],
    led: Mapping[int, Progress],
) -> None:
    """Put rates down, those of parameters that are not measured too.

    Parameters
    ----------
    found : Members
        Whose rate each parameter takes, scaled by the ratio of the groups' first lr.
    state : mapping
        RMSGD's `state`.
    own, led : mapping of int to Progress
        As `paper_rates` returns them.

    Notes
    -----
    Frozen parameters have no state: nothing moves them, and checkpoints of sharded training
    (`torch.distributed.checkpoint`) leave them out.
    """
    for index, progress in {**own, **led}.items():
        state[found.members[index].parameter].update(progress._asdict())
    for member, source in zip(found.members, found.measured.sources, strict=True):
        if member.group is None or not member.parameter.requires_grad:
            continue
        if source is None or source not in own:
            continue
        leader = found.members[source].group
        assert leader is not None
        scale = member.group["start_lr"] / leader["start_lr"]
        state[member.parameter]["rate"] = own[source].rate * scale


def last_progress(group: Group, state: State, parameter: Tensor) -> Progress:
    """Read where a parameter stood an epoch ago off its state; η(0) and s(0) = 0 without one."""
    known = state.get(parameter, {})
    return Progress(
        known.get("rate", group["start_lr"]),
        known.get("stable_rank", 0.0),
        known.get("has_signal", False),
    )
