"""Singular values by way of Gram matrices, batched."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from genpredict.spectral.arrays import as_tensor

#: Gram matrices square the condition number: below this share of λ_1 an eigenvalue has lost more
#: than half of its digits in float64, and the singular values are computed anew without squaring.
RESOLUTION = 1e-12
#: From this size on Gram matrices are computed in blocks of columns, at least so wide, this many.
SMALLEST_SPLIT, SMALLEST_BLOCK, BLOCKS = 128, 64, 4


def gram(matrices: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Return W·Wᵀ for each matrix, of large ones the lower triangle alone.

    Parameters
    ----------
    matrices : Tensor, shape (B, L, M)
        With L ≤ M.
    out : Tensor, shape (B, L, L), optional
        Where to put the result.

    Returns
    -------
    Tensor, shape (B, L, L)
        From L = 128 on, what lies above the blocks of the diagonal is undefined: eigenvalues need
        one triangle, and leaving out the other spares up to half of the multiplications.
    """
    L = matrices.shape[-2]
    if L < SMALLEST_SPLIT:
        return torch.bmm(matrices, matrices.mT, out=out)
    grams = matrices.new_empty(len(matrices), L, L) if out is None else out
    step = max(SMALLEST_BLOCK, L // BLOCKS)
    for first in range(0, L, step):
        columns = slice(first, first + step)
        grams[:, first:, columns] = torch.bmm(matrices[:, first:], matrices[:, columns].mT)
    return grams


def gram_eigenvalues(grams: Tensor) -> Tensor:
    """Return the eigenvalues σ² of Gram matrices in descending order, rounding errors cut at 0.

    Parameters
    ----------
    grams : Tensor, shape (..., L, L)
        Their lower triangles count.

    Returns
    -------
    Tensor, shape (..., L)
    """
    ascending: Tensor = torch.linalg.eigvalsh(grams, UPLO="L")
    return ascending.flip(-1).clamp_min(0)


def unresolved(eigenvalues: Tensor, rows: Tensor | None = None) -> Tensor:
    """Mark the spectra whose smallest eigenvalue is too small for a Gram matrix in float64.

    Parameters
    ----------
    eigenvalues : Tensor, shape (..., n)
        In descending order.
    rows : Tensor, shape (...), int64, optional
        How many of them count; by default all n.

    Returns
    -------
    Tensor, shape (...), bool
    """
    if rows is None:
        smallest = eigenvalues[..., -1]
    else:
        last = (rows - 1).clamp_min(0).unsqueeze(-1)
        smallest = eigenvalues.gather(-1, last).squeeze(-1)
    return smallest < RESOLUTION * eigenvalues[..., 0]


def singular_values(matrices: Tensor | np.ndarray[Any, Any]) -> Tensor:
    """Return the singular values of matrices in descending order.

    They are the roots of the eigenvalues of the smaller Gram matrix; where the smallest of these
    is below 1e-12 of the largest, of the matrix itself, so that every value is right to about
    1e-9 of the largest. The matrices' dtype is the dtype of the arithmetic.

    Parameters
    ----------
    matrices : Tensor or ndarray, shape (..., L, M)
        float64 or float32, finite.

    Returns
    -------
    Tensor, shape (..., min(L, M))

    Raises
    ------
    ValueError
        When an entry is NaN or infinite, or for another dtype than float64 and float32.

    Examples
    --------
    >>> singular_values(torch.tensor([[3.0, 0.0, 0.0], [0.0, 0.0, 4.0]], dtype=torch.float64))
    tensor([4., 3.], dtype=torch.float64)
    """
    matrices = as_tensor(matrices, "matrices")
    if matrices.dtype not in (torch.float64, torch.float32):
        raise ValueError(f"matrices must be float64 or float32, got {matrices.dtype}")
    if not torch.isfinite(matrices).all():
        raise ValueError("singular values need finite matrices; found NaN or infinity")
    wide = matrices if matrices.shape[-2] <= matrices.shape[-1] else matrices.mT
    flat = wide.reshape(-1, *wide.shape[-2:])
    eigenvalues = gram_eigenvalues(gram(flat))
    values = eigenvalues.sqrt()
    if flat.dtype == torch.float64:
        lost = unresolved(eigenvalues).nonzero().squeeze(-1)
        if lost.numel():
            values[lost] = torch.linalg.svdvals(flat[lost])
    return values.reshape(*wide.shape[:-1])
