"""What the public functions take: tensors, and numpy arrays of the same shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def as_tensor(array: Tensor | np.ndarray[Any, Any], name: str) -> Tensor:
    """Return a tensor as it is, a numpy array as a tensor (which shares its memory if it can).

    Parameters
    ----------
    array : Tensor or ndarray
    name : str
        Of the parameter, for the error.

    Raises
    ------
    TypeError
        For anything else.

    Examples
    --------
    >>> as_tensor(np.eye(2), "weights").dtype
    torch.float64
    """
    if isinstance(array, Tensor):
        return array
    if isinstance(array, np.ndarray) and array.dtype.kind in "fiu":
        writable = array if array.flags.writeable else array.copy()
        return torch.from_numpy(np.ascontiguousarray(writable))
    kind = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
    raise TypeError(f"{name} must be a torch Tensor or a numpy array of numbers, got {kind}")
