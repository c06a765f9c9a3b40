"""Measures scored by another rule than correlation, one a row.

`granulated_kendall`, `robust_sign_error` and `conditional_mutual_information` ask whether a measure
still orders networks when only one of their hyperparameters changes, at the worst such change, and
beyond what hyperparameters tell already.
"""

from __future__ import annotations

from genpredict.stats.yardsticks.granulated import granulated_kendall
from genpredict.stats.yardsticks.information import conditional_mutual_information
from genpredict.stats.yardsticks.sign_error import robust_sign_error
from genpredict.stats.yardsticks.table import YARDSTICKS, Yardstick, yardstick_table

__all__ = [
    "YARDSTICKS",
    "Yardstick",
    "conditional_mutual_information",
    "granulated_kendall",
    "robust_sign_error",
    "yardstick_table",
]
