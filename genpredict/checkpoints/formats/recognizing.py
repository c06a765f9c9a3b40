"""Tell formats by the first bytes of a file, and archives by the names in them."""

from __future__ import annotations

import tarfile
import zipfile
from functools import lru_cache
from pathlib import Path

from genpredict.checkpoints.formats import suffixes
from genpredict.checkpoints.formats.hdf5_heaps import (
    FIRST_USER_BLOCK,
    SIGNATURE,
    find_superblock,
)

_TORCH = (*suffixes.TORCH, suffixes.OLD_TORCH)
_ZIP = b"PK\x03\x04"
_FIRST_PROTOCOL, _LAST_PROTOCOL = 2, 5
_MOST_HEADER = 2**32
# the first field of a model in ONNX is its version, a small number
_ONNX_VERSIONS = range(1, 64)
_ONNX_FIELDS = frozenset(b"\x12\x1a\x22\x28\x32\x3a\x42\x72\xa2")
_MAPS = (*range(0x80, 0x90), 0xDE, 0xDF)


def is_safetensors(head: bytes, path: Path) -> bool:
    """Return whether a header of JSON follows its length, or at least the suffix says so."""
    has_header = head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") < _MOST_HEADER
    by_name = _is_called(path, suffixes.SAFETENSORS) and not head.startswith((_ZIP, b"\x80"))
    return has_header or by_name


def is_torch_zip(head: bytes, path: Path) -> bool:
    """Return whether a zip archive holds a pickle of torch, TorchScript's among them."""
    names = zip_names(head, path)
    if names is None:
        return head.startswith(b"PK") and _is_called(path, *_TORCH)
    if any(name.rpartition("/")[2].lower() == "data.pkl" for name in names):
        return True
    known = is_stable_baselines(head, path) or is_exported(head, path) or is_numpy(head, path)
    return _is_called(path, *_TORCH, suffixes.TAR) and not known and not is_keras(head, path)


def is_pickle(head: bytes, path: Path) -> bool:
    """Return whether the first opcode is a protocol, or the suffix says it is torch's."""
    if len(head) > 1 and head[0] == 0x80 and _FIRST_PROTOCOL <= head[1] <= _LAST_PROTOCOL:
        return True
    return _is_called(path, *_TORCH) and not _is_other(head, path)


def is_keras(head: bytes, path: Path) -> bool:
    """Return whether a file is HDF5, or a zip archive of Keras 3."""
    if head.startswith(SIGNATURE) or head.startswith(SIGNATURE, FIRST_USER_BLOCK):
        return True
    if _is_called(path, *suffixes.HDF5) and not head.startswith(_ZIP):
        with path.open("rb") as file:
            return find_superblock(file) is not None
    names = zip_names(head, path) or ()
    return "model.weights.h5" in names or (bool(names) and _is_called(path, suffixes.KERAS))


def is_numpy(head: bytes, path: Path) -> bool:
    """Return whether a file is one array of numpy, or an archive of nothing but arrays."""
    if head.startswith(b"\x93NUMPY"):
        return True
    names = zip_names(head, path)
    return bool(names) and all(name.endswith(suffixes.NUMPY) for name in names or ())


def is_stable_baselines(head: bytes, path: Path) -> bool:
    """Return whether a zip archive holds the policy of stable-baselines3."""
    return "policy.pth" in (zip_names(head, path) or ())


def is_exported(head: bytes, path: Path) -> bool:
    """Return whether a zip archive is one of ``torch.export.save``."""
    leaves = {name.rpartition("/")[2] for name in zip_names(head, path) or ()}
    marks = {"archive_format", "serialized_exported_program.json", "serialized_state_dict.pt"}
    return not marks.isdisjoint(leaves)


def is_onnx(head: bytes, path: Path) -> bool:
    """Return whether a file begins as a model of ONNX does."""
    if len(head) < 3 or head[0] != 0x08 or head[1] not in _ONNX_VERSIONS:
        return False
    return head[2] in _ONNX_FIELDS or _is_called(path, suffixes.ONNX)


def is_msgpack(head: bytes, path: Path) -> bool:
    """Return whether a file begins with a map, and is called msgpack."""
    return bool(head) and head[0] in _MAPS and _is_called(path, suffixes.MSGPACK)


def is_gguf(head: bytes, path: Path) -> bool:
    """Return whether a file begins as llama.cpp's do."""
    return head.startswith((b"GGUF", b"GGML", b"ggjt", b"lmgg"))


def is_distributed(head: bytes, path: Path) -> bool:
    """Return whether a file is a part of torch.distributed.checkpoint's, by its name."""
    return _is_called(path, ".distcp")


def is_tar(head: bytes, path: Path) -> bool:
    """Return whether a file is a tar archive, as torch wrote them before 0.1.10."""
    return head[257:262] == b"ustar" or (
        _is_called(path, suffixes.TAR) and tarfile.is_tarfile(path)
    )


def zip_names(head: bytes, path: Path) -> tuple[str, ...] | None:
    """Return the names in a zip archive, None where the file is none or damaged."""
    if not head.startswith(b"PK"):
        return None
    facts = path.stat()
    return _zip_names(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=16)
def _zip_names(path: Path, size: int, time: int) -> tuple[str, ...] | None:
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(archive.namelist())
    except Exception:  # zipfile raises what it likes on damaged bytes; the reader will say it
        return None


def _is_called(path: Path, *names: str) -> bool:
    return path.suffix.lower() in names


def _is_other(head: bytes, path: Path) -> bool:
    """Return whether a file called torch's is of another known format."""
    checks = (is_keras, is_numpy, is_gguf, is_tar, is_onnx)
    return head.startswith(b"PK") or any(check(head, path) for check in checks)
