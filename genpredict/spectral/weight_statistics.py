"""Plain statistics of a layer's weights and biases, as features for prediction.

References
----------
.. [1] T. Unterthiner, D. Keysers, S. Gelly, O. Bousquet, I. Tolstikhin, "Predicting neural network
   accuracy from weights", arXiv:2002.11448 (2020).
"""

from __future__ import annotations

import torch
from torch import Tensor

from genpredict.schema import QUANTILES
from genpredict.spectral.sorting import ascending

#: Entries looked at together: enough to hide the cost of a call, few enough for a core's cache.
PART_ELEMENTS = 1 << 18


def weight_statistics(weights: Tensor, biases: Tensor) -> Tensor:
    """Return the statistics of weights and biases of layers of one shape.

    Parameters
    ----------
    weights : Tensor, shape (B, n_o, n_i, *kernel)
    biases : Tensor, shape (B, n_o)
        NaN where a layer has none.

    Returns
    -------
    Tensor, shape (B, 2, 7), float64
        Of the weight and of the bias, as `tensor_statistics`; NaN for a bias that is not there or
        not finite.
    """
    of_weights = tensor_statistics(weights)
    there = torch.isfinite(biases).all(-1, keepdim=True)
    if _is_known_false(there):
        return torch.stack([of_weights, torch.full_like(of_weights, torch.nan)], dim=1)
    of_biases = tensor_statistics(biases.where(there, 0.0)).masked_fill_(~there, torch.nan)
    return torch.stack([of_weights, of_biases], dim=1)


def tensor_statistics(tensors: Tensor) -> Tensor:
    """Return mean, variance and quantiles of the entries of tensors of one shape.

    The variance is that of the population, and quantiles are interpolated linearly, as numpy does
    by default and [1]_ uses.

    Parameters
    ----------
    tensors : Tensor, shape (B, ...)
        Finite, at least one entry each.

    Returns
    -------
    Tensor, shape (B, 7), float64
        Mean, variance, and the quantiles of `schema.QUANTILES`.

    Examples
    --------
    >>> tensor_statistics(torch.tensor([[1.0, 2.0, 3.0, 6.0]])).tolist()
    [[3.0, 3.5, 1.0, 1.75, 2.5, 3.75, 6.0]]
    """
    entries = tensors.detach().flatten(1)
    rows = max(1, PART_ELEMENTS // entries.shape[1])
    return torch.cat([_statistics(part) for part in torch.split(entries, rows)])


def _statistics(entries: Tensor) -> Tensor:
    """Return the statistics of rows, shape (B, 7)."""
    exact = entries.double()
    mean = exact.mean(-1, keepdim=True)
    variance = (exact - mean).square_().mean(-1, keepdim=True)
    order = ascending(_narrowest(entries))
    last = order.shape[1] - 1
    positions = [last * percent / 100 for percent in QUANTILES]
    lower = [int(position) for position in positions]
    upper = [min(index + 1, last) for index in lower]
    share = exact.new_tensor([p - i for p, i in zip(positions, lower, strict=True)])
    below, above = order[:, lower].double(), order[:, upper].double()
    return torch.cat([mean, variance, below + share * (above - below)], dim=-1)


def _narrowest(entries: Tensor) -> Tensor:
    """Return the same numbers in float32, which sorts twice as fast, where that holds them all."""
    single = entries.float()  # exact for 16-bit floats, which numpy cannot sort
    if entries.dtype != torch.float64:
        return single
    return single if _is_known_false(single != entries) else entries


def _is_known_false(mask: Tensor) -> bool:
    """Return whether nothing is marked; False where asking would wait for a device."""
    return mask.device.type == "cpu" and not mask.any()
