"""The parameters that RMSGD looks at, in the order of depth, with the groups they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from genpredict.errors import GenpredictError
from genpredict.layers import Layer
from genpredict.training.optimizers.rmsgd.layers import (
    Measured,
    named_layers,
    released_layers,
    unnamed_layers,
)
from genpredict.training.optimizers.rmsgd.order import depth_order
from genpredict.training.optimizers.rmsgd.parameters import Group, parameter_names


@dataclass(frozen=True)
class Member:
    """A parameter.

    Parameters
    ----------
    name : str
    parameter : Tensor
    group : dict or None
        The group it belongs to; None where another optimizer moves it
        (`ZeroRedundancyOptimizer` deals parameters out to processes).
    """

    name: str
    parameter: Tensor
    group: Group | None


@dataclass(frozen=True)
class Members:
    """All parameters and what is measured among them.

    Parameters
    ----------
    members : list of Member
        In the order of depth.
    measured : Measured
        Its indices are places in `members`.
    """

    members: list[Member]
    measured: Measured

    @property
    def layers(self) -> list[Layer]:
        """What is measured."""
        return self.measured.layers

    def sources(self) -> dict[str, str | None]:
        """Return for the name of each parameter the name of the one whose rate it takes."""
        return {
            member.name: None if source is None else self.members[source].name
            for member, source in zip(self.members, self.measured.sources, strict=True)
        }


def find_members(
    groups: Sequence[Group], network: nn.Module | None, *, later_first: bool = False
) -> Members:
    """Find the layers among the parameters of all groups, by the rules of their variant.

    Parameters
    ----------
    groups : sequence of dict
        RMSGD's `param_groups`.
    network : nn.Module, optional
        Whose order and names count, and whose other weights are measured too.
    later_first : bool
        See `depth_order`.

    Returns
    -------
    Members
    """
    members = _members(groups, network, later_first)
    names = [member.name for member in members]
    parameters = [member.parameter for member in members]
    linear = groups[0]["linear"]
    if groups[0]["variant"] == "released":
        return Members(members, released_layers(names, parameters, linear=linear))
    if network is not None or "param_names" in groups[0]:
        by_name = dict(zip(names, parameters, strict=True))
        return Members(members, named_layers(by_name, linear=linear))
    return Members(members, unnamed_layers(names, parameters, linear=linear))


def check_in_network(groups: Sequence[Group], network: nn.Module) -> None:
    """Refuse parameters that the network does not have.

    Raises
    ------
    GenpredictError
        Naming the first of them.
    """
    known = {id(parameter) for parameter in network.parameters()}
    names = parameter_names(groups)
    parameters = [one for group in groups for one in group["params"]]
    for name, parameter in zip(names, parameters, strict=True):
        if id(parameter) not in known:
            raise GenpredictError(
                f"network: has no parameter {name}; give the network that params are of, after it "
                f"was moved, sharded or wrapped"
            )


def _members(groups: Sequence[Group], network: nn.Module | None, later_first: bool) -> list[Member]:
    """List parameters in the order of depth, as far as it is known."""
    group_of = {id(one): group for group in groups for one in group["params"]}
    if network is not None and groups[0]["variant"] != "released":
        return [
            Member(name, parameter, group_of.get(id(parameter)))
            for name, parameter in network.named_parameters()
        ]
    names = parameter_names(groups)
    own = [
        Member(name, one, group_of[id(one)])
        for name, one in zip(names, (p for group in groups for p in group["params"]), strict=True)
    ]
    if len(groups) == 1 or "param_names" not in groups[0]:
        return own
    by_name = {member.name: member for member in own}
    counts = [len(group["params"]) for group in groups]
    starts = [sum(counts[:index]) for index in range(len(counts))]
    parts = [names[start : start + count] for start, count in zip(starts, counts, strict=True)]
    return [by_name[name] for name in depth_order(parts, later_first=later_first)]
