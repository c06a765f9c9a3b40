"""Which tensors of a state dict are copies that follow others: averages, targets, momentum.

A copy is told by its name and by what it follows: parts of names such as ``target_network`` beside
``online_network``, with the same tensors of the same shapes below both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from genpredict.layers.names import remembered, words

if TYPE_CHECKING:
    from torch import Tensor

_STRONG = frozenset(
    ("ema", "swa", "averaged", "average", "avg", "shadow", "polyak", "teacher", "ewa")
)
"""Words that make a copy of what has the same shapes beside it, whatever that is called."""
_WEAK = frozenset(("target", "targ", "tgt", "momentum", "slow", "old", "stale"))
"""Words that make a copy only of what is called the same without them."""
_LIVE = frozenset(("online", "live", "base", "main", "current", "local", "new", "student", "fast"))
_TRANSLATION = frozenset(("source", "src"))
_KEY_ENCODER = re.compile(
    r"(?P<stem>.*(?:encoder|backbone|net|model|branch))_k|key_(?P<noun>encoder|backbone|net|model)"
)
_REPLACED = "original_module"
_REPLACES = "modules_to_save"
_WRAPPER = "module."


def copy_reasons(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return which tensors are copies, and of what.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        A state dict.

    Returns
    -------
    dict
        Reason by name; empty where nothing is a copy.

    Examples
    --------
    >>> import torch
    >>> pair = {f"{n}.fc.weight": torch.ones(3, 2) for n in ("online_net", "target_net")}
    >>> copy_reasons(pair)
    {'target_net.fc.weight': 'a copy that follows online_net'}
    """
    suspects = {place for name in tensors if (place := _suspicious(name)) is not None}
    if not suspects:
        return {}
    children = _children(tensors, {parent for parent, _ in suspects})
    reasons: dict[str, str] = {}
    for parent, part in sorted(suspects):
        followed = _followed(part, children[parent])
        if followed is not None:
            front = f"{parent}{part}."
            kind = "a moving average of" if _is_average(part) else "a copy that follows"
            reason = f"{kind} {followed}"
            reasons |= {name: reason for name in tensors if name.startswith(front)}
    return reasons


@remembered
def _suspicious(name: str) -> tuple[str, str] | None:
    """Return the first part of a name that may mean a copy, with what comes before it."""
    parts = name.split(".")
    for position, part in enumerate(parts[:-1][:20]):
        known = _STRONG.union(_WEAK)
        if not known.isdisjoint(words(part)) or part == _REPLACED or _KEY_ENCODER.fullmatch(part):
            return "".join(f"{above}." for above in parts[:position]), part
    return None


def _children(
    tensors: Mapping[str, Tensor], parents: Iterable[str]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return parent → part → (what follows it, without dots) → shape."""
    children: dict[str, dict[str, dict[str, Any]]] = {parent: {} for parent in parents}
    for name, tensor in tensors.items():
        for parent, parts in children.items():
            if name.startswith(parent):
                part, _, rest = name[len(parent) :].partition(".")
                if rest:
                    plain = rest.removeprefix(_WRAPPER).replace(".", "")
                    parts.setdefault(part, {})[plain] = tuple(tensor.shape)
    return children


def _followed(part: str, siblings: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the part beside a suspicious one that it is a copy of."""
    own = {rest: shape for rest, shape in siblings[part].items() if len(shape) > 1}
    others = [name for name in siblings if name != part and not _is_copy_word(name)]
    if part == _REPLACED:
        return _REPLACES if _REPLACES in siblings else None
    if match := _KEY_ENCODER.fullmatch(part):
        query = f"{match['stem']}_q" if match["stem"] else f"query_{match['noun']}"
        return query if query in siblings else None
    called = set(words(part))
    if "teacher" in called and any("student" in words(name) for name in others):
        return None
    for name in others:
        theirs = siblings[name]
        if own and all(theirs.get(rest) == shape for rest, shape in own.items()):
            same = called - _WEAK - _STRONG - _LIVE == set(words(name)) - _LIVE
            if not _STRONG.isdisjoint(called) or (same and not _translates(siblings)):
                return name
    return None


def _is_copy_word(part: str) -> bool:
    return not _STRONG.union(_WEAK).isdisjoint(words(part))


def _is_average(part: str) -> bool:
    return not _STRONG.isdisjoint(words(part))


def _translates(siblings: Iterable[str]) -> bool:
    """Return whether a target may be a language instead of a copy."""
    return any(not _TRANSLATION.isdisjoint(words(name)) for name in siblings)
