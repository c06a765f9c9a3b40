"""P-values adjusted for the number of tests in a table.

References
----------
.. [1] S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statistics 6
   (1979) 65-70.
.. [2] Y. Benjamini, Y. Hochberg, "Controlling the false discovery rate: a practical and powerful
   approach to multiple testing", J. R. Stat. Soc. B 57 (1995) 289-300.
"""

from __future__ import annotations

import numpy as np

from genpredict.stats.coefficients import Array


def holm(pvalues: Array) -> Array:
    """Adjust so that p ≤ α rejects a single true hypothesis with probability at most α [1]_.

    Holds under any dependence of the tests. p̃_(i) = max over j ≤ i of (m − j + 1)·p_(j).

    Parameters
    ----------
    pvalues : array, any shape
        NaN entries are no tests and stay NaN.

    Returns
    -------
    array, same shape

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03, np.nan]))
    array([0.03, 0.06, 0.06,  nan])
    """
    order, ordered = _ordered(pvalues)
    tests = len(ordered)
    stepped = np.maximum.accumulate(ordered * np.arange(tests, 0, -1))
    return _back(pvalues, order, stepped)


def benjamini_hochberg(pvalues: Array) -> Array:
    """Adjust so that of the tests with p ≤ α at most a share α is expected to be false [2]_.

    Holds under independence and positive dependence. p̃_(i) = min over j ≥ i of m·p_(j)/j, as
    ``scipy.stats.false_discovery_control`` has it, without the second that its import takes.

    Parameters
    ----------
    pvalues : array, any shape
        NaN entries are no tests and stay NaN.

    Returns
    -------
    array, same shape

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03, np.nan]))
    array([0.03, 0.04, 0.04,  nan])
    """
    order, ordered = _ordered(pvalues)
    tests = len(ordered)
    scaled = ordered * tests / np.arange(1, tests + 1)
    stepped = np.minimum.accumulate(scaled[::-1])[::-1]
    return _back(pvalues, order, stepped)


def _ordered(pvalues: Array) -> tuple[np.ndarray[tuple[int], np.dtype[np.intp]], Array]:
    flat = np.ravel(pvalues)
    order = np.argsort(flat, kind="stable")[: int((~np.isnan(flat)).sum())]  # NaN last
    return order, flat[order]


def _back(
    pvalues: Array, order: np.ndarray[tuple[int], np.dtype[np.intp]], adjusted: Array
) -> Array:
    unsorted = np.full(np.size(pvalues), np.nan)
    unsorted[order] = np.minimum(adjusted, 1.0)
    return unsorted.reshape(np.shape(pvalues))


#: How p-values are adjusted, by the suffix of their variable.
ADJUSTMENTS = {"holm": holm, "bh": benjamini_hochberg}
