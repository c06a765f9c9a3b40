"""Find the networks inside what a checkpoint file holds.

Training scripts save bare state dicts or wrap them among optimizer states, epochs and options;
whole modules; lists; several networks at once. `networks_in` says which networks there are and what
is put aside: states of optimizers, moving averages and copies beside the network they follow, loose
tensors. Numbers that stand beside the weights (an epoch, a best accuracy) are not trusted, because
every script means something else by them; a manifest says them better.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genpredict.checkpoints.file_targets import is_accuracy
from genpredict.checkpoints.formats.inert_pickles import StandIn
from genpredict.checkpoints.formats.stored_tensors import (
    OldTensor,
    StoredArray,
    StoredSparse,
    StoredTensor,
)
from genpredict.checkpoints.module_trees import is_module, is_scripted, module_tensors
from genpredict.checkpoints.roles import WRAPPERS, Role, role_of, words
from genpredict.errors import CheckpointError
from genpredict.layers.names import name_rule

if TYPE_CHECKING:
    from torch import Tensor

PREFIXES = ("module.", "_orig_mod.", "model.")
"""What DataParallel, torch.compile and Lightning put before every name."""
INNER_WRAPPERS = frozenset(
    (
        "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module",
        "_fpw_module", "_dp_wrapped_module",
    )
)  # fmt: skip
"""Parts of names that wrappers put anywhere in them."""
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
_WRAPPED = re.compile(f"(?:{'|'.join(map(re.escape, PREFIXES))})*")
_LEAVES = frozenset(
    (
        "weight", "bias", "kernel", "scale", "gamma", "beta", "w", "b", "mean", "var", "embedding",
        "running_mean", "running_var", "num_batches_tracked", "recurrent_kernel", "moving_mean",
    )
)  # fmt: skip
_STORED = (StoredTensor, StoredSparse)


class NoNetworkError(CheckpointError):
    """A file that can be read and holds no network."""


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


class NamedTensors(dict[str, Any]):
    """Tensors by name, with what the file tells of them besides.

    Attributes
    ----------
    types : mapping of str to str
        The class of the module that holds a tensor, where it is known.
    notes : list of str
        What must be said of the network.
    """

    def __init__(
        self,
        tensors: Mapping[str, Any],
        types: Mapping[str, str] | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        super().__init__(tensors)
        self.types: dict[str, str] = dict(types or {})
        self.notes: list[str] = list(notes)


def networks_in(tree: object) -> Contents:
    """Sort what a file holds into networks and the rest.

    Parameters
    ----------
    tree : object
        As of `genpredict.checkpoints.formats.torch_containers.opened`, or plain dicts of tensors.
    """
    walk = _Walk()
    walk.visit(tree, ())
    contents = _sorted(walk)
    if (lone := as_tensor(tree)) is not None:
        contents.put_aside.append((Network("", {"": lone}), "a tensor without a name"))
    known = contents.put_aside or contents.networks
    contents.is_strange = not known and not (type(tree) is dict and not tree)
    return contents


class _Walk:
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


def _sorted(walk: _Walk) -> Contents:
    """Decide which of the networks found are to be scored."""
    contents = Contents(numbers=walk.numbers)
    contents.put_aside = [
        (Network(name, {}), "the state of an optimizer") for name in walk.optimizers
    ]
    weighty = [n for n in walk.networks if n.has_weight() and n.role != "optimizer"]
    for network in walk.networks:
        if network.role == "optimizer":
            contents.put_aside.append((network, "the state of an optimizer or of its schedule"))
        elif not network.has_weight():
            contents.put_aside.append((network, "holds no weights"))
    whole = [n for n in weighty if len(n.tensors) > 1 or not _is_loose(n)]
    for network in weighty:
        reason = _why_aside(network, whole) if whole else None
        if reason is None:
            contents.networks.append(network)
        else:
            contents.put_aside.append((network, reason))
    _short_names(contents)
    return contents


def _is_loose(network: Network) -> bool:
    """Return whether it is a single tensor under a key that calls it no weight."""
    (name,) = list(network.tensors)
    return network.name.rpartition(".")[2] == name


def _why_aside(network: Network, others: Sequence[Network]) -> str | None:
    """Return why one of several networks is not scored, None where it is."""
    if len(network.tensors) == 1 and _is_loose(network):
        return "a loose tensor beside a network"
    live = [o for o in others if o is not network and o.role in ("network", "teacher")]
    mains = [o for o in live if o.role == "network"]
    if network.role == "extra" and mains:
        return "stands beside the network: by its name no network"
    if network.role == "average" and live:
        return "a moving average of a network that stands beside it"
    equal = any(o.shapes() == network.shapes() for o in mains)
    if network.role == "copy" and equal:
        return "a copy that follows a network of the same shapes beside it"
    student = any("student" in words(other.name) for other in mains)
    if network.role == "teacher" and equal and not student:
        return "a copy that follows a network of the same shapes beside it"
    return _why_repeated(network, mains)


def _why_repeated(network: Network, others: Sequence[Network]) -> str | None:
    """Return a reason where the same network stands under two keys that mean the network."""
    front, _, key = network.name.rpartition(".")
    if key not in WRAPPERS:
        return None
    for other in others:
        above, _, name = other.name.rpartition(".")
        earlier = name in WRAPPERS and WRAPPERS.index(name) < WRAPPERS.index(key)
        if above == front and earlier and other.shapes() == network.shapes():
            return f"the same network again, beside {name}"
    return None


def _short_names(contents: Contents) -> None:
    """Leave out the keys that all networks share; a single network needs no name of its own."""
    names = [network.name for network in contents.networks]
    shared = _shared_front([f"{name}." for name in names]) if len(names) > 1 else ""
    for network in contents.networks:
        network.name = network.name.removeprefix(shared) or network.name


def find_state_dict(loaded: object, source: str | Path, network: str = "") -> NamedTensors:
    """Return the tensors of one network by name, in the order of the file, read.

    Parameters
    ----------
    loaded : object
        What the file holds.
    source : str or Path
        Names the file in errors.
    network : str
        Which of several.

    Raises
    ------
    CheckpointError
        When there is no network, several to choose from, or tensors that are larger than what is
        stored of them.
    """
    return load(choose(networks_in(loaded), loaded, source, network))


def choose(contents: Contents, loaded: object, source: str | Path, name: str = "") -> Network:
    """Return the network of a name, or the only one.

    Raises
    ------
    CheckpointError
        When there is none, or several and no name.
    """
    if name and (network := contents.named(name)) is not None:
        return network
    names = ", ".join(n.name for n in contents.networks)[:400]
    if name and len(contents.networks) != 1:
        known = names or "none"
        raise CheckpointError(source, f"holds no network {name!r}; its networks are: {known}")
    if len(contents.networks) > 1:
        raise CheckpointError(
            source, f"holds several networks ({names}); name one as FILE#NAME or with --network"
        )
    if not contents.networks:
        raise NoNetworkError(source, why_none(contents, loaded))
    return contents.networks[0]


def why_none(contents: Contents, loaded: object) -> str:
    """Say what a file holds that has no network."""
    if isinstance(loaded, StandIn) and f"{loaded.module}.{loaded.name}" == "builtins.getattr":
        method = loaded.args[1] if len(loaded.args) > 1 else "state_dict"
        return (
            f"holds the method {method!s:.80} of a network instead of its weights: parentheses are "
            "missing; save them with torch.save(model.state_dict(), path)"
        )
    if isinstance(loaded, StandIn) and is_scripted(loaded):
        return f"{FROZEN}; {SAVE}"
    aside = [reason for _, reason in contents.put_aside]
    if any("optimizer" in reason for reason in aside):
        return f"holds the state of an optimizer and no network; {SAVE}"
    tensors = [t for network, _ in contents.put_aside for t in network.tensors.values()]
    if tensors and all(tensor.numel() == 0 for tensor in tensors):
        return EMPTY_TENSORS
    if isinstance(loaded, Mapping):
        keys = ", ".join(sorted(map(str, type(loaded).keys(loaded)))[:8])[:400] or "none"
        if any(network.tensors for network, _ in contents.put_aside):
            return f"holds no weights, no tensor of two axes or more (keys seen: {keys}); {SAVE}"
        return f"holds no tensors by name (keys seen: {keys}); {SAVE}"
    kind = type(loaded).__name__.removeprefix("Stored")
    if isinstance(loaded, StandIn):
        kind = f"{loaded.module}.{loaded.name}"
    return f"holds a {kind:.120}, not tensors by name; {SAVE}"


def load(network: Network) -> NamedTensors:
    """Read the numbers of a network; prefixes that wrappers put before names go."""
    import torch

    names = stripped_names(network.tensors)
    tensors = {
        new: tensor if isinstance(tensor, torch.Tensor) else tensor.load()
        for new, tensor in zip(names, network.tensors.values(), strict=True)
    }
    renamed = dict(zip(network.tensors, names, strict=True))
    types = {renamed[name]: kind for name, kind in network.types.items() if name in renamed}
    return NamedTensors(tensors, types, network.notes)


def strip_prefixes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove the prefixes that all names share, as often as they do, and wrappers' names.

    Examples
    --------
    >>> list(strip_prefixes({"module.model.fc.weight": 1, "module.model.fc.bias": 2}))
    ['fc.weight', 'fc.bias']
    >>> list(strip_prefixes({"model.weight": 1, "head.weight": 2}))
    ['model.weight', 'head.weight']
    >>> list(strip_prefixes({"encoder._orig_mod.fc.weight": 1}))
    ['encoder.fc.weight']
    """
    return dict(zip(stripped_names(tensors), tensors.values(), strict=True))


def stripped_names(tensors: Mapping[str, Any]) -> list[str]:
    """Return the names without what wrappers have put into them; counters have no prefix."""
    names = list(tensors)
    if any("_" in name and not INNER_WRAPPERS.isdisjoint(name.split(".")) for name in names):
        inner = [".".join(p for p in n.split(".") if p not in INNER_WRAPPERS) or n for n in names]
        names = inner if len(set(inner)) == len(inner) else names
    dotted = [
        name
        for name, tensor in zip(names, tensors.values(), strict=True)
        if "." in name or getattr(tensor, "ndim", 1) != 0
    ]
    shared = _shared_front([match[0] for name in dotted if (match := _WRAPPED.match(name))])
    while shared and shared in names:
        shared = shared[: shared[:-1].rfind(".") + 1]
    return [name.removeprefix(shared) for name in names]


def without_prefixes(tensors: Mapping[str, Tensor], types: Mapping[str, str]) -> NamedTensors:
    """Return the tensors of a network at hand under the names that they have once it is saved.

    Parameters
    ----------
    tensors : mapping of str to Tensor
    types : mapping of str to str
        The class of the module that holds a tensor, also of some that are made of others.

    Examples
    --------
    >>> without_prefixes({"module.0.weight": 1}, {"module.0.weight": "Linear"}).types
    {'0.weight': 'Linear'}
    """
    names = stripped_names(tensors)
    if names == list(tensors):
        return NamedTensors(tensors, types)
    inner = {
        name: ".".join(p for p in name.split(".") if p not in INNER_WRAPPERS) for name in types
    }
    first = next(iter(tensors))
    front = ".".join(p for p in first.split(".") if p not in INNER_WRAPPERS).removesuffix(names[0])
    renamed = {inner[name].removeprefix(front): kind for name, kind in types.items()}
    renamed |= {new: types[old] for old, new in zip(tensors, names, strict=True) if old in types}
    return NamedTensors(dict(zip(names, tensors.values(), strict=True)), renamed)


def _shared_front(names: Sequence[str]) -> str:
    """Return what all names begin with, up to and with a dot."""
    if not names:
        return ""
    first, last = min(names), max(names)
    same = next((n for n in range(len(first)) if first[n] != last[n : n + 1]), len(first))
    return first[: first[:same].rfind(".") + 1]
