"""Order names as people count."""

from __future__ import annotations

import re


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sort key that puts epoch_9 before epoch_10.

    Examples
    --------
    >>> sorted(["e10", "e9", "f"], key=natural_key)
    ['e9', 'e10', 'f']
    """
    parts = re.split(r"([0-9]+)", name)
    # the split alternates text and digits, so that like is compared with like
    return tuple((0, int(part)) if at % 2 else (1, part) for at, part in enumerate(parts))
