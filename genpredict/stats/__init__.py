"""Statistics with intervals: scores in, tables of correlations out (stage 5, no torch)."""

from genpredict.aggregation import aggregate
from genpredict.inference import Inference
from genpredict.stats.correlations import correlate
from genpredict.stats.differences import difference
from genpredict.stats.families import describe_families, families_as_targets
from genpredict.stats.increments import increment
from genpredict.stats.known_coefficients import COEFFICIENTS, Coefficient, register_coefficient
from genpredict.stats.looking import look
from genpredict.stats.multiplicity import benjamini_hochberg, holm
from genpredict.stats.multiverse import multiverse
from genpredict.stats.pooling import within_groups
from genpredict.stats.power import detectable_correlation, power_sentence
from genpredict.stats.prediction import (
    Predictor,
    apply_predictor,
    cross_validate,
    fit_predictor,
    load_predictor,
    save_predictor,
)
from genpredict.stats.tables import summary, to_table
from genpredict.stats.top import top_fraction
from genpredict.stats.yardsticks import (
    conditional_mutual_information,
    granulated_kendall,
    robust_sign_error,
)

__all__ = [
    "aggregate",
    "correlate",
    "difference",
    "describe_families",
    "families_as_targets",
    "top_fraction",
    "within_groups",
    "increment",
    "detectable_correlation",
    "power_sentence",
    "granulated_kendall",
    "robust_sign_error",
    "conditional_mutual_information",
    "multiverse",
    "cross_validate",
    "Predictor",
    "fit_predictor",
    "apply_predictor",
    "save_predictor",
    "load_predictor",
    "Inference",
    "COEFFICIENTS",
    "Coefficient",
    "register_coefficient",
    "holm",
    "benjamini_hochberg",
    "look",
    "summary",
    "to_table",
]
