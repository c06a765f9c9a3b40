"""Read the pickles of CIFAR's python version without running what is in them.

A pickle is a program. The reader here executes only what makes numbers, texts, lists, dicts and
numpy arrays of plain numbers. Even these arrays are rebuilt by functions of this module from
(type, shape, bytes): a file never gets hold of a function of Python or numpy.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genpredict.errors import GenpredictError
from genpredict.sidecars import read_sidecar

MOST_BYTES = 2**29
"""Of a file; three times the images that CIFAR-100 trains on."""

_DTYPES = ("b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")
_ORDERS = ("<", ">", "|", "=")  # of bytes; "|" where there is but one


class _Type:
    """Stand-in for ``numpy.dtype``: a plain number and its byte order."""

    def __init__(self, code: object = None, *ignored: object) -> None:
        self.code = _text(code)
        self.order = "|"

    def __setstate__(self, state: object) -> None:
        """Take the byte order, the second entry of numpy's state."""
        if not isinstance(state, tuple) or len(state) < 5:
            raise pickle.UnpicklingError("type without a byte order")
        self.order = _text(state[1])

    def to_numpy(self) -> np.dtype[Any]:
        """Make the type; anything but a plain number is refused."""
        if self.code not in _DTYPES or self.order not in _ORDERS:
            raise pickle.UnpicklingError(f"array of type {self.order}{self.code}")
        return np.dtype(self.order.replace("|", "=") + self.code)


class _ArrayType:
    """Stand-in for the class ``numpy.ndarray``, which files name only to make arrays."""


class _Array:
    """Stand-in for an array under construction."""

    def __init__(self, *ignored: object) -> None:
        self.array = np.empty(0)

    def __setstate__(self, state: object) -> None:
        """Take numpy's state: version, shape, type, whether in Fortran's order, bytes."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("array in an unknown form")
        _, shape, kind, fortran, content = state
        self.array = _make_array(content, kind, shape, "F" if fortran else "C")


def _from_buffer(content: object, kind: object, shape: object, order: object) -> _Array:
    """Stand in for numpy's ``_frombuffer``, which newer pickles use."""
    made = _Array()
    made.array = _make_array(content, kind, shape, _text(order))
    return made


def _make_array(content: object, kind: object, shape: object, order: str) -> np.ndarray:
    """Make an array of plain numbers from its bytes."""
    if not (isinstance(kind, _Type) and isinstance(shape, tuple) and order in ("C", "F")):
        raise pickle.UnpicklingError("array in an unknown form")
    if not isinstance(content, bytes | bytearray):
        raise pickle.UnpicklingError("array that holds objects")
    dtype = kind.to_numpy()
    sizes = [size for size in shape if isinstance(size, int) and size >= 0]
    if len(sizes) != len(shape) or math.prod(sizes) * dtype.itemsize != len(content):
        raise pickle.UnpicklingError(f"array of shape {shape!r:.80} with {len(content)} bytes")
    flat = np.frombuffer(content, dtype=dtype)
    return flat.reshape(sizes, order="F" if order == "F" else "C")


def _text(value: object) -> str:
    """Return a text; those of Python 2 arrive as bytes."""
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Type,
    ("numpy", "ndarray"): _ArrayType,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
}


_Unpickler: Any = pickle._Unpickler


class _Reader(_Unpickler):  # type: ignore[misc]
    """Unpickler that knows the stand-ins above and nothing else.

    It is the one written in Python, whose steps can be bounded: dicts have plain keys, since
    hashing tuples in each other may take for ever, and there are no sets.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="bytes")
        self.size = len(content)
        self.room = 2 * self.size

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of a global; refuse all others."""
        if (module, name) == ("_codecs", "encode"):
            return self.encode
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None

    def encode(self, text: object, encoding: object = "latin1") -> bytes:
        """Stand in for ``_codecs.encode``, as which old protocols write bytes, each text once."""
        if not isinstance(text, str) or _text(encoding) not in ("latin1", "latin-1"):
            raise pickle.UnpicklingError("text in an unknown encoding")
        self.room -= len(text)
        if self.room < 0:
            raise pickle.UnpicklingError("more bytes than the file has")
        return text.encode("latin1")

    def set_item(self) -> None:
        """Add an entry to a dict."""
        _check_keys([self.stack[-2]])
        self.load_setitem()

    def set_items(self) -> None:
        """Add entries to a dict."""
        _check_keys(self.stack[::2])
        self.load_setitems()

    def make_dict(self) -> None:
        """Make a dict of entries."""
        _check_keys(self.stack[::2])
        self.load_dict()

    def refuse(self) -> None:
        """Refuse a set."""
        raise pickle.UnpicklingError("it holds a set")

    def read_bytearray(self) -> None:
        """Read a bytearray, for which room is made before it is read: none beyond the file."""
        size = int.from_bytes(self.read(8), "little")
        if size > self.size:
            raise pickle.UnpicklingError("more bytes than the file has")
        content = bytearray(size)
        self.readinto(content)
        self.append(content)

    dispatch = _Unpickler.dispatch | {
        pickle.SETITEM[0]: set_item,
        pickle.SETITEMS[0]: set_items,
        pickle.DICT[0]: make_dict,
        pickle.EMPTY_SET[0]: refuse,
        pickle.ADDITEMS[0]: refuse,
        pickle.FROZENSET[0]: refuse,
        pickle.BYTEARRAY8[0]: read_bytearray,
    }


def _check_keys(keys: Sequence[object]) -> None:
    """Refuse keys of dicts that are no texts and no numbers."""
    for key in keys:
        if not isinstance(key, str | bytes | int | float):
            raise pickle.UnpicklingError(f"a dict with a {type(key).__name__} as key")


def load_pickle(path: Path) -> dict[str, Any]:
    """Load a dict of numbers, texts, lists and arrays.

    Parameters
    ----------
    path : Path
        A pickle, of Python 2 or 3.

    Returns
    -------
    dict of str to Any
        Texts that Python 2 wrote are bytes, the keys apart. Arrays are numpy's.

    Raises
    ------
    GenpredictError
        If the file is missing, damaged, or holds anything else; nothing of it has been run.
    """
    try:
        content = _Reader(read_sidecar(path, most=MOST_BYTES)).load()
        if not isinstance(content, dict):
            raise pickle.UnpicklingError(f"a {type(content).__name__} instead of a dict")
    except OSError as error:
        raise GenpredictError(f"{path}: cannot be read ({error.strerror})") from error
    except Exception as error:  # damaged bytes raise what they like
        raise GenpredictError(
            f"{path}: refused, or damaged ({error}); nothing was run. A file of CIFAR holds "
            "numbers, texts and arrays only: fetch it again from its source"
        ) from error
    return {
        _text(key): value.array if isinstance(value, _Array) else value
        for key, value in content.items()
    }
