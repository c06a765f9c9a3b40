"""Architecture indices as a user writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from genpredict.errors import GenpredictError

MAX_INDEX = 999_999
"""Archives are numbered with six digits."""

_RUN = re.compile(r"(\d*):(\d*)(?::([1-9]\d*))?")


def parse_indices(indices: str | int | Iterable[int]) -> frozenset[int]:
    """Read indices.

    Parameters
    ----------
    indices : str, int or iterable of int
        ``"5"``, ``"1,4,9"``, ``"start:stop"`` (stop excluded), ``"start:stop:step"``, or several
        of these with commas between.

    Raises
    ------
    GenpredictError
        When the text has another form, a range is empty or an index is negative.

    Examples
    --------
    >>> sorted(parse_indices("0:4,9,20:40:10"))
    [0, 1, 2, 3, 9, 20, 30]
    """
    if isinstance(indices, str):
        parts = [_parse(part.strip(), indices) for part in indices.split(",")]
        return frozenset().union(*parts)
    numbers = frozenset([indices] if isinstance(indices, int) else indices)
    if not numbers or min(numbers) < 0:
        raise GenpredictError(f"indices: {sorted(numbers)} must be one or more numbers from 0")
    return numbers


def _parse(part: str, whole: str) -> range:
    """Read one number or range."""
    if re.fullmatch(r"\d+", part):
        return range(int(part), int(part) + 1)
    if match := _RUN.fullmatch(part):
        stop = int(match[2]) if match[2] else MAX_INDEX + 1
        run = range(int(match[1] or 0), min(stop, MAX_INDEX + 1), int(match[3] or 1))
        if run:
            return run
        raise GenpredictError(f"indices: {part!r} is empty; stop must be greater than start")
    raise GenpredictError(
        f"indices: {whole!r} is not understood; write 5, 1,4,9, start:stop or start:stop:step"
    )
