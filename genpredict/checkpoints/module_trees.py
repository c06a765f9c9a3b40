"""The tensors of a whole module that was pickled or compiled, by the names of its state dict."""

from __future__ import annotations

import re
from typing import Any

from genpredict.checkpoints.formats.inert_pickles import StandIn
from genpredict.checkpoints.formats.pickle_costs import RefusedPickleError
from genpredict.checkpoints.formats.rebuilding import OldTensor
from genpredict.checkpoints.formats.stored_tensors import StoredSparse, StoredTensor

DEEPEST = 100
"""Modules in each other that are looked into."""
MOST_MODULES = 100_000
"""Modules of one network, each counted as often as it has names."""
_OF_TORCH = "torch.nn.modules."
_SCRIPTED = "__torch__"
_MANGLED = re.compile(r"\.___torch_mangle_\d+")


def is_module(node: Any) -> bool:
    """Return whether a thing is a network as an object: of Python, or compiled by TorchScript."""
    if not isinstance(node, StandIn):
        return False
    if is_scripted(node):
        return True
    state = _attributes(node)
    return isinstance(state.get("_parameters"), dict) and isinstance(state.get("_modules"), dict)


def module_tensors(root: StandIn) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the tensors of a module by name, and the class of torch that holds each.

    Parameters
    ----------
    root : StandIn
        In the place of a module. Buffers that it does not save are left out.

    Returns
    -------
    tuple of (dict, dict)
    """
    tensors: dict[str, Any] = {}
    types: dict[str, str] = {}
    _gather(root, "", (), tensors, types, [])
    return tensors, types


def _gather(
    module: StandIn,
    front: str,
    above: tuple[int, ...],
    tensors: dict[str, Any],
    types: dict[str, str],
    counted: list[int],
) -> None:
    """Take the tensors of a module and of those in it, in the order of its state dict."""
    if id(module) in above or len(above) > DEEPEST:
        return
    counted.append(id(module))
    if len(counted) > MOST_MODULES:
        raise RefusedPickleError(f"more than {MOST_MODULES:,} modules in each other")
    state = _attributes(module)
    scripted = is_scripted(module)
    kind = torch_type(module)
    passing = _members(state.get("_non_persistent_buffers_set"))
    groups = [state] if scripted else [state.get("_parameters"), state.get("_buffers")]
    for group in groups:
        for name, value in (group if isinstance(group, dict) else {}).items():
            tensor = value.tensor if isinstance(value, OldTensor) else value
            if isinstance(tensor, StoredTensor | StoredSparse) and name not in passing:
                tensors[f"{front}{name}"] = tensor
                if kind:
                    types[f"{front}{name}"] = kind
    children = state if scripted else state.get("_modules")
    for name, child in (children if isinstance(children, dict) else {}).items():
        if isinstance(child, StandIn) and not isinstance(child, OldTensor):
            _gather(child, f"{front}{name}.", (*above, id(module)), tensors, types, counted)


def torch_type(module: StandIn) -> str:
    """Return the name of torch's own class of a module; empty for others."""
    place = f"{module.module}.{module.name}"
    if place.startswith(_SCRIPTED):
        place = _MANGLED.sub("", place.removeprefix(f"{_SCRIPTED}."))
    return place.rpartition(".")[2] if place.startswith(_OF_TORCH) else ""


def _attributes(node: StandIn) -> dict[Any, Any]:
    """Return the attributes of an object."""
    state = node.state
    if type(state) is tuple and state:
        state = state[0]
    if state is None and node.args and isinstance(node.args[0], dict):
        state = node.args[0]  # as torch.fx pickles what it has traced
    return state if isinstance(state, dict) else {}


def is_scripted(node: StandIn) -> bool:
    """Return whether a thing was compiled by TorchScript."""
    return node.module.partition(".")[0] == _SCRIPTED


def _members(node: Any) -> set[str]:
    """Return the texts in a set."""
    parts = node if isinstance(node, set | frozenset) else ()
    if isinstance(node, StandIn) and node.args and type(node.args[0]) in (list, tuple):
        parts = node.args[0]
    return {part for part in parts if isinstance(part, str)}
