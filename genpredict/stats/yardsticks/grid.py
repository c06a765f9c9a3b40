"""Networks as points of a grid: which hyperparameters each has, and what is asked of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from genpredict.errors import GenpredictError
from genpredict.schema import TARGETS
from genpredict.stats.clusters import setting_names
from genpredict.stats.coefficients import Array
from genpredict.stats.column import Column
from genpredict.stats.columns import Named, measure_columns, names_of, target_columns
from genpredict.stats.groups import selected

Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Grid:
    """Measures and targets of networks, and where these stand in a grid of hyperparameters.

    Parameters
    ----------
    measures, targets : list of Column
    hyperparameters : list of str
    codes : array of int, shape (checkpoints, hyperparameters)
        Number of the value of each; −1 where it is missing.
    """

    measures: list[Column]
    targets: list[Column]
    hyperparameters: list[str]
    codes: Codes

    def pairs(self) -> Iterator[tuple[int, int, Array, Array, Codes]]:
        """Yield each measure and target: their places, numbers, and codes of known networks."""
        placed = (self.codes >= 0).all(1)
        for i, measure in enumerate(self.measures):
            for t, target in enumerate(self.targets):
                x, y = measure.numbers, target.numbers
                known = placed & np.isfinite(x) & np.isfinite(y)
                yield i, t, x[known], y[known], self.codes[known]

    def table(self, variables: dict[str, tuple[tuple[str, ...], Any, str]]) -> xr.Dataset:
        """Return a Dataset of variables: dimensions, values, long name."""
        labels = {
            "measure": [column.label for column in self.measures],
            "target": [column.label for column in self.targets],
            "hyperparameter": self.hyperparameters,
        }
        used = {dim for dims, _, _ in variables.values() for dim in dims}
        coords = {name: np.array(v, dtype=object) for name, v in labels.items() if name in used}
        return xr.Dataset(
            {
                name: (dims, values, {"long_name": long_name, "units": "1"})
                for name, (dims, values, long_name) in variables.items()
            },
            coords=coords,
            attrs={"hyperparameters": ",".join(self.hyperparameters)},
        )


def grid_of(
    scores: xr.Dataset,
    measures: Sequence[Named] | Named | None,
    targets: Sequence[Named] | Named | None,
    hyperparameters: Sequence[str] | str | None,
    where: str | xr.DataArray | None,
) -> Grid:
    """Read a grid off scores.

    Parameters
    ----------
    scores : Dataset
    measures, targets, where
        As for `correlate`.
    hyperparameters : sequence of str, optional
        Coordinates; by default those settings (network, optimizer, learning rate, …) that differ.

    Returns
    -------
    Grid

    Raises
    ------
    GenpredictError
        For a name that is no coordinate, or is measured; when no setting differs.
    """
    scores = selected(scores, where)
    names = names_of(hyperparameters) or _differing(scores)
    for name in names:
        _check(scores, name)
    return Grid(
        measure_columns(scores, measures),
        target_columns(scores, targets),
        names,
        np.stack([_codes(scores[name].values) for name in names], axis=1),
    )


def _differing(scores: xr.Dataset) -> list[str]:
    names = [name for name in setting_names(scores) if _codes(scores[name].values).max() > 0]
    # what another one decides, such as a schedule that comes with a recipe, is no axis of its own
    kept: list[str] = []
    for name in names:
        codes = [_codes(scores[other].values) for other in (*kept, name)]
        if not any(_decides(code, codes[-1]) for code in codes[:-1]):
            kept.append(name)
    if not kept:
        raise GenpredictError(
            "hyperparameters: no setting of these networks differs; name coordinates that do"
        )
    return kept


def _decides(one: Codes, other: Codes) -> bool:
    pairs = np.unique(np.stack([one, other]), axis=1).shape[1]
    return bool(pairs == len(np.unique(one)))


def _check(scores: xr.Dataset, name: str) -> None:
    coordinate = name in scores.coords and scores[name].dims == ("checkpoint",)
    if name in TARGETS or (name in scores.variables and not coordinate):
        raise GenpredictError(
            f"hyperparameters: {name!r} is measured, not set; name coordinates such as "
            f"{', '.join(setting_names(scores)) or 'optimizer'}"
        )
    if not coordinate or name == "checkpoint":
        known = [str(n) for n, v in scores.coords.items() if v.dims == ("checkpoint",)]
        raise GenpredictError(
            f"hyperparameters: {name!r} is no coordinate along checkpoint; there are "
            f"{', '.join(known)}"
        )


def _codes(values: NDArray[Any]) -> Codes:
    """Number values as they are, never by their text; −1 for missing ones."""
    series = pd.Series(values)
    return np.asarray(pd.factorize(series.where(series != "", None))[0], dtype=np.intp)


def joint_codes(codes: Codes) -> Codes:
    """Number the combinations of the columns of codes, shape (n,).

    Examples
    --------
    >>> joint_codes(np.array([[0, 1], [0, 11], [0, 1]]))
    array([0, 1, 0])
    """
    if codes.shape[1] == 0:
        return np.zeros(len(codes), dtype=np.intp)
    return np.asarray(np.unique(codes, axis=0, return_inverse=True)[1].ravel(), dtype=np.intp)
