"""Tensors as files describe them, checked before anything is read or reserved for them.

What a pickle says of a tensor (which storage, where in it, which shape) becomes a `StoredTensor`;
the numbers are read by `StoredTensor.load`, and only for tensors that are wanted: the states of
optimizers cost nothing.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from genpredict.checkpoints.formats.pickle_costs import RefusedPickleError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

MOST_REPEATED = 2**20
"""Elements from which on a tensor may not have more of them than its storage holds: a few bytes
can say that they are a matrix of any size."""
MOST_DIMENSIONS = 64
"""Torch's own limit."""


class Source(ABC):
    """What holds the bytes of storages."""

    def __init__(self) -> None:
        self._kept: dict[str, torch.UntypedStorage] = {}

    @abstractmethod
    def read(self, key: str, size: int, dtype: Any) -> bytearray:
        """Return the bytes of a storage in this machine's order, which must be of this size."""

    def untyped(self, key: str, size: int, dtype: Any) -> torch.UntypedStorage:
        """Return a storage, read once for all tensors that share it."""
        import torch

        if key not in self._kept:
            read = self.read(key, size, dtype)
            flat = torch.frombuffer(read, dtype=torch.uint8) if size else torch.empty(0)
            self._kept[key] = flat.untyped_storage()
        return self._kept[key]


@dataclass(frozen=True, slots=True)
class StorageType:
    """The type of a storage's elements, by the name that torch gives its class."""

    dtype: Any

    def __call__(self, *args: Any) -> Any:
        """Refuse to make a storage of a size."""
        raise RefusedPickleError("a storage without stored data")

    def __setstate__(self, state: Any) -> None:
        """Refuse."""
        raise RefusedPickleError("attributes for a type of storage")


@dataclass(slots=True)
class Storage:
    """A storage in a file.

    Parameters
    ----------
    source : Source
        Where its bytes are.
    key : str
        Its name there.
    dtype : torch.dtype
    elements : int
        How many it holds.
    first : int
        Elements of the stored one that lie before it: torch before 0.4 shared storages in parts.
    whole : int
        Elements of the stored one.
    """

    source: Source
    key: str
    dtype: Any
    elements: int
    first: int = 0
    whole: int = -1

    def __setstate__(self, state: Any) -> None:
        """Refuse: a storage is what the file's persistent id says."""
        raise RefusedPickleError("attributes for a storage")

    def untyped(self) -> torch.UntypedStorage:
        """Return the bytes."""
        whole = self.elements if self.whole < 0 else self.whole
        return self.source.untyped(self.key, whole * self.dtype.itemsize, self.dtype)


@dataclass(slots=True)
class StoredTensor:
    """A tensor in a file.

    Parameters
    ----------
    storage : Storage or None
        None for a tensor of the meta device, which has no data.
    dtype : torch.dtype
    offset : int
        Elements of the storage before it.
    shape, stride : tuple of int
    quantizer : tuple, optional
        Scheme and parameters of a tensor that torch has quantized.
    """

    storage: Storage | None
    dtype: Any
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    quantizer: tuple[Any, ...] | None = None

    def __setstate__(self, state: Any) -> None:
        """Drop attributes that were set on the tensor."""

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def numel(self) -> int:
        """Return the number of elements."""
        return math.prod(self.shape)

    def is_floating_point(self) -> bool:
        """Return whether elements are real numbers."""
        return bool(self.dtype.is_floating_point)

    def load(self) -> Tensor:
        """Read the numbers.

        Raises
        ------
        RefusedPickleError
            When it claims more than is stored.
        """
        import torch

        if self.storage is None:
            return torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device="meta")
        stored = self.storage.elements * self.storage.dtype.itemsize // self.dtype.itemsize
        if self.numel() > max(stored, MOST_REPEATED):
            shape = "x".join(map(str, self.shape))
            reason = f"a tensor that is {shape}, of which {stored:,} elements are stored"
            raise RefusedPickleError(reason)
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.stride, strict=True))
        if self.numel() and last >= stored:
            raise ValueError(f"a tensor reaches beyond its storage of {stored:,} elements")
        storage = self.storage.untyped()
        offset = self.offset + self.storage.first
        if (
            self.numel()
            and (offset - self.offset + last + 1) * self.dtype.itemsize > storage.nbytes()
        ):
            raise ValueError("a tensor reaches beyond its storage")
        if self.quantizer is not None:
            return self._quantized(storage, offset)
        return torch.empty(0, dtype=self.dtype).set_(storage, offset, self.shape, self.stride)

    def _quantized(self, storage: torch.UntypedStorage, offset: int) -> Tensor:
        """Return a tensor that is quantized as the file says."""
        import torch

        typed = torch.storage.TypedStorage(  # type: ignore[no-untyped-call]
            wrap_storage=storage, dtype=self.dtype, _internal=True
        )
        scheme, *parameters = self.quantizer or ()
        loaded = [p.load() if isinstance(p, StoredTensor) else p for p in parameters]
        rebuilt: Tensor = torch._utils._rebuild_qtensor(  # type: ignore[no-untyped-call]
            typed, offset, self.shape, self.stride, (scheme, *loaded), False, None
        )
        return rebuilt


@dataclass(slots=True)
class StoredSparse:
    """A sparse tensor in a file; its numbers are not read."""

    dtype: Any
    shape: tuple[int, ...]

    def __setstate__(self, state: Any) -> None:
        """Drop attributes that were set on the tensor."""

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def numel(self) -> int:
        """Return the number of elements."""
        return math.prod(self.shape)

    def is_floating_point(self) -> bool:
        """Return whether elements are real numbers."""
        return bool(self.dtype.is_floating_point)

    def load(self) -> Tensor:
        """Return an empty sparse tensor of that type and shape."""
        import torch

        nowhere = torch.empty(len(self.shape), 0, dtype=torch.int64)
        nothing = torch.empty(0, dtype=self.dtype)
        return torch.sparse_coo_tensor(nowhere, nothing, self.shape, check_invariants=True)


def sizes_of(sizes: Any) -> tuple[int, ...]:
    """Return checked sizes, strides or a shape.

    Raises
    ------
    ValueError
        When they are none.
    """
    if type(sizes) not in (tuple, list) or len(sizes) > MOST_DIMENSIONS:
        raise ValueError("a tensor's sizes are no numbers")
    if not all(type(size) is int and 0 <= size < 2**62 for size in sizes):
        raise ValueError("a tensor's sizes are no numbers from 0 on")
    return tuple(sizes)
