"""The parameters of RMSGD's groups: which are fit for it, and what they are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from genpredict.errors import GenpredictError

Group = dict[str, Any]


def each_once(params: Any) -> list[Any]:
    """List the parameters of a group, named or not, tied ones once.

    Parameters
    ----------
    params : Tensor or iterable
        Parameters, or pairs of name and parameter.

    Returns
    -------
    list

    Raises
    ------
    GenpredictError
        For a set.
    """
    check_order(params)
    given: Iterable[Any] = [params] if isinstance(params, Tensor) else params
    seen: set[int] = set()
    kept = []
    for one in given:
        parameter = one[1] if isinstance(one, tuple) else one
        if id(parameter) not in seen:
            seen.add(id(parameter))
            kept.append(one)
    return kept


def check_order(params: object) -> None:
    """Refuse sets: whose rate a parameter takes, and what a state dict means, go by order."""
    if isinstance(params, set | frozenset):
        raise GenpredictError("params: must have an order, got a set; give a list")


def check_parameters(params: Sequence[Any], groups: Sequence[Group]) -> None:
    """Refuse parameters that no step could move, or that are another group's.

    Parameters
    ----------
    params : sequence
        As `each_once` lists them.
    groups : sequence of dict
        The groups there are.

    Raises
    ------
    GenpredictError
        Naming the parameter.
    """
    others = {id(one) for group in groups for one in group["params"]}
    for one in params:
        name, parameter = one if isinstance(one, tuple) else ("params", one)
        if isinstance(parameter, Tensor) and not parameter.is_floating_point():
            raise GenpredictError(f"{name}: must be real floating-point, got {parameter.dtype}")
        if id(parameter) in others:
            raise GenpredictError(
                f"{name}: is in another group already (tied weights?); leave it out of one"
            )


def named_by(network: nn.Module, params: Sequence[Any]) -> list[Any]:
    """Pair parameters with their names in a network.

    Parameters
    ----------
    network : nn.Module
    params : sequence
        As `each_once` lists them.

    Returns
    -------
    list
        Pairs of name and parameter; those that are pairs already, and those that the network does
        not have, as they are.
    """
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return [(names[id(one)], one) if id(one) in names else one for one in params]


def parameter_names(groups: Sequence[Group]) -> list[str]:
    """Name the parameters of all groups, each differently.

    Parameters
    ----------
    groups : sequence of dict
        As in `param_groups`.

    Returns
    -------
    list of str
        The names given, with the group in front where another group has used one; without names
        group, place and shape.

    Examples
    --------
    >>> import torch
    >>> parameter_names([{"params": [torch.zeros(4, 3), torch.zeros(4)]}])
    ['group0.param0[4x3]', 'group0.param1[4]']
    """
    names: list[str] = []
    for index, group in enumerate(groups):
        for place, one in enumerate(group["params"]):
            if "param_names" in group:
                name = group["param_names"][place]
                names.append(f"group{index}.{name}" if name in names else name)
            else:
                shape = "x".join(map(str, one.shape))
                names.append(f"group{index}.param{place}[{shape}]")
    return names
