"""A column sorted once, for everything that only its order decides."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Number = TypeVar("Number", bound=np.generic)


class RankedColumn:
    """A column in order of its values.

    Parameters
    ----------
    values : array, shape (n,)

    Attributes
    ----------
    order : array of int, shape (n,)
        Positions from the least value to the greatest.
    rank : array of int, shape (n,)
        Number of different values below each.
    sizes : array of int, shape (levels,)
        How often each value occurs, the least first.
    centred : array, shape (n,)
        Mid-ranks over n, less their mean 1/2 (less or equal, equals by half).

    Examples
    --------
    >>> RankedColumn(np.array([3.0, 1, 3, 2])).rank
    array([2, 0, 2, 1], dtype=int32)
    """

    def __init__(self, values: Array) -> None:
        self.order = np.argsort(values, kind="stable")
        ordered = values[self.order]
        first = np.concatenate([[True], ordered[1:] != ordered[:-1]])
        self._starts = np.flatnonzero(first)
        self._group = np.cumsum(first, dtype=np.int32) - np.int32(1)
        self.sizes = np.diff(np.append(self._starts, len(values)))
        self.rank = self._back(self._group)
        middle = self._starts + self.sizes / 2
        self.centred = self._back(np.repeat(middle / len(values) - 0.5, self.sizes))

    @property
    def tied_with(self) -> NDArray[np.intp]:
        """Size of each element's group of equals, itself included, shape (n,)."""
        return np.asarray(self.sizes[self.rank])

    def moved_by(self, weights: Array) -> Array:
        """Return ½·mean_j(sgn(v_j − v_i)·w_j) − mean_j(u_j·w_j) for each i, u = `centred`.

        The derivative of mean(u·w) in a checkpoint's weight through the ranks alone.

        Parameters
        ----------
        weights : array, shape (n,)

        Returns
        -------
        array, shape (n,)
        """
        sums = np.add.reduceat(weights[self.order], self._starts)
        up_to = np.cumsum(sums)
        greater_less_smaller = up_to[-1] - 2 * up_to + sums
        moved = self._back(greater_less_smaller[self._group]) / (2 * len(weights))
        return np.asarray(moved - self.centred @ weights / len(weights))

    def _back(self, ordered: NDArray[Number]) -> NDArray[Number]:
        """Put what is in order of values back in order of checkpoints."""
        restored = np.empty_like(ordered)
        restored[self.order] = ordered
        return restored
