"""Read pickles without running what is in them.

Every pickle that genpredict opens comes through this module and `nats_unpickling`. A pickle is
a program; the two readers here execute only an allow-list of harmless steps and refuse the rest
by name. Nothing named by a refused file is ever imported or called.
"""

from __future__ import annotations

import pickle
import re
import stat
import tarfile
import threading
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

from genpredict.checkpoints.formats.pickle_costs import (
    TOO_COSTLY,
    RefusedPickleError,
    follow_pickles,
)
from genpredict.checkpoints.memory_limit import limited_memory
from genpredict.errors import CheckpointError

MMAP_FROM_BYTES = 64 * 2**20
"""Zip files from this size on are mapped into memory instead of read, so that optimizer states
and other tensors which nobody asks for cost nothing."""

MEMORY_ROOM = 4 * 2**30
"""Memory that loading may take beyond four times the file."""
LEGACY_PICKLES = 5
"""Magic number, protocol, platform, the object and the names of its storages."""
MOST_UNPACKED = 2**26
"""Bytes from which on a zip file may not unpack to more than `MOST_RATIO` times its size: torch
itself never compresses, and weights cannot be compressed by much."""
MOST_RATIO = 20

RESAVE = "re-save the weights alone with torch.save(model.state_dict(), path)"
# Functions that turn data into action; a class of the user's own is far more often an accident.
_DANGEROUS = (
    "os", "posix", "nt", "sys", "subprocess", "builtins", "functools", "operator", "importlib",
    "runpy", "shutil", "socket", "ctypes", "code", "pickle", "pty", "webbrowser", "types", "timeit",
)  # fmt: skip
_REFUSED = (
    re.compile(r"GLOBAL (\S+) was not an allowed global"),
    re.compile(r"unsupported GLOBAL (\S+) whose module"),
)
_ZIP_KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_TORCH_REASON = "WeightsUnpickler error:"  # after a page of advice that does not apply here
_STAND_IN_LOCK = threading.Lock()


class Ignored:
    """Stand-in for an object that training scripts store beside weights: keeps nothing."""

    def __init__(self, *ignored: object) -> None:
        """Take any arguments and drop them."""

    def __setstate__(self, state: object) -> None:
        """Take any state and drop it."""


def _plain_dict(*ignored: object) -> dict[Any, Any]:
    """Stand in for ``collections.defaultdict(factory)``."""
    return {}


_IGNORED_GLOBALS = (
    "argparse.Namespace", "numpy.dtype", "numpy.ndarray",
    "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct",
    "numpy._core.numeric._frombuffer", "numpy.core.numeric._frombuffer",
    "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath", "pathlib.PureWindowsPath",
    "pathlib._local.PosixPath", "pathlib._local.WindowsPath",
    "datetime.datetime", "datetime.timedelta", "uuid.UUID", "types.SimpleNamespace",
    "builtins.dict", "builtins.list", "builtins.int", "builtins.float", "builtins.slice",
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
)  # fmt: skip
_DICT_GLOBALS = (
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
)
STAND_INS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(_IGNORED_GLOBALS, Ignored),
    **dict.fromkeys(_DICT_GLOBALS, dict),
    "collections.defaultdict": _plain_dict,
}


def load_torch_file(path: Path) -> Any:
    """Load what ``torch.save`` wrote, without running code from the file.

    Parameters
    ----------
    path : Path
        A file in torch's zip format or in the older plain-pickle format. Tensors saved on an
        accelerator come to the CPU.

    Returns
    -------
    Any
        The object as saved. Things beside weights that cannot be loaded safely but are known to
        be harmless (argparse namespaces, numpy scalars and arrays, paths) become `Ignored`.

    Raises
    ------
    CheckpointError
        When the file is missing, empty, truncated, of another format, or holds anything but
        tensors and plain containers. Nothing of a refused file has been run.
    """
    check_file(path)
    is_zip = _check_format(path)
    size = path.stat().st_size
    mmap = is_zip and size >= MMAP_FROM_BYTES
    with limited_memory(4 * size + MEMORY_ROOM):
        try:
            return torch_load(path, mmap=mmap)
        except pickle.UnpicklingError as error:
            if _refused_global(error) not in STAND_INS:
                raise _refusal(path, error) from error
        except RefusedPickleError as error:
            reason = f"refused: it holds {error}, which no weights need; do not trust this file"
            raise CheckpointError(path, reason) from error
        except Exception as error:  # torch raises what it likes on damaged bytes
            raise _damaged(path, error) from error
        return _load_with_stand_ins(path, mmap=mmap)


def check_file(path: Path) -> None:
    """Raise CheckpointError unless the path is a readable, non-empty file."""
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise CheckpointError(path, "is a folder, not a file; pass it as a SOURCE of its own")
        if not stat.S_ISREG(found.st_mode):
            raise CheckpointError(path, "is a pipe or device, not a file; save it to disk first")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise CheckpointError(path, "no such file; check the path") from None
    except OSError as error:
        raise CheckpointError(path, f"cannot be read: {error.strerror}") from error
    if found.st_size == 0:
        raise CheckpointError(path, "is empty (0 bytes); fetch or save it again")


def foreign_format(head: bytes) -> str | None:
    """Name the format behind a file's first bytes where it is a well-known wrong one."""
    start = head.lstrip()[:64].lower()
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the weights; run git lfs pull"
    if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "a web page, probably a failed download; fetch the file again"
    if head.startswith(b"\x89HDF\r\n"):
        return "an HDF5 file (Keras?); save the weights as .safetensors or with torch.save"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32:
        return "a safetensors file; give it the suffix .safetensors"
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")):
        return "a compressed file; unpack it first"
    return None


def _check_format(path: Path) -> bool:
    """Return whether the file is in the zip format; raise where it is no torch file."""
    with path.open("rb") as file:
        head = file.read(512)
    if wrong := foreign_format(head):
        raise CheckpointError(path, f"not a torch file but {wrong}")
    if head.startswith(b"PK"):
        _check_zip(path)
        return True
    if head[257:262] == b"ustar" or (not head.startswith(b"\x80") and tarfile.is_tarfile(path)):
        raise CheckpointError(
            path,
            "a tar archive: unpack it, or, where torch before 0.1.10 wrote it, load it with such "
            f"a torch and {RESAVE}; that format cannot be loaded safely",
        )
    if not head.startswith(b"\x80"):
        raise CheckpointError(
            path, f"not a torch file (neither zip nor pickle); {RESAVE}, or pass .safetensors"
        )
    return False


def _check_zip(path: Path) -> None:
    """Raise where a zip archive is damaged, TorchScript or no torch file at all."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            _check_sizes(path, archive.infolist())
            bad = archive.testzip()  # torch itself does not look at checksums
    except CheckpointError:
        raise
    except Exception as error:  # zipfile raises what it likes on damaged bytes
        raise _damaged(path, error) from error
    if bad is not None:
        raise _damaged(path, ValueError(f"the checksum of {bad} does not match"))
    leaves = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in leaves:
        raise CheckpointError(
            path,
            "a TorchScript archive (torch.jit.save): a program, not weights alone; load it with "
            f"torch.jit.load and {RESAVE}",
        )
    if "data.pkl" not in leaves:
        raise CheckpointError(
            path, f"a zip archive, but not one of torch (it holds no data.pkl); {RESAVE}"
        )


def _check_sizes(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Raise on a decompression bomb before anything is unpacked."""
    if any(entry.compress_type not in _ZIP_KINDS for entry in entries):
        raise CheckpointError(path, f"compressed in a way that torch cannot read; {RESAVE}")
    unpacked, packed = sum(entry.file_size for entry in entries), path.stat().st_size
    if unpacked > max(MOST_UNPACKED, MOST_RATIO * packed):
        raise CheckpointError(
            path,
            f"refused: unpacks to {unpacked:,} bytes, {unpacked // packed} times its size, which "
            "no weights do; do not trust this file",
        )


def torch_load(source: Path | BinaryIO, *, mmap: bool = False) -> Any:
    """Call torch.load in its safe mode, on the CPU; raises whatever torch raises.

    Raises
    ------
    RefusedPickleError
        Where torch would be busy with keys for ages.
    """
    import torch

    if isinstance(source, Path):
        with source.open("rb") as file:
            _check_costs(file)
    else:
        _check_costs(source)
        source.seek(0)
    with warnings.catch_warnings():
        # about pickle protocols and storage classes: nothing that a reader of weights can act on
        warnings.simplefilter("ignore")
        return torch.load(source, map_location="cpu", weights_only=True, mmap=mmap)


def _check_costs(file: BinaryIO) -> None:
    """Raise RefusedPickleError where the pickles of a torch file hold keys that take ages to hash.

    What is wrong with them in other ways is torch's to say.
    """
    try:
        if file.read(2) == b"PK":
            with zipfile.ZipFile(file) as archive:
                for entry in archive.infolist():
                    if entry.filename.rpartition("/")[2] == "data.pkl":
                        with archive.open(entry) as pickled:
                            follow_pickles(cast("BinaryIO", pickled), 1)
        else:
            file.seek(0)
            follow_pickles(file, LEGACY_PICKLES)
    except RefusedPickleError as error:
        if str(error) == TOO_COSTLY:
            raise
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, zlib.error):
        return


def _load_with_stand_ins(path: Path, *, mmap: bool) -> Any:
    """Load again, with inert stand-ins for what stands beside the weights."""
    import torch

    stand_ins: list[Any] = [(stand_in, name) for name, stand_in in STAND_INS.items()]
    try:
        # torch keeps the allow-list per process, not per thread
        with _STAND_IN_LOCK, torch.serialization.safe_globals(stand_ins):
            return torch_load(path, mmap=mmap)
    except pickle.UnpicklingError as error:
        raise _refusal(path, error) from error
    except Exception as error:  # as in load_torch_file
        raise _damaged(path, error) from error


def _refused_global(error: Exception) -> str | None:
    """Return the name of the global that torch refused, builtins qualified."""
    for pattern in _REFUSED:
        if match := pattern.search(str(error)):
            name = match[1]
            return name if "." in name else f"builtins.{name}"
    return None


def _refusal(path: Path, error: Exception) -> CheckpointError:
    """Explain a refused global: an attack, a whole module, or damage."""
    name = _refused_global(error)
    if name is None:
        return _damaged(path, error)
    if name.partition(".")[0] in _DANGEROUS:
        return CheckpointError(
            path,
            f"refused: it asks to run {name}, which could do anything; nothing was run. Weights "
            "never need it: do not trust this file",
        )
    return CheckpointError(
        path,
        f"refused: it holds a pickled object of {name}, perhaps a whole module, and loading it "
        f"would run code; nothing was run. Where you trust its source, {RESAVE}",
    )


def _damaged(path: Path, error: Exception) -> CheckpointError:
    """Explain bytes that do not make a torch file."""
    text = str(error).rpartition(_TORCH_REASON)[2]
    detail = (text.strip().splitlines() or [type(error).__name__])[0][:160]
    return CheckpointError(path, f"truncated or damaged ({detail}); fetch it again, or {RESAVE}")
