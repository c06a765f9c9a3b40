"""Order names as people count."""

from __future__ import annotations

import re


def natural_key(name: str) -> tuple[tuple[int, str], ...]:
    """Return a sort key that puts epoch_9 before epoch_10.

    Examples
    --------
    >>> sorted(["e10", "e9", "f"], key=natural_key)
    ['e9', 'e10', 'f']
    """
    parts = re.split(r"([0-9]+)", name)
    # the split alternates text and digits, so that like is compared with like; of two numbers
    # without leading zeros the longer is larger, and none is too long to be read
    digits = (part.lstrip("0") for part in parts[1::2])
    texts = [(0, part) for part in parts]
    texts[1::2] = [(len(number), number) for number in digits]
    return tuple(texts)
