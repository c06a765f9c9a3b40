"""All pairs of many checkpoints compared at once, bit by bit of their ranks.

References
----------
.. [1] W. R. Knight, "A computer method for calculating Kendall's tau with ungrouped data", J. Am.
   Stat. Assoc. 61 (1966) 436-439.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genpredict.stats.coefficients import Array
from genpredict.stats.ranked import RankedColumn


def concordance_by_partition(x: RankedColumn, y: RankedColumn) -> Array:
    """Return C_i in O(n log n): Knight's counting [1]_, by the bits of a rank instead of a merge.

    Parameters
    ----------
    x, y : RankedColumn, of n checkpoints

    Returns
    -------
    array, shape (n,)

    Notes
    -----
    In order of x (then y), let two checkpoints agree in the leading bits of their rank in y and
    differ in the next: then that bit says which is the greater. So from the highest bit down,
    within each block of equal leading bits, count zeros and ones before and after every checkpoint,
    then part the block into its zeros and its ones, each in their order. Equals in x come out as
    concordant; they are taken off in the end.
    """
    n = len(x.rank)
    order = _by_both(x, y)
    rank = y.rank[order]
    joint = _joint_sizes(x.rank[order], rank)
    place = np.arange(n, dtype=np.int32)  # where each element of `rank` stood at first
    counted = np.zeros(n, dtype=np.int64)
    largest = int(rank.max()) if n else 0
    for bit in reversed(range(largest.bit_length())):
        balance, target = _parted(rank, bit)
        counted[place] += balance
        rank, place = _moved(rank, target), _moved(place, target)
    in_order = np.empty(n)
    in_order[order] = counted + joint
    return in_order - x.tied_with


def _by_both(x: RankedColumn, y: RankedColumn) -> NDArray[np.intp]:
    """Order by x, equals by y."""
    if len(x.sizes) == len(x.rank):  # no ties
        return x.order
    rank = x.rank[y.order]
    if len(x.sizes) <= 1 << 16:
        rank = rank.astype(np.uint16)  # which numpy sorts by radix
    return np.asarray(y.order[np.argsort(rank, kind="stable")])


def _joint_sizes(x_rank: NDArray[np.int32], y_rank: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return how many checkpoints have each one's pair of values, ordered by x, then y."""
    differ = (x_rank[1:] != x_rank[:-1]) | (y_rank[1:] != y_rank[:-1])
    starts = np.flatnonzero(np.concatenate([[True], differ]))
    sizes = np.diff(np.append(starts, len(x_rank)))
    return np.repeat(sizes, sizes)


def _parted(rank: NDArray[np.int32], bit: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Compare within blocks of equal leading bits by one bit, and part each block by it.

    Returns
    -------
    balance : array, shape (n,)
        Of each element, by how many others of its block that differ in the bit agree in order
        rather than not.
    target : array, shape (n,)
        Its place once zeros come before ones in each block.
    """
    block = rank >> (bit + 1)
    one = ((rank >> bit) & 1).astype(np.int32)
    before = np.cumsum(one, dtype=np.int32) - one  # ones before, blocks before included
    starts = np.flatnonzero(np.concatenate([[True], block[1:] != block[:-1]])).astype(np.int32)
    sizes = np.diff(np.append(starts, len(rank))).astype(np.int32)
    ones_in = np.add.reduceat(one, starts, dtype=np.int32)
    start, size, ones = (np.repeat(v, sizes) for v in (starts, sizes, ones_in))
    before -= np.repeat(before[starts], sizes)
    zeros_before = np.arange(len(rank), dtype=np.int32) - start - before
    zeros = size - ones
    balance = np.where(one == 1, 2 * zeros_before - zeros, ones - 2 * before)
    target = start + np.where(one == 1, zeros + before, zeros_before)
    return balance, target


def _moved(values: NDArray[np.int32], target: NDArray[np.int32]) -> NDArray[np.int32]:
    moved = np.empty_like(values)
    moved[target] = values
    return moved
