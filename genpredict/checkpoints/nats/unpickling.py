r"""Read the bz2-compressed pickles of NATS-Bench without running what is in them.

The archives are raw pickles, and every storage inside is a pickle of its own, which the class
that wrote them hands to an unsafe ``torch.load``. Here an allow-list of seven globals is all that
a file can name, each bound to a function of this module: tensors become `StoredTensor` records
whose bytes are looked at only when somebody wants the weights.
"""

from __future__ import annotations

import bz2
import io
import math
import pickle
import re
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from genpredict.checkpoints.formats.pickle_costs import TOO_COSTLY, PickleCosts, RefusedPickleError
from genpredict.checkpoints.formats.unpickling import check_file, torch_load
from genpredict.checkpoints.memory_limit import limited_memory
from genpredict.errors import CheckpointError

if TYPE_CHECKING:
    import torch

MAX_UNPACKED_BYTES = 4 * 2**30
"""Refuse archives of one architecture that unpack to more than this; the largest takes 0.1 GB."""
MAX_WHOLE_SPACE_BYTES = 64 * 2**30
"""The same for the single file of a whole space."""
MEMORY_SLACK = 2**30
"""Memory that unpickling may take beyond the unpacked bytes themselves."""
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
        goes to ``torch.load(weights_only=True)``, which refuses whatever is not plain data.
        """
        import torch

        if match := _STORAGE.match(self.payload):
            name = _STORAGE_DTYPES.get(match["type"])
            data = memoryview(self.payload)[match.end() + 8 :]
            count = int.from_bytes(self.payload[match.end() : match.end() + 8], "little")
            dtype = getattr(torch, name) if name else None
            if dtype is not None and count and count * dtype.itemsize == len(data):
                return torch.frombuffer(bytearray(data), dtype=dtype)
        storage = torch_load(io.BytesIO(self.payload))
        if not isinstance(storage, torch.storage.TypedStorage):
            raise ValueError(f"a tensor's storage holds a {type(storage).__name__}")
        flat = torch.empty(0, dtype=storage.dtype)
        return flat.set_(storage)


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


def _numpy_scalar(kind: NumpyType, data: bytes) -> float | int | bool:
    """Read a numpy scalar as a Python number."""
    if not isinstance(kind, NumpyType):
        raise pickle.UnpicklingError("a numpy scalar without a type")
    (number,) = struct.unpack(kind.order + _SCALAR_FORMATS[kind.code], data)
    result: float | int | bool = number
    return result


def _rebuild_tensor(
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


def _rebuild_parameter(data: StoredTensor, *ignored: object) -> StoredTensor:
    """Record a parameter as its tensor."""
    if not isinstance(data, StoredTensor):
        raise pickle.UnpicklingError("a parameter without a tensor")
    return data


def _storage(payload: bytes) -> Storage:
    """Keep the bytes of a storage, to be read when its tensors are."""
    if not isinstance(payload, bytes):
        raise pickle.UnpicklingError("a storage that is no bytes")
    return Storage(payload)


class _ArchiveUnpickler(pickle.Unpickler):
    """An unpickler that knows a handful of globals by name and imports nothing."""

    def find_class(self, module_name: str, global_name: str, /) -> Callable[..., Any]:
        """Return the harmless counterpart of an allowed global; refuse all others."""
        match (module_name, global_name):
            case ("collections", "OrderedDict"):
                return OrderedDict
            case ("torch._utils", "_rebuild_tensor_v2"):
                return lambda *args: _rebuild_tensor(*args)
            case ("torch._utils", "_rebuild_parameter"):
                return lambda *args: _rebuild_parameter(*args)
            case ("torch.storage", "_load_from_bytes"):
                return lambda payload: _storage(payload)
            case ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar"):
                return lambda *args: _numpy_scalar(*args)
            case ("numpy", "dtype"):
                # a fresh function each time: a hostile pickle can set attributes on what it is
                # given, and must not reach into the next file
                return lambda *args: NumpyType(*args)
        raise pickle.UnpicklingError(f"GLOBAL {module_name}.{global_name}")


class _TooLargeError(Exception):
    """The archive unpacks to more than allowed."""


class BinaryPeek(Protocol):
    """A buffered stream, such as bz2 or its faster stand-in opens."""

    def read(self, size: int = -1, /) -> bytes: ...  # noqa: D102
    def peek(self, size: int = 0, /) -> bytes: ...  # noqa: D102
    def readline(self, size: int = -1, /) -> bytes: ...  # noqa: D102


class _Capped:
    """A reader that stops a decompression bomb, and follows what keys will cost.

    Whatever the unpickler is shown has been followed before (`PickleCosts`).
    """

    def __init__(self, file: BinaryPeek, limit: int) -> None:
        self.file, self.left = file, limit
        self.costs = PickleCosts()
        self.ahead = 0  # bytes that have been followed and not been read

    def _follow(self, data: bytes) -> None:
        """Follow what comes next in the stream, as far as it is new."""
        if len(data) > self.ahead:
            self.costs.feed(data[self.ahead :] if self.ahead else data)
            self.ahead = len(data)

    def read(self, size: int = -1) -> bytes:
        """Read, up to the limit in all."""
        if size < 0:
            size = self.left + 1  # everything, if that is allowed
        elif size > self.left:
            raise _TooLargeError
        return self._read(self.file.read(size))

    def _read(self, data: bytes) -> bytes:
        """Account for what has been read."""
        self.left -= len(data)
        if self.left < 0:
            raise _TooLargeError
        self._follow(data)
        self.ahead -= len(data)
        return data

    def peek(self, size: int) -> bytes:
        """Show what is buffered, so that pickle reads in pieces of kilobytes."""
        data = self.file.peek(size)
        self._follow(data)
        return data

    def readline(self) -> bytes:
        """Read a line, up to the limit in all."""
        return self._read(self.file.readline(min(self.left, 2**16)))


def load_nats_pickle(path: Path, *, max_bytes: int = MAX_UNPACKED_BYTES) -> Any:
    """Unpack and unpickle one NATS-Bench archive in a single pass.

    Where the package ``indexed_bzip2`` is installed it unpacks, in two thirds of the time of
    Python's own bz2; whatever it does not like is read again by bz2, whose word counts.

    Parameters
    ----------
    path : Path
        A ``.pickle.pbz2`` file.
    max_bytes : int
        Refuse to unpack more than this.

    Returns
    -------
    Any
        Dicts, lists, strings and numbers, with `StoredTensor` records in place of tensors.

    Raises
    ------
    CheckpointError
        When the file is missing, truncated, not bz2, too large, or names a global that archives
        do not need; nothing of it has been run.
    """
    check_file(path)
    fast = _fast_bz2()
    if fast is not None:
        try:
            with fast.open(str(path), parallelization=1) as file:
                return _unpickle(file, max_bytes)
        except _TooLargeError as error:
            raise CheckpointError(path, _too_large(max_bytes)) from error
        except Exception:  # bz2 has the last word on what is wrong
            pass
    try:
        with bz2.open(path, "rb") as file:
            return _unpickle(file, max_bytes)
    except (pickle.UnpicklingError, RefusedPickleError) as error:
        raise CheckpointError(path, _refusal(error)) from error
    except _TooLargeError as error:
        raise CheckpointError(path, _too_large(max_bytes)) from error
    except (EOFError, OSError) as error:
        raise CheckpointError(path, _bad_stream(path, error)) from error
    except MemoryError as error:
        reason = "refused: asks for more memory than any archive needs; do not trust this file"
        raise CheckpointError(path, reason) from error
    except Exception as error:  # a damaged or hostile pickle can fail in any way
        reason = f"not a NATS-Bench archive or damaged ({str(error) or type(error).__name__})"
        raise CheckpointError(path, f"{reason}; fetch it again") from error


def _unpickle(file: Any, max_bytes: int) -> Any:
    """Unpickle a stream, with bounds on its length and on the memory it takes."""
    with limited_memory(max_bytes + MEMORY_SLACK):
        return _ArchiveUnpickler(_Capped(file, max_bytes)).load()


@cache
def _fast_bz2() -> Any:
    """Return the module of the faster decoder, None where it is not installed."""
    try:
        return import_module("indexed_bzip2")
    except ImportError:
        return None


def _too_large(limit: int) -> str:
    """Word the refusal of a decompression bomb."""
    return (
        f"refused: unpacks to more than {limit:,} bytes, which no such archive does; do not trust "
        f"this file, fetch it from its source"
    )


def _refusal(error: Exception) -> str:
    """Word the refusal of a global, or a broken pickle."""
    text = str(error)
    if text.startswith("GLOBAL "):
        return (
            f"refused: it asks for {text.removeprefix('GLOBAL ')}, which NATS-Bench archives do "
            "not hold and which could run code; nothing was run. Fetch the archive from its source"
        )
    if text == TOO_COSTLY:
        return (
            f"refused: it holds {text}, which no archive does; do not trust this file, fetch it "
            "again from its source"
        )
    return f"not a NATS-Bench archive or damaged ({text}); fetch it again"


def _bad_stream(path: Path, error: Exception) -> str:
    """Word a decompression failure."""
    with path.open("rb") as file:
        head = file.read(3)
    if head != b"BZh":
        return "not bz2-compressed, so no NATS-Bench archive; fetch it again"
    return f"truncated or damaged bz2 ({error}); fetch it again"
