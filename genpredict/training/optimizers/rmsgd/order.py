"""The order of depth of parameters that come in several groups, read off their names.

Groups by weight decay tear apart what lies side by side in a network: all weights first, all
biases and norms second. Their order is put together again from what names and groups tell:

- a module's own parameters come before those of its children, and each child's stand together;
- children called by numbers alone (`nn.Sequential`) come in the order of these;
- children that occur in the same group come in the order of that group;
- what this leaves open is decided by the number at the end of a child's name (``bn1`` follows
  ``conv1``, ``conv2`` follows both), then by the group, the first before the second.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

Path = tuple[str, ...]
_NUMBER_AT_END = re.compile(r".*?(\d+)")


def depth_order(groups: Sequence[Sequence[str]], *, later_first: bool = False) -> list[str]:
    """Put the names of several groups in the order of depth.

    Parameters
    ----------
    groups : sequence of sequence of str
        Names of parameters, each once, in every group in the order of depth.
    later_first : bool
        Whether later groups go first where only the group decides: two orders that differ show
        what names leave open.

    Returns
    -------
    list of str

    Examples
    --------
    >>> decayed = ["conv1.weight", "block.0.weight", "block.2.weight", "head.weight"]
    >>> others = ["bn1.weight", "block.1.weight", "head.bias"]
    >>> depth_order([decayed, others])[:4]
    ['conv1.weight', 'bn1.weight', 'block.0.weight', 'block.1.weight']
    """
    paths = [[tuple(name.split(".")) for name in names] for names in groups]
    return [".".join(path) for path in _order(paths, 0, later_first)]


def _order(groups: Sequence[Sequence[Path]], depth: int, later_first: bool) -> list[Path]:
    """Order the paths of one module, which share their first `depth` parts."""
    own = [path for group in groups for path in group if len(path) == depth + 1]
    below = [[path for path in group if len(path) > depth + 1] for group in groups]
    children = [list(dict.fromkeys(path[depth] for path in group)) for group in below]
    ordered = own
    for child in _merge(children, later_first):
        parts = [[path for path in group if path[depth] == child] for group in below]
        ordered += _order(parts, depth + 1, later_first)
    return ordered


def _merge(sequences: Sequence[Sequence[str]], later_first: bool) -> list[str]:
    """Merge the children of a module, each sequence in order, into one order."""
    place: dict[str, tuple[int, int]] = {}
    before: dict[str, set[str]] = {}
    for rank, sequence in enumerate(sequences):
        for index, child in enumerate(sequence):
            place.setdefault(child, (rank, index))
            before.setdefault(child, set()).update(sequence[:index])
    if all(child.isdecimal() for child in place):
        return sorted(place, key=int)

    def priority(child: str) -> tuple[int, int, int]:
        number = _NUMBER_AT_END.fullmatch(child)
        rank, index = place[child]
        flipped = -rank if later_first and not number else rank
        return (int(number[1]) if number else 0, flipped, index)

    merged: list[str] = []
    while len(merged) < len(place):
        left = [child for child in place if child not in merged]
        ready = [child for child in left if before[child] <= set(merged)]
        merged.append(min(ready or left, key=priority))  # groups that contradict: anything goes
    return merged
