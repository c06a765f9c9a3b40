"""Find the networks inside what a checkpoint file holds.

Training scripts save bare state dicts or wrap them among optimizer states, epochs and options;
whole modules; lists; several networks at once. `networks_in` says which networks there are and what
is put aside: states of optimizers, moving averages and copies beside the network they follow, loose
tensors. Numbers that stand beside the weights (an epoch, a best accuracy) are not trusted, because
every script means something else by them; a manifest says them better.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from genpredict.checkpoints.file_targets import is_accuracy
from genpredict.checkpoints.formats.inert_pickles import StandIn
from genpredict.checkpoints.formats.rebuilding import OldTensor
from genpredict.checkpoints.formats.stored_arrays import StoredArray
from genpredict.checkpoints.formats.stored_tensors import StoredSparse, StoredTensor
from genpredict.checkpoints.module_trees import is_module, module_tensors
from genpredict.checkpoints.roles import WRAPPERS, Role, role_of
from genpredict.layers.names import name_rule

DEEPEST = 12
"""Dicts and lists in each other that are looked into."""
MOST_VISITS = 4
"""Times that one thing is looked at, by as many ways as lead to it; a cycle ends with them."""
MOST_NUMBERS = 1000
"""Single numbers that are kept."""
MOMENTS = frozenset(
    (
        "step", "exp_avg", "exp_avg_sq", "exp_inf", "max_exp_avg_sq", "momentum_buffer",
        "square_avg", "acc_delta", "grad_avg", "sum", "prev", "step_size", "exp_avg_diff",
        "previous_grad", "momentum", "ax", "mu", "eta", "exp_avg_sq_row", "exp_avg_sq_col", "RMS",
        "state1", "state2", "absmax1", "absmax2", "qmap1", "qmap2", "slow_buffer", "slow_param",
    )
)  # fmt: skip
"""What optimizers keep for each parameter."""
NAMELESS = "its tensors have no names: positions stand for them, so that kinds go by shape alone"
EMPTY_TENSORS = (
    "its tensors are empty, as DeepSpeed's ZeRO stage 3 leaves them: the weights are in other "
    "files; join them with zero_to_fp32.py"
)
FROZEN = (
    "holds a program of TorchScript without parameters: frozen (torch.jit.freeze, "
    "optimize_for_inference), its weights are constants without names, changed for speed"
)
SAVE = "save the weights with torch.save(model.state_dict(), path)"
_LEAVES = frozenset(
    (
        "weight", "bias", "kernel", "scale", "gamma", "beta", "w", "b", "mean", "var", "embedding",
        "running_mean", "running_var", "num_batches_tracked", "recurrent_kernel", "moving_mean",
    )
)  # fmt: skip
_STORED = (StoredTensor, StoredSparse)


@dataclass
class Network:
    """A network in a file.

    Parameters
    ----------
    name : str
        The key (or keys, joined by dots) under which it lies; empty where it is the whole file.
    tensors : mapping
        By name, in the order of the file; descriptions of tensors that `load` reads.
    types : mapping of str to str
        The class of torch's module that holds a tensor, where that is known.
    notes : list of str
        What must be said of it.
    role : str
        What its name says.
    """

    name: str
    tensors: dict[str, Any]
    types: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    role: Role = "network"

    def has_weight(self) -> bool:
        """Return whether anything in it has two axes or more."""
        return any(tensor.ndim >= 2 for tensor in self.tensors.values())

    def is_named_so(self) -> bool:
        """Return whether the name of any tensor is that of a weight, or tensors have no names."""
        names = [name for name, tensor in self.tensors.items() if tensor.ndim >= 2]
        rules = [name_rule(name) for name in names]
        words_of_weights = any("weight" in n.lower() or "packed" in n for n in names)
        return words_of_weights or any(r.is_weight or r.is_position or r.is_stack for r in rules)

    def shapes(self) -> list[tuple[int, ...]]:
        """Return the shapes of its tensors with two axes or more, sorted."""
        return sorted(tuple(t.shape) for t in self.tensors.values() if t.ndim >= 2)


@dataclass
class Contents:
    """What a file holds.

    Parameters
    ----------
    networks : list of Network
        Those to be scored.
    put_aside : list of (Network or name, reason)
        What else has tensors.
    numbers : mapping
        Single numbers beside the weights, by their keys.
    is_strange : bool
        Whether there is something, but nothing that has to do with tensors.
    """

    networks: list[Network] = field(default_factory=list)
    put_aside: list[tuple[Network, str]] = field(default_factory=list)
    numbers: dict[str, float] = field(default_factory=dict)
    is_strange: bool = False

    def named(self, name: str) -> Network | None:
        """Return the network of a name, put aside or not."""
        everything = [*self.networks, *(network for network, _ in self.put_aside)]
        return next((network for network in everything if network.name == name), None)


class Walk:
    """Goes through a tree once, without following a cycle, and gathers what has tensors."""

    def __init__(self) -> None:
        self.networks: list[Network] = []
        self.optimizers: list[str] = []
        self.numbers: dict[str, float] = {}
        self._visits: dict[int, int] = {}

    def visit(self, node: Any, path: tuple[str, ...]) -> None:
        """Look into a thing."""
        visits = self._visits[id(node)] = self._visits.get(id(node), 0) + 1
        if visits > MOST_VISITS or len(path) > DEEPEST:
            return
        if is_module(node):
            self._take(path, *module_tensors(node))
        elif is_optimizer(node):
            self.optimizers.append(".".join(path))
        elif (entries := entries_of(node)) is not None:
            self._visit_entries(node, entries, path)

    def _visit_entries(self, node: Any, entries: dict[Any, Any], path: tuple[str, ...]) -> None:
        """Look into a dict or list: one network, or things side by side."""
        nameless = isinstance(node, list | tuple) or all(type(key) is int for key in entries)
        tensors = dict(_tensors(entries, nameless=nameless))
        self._scores(entries, tensors, path)
        before = len(self.networks)
        for key, child in entries.items():
            if isinstance(key, str | int) and as_tensor(child) is None:
                self._number(key, child, path)
                packed = type(child) is tuple and f"{key}.0" in tensors
                if not packed and not isinstance(child, str | bytes | int | float | type(None)):
                    self.visit(child, (*path, str(key)))
        children = self.networks[before:]
        live = [child for child in children if child.has_weight()]
        if live and _is_one(path, live):
            del self.networks[before:]
            loose = {name: t for name, t in tensors.items() if t.ndim}
            self.networks.append(_joined(path, children, loose))
        elif tensors and (not live or any("." in name for name in tensors)):
            notes = [NAMELESS] if nameless else []
            if nameless and len(tensors) < len(entries) / 2:
                return
            self._take(path, tensors, {}, notes)
        elif tensors:
            for name, tensor in tensors.items():
                self._take((*path, name), {name: tensor})

    def _take(
        self,
        path: tuple[str, ...],
        tensors: dict[str, Any],
        types: dict[str, str] | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        roles = [role_of(key) for key in path]
        order: tuple[Role, ...] = ("optimizer", "extra", "average", "copy", "teacher")
        role: Role = next((role for role in order if role in roles), "network")
        self.networks.append(Network(".".join(path), tensors, types or {}, list(notes), role))

    def _scores(
        self, entries: Mapping[Any, Any], tensors: Mapping[str, Any], path: tuple[str, ...]
    ) -> None:
        """Note accuracies that are tensors: by their names, or what a callback monitors."""
        named = {n: t for n, t in tensors.items() if t.ndim == 0 and is_accuracy(n)}
        monitor = entries.get("monitor")
        if isinstance(monitor, str) and is_accuracy(monitor):
            for key in ("current_score", "best_model_score"):
                if (score := as_tensor(entries.get(key))) is not None and score.ndim == 0:
                    named.setdefault(monitor, score)
        for name, tensor in named.items():
            loaded = tensor if not hasattr(tensor, "load") else tensor.load()
            if not loaded.is_meta:
                self._number(name, loaded.item(), path)

    def _number(self, key: Any, value: Any, path: tuple[str, ...]) -> None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and len(self.numbers) < MOST_NUMBERS:
            self.numbers[".".join((*path, str(key)))] = value


def entries_of(node: Any) -> dict[Any, Any] | None:
    """Return what a dict, list or object holds, by key; None for other things."""
    if isinstance(node, Mapping):
        return dict(type(node).items(node))  # the class says how, not what a file has set
    if type(node) in (list, tuple):
        return dict(enumerate(node))
    if not isinstance(node, StandIn):
        return None
    entries: dict[Any, Any] = {}
    states = node.state if type(node.state) is tuple else (node.state,)
    for state in (*node.args, *states):
        if isinstance(state, dict):
            entries |= state
    for key, value in node.pairs or ():
        if isinstance(key, str | int):
            entries[key] = value
    entries |= {f"{n}": member for n, member in enumerate(node.members or ())}
    return entries


def is_optimizer(node: Any) -> bool:
    """Return whether a thing is the state of an optimizer: by its structure, whatever its name."""
    entries = entries_of(node)
    if not entries:
        return False
    if isinstance(entries.get("param_groups"), list | tuple):
        return True
    states = entries.get("state", entries)
    kept = [k for k in (states if isinstance(states, dict) else {}).values() if isinstance(k, dict)]
    return bool(kept) and all(k and MOMENTS.issuperset(k) for k in kept)


def as_tensor(node: Any) -> Any:
    """Return a tensor, or the description of one; None for other things."""
    import torch

    if isinstance(node, (torch.Tensor, *_STORED)):
        return node
    if isinstance(node, StoredArray):
        return node if node.code is not None else None
    return node.tensor if isinstance(node, OldTensor) else None


def _tensors(entries: Mapping[Any, Any], *, nameless: bool) -> Iterator[tuple[str, Any]]:
    """Yield the named tensors, and those inside tuples (packed quantized weights)."""
    for key, value in entries.items():
        if not isinstance(key, str) and not (nameless and type(key) is int):
            continue
        if (tensor := as_tensor(value)) is not None:
            yield str(key), tensor
        elif type(value) is tuple and not nameless:
            for index, part in enumerate(value):
                if (tensor := as_tensor(part)) is not None:
                    yield f"{key}.{index}", tensor


def _is_one(path: tuple[str, ...], children: Sequence[Network]) -> bool:
    """Return whether dicts below a key are parts of one network rather than networks each."""
    if path and path[-1] in WRAPPERS and len(children) > 0:
        return all(child.role == "network" for child in children)
    leaves = [name for child in children for name in child.tensors]
    return len(children) > 1 and all("." not in n and n.lower() in _LEAVES for n in leaves)


def _joined(path: tuple[str, ...], parts: Sequence[Network], loose: dict[str, Any]) -> Network:
    """Join the parts of a network under one name."""
    if len(parts) == 1 and not loose and path:
        return replace(parts[0], name=".".join(path), role=role_of(path[-1]))
    skip = len(".".join(path)) + 1 if path else 0
    tensors, types = dict(loose), dict[str, str]()
    for part in parts:
        front = part.name[skip:]
        if part.role == "optimizer":
            continue
        tensors |= {f"{front}.{name}": tensor for name, tensor in part.tensors.items()}
        types |= {f"{front}.{name}": kind for name, kind in part.types.items()}
    return Network(".".join(path), tensors, types, role=role_of(path[-1]) if path else "network")
