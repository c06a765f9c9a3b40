r"""Read the bz2-compressed pickles of NATS-Bench without running what is in them.

The archives are raw pickles, and every storage inside is a pickle of its own, which the class
that wrote them hands to an unsafe ``torch.load``. Here an allow-list of seven globals is all that
a file can name, each bound to a function of `storages`: tensors become `StoredTensor` records
whose bytes are looked at only when somebody wants the weights.
"""

from __future__ import annotations

import bz2
import pickle
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from genpredict.checkpoints.formats.pickle_costs import (
    TOO_COSTLY,
    TOO_LARGE,
    PickleCosts,
    RefusedPickleError,
)
from genpredict.checkpoints.formats.unpickling import check_file
from genpredict.checkpoints.memory_limit import limited_memory
from genpredict.checkpoints.nats.storages import (
    NumpyType,
    numpy_scalar,
    rebuild_parameter,
    rebuild_tensor,
    storage,
)
from genpredict.errors import CheckpointError

MAX_UNPACKED_BYTES = 2**29
"""Refuse archives of one architecture that unpack to more than this; the largest takes 0.1 GB."""
MAX_WHOLE_SPACE_BYTES = 64 * 2**30
MAX_RATIO = 10
"""Refuse the single file of a whole space where it unpacks to more than this, or to more than so
many times its size beyond what one architecture may take: bz2 packs weights by a tenth."""
MEMORY_SLACK = 2**30
"""Memory that unpickling may take beyond the unpacked bytes themselves."""


class _ArchiveUnpickler(pickle.Unpickler):
    """An unpickler that knows a handful of globals by name and imports nothing."""

    def find_class(self, module_name: str, global_name: str, /) -> Callable[..., Any]:
        """Return the harmless counterpart of an allowed global; refuse all others."""
        match (module_name, global_name):
            case ("collections", "OrderedDict"):
                return OrderedDict
            case ("torch._utils", "_rebuild_tensor_v2"):
                return lambda *args: rebuild_tensor(*args)
            case ("torch._utils", "_rebuild_parameter"):
                return lambda *args: rebuild_parameter(*args)
            case ("torch.storage", "_load_from_bytes"):
                return lambda payload: storage(payload)
            case ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar"):
                return lambda *args: numpy_scalar(*args)
            case ("numpy", "dtype"):
                # a fresh function each time: a hostile pickle can set attributes on what it is
                # given, and must not reach into the next file
                return lambda *args: NumpyType(*args)
        raise pickle.UnpicklingError(f"GLOBAL {module_name}.{global_name}")


_TOO_MUCH_MEMORY = "refused: asks for more memory than any archive needs; do not trust this file"


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
        raise CheckpointError(path, _TOO_MUCH_MEMORY) from error
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
    if text == TOO_LARGE:
        return _TOO_MUCH_MEMORY
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
