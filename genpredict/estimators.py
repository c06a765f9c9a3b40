"""How a low-rank part is found: estimators, arithmetic and what is set aside."""

from __future__ import annotations

from typing import Literal, get_args

Estimator = Literal["global", "reference"]
Precision = Literal["float64", "float32"]
ESTIMATORS: tuple[str, ...] = get_args(Estimator)
PRECISIONS: tuple[str, ...] = get_args(Precision)
#: Slices with norms up to this share of the median are dead (valley of 120,170 real channels).
DEAD_TOLERANCE = 0.03
#: Singular values up to this share of the median are null directions (softmax leaves one at 1e-5).
NULL_TOLERANCE = 0.01


def check_method(estimator: str, dead_tolerance: float, null_tolerance: float) -> None:
    """Raise ValueError for another estimator, or a tolerance outside [0, 1)."""
    if estimator not in ESTIMATORS:
        raise ValueError(f"estimator must be one of {ESTIMATORS}, got {estimator!r}")
    for name, value in (("dead_tolerance", dead_tolerance), ("null_tolerance", null_tolerance)):
        if not 0 <= value < 1:
            raise ValueError(f"{name} must lie in [0, 1), got {value}")


#: Choices of how a low-rank part is found.
ESTIMATION = ("estimator", "dead_tolerance", "null_tolerance")
