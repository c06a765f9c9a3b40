"""Tensors by name, and names without what wrappers put before them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

#: What DataParallel, torch.compile and Lightning put before every name.
PREFIXES = ("module.", "_orig_mod.", "model.")
#: Parts of names that wrappers put anywhere in them.
INNER_WRAPPERS = frozenset(
    (
        "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module",
        "_fpw_module", "_dp_wrapped_module",
    )
)  # fmt: skip
_WRAPPED = re.compile(f"(?:{'|'.join(map(re.escape, PREFIXES))})*")


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
    shared = shared_front([match[0] for name in dotted if (match := _WRAPPED.match(name))])
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


def shared_front(names: Sequence[str]) -> str:
    """Return what all names begin with, up to and with a dot."""
    if not names:
        return ""
    first, last = min(names), max(names)
    same = next((n for n in range(len(first)) if first[n] != last[n : n + 1]), len(first))
    return first[: first[:same].rfind(".") + 1]
