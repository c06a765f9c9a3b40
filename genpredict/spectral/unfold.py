"""From weight tensors to matrices: the two unfoldings of a layer, and its dead channels."""

from __future__ import annotations

from functools import cache
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genpredict.estimators import DEAD_TOLERANCE
from genpredict.schema import UNFOLDINGS
from genpredict.spectral.arrays import as_tensor
from genpredict.spectral.evbmf import median_of_first
from genpredict.spectral.sorting import ascending

#: Axis of the weight tensor that an unfolding keeps as rows.
AXIS = {"in_channel": 1, "out_channel": 0}


@cache
def unfoldings(shape: tuple[int, ...]) -> tuple[str, ...]:
    """Name the unfoldings that a weight of this shape has.

    Parameters
    ----------
    shape : tuple of int
        (n_o, n_i, *kernel).

    Returns
    -------
    tuple of str
        "in_channel" and "out_channel" for a convolution, "out_channel" alone for a matrix, each
        only where its smaller side is at least 2 (a depthwise convolution has no "in_channel").

    Examples
    --------
    >>> unfoldings((16, 3, 3, 3)), unfoldings((10, 64)), unfoldings((32, 1, 3, 3))
    (('in_channel', 'out_channel'), ('out_channel',), ('out_channel',))
    """
    names = UNFOLDINGS if len(shape) > 2 else ("out_channel",)
    return tuple(name for name in names if unfolded_shape(shape, name)[0] >= 2)


@cache
def unfolded_shape(shape: tuple[int, ...], unfolding: str) -> tuple[int, int]:
    """Return (L, M), the sides of an unfolding, the smaller first.

    Examples
    --------
    >>> unfolded_shape((16, 3, 3, 3), "in_channel")
    (3, 144)
    """
    rows = shape[AXIS[unfolding]]
    columns = prod(shape) // rows if rows else 0
    return min(rows, columns), max(rows, columns)


def unfold(
    weights: Tensor | np.ndarray[Any, Any], unfolding: str = "out_channel", *, batch_dims: int = 0
) -> Tensor:
    """Unfold weight tensors into matrices with no more rows than columns.

    Parameters
    ----------
    weights : Tensor or ndarray, shape (*batch, n_o, n_i, *kernel)
        In torch's layout.
    unfolding : {"in_channel", "out_channel"}
        The channels that make the rows.
    batch_dims : int
        Number of leading batch dimensions.

    Returns
    -------
    Tensor, shape (*batch, L, M)
        L = min(rows, columns).

    Raises
    ------
    ValueError
        For another name of an unfolding, or fewer than two dimensions.

    Examples
    --------
    >>> unfold(torch.zeros(16, 3, 5, 5), "in_channel").shape
    torch.Size([3, 400])
    """
    weights = as_tensor(weights, "weights")
    if unfolding not in AXIS:
        raise ValueError(f"unfolding must be one of {tuple(AXIS)}, got {unfolding!r}")
    if weights.ndim - batch_dims < 2:
        raise ValueError(
            f"a weight needs at least 2 dimensions, got shape {tuple(weights.shape[batch_dims:])}"
        )
    matrices = weights.movedim(batch_dims + AXIS[unfolding], batch_dims).flatten(batch_dims + 1)
    return matrices.mT if matrices.shape[-2] > matrices.shape[-1] else matrices


def dead_channels(
    weights: Tensor | np.ndarray[Any, Any],
    *,
    tolerance: float = DEAD_TOLERANCE,
    batch_dims: int = 0,
) -> tuple[Tensor, Tensor]:
    """Find the channels that training has driven to (nearly) nothing.

    A slice along axis 0 (an output channel) or axis 1 (an input channel) is dead when its norm is
    at most `tolerance` times the median of the non-zero norms of that axis (docs/design.md 3.3).

    Parameters
    ----------
    weights : Tensor or ndarray, shape (*batch, n_o, n_i, *kernel)
        In torch's layout.
    tolerance : float
        0 finds exact zeros only.
    batch_dims : int
        Number of leading batch dimensions.

    Returns
    -------
    tuple of Tensor
        Masks of dead output channels, shape (*batch, n_o), and dead input channels,
        shape (*batch, n_i).
    """
    weights = as_tensor(weights, "weights")
    squares = (
        weights.square().flatten(batch_dims + 2).sum(-1)
        if (weights.ndim > batch_dims + 2)
        else weights.square()
    )
    return dead_slices(squares.sum(-1), tolerance), dead_slices(squares.sum(-2), tolerance)


def dead_slices(squared_norms: Tensor, tolerance: float) -> Tensor:
    """Mark the slices whose norm is at most `tolerance` times the median of the non-zero ones.

    Parameters
    ----------
    squared_norms : Tensor, shape (..., channels)
        Squared norms of the slices along one axis.
    tolerance : float
        In [0, 1).

    Returns
    -------
    Tensor, shape (..., channels), bool
    """
    norms = squared_norms.sqrt()
    descending = ascending(norms).flip(-1)
    median = median_of_first(descending, (norms > 0).sum(-1))
    return norms <= tolerance * median.unsqueeze(-1)


def without(weights: Tensor, dead_outputs: Tensor, dead_inputs: Tensor) -> Tensor:
    """Set dead channels to exactly zero.

    Parameters
    ----------
    weights : Tensor, shape (*batch, n_o, n_i, *kernel)
    dead_outputs, dead_inputs : Tensor, shapes (*batch, n_o) and (*batch, n_i), bool

    Returns
    -------
    Tensor, shape (*batch, n_o, n_i, *kernel)
    """
    return weights.masked_fill(entries_of(dead_outputs, dead_inputs, weights.ndim), 0.0)


def entries_of(dead_outputs: Tensor, dead_inputs: Tensor, ndim: int) -> Tensor:
    """Mark the entries of dead channels in a weight tensor of that many dimensions.

    Parameters
    ----------
    dead_outputs, dead_inputs : Tensor, shapes (*batch, n_o) and (*batch, n_i), bool
    ndim : int
        Dimensions of the weights, those of the batch included.

    Returns
    -------
    Tensor, shape (*batch, n_o, n_i, 1, …), bool
    """
    dead = dead_outputs.unsqueeze(-1) | dead_inputs.unsqueeze(-2)
    return dead.reshape(*dead.shape, *[1] * (ndim - dead.ndim))


def sides_left(
    shape: tuple[int, ...], unfolding: str, dead_outputs: Tensor, dead_inputs: Tensor
) -> tuple[Tensor, Tensor]:
    """Count the rows L and columns M of an unfolding once dead channels are gone.

    Parameters
    ----------
    shape : tuple of int
        (n_o, n_i, *kernel) of the full weight.
    unfolding : {"in_channel", "out_channel"}
    dead_outputs, dead_inputs : Tensor, shapes (..., n_o) and (..., n_i), bool

    Returns
    -------
    tuple of Tensor, each of shape (...), int64
        The smaller side L and the larger side M.
    """
    alive = ((~dead_outputs).sum(-1), (~dead_inputs).sum(-1))
    axis = AXIS[unfolding]
    rows, columns = alive[axis], alive[1 - axis] * prod(shape[2:])
    return torch.minimum(rows, columns), torch.maximum(rows, columns)
