"""Put hostile pickles and tensors into files of every kind that genpredict reads."""

from __future__ import annotations

import bz2
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from hostile_pickles import PROTOCOL, call, stack_global, text, value

# What torch.save's older format begins with: magic number, protocol, platform.
LEGACY_HEAD = b"".join(
    pickle.dumps(part, protocol=2)
    for part in (
        0x1950A86A20F9469CFC6C,
        1001,
        {"protocol_version": 1001, "little_endian": True,
         "type_sizes": {"short": 2, "int": 4, "long": 4}},
    )
)  # fmt: skip


def torch_zip(
    path: Path,
    pickled: bytes,
    records: Mapping[str, bytes] | None = None,
    *,
    extra: Mapping[str, bytes] | None = None,
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """Write torch's zip format around a pickle; ``extra`` entries take any name."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("net/data.pkl", pickled)
        archive.writestr("net/byteorder", "little")
        archive.writestr("net/version", "3\n")
        for name, data in (records or {"0": bytes(4)}).items():
            archive.writestr(f"net/data/{name}", data)
        for name, data in (extra or {}).items():
            archive.writestr(name, data)
    return path


def torch_legacy(path: Path, pickled: bytes) -> Path:
    """Write torch's older format around a pickle."""
    path.write_bytes(LEGACY_HEAD + pickled + pickle.dumps([], protocol=2))
    return path


def plain(path: Path, pickled: bytes) -> Path:
    """Write the pickle alone."""
    path.write_bytes(pickled)
    return path


def archive(path: Path, pickled: bytes) -> Path:
    """Write the pickle as NATS-Bench does."""
    path.write_bytes(bz2.compress(pickled))
    return path


def nested_archive(path: Path, pickled: bytes) -> Path:
    """Write a well-formed archive in which one storage is the pickle."""
    return archive(path, pickle_of_archive({"net.weight": stored(pickled, 0, (2, 2), (2, 1))}))


def nested_legacy(path: Path, pickled: bytes) -> Path:
    """Write the same, the storage in torch's older format around the pickle."""
    inner = LEGACY_HEAD + pickled + pickle.dumps([], protocol=2)
    return nested_archive(path, inner)


def stored(payload: bytes, offset: int, shape: Sequence[int], stride: Sequence[int]) -> bytes:
    """Push a tensor over a storage of the given bytes, as archives hold it."""
    storage = call(stack_global("torch.storage", "_load_from_bytes"), raw(payload))
    parts = [value(offset), *(tuple_of(numbers) for numbers in (shape, stride)), b"\x89"]
    hooks = call(stack_global("collections", "OrderedDict"))
    return call(stack_global("torch._utils", "_rebuild_tensor_v2"), storage, *parts, hooks)


def raw(data: bytes) -> bytes:
    """Push bytes."""
    return b"B" + struct.pack("<I", len(data)) + data


def tuple_of(numbers: Sequence[Any]) -> bytes:
    """Push a tuple of numbers."""
    return b"(" + b"".join(value(number) for number in numbers) + b"t"


def pickle_of_archive(weights: Mapping[str, bytes], **changed: bytes) -> bytes:
    """Return the pickle of a whole archive; ``changed`` replaces pushed values by name."""
    state = b"}" + b"".join(text(name) + pushed + b"s" for name, pushed in weights.items())
    result = {
        "epochs": value(12), "net_state_dict": state, "train_acc1es": value({11: 90.0}),
        "train_losses": value({11: 0.1}), "eval_acc1es": value({"ori-test@11": 80.0}),
        "eval_losses": value({"ori-test@11": 0.5}), "flop": value(1.5),
    }  # fmt: skip
    result |= {k: v for k, v in changed.items() if k in result}
    row = _dict(result)
    key = changed.get("key", text("cifar10") + value(777) + b"\x86")
    info = _dict({
        "arch_str": changed.get("arch_str", text("8:8:8:8:8")),
        "arch_index": changed.get("arch_index", value(0)),
        "all_results": b"}" + key + row + b"s",
    })  # fmt: skip
    return PROTOCOL + b"}" + changed.get("budget", text("12")) + info + b"s."


def _dict(entries: Mapping[str, bytes]) -> bytes:
    return b"}" + b"".join(text(name) + pushed + b"s" for name, pushed in entries.items())


def legacy_storage(*numbers: float) -> bytes:
    """Return a storage of float32 as archives hold it."""
    buffer = io.BytesIO()
    storage = torch.tensor(numbers).untyped_storage()
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    torch.save(typed, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def state_dict(**weights: bytes) -> bytes:
    """Return the pickle of a state dict of pushed tensors."""
    return PROTOCOL + _dict({name.replace("_", "."): w for name, w in weights.items()}) + b"."


def window(
    offset: int, shape: Sequence[int], stride: Sequence[int], *, elements: int = 1, key: str = "0"
) -> bytes:
    """Push a tensor over a storage of torch's zip format."""
    reference = (
        text("storage"), stack_global("torch", "FloatStorage"), text(key), text("cpu"),
        value(elements),
    )  # fmt: skip
    storage = b"(" + b"".join(reference) + b"tQ"
    parts = [value(offset), tuple_of(shape), tuple_of(stride), b"\x89"]
    hooks = call(stack_global("collections", "OrderedDict"))
    return call(stack_global("torch._utils", "_rebuild_tensor_v2"), storage, *parts, hooks)


def safetensors(path: Path, header: object, data: bytes = b"") -> Path:
    """Write a safetensors file with any header: bytes as they are, else as JSON."""
    packed = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(packed)) + packed + data)
    return path
