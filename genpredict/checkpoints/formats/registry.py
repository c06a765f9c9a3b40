"""The formats that checkpoints come in: one row each, from which everything derives.

A format is told by what a file holds, not by its suffix: suffixes only say which files of a folder
look like checkpoints, and decide where contents are ambiguous. Another package registers its format
with an entry point of the group ``genpredict.formats`` that names a callable without arguments,
which calls `register_format`; or with a call of `register_format` at run time.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from genpredict.checkpoints.formats import suffixes
from genpredict.checkpoints.formats.unpickling import check_file, foreign_format
from genpredict.errors import CheckpointError, GenpredictError
from genpredict.extensions import load_extensions, resolve

if TYPE_CHECKING:
    from genpredict.checkpoints.state_dicts import Contents

ENTRY_POINTS = "genpredict.formats"
HEAD_BYTES = 1024
"""Bytes of a file that its recognizer is given."""
_HERE = "genpredict.checkpoints.formats"
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


@dataclass(frozen=True)
class Format:
    """A form that weights are saved in.

    Parameters
    ----------
    name : str
        As messages and documents call it.
    suffixes : tuple of str
        Ends of names, lower case, with their dot: files of a folder that look like it.
    recognizer : str
        ``"module:function"`` of a function of the first bytes of a file and its path that returns
        whether the file is of this format.
    reader : str
        ``"module:function"`` of a function of a path, and of the name of a network where `peek` is
        given, that returns the tensors by name.
    peek : str
        ``"module:function"`` of a function of a path that returns what networks the file holds,
        where there may be several, as `genpredict.checkpoints.state_dicts.Contents`.
    extra : str
        What to install: ``genpredict[extra]``.
    needs : tuple of str
        Modules of that extra which the reader imports.
    """

    name: str
    suffixes: tuple[str, ...]
    recognizer: str
    reader: str
    peek: str = ""
    extra: str = ""
    needs: tuple[str, ...] = ()

    def recognizes(self, head: bytes, path: Path) -> bool:
        """Return whether a file is of this format."""
        function = cast("Callable[[bytes, Path], bool]", resolve(self.recognizer, self.name))
        return function(head, path)

    def read(self, path: Path, network: str = "") -> Mapping[str, Any]:
        """Read the tensors of a file.

        Raises
        ------
        CheckpointError
            When they cannot be read, or a package for it is not installed.
        """
        missing = [name for name in self.needs if importlib.util.find_spec(name) is None]
        if missing:
            raise CheckpointError(
                path,
                f"{self.name}: reading it needs {', '.join(missing)}; install "
                f"genpredict[{self.extra}]",
            )
        function = cast("Callable[..., Mapping[str, Any]]", resolve(self.reader, self.name))
        return function(path, network) if self.peek else function(path)


_TORCH = f"{_HERE}.torch_files:peek_networks"
FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        Format(
            "safetensors", (suffixes.SAFETENSORS, ".sft"), f"{_HERE}.recognizing:is_safetensors",
            f"{_HERE}.safetensors_files:read_safetensors",
        ),
        Format(
            "torch (zip)", (*suffixes.TORCH, ".pt2"),
            f"{_HERE}.recognizing:is_torch_zip", f"{_HERE}.torch_files:read_torch_tensors", _TORCH,
        ),
        Format(
            "pickle, torch (before 1.6)", (suffixes.OLD_TORCH, suffixes.TAR, ".pkl"),
            f"{_HERE}.recognizing:is_pickle", f"{_HERE}.torch_files:read_torch_tensors", _TORCH,
        ),
        Format(
            "Keras", (*suffixes.HDF5, suffixes.KERAS), f"{_HERE}.recognizing:is_keras",
            f"{_HERE}.keras_files:read_keras", extra="formats", needs=("h5py",),
        ),
        Format(
            "ONNX", (suffixes.ONNX,), f"{_HERE}.recognizing:is_onnx",
            f"{_HERE}.onnx_files:read_onnx", extra="formats", needs=("onnx",),
        ),
        Format(
            "numpy", (".npz", suffixes.NUMPY), f"{_HERE}.recognizing:is_numpy",
            f"{_HERE}.numpy_files:read_numpy",
        ),
        Format(
            "msgpack (flax)", (suffixes.MSGPACK,), f"{_HERE}.recognizing:is_msgpack",
            f"{_HERE}.msgpack_files:read_msgpack", extra="formats", needs=("msgpack",),
        ),
        Format(
            "stable-baselines3", (), f"{_HERE}.recognizing:is_stable_baselines",
            f"{_HERE}.stable_baselines:read_stable_baselines",
        ),
        Format(
            "GGUF", (".gguf",), f"{_HERE}.recognizing:is_gguf", f"{_HERE}.unread:refuse_gguf",
        ),
        Format(
            "torch.export", (), f"{_HERE}.recognizing:is_exported",
            f"{_HERE}.unread:refuse_exported",
        ),
        Format(
            "torch.distributed.checkpoint", (".distcp",), f"{_HERE}.recognizing:is_distributed",
            f"{_HERE}.unread:refuse_distributed",
        ),
        Format(
            "tar", (), f"{_HERE}.recognizing:is_tar", f"{_HERE}.unread:refuse_tar",
        ),
    )
}  # fmt: skip
"""In the order in which they are asked."""
_registered: dict[str, Format] = {}


def register_format(
    name: str,
    suffixes: tuple[str, ...],
    recognizer: str,
    reader: str,
    *,
    peek: str = "",
    extra: str = "",
    needs: tuple[str, ...] = (),
) -> None:
    """Add a format; files of it are then found, read and scored like any others.

    Parameters
    ----------
    name : str
        As messages call it.
    suffixes : tuple of str
        Ends of names, with their dot.
    recognizer, reader, peek : str
        ``"module:function"``; see `Format`.
    extra : str
        What is to be installed for it.
    needs : tuple of str
        Modules that it needs.

    Raises
    ------
    GenpredictError
        When the name is taken, a suffix has no dot, or a function is not named so.

    Examples
    --------
    >>> register_format("mine", (".mine",), "mypackage:is_mine", "mypackage:read")  # doctest: +SKIP
    """
    if name in FORMATS or (name in _registered and _registered[name].reader != reader):
        raise GenpredictError(f"name: there is a format {name!r} already; choose another name")
    for function in filter(None, (recognizer, reader, peek)):
        if not _FUNCTION.fullmatch(function):
            raise GenpredictError(f"{name}: {function!r} is not of the form module:function")
    for suffix in suffixes:
        if not suffix.startswith("."):
            raise GenpredictError(f"{name}: the suffix {suffix!r} must begin with a dot")
    lower = tuple(suffix.lower() for suffix in suffixes)
    _registered[name] = Format(name, lower, recognizer, reader, peek, extra, needs)


def known_formats() -> dict[str, Format]:
    """Return all formats by name, those of other packages first: they know their files best."""
    load_extensions(ENTRY_POINTS)
    return _registered | FORMATS


def known_suffixes() -> tuple[str, ...]:
    """Return the suffixes of files that look like checkpoints."""
    return tuple(suffix for row in known_formats().values() for suffix in row.suffixes)


def format_of(path: Path) -> Format | None:
    """Return the format of a file by its contents, None where it is of none.

    Raises
    ------
    CheckpointError
        When it cannot be read at all, or is empty.
    """
    check_file(path)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return next((row for row in known_formats().values() if row.recognizes(head, path)), None)


def read_file(path: Path, network: str = "") -> Mapping[str, Any]:
    """Read the tensors of a file of any known format.

    Parameters
    ----------
    path : Path
        The file.
    network : str
        Which of several networks in it.

    Raises
    ------
    CheckpointError
        When it is of no known format, damaged, or not safe to read.
    """
    row = format_of(path)
    if row is None:
        raise CheckpointError(path, why_unknown(path))
    return row.read(path, network)


def peek_file(path: Path) -> Contents | None:
    """Return what networks a file holds, None where its format holds one and nothing else.

    Raises
    ------
    CheckpointError
        When it cannot be read.
    """
    row = format_of(path) if path.is_file() else None
    if row is None or not row.peek:
        return None
    contents: Contents = resolve(row.peek, row.name)(path)[0]
    return contents


def why_unknown(path: Path) -> str:
    """Say what a file is that has none of the known formats."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if wrong := foreign_format(head):
        return f"not weights but {wrong}"
    names = ", ".join(FORMATS)
    return (
        f"of no format that is read ({names}): truncated or damaged, or something else; fetch it "
        "again, or re-save the weights with torch.save(model.state_dict(), path)"
    )
