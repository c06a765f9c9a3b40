"""Pickles that would leave a file behind if anything in them were run."""

from __future__ import annotations

import bz2
import functools
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.function, self.args


def hostile_objects(canary: Path) -> dict[str, Any]:
    """Return objects whose unpickling would make the file ``canary``, by the trick they use."""
    write = f"open({str(canary)!r}, 'w').close()"
    array = np.empty(1, dtype=object)
    array[0] = Calls(os.system, f"touch {canary}")
    return {
        "os.system": Calls(os.system, f"touch {canary}"),
        "builtins.eval": Calls(eval, f"__import__('pathlib').Path({str(canary)!r}).touch()"),
        "builtins.exec": Calls(exec, write),
        "builtins.getattr": Calls(getattr, canary, "touch"),
        "functools.partial": Calls(functools.partial, os.system, f"touch {canary}"),
        "numpy object array": array,
        "inside a dict": {"state_dict": OrderedDict(a=Calls(os.mkdir, str(canary)))},
        "as a key": {Calls(os.mkdir, str(canary)): 1},
        "pathlib": Calls(Path.touch, canary),
    }


def hostile_bytes(canary: Path) -> dict[str, bytes]:
    """Return pickles written by hand."""
    path = str(canary).encode()
    mkdir = b"cos\nmkdir\n(V" + path + b"\ntR."
    return {
        "protocol 0": mkdir,
        "INST opcode": b"(V" + path + b"\nios\nmkdir\n.",
        "OBJ opcode": b"(cos\nmkdir\nV" + path + b"\no.",
        "dotted name": b"\x80\x04\x8c\x0bcollections\x8c\x17OrderedDict.__class__.x\x93.",
        "build on a function": b"\x80\x04\x8c\x0ctorch._utils\x8c\x12_rebuild_tensor_v2\x93"
        b"}\x8c\x0c__defaults__K\x01s\x86b.",
        "persistent id": b"Px\n.",
        "extension": b"\x82\x01.",
    }


def legacy_bytes(thing: object) -> bytes:
    """Return what torch.save's older format makes of an object."""
    import io

    buffer = io.BytesIO()
    torch.save(thing, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def with_storage(payload: bytes) -> Calls:
    """Return a tensor whose storage is the given bytes, as archives hold it."""
    return with_window(payload, 0, (2, 2), (2, 1))


def with_window(
    payload: bytes, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]
) -> Calls:
    """Return a tensor of any shape over a storage of the given bytes."""
    storage = Calls(torch.storage._load_from_bytes, payload)
    rest = (offset, shape, stride, False, OrderedDict())
    return Calls(torch._utils._rebuild_tensor_v2, storage, *rest)


def write_pbz2(path: Path, thing: object) -> Path:
    """Write an object as NATS-Bench does."""
    path.write_bytes(bz2.compress(pickle.dumps(thing, protocol=4)))
    return path
