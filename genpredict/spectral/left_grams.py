"""Gram matrices of what dead channels leave, off those of the full unfoldings.

Of W·Wᵀ a dead row takes its own row and column, and dead columns D the part D·Dᵀ, which is small
beside the rest: to subtract it takes a fraction of a second Gram matrix's time, and costs at most
a digit of the smallest eigenvalues.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genpredict.spectral.spectrum import gram
from genpredict.spectral.unfold import AXIS, entries_of, unfold


def left_grams(
    grams: Tensor, stack: Tensor, unfolding: str, outputs: Tensor, inputs: Tensor
) -> Tensor:
    """Return the Gram matrices of unfoldings whose dead channels are set to zero.

    Parameters
    ----------
    grams : Tensor, shape (B, L, L)
        Of the full unfoldings, as of `gram`.
    stack : Tensor, shape (B, n_o, n_i, *kernel)
    unfolding : {"in_channel", "out_channel"}
    outputs, inputs : Tensor, shapes (B, n_o) and (B, n_i), bool
        Which channels are dead.

    Returns
    -------
    Tensor, shape (B, L, L)
        As of `gram`; rows and columns of dead channels are exactly zero.

    Notes
    -----
    In single precision they are multiplied anew, for the digit; elsewhere than on the CPU, because
    how many columns are dead cannot be asked without waiting for the device.
    """
    if stack.device.type != "cpu" or stack.dtype != torch.float64:
        alive = stack.masked_fill(entries_of(outputs, inputs, stack.ndim), 0.0)
        return gram(unfold(alive, unfolding, batch_dims=1))
    axis, dead = AXIS[unfolding], (outputs, inputs)
    slices = stack.reshape(*stack.shape[:3], -1)
    positions = slices.shape[-1]
    turned = dead[axis].shape[1] > dead[1 - axis].shape[1] * positions  # W has rows > columns
    kept, dropped = (1 - axis, axis) if turned else (axis, 1 - axis)
    left = grams.clone()
    _subtract_columns(left, slices.movedim(1 + dropped, 1), dead[dropped].numpy(), turned=turned)
    if not dead[kept].any():
        return left
    rows = dead[kept].repeat_interleave(positions, -1) if turned else dead[kept]
    return left.masked_fill_(rows.unsqueeze(-1) | rows.unsqueeze(-2), 0.0)


def _subtract_columns(
    left: Tensor, slices: Tensor, dead: NDArray[np.bool_], *, turned: bool
) -> None:
    """Subtract D·Dᵀ of the columns D that dead channels make.

    Parameters
    ----------
    left : Tensor, shape (B, L, L)
        Changed in place.
    slices : Tensor, shape (B, C, c, k)
        Of the channels that make columns (k each, or one each where `turned`), and of the others.
    dead : array, shape (B, C), bool
    turned : bool
        Whether kernel positions go with the rows.
    """
    counts = dead.sum(-1)
    order = np.zeros((len(dead), _width(dead.shape[1])), dtype=np.int64)
    order[:, : dead.shape[1]] = np.argsort(~dead, axis=-1, kind="stable")  # the dead ones in front
    widths = np.array([_width(count) for count in counts.tolist()])
    for width in sorted({*widths.tolist()} - {0}):  # so that no result depends on the others
        some = np.flatnonzero(widths == width)
        rows = torch.from_numpy(some)
        columns = slices[rows.unsqueeze(-1), torch.from_numpy(order[some, :width])]
        spare = torch.from_numpy(np.arange(width) >= counts[some, None])
        columns.masked_fill_(spare[..., None, None], 0.0)
        factors = columns.flatten(2).mT if turned else columns.transpose(1, 2).flatten(2)
        if len(some) == len(left):
            left.baddbmm_(factors, factors.mT, alpha=-1)
        else:
            left[rows] = left[rows].baddbmm_(factors, factors.mT, alpha=-1)


def _width(count: int) -> int:
    """Return the power of two, at least 8, to which a count is rounded up; 0 for none."""
    return 1 << max(3, (count - 1).bit_length()) if count else 0
