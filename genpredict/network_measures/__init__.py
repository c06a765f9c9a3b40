"""Measures of a network as a function: what its layers' weights alone do not tell.

Tensors and modules in, numbers out; no files and no labels. Each measure is one module.
"""

from genpredict.network_measures.distances import distances_from_initialization
from genpredict.network_measures.gradient_noise import gradient_signal_to_noise
from genpredict.network_measures.hessian import (
    hessian_largest_eigenvalue,
    hessian_product,
    hessian_trace,
)
from genpredict.network_measures.labelled_batches import LabelledInputs, mean_loss
from genpredict.network_measures.margins import margin, output_margins
from genpredict.network_measures.path_norm import log_path_norm
from genpredict.network_measures.sharpness import average_sharpness, worst_sharpness

__all__ = [
    "LabelledInputs",
    "log_path_norm",
    "distances_from_initialization",
    "output_margins",
    "margin",
    "mean_loss",
    "average_sharpness",
    "worst_sharpness",
    "hessian_trace",
    "hessian_largest_eigenvalue",
    "hessian_product",
    "gradient_signal_to_noise",
]
