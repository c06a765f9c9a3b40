"""Tensors in, tensors out: unfoldings, spectra, EVBMF and layer measures, batched.

`measure_weights` does all of it for many layers at once; the other functions are its steps, for
use one by one.
"""

from genpredict.estimators import (
    DEAD_TOLERANCE,
    ESTIMATORS,
    NULL_TOLERANCE,
    Estimator,
    check_method,
)
from genpredict.spectral.batch import measure_weights
from genpredict.spectral.evbmf import (
    LowRank,
    null_directions,
    signal_threshold,
    solve_evbmf,
)
from genpredict.spectral.factorization import evbmf
from genpredict.spectral.free_energy import free_energy
from genpredict.spectral.layer_measures import LayerMeasures
from genpredict.spectral.layer_spectrum import LayerSpectrum, layer_spectrum
from genpredict.spectral.marchenko_pastur import marchenko_pastur_median, mp_spikes
from genpredict.spectral.measures import (
    condition_number,
    effective_rank,
    frobenius_norm,
    hill_alpha,
    participation_ratio,
    quality,
    quality_angle,
    spectral_entropy,
    spectral_norm,
    stable_rank,
)
from genpredict.spectral.spectrum import singular_values
from genpredict.spectral.unfold import dead_channels, unfold, unfoldings

__all__ = [
    "unfold",
    "unfoldings",
    "dead_channels",
    "singular_values",
    "evbmf",
    "solve_evbmf",
    "signal_threshold",
    "free_energy",
    "layer_spectrum",
    "LayerSpectrum",
    "null_directions",
    "LowRank",
    "stable_rank",
    "condition_number",
    "quality",
    "effective_rank",
    "spectral_entropy",
    "spectral_norm",
    "frobenius_norm",
    "participation_ratio",
    "hill_alpha",
    "mp_spikes",
    "marchenko_pastur_median",
    "quality_angle",
    "measure_weights",
    "LayerMeasures",
    "check_method",
    "Estimator",
    "ESTIMATORS",
    "DEAD_TOLERANCE",
    "NULL_TOLERANCE",
]
