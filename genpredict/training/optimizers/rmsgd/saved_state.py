"""State dicts of RMSGD: whose they are, which parameter each entry is of, what older ones lack."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from genpredict.errors import GenpredictError
from genpredict.training.optimizers.rmsgd.parameters import Group

#: Entries of a group that every version has written.
_NEEDED = ("lr", "beta", "zeta", "momentum", "hold", "p", "variant", "start_lr", "epoch")
#: Entries of a group that came later, with what was the case before.
ADDED: Mapping[str, Any] = {"start": "zero", "steps": 0, "longest_epoch": 0}
#: What data parallelism and compilation put in front of names.
_WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:module|_orig_mod|_fsdp_wrapped_module)\.")


def check_state(state_dict: Mapping[str, Any]) -> None:
    """Refuse the state of another optimizer.

    Raises
    ------
    GenpredictError
        Naming what it lacks.
    """
    for group in state_dict["param_groups"]:
        if missing := sorted(set(_NEEDED) - set(group)):
            raise GenpredictError(
                f"state_dict: is of another optimizer than RMSGD, lacks {', '.join(missing)}"
            )


def in_own_order(state_dict: Mapping[str, Any], groups: Sequence[Group]) -> dict[str, Any]:
    """Put the parameters of a state dict in the order of the groups, by their names.

    Parameters
    ----------
    state_dict : mapping
    groups : sequence of dict
        The optimizer's `param_groups`.

    Returns
    -------
    dict
        A state dict in which the i-th parameter of each group is the optimizer's; the one given
        where either side has no names, or one name twice.

    Raises
    ------
    GenpredictError
        If names differ, or lie in other groups: torch would match parameters by their places.
    """
    saved_groups = state_dict["param_groups"]
    if len(saved_groups) != len(groups) or not all("param_names" in g for g in groups):
        return dict(state_dict)
    if not all("param_names" in saved for saved in saved_groups):
        return dict(state_dict)
    ordered = []
    for index, (saved, group) in enumerate(zip(saved_groups, groups, strict=True)):
        own = [plain_name(name) for name in group["param_names"]]
        place = dict(zip(map(plain_name, saved["param_names"]), saved["params"], strict=True))
        if len(set(own)) < len(own) or len(place) < len(saved["params"]):
            return dict(state_dict)
        _check_names(index, set(own), set(place))
        ordered.append(
            {**saved, "params": [place[name] for name in own], "param_names": group["param_names"]}
        )
    return {**state_dict, "param_groups": ordered}


def plain_name(name: str) -> str:
    """Return a parameter's name without what wrappers put in front.

    Examples
    --------
    >>> plain_name("module._orig_mod.conv.weight")
    'conv.weight'
    """
    return _WRAPPERS.sub("", name)


def _check_names(index: int, own: set[str], saved: set[str]) -> None:
    if own != saved:
        only = sorted(own ^ saved)[0]
        where = "the optimizer" if only in own else "the state"
        raise GenpredictError(
            f"state_dict: parameters of group {index} have other names, {only} is only in {where}; "
            f"build the optimizer with the groups that the state was saved from, or both without "
            f"names to go by their order"
        )
