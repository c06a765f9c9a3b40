"""Stand-ins for what an archive's pickle holds: storages, tensors, numbers of numpy.

They keep bytes and sizes as they come; bytes are looked at only when somebody wants the weights.
"""

from __future__ import annotations

import math
import pickle
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from genpredict.checkpoints.formats.torch_containers import load_storage

if TYPE_CHECKING:
    import torch

_LARGEST_SIZE = 2**40

# How torch.save writes one storage in its older format: magic number, protocol, platform, the
# storage's reference (type, key, device, number of elements), its key again, then the data.
_STORAGE = re.compile(
    rb"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19\.\x80\x02M\xe9\x03\."
    rb"\x80\x02}q\x00\(X\x10\x00\x00\x00protocol_versionq\x01M\xe9\x03"
    rb"X\r\x00\x00\x00little_endianq\x02\x88X\n\x00\x00\x00type_sizesq\x03}q\x04"
    rb"\(X\x05\x00\x00\x00shortq\x05K\x02X\x03\x00\x00\x00intq\x06K\x04"
    rb"X\x04\x00\x00\x00longq\x07K[\x04\x08]uu\."
    rb"\x80\x02\(X\x07\x00\x00\x00storageq\x00ctorch\n(?P<type>[A-Za-z0-9]{1,10})Storage\nq\x01"
    rb"X.\x00\x00\x00(?P<key>\d{1,20})q\x02X.\x00\x00\x00(?:cpu|cuda:\d{1,2})q\x03"
    rb"(?:K.|M..|J....)Ntq\x04Q\.\x80\x02\]q\x00X.\x00\x00\x00(?P=key)q\x01a\.",
    re.DOTALL,
)
_STORAGE_DTYPES = {
    b"Float": "float32", b"Double": "float64", b"Half": "float16", b"BFloat16": "bfloat16",
    b"Long": "int64", b"Int": "int32", b"Short": "int16", b"Char": "int8", b"Byte": "uint8",
    b"Bool": "bool",
}  # fmt: skip
_SCALAR_FORMATS = {
    "f8": "d", "f4": "f", "f2": "e", "i8": "q", "i4": "i", "i2": "h", "i1": "b",
    "u8": "Q", "u4": "I", "u2": "H", "u1": "B", "b1": "?",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Storage:
    """The bytes of one storage as found in the archive, not yet looked at."""

    payload: bytes

    def flat(self) -> torch.Tensor:
        """Return all elements as a 1-D tensor; raises ValueError or what torch raises.

        The common form is read directly, a twentieth of the time of ``torch.load``; any other
        goes to the reader of torch's own files, which refuses whatever is not plain data.
        """
        import torch

        if match := _STORAGE.match(self.payload):
            name = _STORAGE_DTYPES.get(match["type"])
            data = memoryview(self.payload)[match.end() + 8 :]
            count = int.from_bytes(self.payload[match.end() : match.end() + 8], "little")
            dtype = getattr(torch, name) if name else None
            if dtype is not None and count and count * dtype.itemsize == len(data):
                return torch.frombuffer(bytearray(data), dtype=dtype)
        storage = load_storage(self.payload)
        return torch.empty(0, dtype=storage.dtype).set_(storage.untyped())


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor as the archive describes it: a window on a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def numel(self) -> int:
        """Return the number of elements."""
        return math.prod(self.shape)

    def check(self, stored: int) -> None:
        """Raise ValueError unless the window lies within ``stored`` elements, none twice."""
        numbers = (self.offset, *self.shape, *self.stride)
        if len(self.shape) != len(self.stride) or not _are_sizes(numbers):
            raise ValueError(f"a tensor's shape {self.shape} or stride {self.stride} is malformed")
        last = sum((n - 1) * s for n, s in zip(self.shape, self.stride, strict=True))
        if self.numel() and (self.offset + last >= stored or self.numel() > stored):
            raise ValueError(f"a tensor of shape {self.shape} reaches beyond its {stored} elements")


def _are_sizes(numbers: tuple[Any, ...]) -> bool:
    """Return whether all are integers that count something; a loop, for it runs millions of times.

    Examples
    --------
    >>> _are_sizes((3, 0)), _are_sizes((True,)), _are_sizes((-1,))
    (True, False, False)
    """
    for number in numbers:
        if type(number) is not int or not 0 <= number < _LARGEST_SIZE:
            return False
    return True


def read_tensors(stored: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Turn `StoredTensor` records into tensors, in order; shared storages stay shared.

    Raises
    ------
    ValueError, pickle.UnpicklingError, RuntimeError
        When a record is malformed or a storage holds anything but plain data.
    """
    import torch

    flats: dict[int, torch.Tensor] = {}
    tensors: dict[str, torch.Tensor] = {}
    for name, record in stored.items():
        if not isinstance(record, StoredTensor):
            continue
        key = id(record.storage)
        if key not in flats:
            flats[key] = record.storage.flat()
        record.check(flats[key].numel())
        tensors[name] = torch.as_strided(flats[key], record.shape, record.stride, record.offset)
    return tensors


class NumpyType:
    """Stand-in for a numpy scalar type: its letter code and byte order."""

    __slots__ = ("code", "order")

    def __init__(self, code: str, *ignored: object) -> None:
        """Accept the codes of plain numbers alone."""
        if code not in _SCALAR_FORMATS:
            raise pickle.UnpicklingError(f"a numpy scalar of type {code!r}")
        self.code = code
        self.order = "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take the byte order from numpy's state; the rest is of no use for numbers."""
        self.order = ">" if state[1] == ">" else "<"


def numpy_scalar(kind: NumpyType, data: bytes) -> float | int | bool:
    """Read a numpy scalar as a Python number."""
    if not isinstance(kind, NumpyType):
        raise pickle.UnpicklingError("a numpy scalar without a type")
    (number,) = struct.unpack(kind.order + _SCALAR_FORMATS[kind.code], data)
    result: float | int | bool = number
    return result


def rebuild_tensor(
    storage: Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *ignored: object
) -> StoredTensor:
    """Record a tensor; gradient flags and hooks are dropped."""
    if not isinstance(storage, Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    if not (isinstance(shape, tuple) and isinstance(stride, tuple)) or not _are_sizes(
        (offset, *shape, *stride)
    ):
        raise pickle.UnpicklingError("a tensor whose shape, stride or offset is no size")
    return StoredTensor(storage, offset, tuple(shape), tuple(stride))


def rebuild_parameter(data: StoredTensor, *ignored: object) -> StoredTensor:
    """Record a parameter as its tensor."""
    if not isinstance(data, StoredTensor):
        raise pickle.UnpicklingError("a parameter without a tensor")
    return data


def storage(payload: bytes) -> Storage:
    """Keep the bytes of a storage, to be read when its tensors are."""
    if not isinstance(payload, bytes):
        raise pickle.UnpicklingError("a storage that is no bytes")
    return Storage(payload)
