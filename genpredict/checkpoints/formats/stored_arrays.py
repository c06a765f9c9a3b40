"""What a pickle says of arrays of numpy, read when they are asked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from genpredict.checkpoints.formats.stored_tensors import sizes_of

if TYPE_CHECKING:
    from torch import Tensor


class StoredArray:
    """A numpy array, or a number of numpy's, in a pickle; inert until it is read."""

    __slots__ = ("dtype", "fortran", "raw", "shape")

    def __init__(self, *ignored: Any) -> None:
        self.dtype: Any = None
        self.shape: tuple[int, ...] = ()
        self.raw: Any = None
        self.fortran = False

    def __setstate__(self, state: Any) -> None:
        """Take what numpy's own state holds: version, shape, type, order, bytes."""
        if type(state) is tuple and len(state) >= 4:
            shape, self.dtype, fortran, self.raw = state[-4:]
            self.shape, self.fortran = sizes_of(shape), bool(fortran)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def numel(self) -> int:
        """Return the number of elements."""
        return math.prod(self.shape)

    @property
    def code(self) -> str | None:
        """Numpy's name of the type, None where it is no number."""
        return _type_code(self.dtype)

    def is_floating_point(self) -> bool:
        """Return whether elements are real numbers."""
        return self.code is not None and self.code[1] == "f"

    def load(self) -> Tensor:
        """Return the numbers as a tensor.

        Raises
        ------
        ValueError
            When bytes and shape do not belong together.
        """
        import numpy as np
        import torch

        raw: Any = self.raw
        if isinstance(raw, str):  # as Python 2 wrote bytes
            raw = raw.encode("latin1")
        if self.code is None or not isinstance(raw, bytes | bytearray):
            raise ValueError("an array of objects or of an unknown type")
        flat = np.frombuffer(bytes(raw), dtype=np.dtype(self.code))
        if flat.size != self.numel():
            raise ValueError(f"an array of shape {self.shape} with {flat.size:,} numbers")
        array = flat.reshape(self.shape, order="F" if self.fortran else "C")
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C", copy=True))


class ArrayType:
    """Numpy's type of an array's elements in a pickle."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any = None, *ignored: Any) -> None:
        self.code, self.order = code, "<"

    def __setstate__(self, state: Any) -> None:
        """Take the byte order."""
        if type(state) is tuple and len(state) > 1:
            self.order = state[1]


def _type_code(dtype: Any) -> str | None:
    """Return order and kind of a numeric type of numpy, such as ``<f4``."""
    if not isinstance(dtype, ArrayType):
        return None
    code, order = (
        text.decode("latin1") if isinstance(text, bytes) else text
        for text in (dtype.code, dtype.order)
    )
    if not isinstance(code, str) or code not in _CODES:
        return None
    return f"{'>' if order == '>' else '<'}{code}"


_CODES = frozenset(
    ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "c8", "c16", "b1")
)
