"""Tensors as files describe them, checked before anything is read or reserved for them.

What a pickle says of a tensor (which storage, where in it, which shape) becomes a `StoredTensor`;
the numbers are read by `StoredTensor.load`, and only for tensors that are wanted: the states of
optimizers cost nothing.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from genpredict.checkpoints.formats.inert_pickles import StandIn, Step
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
            self.shape, self.fortran = _sizes(shape), bool(fortran)

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


def _sizes(sizes: Any) -> tuple[int, ...]:
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


def tensor_of(
    storage: Any, offset: Any, size: Any, stride: Any, *ignored: Any, dtype: Any = None
) -> StoredTensor:
    """Describe what ``torch._utils._rebuild_tensor_v2`` would make.

    Raises
    ------
    ValueError
        When the arguments are none of a tensor.
    """
    if isinstance(storage, StoredTensor):
        storage = storage.storage
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without a storage")
    shape, strides = _sizes(size), _sizes(stride)
    if type(offset) is not int or not 0 <= offset < 2**62 or len(shape) != len(strides):
        raise ValueError("a tensor's place in its storage is none")
    return StoredTensor(storage, dtype or storage.dtype, offset, shape, strides)


def _v3(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> StoredTensor:
    return tensor_of(storage, offset, size, stride, dtype=_dtype(rest[2] if len(rest) > 2 else 0))


def _dtype(dtype: Any) -> Any:
    import torch

    if not isinstance(dtype, torch.dtype):
        raise ValueError("a tensor's type is none")
    return dtype


def _quantized(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> StoredTensor:
    tensor = tensor_of(storage, offset, size, stride)
    parameters = rest[0] if rest else ()
    if type(parameters) is not tuple or not 3 <= len(parameters) <= 4:
        raise ValueError("a quantized tensor without its parameters")
    tensor.quantizer = parameters
    return tensor


def _sparse(layout: Any = None, parts: Any = (), *ignored: Any) -> StoredSparse:
    sizes = [part for part in parts if type(part) is tuple]
    numbers = [part.dtype for part in parts if isinstance(part, StoredTensor)]
    if not sizes or not numbers:
        raise ValueError("a sparse tensor without values")
    return StoredSparse(numbers[-1], _sizes(sizes[-1]))


def _meta(dtype: Any, size: Any, stride: Any, *ignored: Any) -> StoredTensor:
    return StoredTensor(None, _dtype(dtype), 0, _sizes(size), _sizes(stride))


def _parameter(data: Any = None, *ignored: Any) -> Any:
    """Return what a parameter wraps."""
    return data


def _from_type(function: Any = None, kind: Any = None, args: Any = (), *ignored: Any) -> Any:
    """Return the plain tensor under one of a subclass."""
    if not isinstance(function, Step | type) or type(args) is not tuple:
        raise ValueError("a tensor of an unknown kind")
    return function(*args)


def _from_array(data: Any = None, *ignored: Any) -> Any:
    return data


def _array_of(raw: Any = None, dtype: Any = None, shape: Any = (), order: Any = "C") -> StoredArray:
    """Describe what ``numpy._core.numeric._frombuffer`` would make (protocol 5)."""
    array = StoredArray()
    array.__setstate__((shape, dtype, order == "F", bytes(raw) if _is_raw(raw) else None))
    return array


def _is_raw(raw: Any) -> bool:
    return isinstance(raw, bytes | bytearray)


def _scalar(dtype: Any = None, raw: Any = None) -> StoredArray:
    array = StoredArray()
    array.__setstate__(((), dtype, False, raw))
    return array


class OldTensor(StandIn):
    """A tensor as torch before 0.4 pickled them: an empty one that is told its storage."""

    __slots__ = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Wrap a tensor; refuse a tensor of a size, which would have no stored data."""
        if args and isinstance(args[0], StoredTensor | StoredArray):
            return args[0]
        if args or kwargs:
            raise RefusedPickleError("a tensor without stored data")
        made = object.__new__(cls)
        made.args, made.state, made.pairs, made.members = (), None, None, None
        return made

    @property
    def tensor(self) -> StoredTensor | None:
        """The tensor, once its place is known."""
        if type(self.state) is tuple and len(self.state) == 4:
            return tensor_of(*self.state)
        return None


@lru_cache(maxsize=1)
def known_globals() -> Mapping[str, Any]:
    """Return what stands for the names that torch and numpy write for tensors and arrays."""
    import torch

    known: dict[str, Any] = {}
    for dtype, name in torch.storage._dtype_to_storage_type_map().items():
        for module in ("torch", "torch.cuda", "torch.storage", "torch.sparse"):
            known[f"{module}.{name}"] = StorageType(dtype)
    known |= dict.fromkeys(_UNTYPED, StorageType(torch.uint8))
    dtypes = [value for value in vars(torch).values() if isinstance(value, torch.dtype)]
    known |= {str(dtype): dtype for dtype in dtypes}
    schemes = ("per_tensor_affine", "per_tensor_symmetric", "per_channel_affine",
               "per_channel_symmetric", "per_channel_affine_float_qparams")  # fmt: skip
    known |= {f"torch.{scheme}": getattr(torch, scheme) for scheme in schemes}
    for kind in torch._tensor_classes:
        known[f"{kind.__module__}.{kind.__name__}"] = OldTensor
    known |= dict.fromkeys(_TENSORS, OldTensor)
    return known | {name: Step(name, function) for name, function in _STEPS.items()}


_UNTYPED = (
    "torch.storage.UntypedStorage",
    "torch.storage._UntypedStorage",
    "torch.UntypedStorage",
)
_TENSORS = (
    "torch.Tensor",
    "torch._tensor.Tensor",
    "torch.tensor.Tensor",
    "torch.nn.parameter.Parameter",
    "torch.nn.parameter.Buffer",
)
_STEPS: dict[str, Any] = {
    "torch._utils._rebuild_tensor": tensor_of,
    "torch._utils._rebuild_tensor_v2": tensor_of,
    "torch._utils._rebuild_tensor_v3": _v3,
    "torch._utils._rebuild_qtensor": _quantized,
    "torch._utils._rebuild_sparse_tensor": _sparse,
    "torch._utils._rebuild_meta_tensor_no_storage": _meta,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _from_array,
    "torch._utils._rebuild_device_tensor_from_numpy": _from_array,
    "torch._tensor._rebuild_from_type_v2": _from_type,
    "torch._tensor._rebuild_from_type": _from_type,
    "torch.Size": lambda sizes=(), *ignored: _sizes(sizes),
    "torch.serialization._get_layout": lambda *ignored: None,
    **{
        f"numpy.{core}.{name}": function
        for core in ("core", "_core")
        for name, function in {
            "multiarray._reconstruct": StoredArray,
            "multiarray.scalar": _scalar,
            "numeric._frombuffer": _array_of,
        }.items()
    },
    "numpy.dtype": ArrayType,
    "numpy.ndarray": StoredArray,
}  # fmt: skip
