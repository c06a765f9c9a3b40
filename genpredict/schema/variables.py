"""Dimensions, their labels, and what a variable is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

UNFOLDINGS = ("in_channel", "out_channel")
FACTORIZATIONS = ("raw", "low_rank")
POWERS = (1, 2)
#: What is shown where a single number is (docs/design.md 3.5), and how it is called.
MAIN_CHOICE = {"factorization": "low_rank", "p": 2}
MAIN_CHOICE_NAME = "low rank, p = 2"
KINDS = ("conv", "linear")
#: Number of the definitions of all measures; raised when one of them changes its values.
DEFINITIONS = 1
#: Labels of the dimensions that do not grow.
AXES: dict[str, tuple[str, ...] | tuple[int, ...]] = {
    "unfolding": UNFOLDINGS,
    "factorization": FACTORIZATIONS,
    "p": POWERS,
}
#: Of weight statistics, in percent.
QUANTILES = (0, 25, 50, 75, 100)
#: Labels of those that some measures have besides, in a Dataset that holds one of these.
EXTRA_AXES: dict[str, tuple[str, ...]] = {
    "tensor": ("weight", "bias"),
    "statistic": ("mean", "variance", *(f"quantile_{percent}" for percent in QUANTILES)),
}


@dataclass(frozen=True)
class Variable:
    """A variable of the Dataset: dimensions, label, unit and fill value."""

    dims: tuple[str, ...]
    long_name: str
    units: str = "1"
    dtype: Literal["float64", "str"] = "float64"

    @property
    def attrs(self) -> dict[str, str]:
        """Return the label and unit as xarray attributes."""
        return {"long_name": self.long_name, "units": self.units}
