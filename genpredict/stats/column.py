"""One number per checkpoint, with its label."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import xarray as xr

from genpredict.schema import LAYER_MEASURES, NETWORK_MEASURES, Variable, coordinate
from genpredict.stats.coefficients import Array

CHOICES = ("factorization", "p")
_SUFFIXED = re.compile(r"(?P<name>.+?)(?:_(?P<factorization>raw|low_rank))?(?:_p(?P<p>\d+))?")


@dataclass(frozen=True)
class Column:
    """A number per checkpoint, and what it is.

    Parameters
    ----------
    label : str
        Unique in its table, e.g. ``Q_low_rank_p2``, as of `label_of`.
    name : str
        Of the measure, e.g. ``Q``.
    values : array, shape (checkpoints,)
        As measured; NaN where a logarithm is asked for of what is not positive.
    factorization : str
        "raw", "low_rank", or "" where the measure has none.
    p : float
        1, 2, or NaN where the measure has none.
    long_name, units : str
        Of `values`.
    log : bool
        Whether statistics take the logarithm, and axes are logarithmic (``log_`` before the name).
    """

    label: str
    name: str
    values: Array
    factorization: str = ""
    p: float = float("nan")
    long_name: str = ""
    units: str = "1"
    log: bool = False

    @property
    def numbers(self) -> Array:
        """What is correlated: the values, or their logarithms, shape (checkpoints,)."""
        return np.log(self.values) if self.log else self.values

    @property
    def title(self) -> str:
        """Name of `numbers` in words."""
        return f"log {self.long_name}" if self.log else self.long_name


def label_of(name: str, factorization: str = "", p: float | str | None = None) -> str:
    """Return the label of a column; `parsed_label` takes it apart.

    Examples
    --------
    >>> label_of("Q", "low_rank", 2), label_of("num_layers")
    ('Q_low_rank_p2', 'num_layers')
    """
    power = "" if p is None or p != p else f"_p{p:g}" if isinstance(p, float | int) else f"_p{p}"
    return name + (f"_{factorization}" if factorization else "") + power


def parsed_label(label: str) -> tuple[str, dict[str, str]]:
    """Return the name in a label, and the choices written out after it.

    Examples
    --------
    >>> parsed_label("Q_low_rank_p2")
    ('Q', {'factorization': 'low_rank', 'p': '2'})
    """
    match = _SUFFIXED.fullmatch(label)
    if match is None:
        return label, {}
    return match["name"], {dim: match[dim] for dim in CHOICES if match[dim]}


def tied(numbers: Array, decimals: int) -> Array:
    """Make numbers equal that are equal to so many decimals; others stay as they are.

    Examples
    --------
    >>> len(set(tied(np.array([99.9 - 92.3, 99.8 - 92.2, 3.0]), 9).tolist()))
    2
    """
    _, first, inverse = np.unique(
        np.round(numbers, decimals), return_index=True, return_inverse=True
    )
    return np.asarray(numbers[first][inverse])


def long_name_of(name: str, values: xr.DataArray) -> str:
    """Return the label that an array carries, else that of its name."""
    return str(values.attrs.get("long_name", _described(name).long_name))


def units_of(name: str, values: xr.DataArray) -> str:
    """Return the units that an array carries, else those of its name."""
    return str(values.attrs.get("units", _described(name).units))


def _described(name: str) -> Variable:
    known = NETWORK_MEASURES | LAYER_MEASURES
    return known[name] if name in known else coordinate(name, numeric=True)
