"""Measures of a `Subject`, as the table of network measures names them (docs/design.md 3.5)."""

from __future__ import annotations

import math

import torch

from genpredict.network_measures import sharpness
from genpredict.network_measures.distances import distances_from_initialization
from genpredict.network_measures.gradient_noise import BATCH_SIZE, gradient_signal_to_noise
from genpredict.network_measures.hessian import hessian_largest_eigenvalue as _eigenvalue
from genpredict.network_measures.hessian import hessian_trace as _trace
from genpredict.network_measures.labelled_batches import mean_loss
from genpredict.network_measures.path_norm import log_path_norm as _log_path_norm
from genpredict.network_measures.subject import Subject, UnknownError
from genpredict.spectral import singular_values


def log_path_norm(subject: Subject) -> float:
    """Return the logarithm of the path norm."""
    return _log_path_norm(subject.network, subject.input_shape)


def path_norm(subject: Subject) -> float:
    """Return the path norm; ∞ where it exceeds the range of floats."""
    log = log_path_norm(subject)
    return math.exp(log) if log < math.log(torch.finfo(torch.float64).max) else math.inf


def distance_from_initialization(subject: Subject) -> float:
    """Return √Σ‖W − W₀‖²_F over layers."""
    return _distances(subject)[0]


def spectral_distance_from_initialization(subject: Subject) -> float:
    """Return √Σ‖W − W₀‖²₂ over layers."""
    return _distances(subject)[1]


def _distances(subject: Subject) -> tuple[float, float]:
    initial, names = subject.initial, list(subject.weights)
    for name in names:
        if name not in initial or initial[name].shape != subject.weights[name].shape:
            raise UnknownError(f"the initial weights have no {name!r} of its shape")
    starts = [initial[name] for name in names]
    return distances_from_initialization(list(subject.weights.values()), starts)


def cross_entropy(subject: Subject) -> float:
    """Return the mean cross entropy, in nat."""
    return float(mean_loss(subject.network, subject.labelled))


def margin(subject: Subject) -> float:
    """Return the 10th percentile of the output margin."""
    return subject.margin


def margin_over_frobenius_norms(subject: Subject) -> float:
    """Return γ/√Π‖W‖²_F, of the margin's 10th percentile γ."""
    return subject.margin * math.exp(-_norms(subject)["log_prod_frobenius_norm"] / 2)


def margin_over_spectral_norms(subject: Subject) -> float:
    """Return γ/√Πσ_1²."""
    return subject.margin * math.exp(-_norms(subject)["log_prod_spectral_norm"] / 2)


def margin_over_param_norm(subject: Subject) -> float:
    """Return γ/√Σ‖W‖²_F."""
    return subject.margin / math.sqrt(_norms(subject)["param_norm"])


def margin_over_path_norm(subject: Subject) -> float:
    """Return γ over the root of the path norm."""
    return subject.margin * math.exp(-log_path_norm(subject) / 2)


def _norms(subject: Subject) -> dict[str, float]:
    """Return the norms of docs/design.md 3.5 of the layers that count."""
    matrices = [weight.detach().double().flatten(1) for weight in subject.weights.values()]
    squares = torch.stack([matrix.square().sum() for matrix in matrices])
    largest = torch.stack([singular_values(matrix).amax().square() for matrix in matrices])
    return {
        "log_prod_frobenius_norm": float(squares.log().sum()),
        "log_prod_spectral_norm": float(largest.log().sum()),
        "param_norm": float(squares.sum()),
    }


def average_sharpness(subject: Subject) -> float:
    """Return the mean rise of the loss under random perturbations relative to |w|, in nat."""
    return sharpness.average_sharpness(subject.network, subject.labelled)


def worst_sharpness(subject: Subject) -> float:
    """Return the largest rise of the loss found near the weights, relative to |w|, in nat."""
    return sharpness.worst_sharpness(subject.network, subject.labelled)


def hessian_trace(subject: Subject) -> float:
    """Return the trace of the loss's Hessian."""
    return _trace(subject.network, subject.labelled)


def hessian_largest_eigenvalue(subject: Subject) -> float:
    """Return the largest eigenvalue of the loss's Hessian."""
    return _eigenvalue(subject.network, subject.labelled)


def gradient_snr(subject: Subject) -> float:
    """Return the signal-to-noise ratio of the gradients of batches.

    Raises
    ------
    UnknownError
        When there are fewer images than two batches.
    """
    if len(subject.labelled) < 2 * BATCH_SIZE:
        raise UnknownError(
            f"it takes two batches of {BATCH_SIZE} images or more, there are "
            f"{len(subject.labelled)}; ask for more with --num-images"
        )
    return gradient_signal_to_noise(subject.network, subject.labelled)
