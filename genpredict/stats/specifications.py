"""Every way to make one number of a network's layer qualities: the conventions and their values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from itertools import product
from typing import Any, get_args

import numpy as np
import xarray as xr

from genpredict.aggregation import Aggregation, Empty, RankOne, aggregate
from genpredict.errors import GenpredictError
from genpredict.schema import FACTORIZATIONS, KINDS, POWERS, UNFOLDINGS
from genpredict.stats.coefficients import Array
from genpredict.stats.columns import missing_for_aggregation

#: Layers that count: the convolutions, or every one.
_KINDS = {"conv": ("conv",), "all": KINDS}


@dataclass(frozen=True)
class Specification:
    """One choice of all conventions.

    Parameters
    ----------
    factorization, p, aggregation, kinds, empty, rank_one, unfolding
        As of `genpredict.aggregate`; "both" unfoldings, kinds "conv" or "all".
    """

    factorization: str
    p: int
    aggregation: str
    kinds: str
    empty: str
    rank_one: str
    unfolding: str

    @property
    def label(self) -> str:
        """Return the choices with strokes between, e.g. "low_rank/2/l2/conv/zero/limit/both"."""
        return "/".join(str(value) for value in asdict(self).values())


CONVENTIONS = tuple(field.name for field in fields(Specification))


def specifications() -> list[Specification]:
    """List all specifications that differ by definition.

    A raw spectrum has no entry of rank 0 or 1, so what these count as is no choice there.

    Examples
    --------
    >>> len(specifications())
    252
    """
    ranks = {"raw": [("zero", "limit")],
             "low_rank": list(product(get_args(Empty), get_args(RankOne)))}  # fmt: skip
    return [
        Specification(factorization, p, aggregation, kinds, empty, rank_one, unfolding)
        for factorization in FACTORIZATIONS
        for p, aggregation, kinds, unfolding in product(
            POWERS, get_args(Aggregation), _KINDS, ("both", *UNFOLDINGS)
        )
        for empty, rank_one in ranks[factorization]
    ]


def specified_values(
    scores: xr.Dataset, chosen: list[Specification]
) -> Iterator[tuple[Specification, Array]]:
    """Yield the network measure of every specification.

    Parameters
    ----------
    scores : Dataset
        With layer measures, as of `score` or `open_scores`.
    chosen : list of Specification

    Yields
    ------
    Specification
    array, shape (checkpoints,)
        NaN where no entry counts.

    Raises
    ------
    GenpredictError
        When the scores lack what `aggregate` needs.
    """
    if missing := missing_for_aggregation(scores):
        raise GenpredictError(
            f"scores: a multiverse is aggregated anew from the layers, but these lack "
            f"{', '.join(missing)}; take scores as `score` and open_scores give them"
        )
    together: dict[tuple[Any, ...], list[Specification]] = {}
    for one in chosen:
        key = (one.aggregation, one.kinds, one.empty, one.rank_one, one.unfolding)
        together.setdefault(key, []).append(one)
    for (aggregation, kinds, empty, rank_one, unfolding), members in together.items():
        values = aggregate(
            scores,
            aggregation=aggregation,
            kinds=_KINDS[kinds],
            empty=empty,
            rank_one=rank_one,
            unfolding=None if unfolding == "both" else unfolding,
        )
        for one in members:
            column = values.sel(factorization=one.factorization, p=one.p)
            yield one, np.asarray(column.values, dtype=np.float64)
