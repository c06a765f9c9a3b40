"""What a measure tells of generalization beyond the hyperparameters.

References
----------
.. [1] Y. Jiang, B. Neyshabur, H. Mobahi, D. Krishnan, S. Bengio, "Fantastic generalization measures
   and where to find them", ICLR 2020, section 4, Eqs. 6-10.
.. [2] Y. Jiang, P. Foret, S. Yak, D. M. Roy, H. Mobahi, G. K. Dziugaite, S. Bengio, S. Gunasekar,
   I. Guyon, B. Neyshabur, "NeurIPS 2020 competition: predicting generalization in deep learning",
   arXiv 2012.07976.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Literal, TypeAlias, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from genpredict.errors import GenpredictError
from genpredict.stats.coefficients import Array
from genpredict.stats.columns import Named
from genpredict.stats.yardsticks.grid import Codes, grid_of, joint_codes

Form: TypeAlias = Literal["jiang", "pgdl"]
#: Pairs compared at a time.
BLOCK = 1 << 22
_PAIR = ("measure", "target")


def conditional_mutual_information(
    scores: xr.Dataset,
    measures: Sequence[Named] | Named | None = None,
    targets: Sequence[Named] | Named | None = None,
    hyperparameters: Sequence[str] | str | None = None,
    *,
    form: Form = "jiang",
    where: str | xr.DataArray | None = None,
) -> xr.Dataset:
    """Return K: what the order of a measure tells of the target's, given hyperparameters.

    K = min over S of Î(V_μ; V_g | U_S)/Ĥ(V_g | U_S), V the sign of the difference over ordered
    pairs of networks, U_S the pair's values of at most two hyperparameters [1]_. 0 to 1: a measure
    that hyperparameters explain has K near 0.

    Parameters
    ----------
    scores : Dataset
        As of `score` or `open_scores`.
    measures, targets, hyperparameters, where
        As for `granulated_kendall`.
    form : {"jiang", "pgdl"}
        "jiang": no pair of a network with itself, S of none, one or two hyperparameters, cells
        weighted by their share of pairs, ties a value of their own, so that a measure and its
        negative have one K. "pgdl" is what the competition's scoring program computes [2]_, for its
        published scores only: S of two hyperparameters, cells unweighted, pairs with itself, and
        ties counted as "−", so that a measure and its negative differ.

    Returns
    -------
    Dataset
        (measure, target) `K` and `n`; (measure, target, conditioning) `information` (nats),
        `entropy` (nats) and `normalized`, their ratio, NaN where the entropy is 0. `conditioning`
        names S, "none" or hyperparameters with a comma between.

    Raises
    ------
    GenpredictError
        For unknown names and forms, measured columns as hyperparameters, and form "pgdl" of fewer
        than two hyperparameters.
    """
    if form not in get_args(Form):
        raise GenpredictError(f"form must be one of {get_args(Form)}, got {form!r}")
    grid = grid_of(scores, measures, targets, hyperparameters, where)
    count = len(grid.hyperparameters)
    sizes = (2,) if form == "pgdl" else (0, 1, 2)
    sets = [s for size in sizes for s in combinations(range(count), size)]
    if not sets:
        raise GenpredictError("hyperparameters: form 'pgdl' takes two or more")
    shape = (len(grid.measures), len(grid.targets))
    both = np.full((2, *shape, len(sets)), np.nan)
    n = np.zeros(shape, dtype=np.int64)
    for i, t, x, y, codes in grid.pairs():
        n[i, t] = len(x)
        for s, chosen in enumerate(sets):
            if len(x) > 1:
                counts = pair_counts(x, y, joint_codes(codes[:, list(chosen)]), form)
                both[:, i, t, s] = information_of(counts, weighted=form == "jiang")
    information, entropy = both
    sound = entropy > 1e-12
    ratio = np.divide(information, entropy, out=np.full_like(entropy, np.nan), where=sound)
    least = np.where(sound, ratio, np.inf).min(-1)
    names = [",".join(grid.hyperparameters[h] for h in s) or "none" for s in sets]
    dims = (*_PAIR, "conditioning")
    table = grid.table(
        {
            "K": (_PAIR, np.where(np.isinf(least), np.nan, least), "conditional information K"),
            "n": (_PAIR, n, "number of checkpoints"),
            "normalized": (dims, ratio, "mutual information over entropy, given hyperparameters"),
            "information": (dims, information, "conditional mutual information"),
            "entropy": (dims, entropy, "conditional entropy of the target's order"),
        }
    ).assign_coords(conditioning=np.array(names, dtype=object))
    for name in ("information", "entropy"):
        table[name].attrs["units"] = "nat"
    return table.assign_attrs(form=form)


def pair_counts(x: Array, y: Array, group: Codes, form: Form) -> Array:
    """Count ordered pairs by cell and signs.

    Parameters
    ----------
    x, y : array, shape (n,)
    group : array of int, shape (n,)
        Of the conditioning hyperparameters' values; a cell is the pair of both networks' groups.
    form : {"jiang", "pgdl"}

    Returns
    -------
    array, shape (cells, 3, 3)
        Signs −, 0, + of the measure, then of the target; cells that no pair has are left out.
    """
    groups, n = int(group.max()) + 1, len(x)
    counts = np.zeros(groups * groups * 9)
    size = max(1, BLOCK // n)
    for first in range(0, n, size):
        rows = slice(first, first + size)
        codes = (group[rows, None] * groups + group) * 9
        codes = codes + 3 * _signs(x, rows, form) + _signs(y, rows, form)
        if form == "jiang":  # no pair of a network with itself
            own = np.arange(n)[rows]
            kept = np.ones(codes.shape, dtype=bool)
            kept[np.arange(len(own)), own] = False
            codes = codes[kept]
        counts += np.bincount(codes.ravel(), minlength=len(counts))
    cells = counts.reshape(-1, 3, 3)
    return np.asarray(cells[cells.sum((1, 2)) > 0])


def _signs(values: Array, rows: slice, form: Form) -> NDArray[np.intp]:
    """Return 0, 1, 2 for −, 0, + of each difference; "pgdl" has no 0."""
    rise = np.sign(values[rows, None] - values).astype(np.intp) + 1
    return np.where(rise == 1, 0, rise) if form == "pgdl" else rise


def information_of(counts: Array, *, weighted: bool) -> tuple[float, float]:
    """Return mutual information and the target's entropy, means over cells, in nats.

    Parameters
    ----------
    counts : array, shape (cells, 3, 3)
    weighted : bool
        By the cells' share of pairs.
    """
    total = counts.sum((1, 2), keepdims=True)
    joint = counts / total
    of_target = _entropy(joint.sum(1))
    information = _entropy(joint.sum(2)) + of_target - _entropy(joint.reshape(len(joint), 9))
    share = total.ravel() / total.sum() if weighted else np.full(len(joint), 1 / len(joint))
    return float(np.maximum(information, 0) @ share), float(of_target @ share)


def _entropy(p: Array) -> Array:
    """Return −Σ p·log p along the last axis."""
    return np.asarray(-(p * np.log(np.where(p > 0, p, 1.0))).sum(-1))
