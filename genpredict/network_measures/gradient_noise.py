"""Gradient noise: how much the gradients of batches agree.

References
----------
.. [1] S. McCandlish, J. Kaplan, D. Amodei et al., "An empirical model of large-batch training",
   arXiv:1812.06162 (2018).
"""

from __future__ import annotations

import torch
from torch import nn

from genpredict.network_measures.labelled_batches import LabelledInputs

#: Inputs of a batch whose gradient is one sample.
BATCH_SIZE = 50


def gradient_signal_to_noise(
    network: nn.Module, examples: LabelledInputs, *, batch_size: int = BATCH_SIZE
) -> float:
    """Return ‖ḡ‖²/tr Σ, of the mean ḡ and sample covariance Σ of the gradients of batches.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode.
    examples : LabelledInputs
        Cut into batches in order; what is left of a last, smaller one is not used.
    batch_size : int

    Returns
    -------
    float
        NaN for fewer than two batches, or where no gradient differs from another.

    Notes
    -----
    Means are updated batch by batch (Welford), so that two gradients are held, not all. ‖ḡ‖²
    is biased upwards by tr Σ over the number of batches [1]_, alike for networks measured on
    the same images.
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    mean = [torch.zeros_like(p, dtype=torch.float64) for p in parameters]
    spread = mean[0].new_zeros(())
    count = 0
    for inputs, labels in examples.batches(batch_size):
        if len(labels) < batch_size:
            break
        count += 1
        with torch.enable_grad():
            loss = nn.functional.cross_entropy(network(inputs), labels)
            gradients = torch.autograd.grad(loss, parameters)
        for average, gradient in zip(mean, gradients, strict=True):
            away = gradient.double() - average
            average += away / count
            spread += (away * (gradient.double() - average)).sum()
    if count < 2:
        return float("nan")
    signal = torch.stack([average.square().sum() for average in mean]).sum()
    return float(signal / (spread / (count - 1))) if float(spread) > 0 else float("nan")
