"""Columns of a page in little room: each once, rounded where there are many, deflated.

A column goes as doubles, big end first, by *planes*: the first byte of every number, then the
second of every number, and so on, without the planes that are zero throughout. What is alike then
stands together (signs and exponents, the zeros after the last significant bit), and deflate finds
it. The page's script undoes this with the browser's own ``DecompressionStream``.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Up to this many checkpoints, numbers go to the page as they are.
MOST_EXACT = 2000
#: Significant bits of the numbers of more checkpoints; whole numbers are always exact.
BITS = 16
_MANTISSA = 52  # of a double, without the leading bit (IEEE 754)
_WHOLE = 2.0**53
_EFFORT = 6  # of deflate: 9 takes three times as long for one part in a hundred


class Columns:
    """The columns of a page, each kept once however often it is asked for.

    Attributes
    ----------
    packed : list of dict
        In order of first mention: `planes` (bytes kept of each number) and `text`.
    """

    def __init__(self) -> None:
        self.packed: list[dict[str, Any]] = []
        self._places: dict[bytes, int] = {}

    def place_of(self, column: NDArray[Any]) -> int:
        """Return where in `packed` a column stands, packing it if it is new.

        Parameters
        ----------
        column : array of numbers, shape (checkpoints,)
            What is not finite becomes NaN.

        Returns
        -------
        int
        """
        numbers = np.asarray(column, dtype=np.float64)
        numbers = np.where(np.isfinite(numbers), numbers, np.nan)
        kept = numbers if len(numbers) <= MOST_EXACT else rounded(numbers)
        key = kept.tobytes()
        if key not in self._places:
            self._places[key] = len(self.packed)
            self.packed.append(_packed(kept))
        return self._places[key]


def rounded(numbers: NDArray[np.float64], bits: int = BITS) -> NDArray[np.float64]:
    """Round to the nearest double of so many significant bits; whole numbers stay as they are.

    Parameters
    ----------
    numbers : array
    bits : int
        The error is at most 2**-bits of a number.

    Returns
    -------
    array
        The numbers themselves where all that are finite are whole (and below 2**53, from where on
        every double is).

    Examples
    --------
    >>> rounded(np.array([1 / 3, -np.pi, np.nan]), bits=5).tolist()
    [0.328125, -3.125, nan]
    >>> rounded(np.array([123457.0, 1e9 + 1]), bits=5).tolist()
    [123457.0, 1000000001.0]
    """
    known = numbers[np.isfinite(numbers)]
    if ((known == np.rint(known)) & (np.abs(known) < _WHOLE)).all():
        return numbers
    dropped = np.uint64(_MANTISSA + 1 - bits)
    unit = np.uint64(1) << dropped
    # a carry out of the mantissa goes into the exponent, which is the next power of two: right
    words = np.ascontiguousarray(numbers).view(np.uint64) + (unit >> np.uint64(1))
    return (words & ~(unit - np.uint64(1))).view(np.float64)


def packed_texts(texts: Sequence[str]) -> list[str] | str:
    """Return texts as they are, so that a few can be searched in the file, or deflated.

    Parameters
    ----------
    texts : sequence of str
        Any: whatever characters they hold.

    Returns
    -------
    list of str, or str
        Of more than 2,000 texts: their JSON, deflated, in base64.
    """
    if len(texts) <= MOST_EXACT:
        return list(texts)
    return _deflated(json.dumps(list(texts), ensure_ascii=False).encode(errors="replace"))


def _packed(numbers: NDArray[np.float64]) -> dict[str, Any]:
    planes = numbers.astype(">f8").view(np.uint8).reshape(len(numbers), 8).T
    kept = int(np.flatnonzero(planes.any(axis=1)).max(initial=0)) + 1
    return {"planes": kept, "text": _deflated(planes[:kept].tobytes())}


def _deflated(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, _EFFORT)).decode("ascii")
