from __future__ import annotations

import argparse
import collections
import io
import os
import pickle
import tarfile
import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hostile_objects import hostile_bytes, hostile_objects, legacy_bytes
from torch import nn

from genpredict.checkpoints.formats.torch_containers import opened
from genpredict.checkpoints.formats.torch_files import read_torch_tensors
from genpredict.errors import CheckpointError

FORMATS = {"zip": True, "legacy": False}


@pytest.fixture(params=FORMATS)
def new_format(request: pytest.FixtureRequest) -> bool:
    return FORMATS[request.param]


class Net(nn.Module):
    """A network of the user's own class."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("mask", torch.ones(2, 2), persistent=False)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.bool]
)
def test_tensors_come_back_exactly(tmp_path: Path, dtype: torch.dtype, new_format: bool) -> None:
    saved = {"a.weight": torch.randn(4, 3).to(dtype), "b": torch.zeros(3).to(dtype)}
    torch.save(saved, tmp_path / "n.pt", _use_new_zipfile_serialization=new_format)
    loaded = read_torch_tensors(tmp_path / "n.pt")
    assert list(loaded) == list(saved)
    assert all(torch.equal(loaded[n], saved[n]) and loaded[n].dtype == dtype for n in saved)


def test_cuda_storages_load_on_the_cpu(tmp_path: Path) -> None:
    """A legacy file whose storages say cuda:0 loads without a GPU."""
    data = legacy_bytes({"w": torch.arange(6.0).reshape(2, 3)})
    cpu, cuda = b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"
    assert data.count(cpu) == 1
    (tmp_path / "n.th").write_bytes(data.replace(cpu, cuda))
    assert read_torch_tensors(tmp_path / "n.th")["w"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_things_beside_weights_load_as_stand_ins(tmp_path: Path, new_format: bool) -> None:
    """Options, numpy numbers and arrays, paths and defaultdicts do not keep a file from loading."""
    default: collections.defaultdict[str, Any] = collections.defaultdict(list)
    default["x"] = [1]
    saved = {
        "model": {"w": torch.ones(2, 2)},
        "args": argparse.Namespace(lr=0.1, out=Path("runs")),
        "best": np.float64(91.5),
        "rng": np.random.default_rng(0).integers(9, size=5),
        "history": default,
    }
    torch.save(saved, tmp_path / "n.pt", _use_new_zipfile_serialization=new_format)
    with opened(tmp_path / "n.pt") as loaded:
        assert torch.equal(loaded["model"]["w"].load(), torch.ones(2, 2))
        assert loaded["history"] == {"x": [1]}
    assert torch.equal(read_torch_tensors(tmp_path / "n.pt")["w"], torch.ones(2, 2))


def test_threads_may_load_at_once(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2, 2), "a": argparse.Namespace(x=1)}, tmp_path / "n.pt")
    failures: list[BaseException] = []

    def load() -> None:
        try:
            for _ in range(10):
                read_torch_tensors(tmp_path / "n.pt")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


TRICKS = list(hostile_objects(Path("x")))


@pytest.mark.parametrize("trick", TRICKS)
def test_hostile_files_are_refused_and_run_nothing(
    tmp_path: Path, trick: str, new_format: bool
) -> None:
    canary = tmp_path / "canary"
    saved = {"state_dict": {"w": torch.ones(2, 2)}, "extra": hostile_objects(canary)[trick]}
    torch.save(saved, tmp_path / "evil.pth", _use_new_zipfile_serialization=new_format)
    with pytest.raises(CheckpointError, match=r"evil\.pth: (refused|truncated or damaged)"):
        read_torch_tensors(tmp_path / "evil.pth")
    assert not canary.exists()


@pytest.mark.parametrize("protocol", range(5))
def test_plain_pickles_are_refused_and_run_nothing(tmp_path: Path, protocol: int) -> None:
    canary = tmp_path / "canary"
    for trick, thing in hostile_objects(canary).items():
        path = tmp_path / f"{trick}.pt"
        path.write_bytes(pickle.dumps(thing, protocol=protocol))
        with pytest.raises(CheckpointError):
            read_torch_tensors(path)
    for trick, data in hostile_bytes(canary).items():
        path = tmp_path / f"{trick}.pt"
        path.write_bytes(data)
        with pytest.raises(CheckpointError):
            read_torch_tensors(path)
    assert not canary.exists()


def test_a_dangerous_global_is_named(tmp_path: Path, new_format: bool) -> None:
    evil = hostile_objects(tmp_path / "canary")
    for trick, named in {"os.system": "posix.system", "builtins.eval": "builtins.eval"}.items():
        torch.save(evil[trick], tmp_path / "e.pt", _use_new_zipfile_serialization=new_format)
        with pytest.raises(CheckpointError, match=f"asks to run {named}.*do not trust"):
            read_torch_tensors(tmp_path / "e.pt")


def test_a_whole_module_is_read_without_its_class(
    tmp_path: Path, new_format: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state dict of a module comes from the tree of its parts; its class is never looked up."""
    net = Net()
    torch.save({"net": net}, tmp_path / "m.pt", _use_new_zipfile_serialization=new_format)
    monkeypatch.delattr(f"{__name__}.Net")
    read = read_torch_tensors(tmp_path / "m.pt")
    assert list(read) == list(net.state_dict())
    assert all(torch.equal(read[name], tensor) for name, tensor in net.state_dict().items())
    assert read.types == {"fc.weight": "Linear", "fc.bias": "Linear", "norm.weight": "BatchNorm1d",
                          "norm.bias": "BatchNorm1d", "norm.running_mean": "BatchNorm1d",
                          "norm.running_var": "BatchNorm1d",
                          "norm.num_batches_tracked": "BatchNorm1d"}  # fmt: skip


def test_a_method_instead_of_weights_is_named(tmp_path: Path, new_format: bool) -> None:
    """``torch.save(net.state_dict, path)``: what is missing is a pair of parentheses."""
    torch.save(Net().state_dict, tmp_path / "m.pt", _use_new_zipfile_serialization=new_format)
    with pytest.raises(CheckpointError, match=r"method state_dict .* parentheses are missing"):
        read_torch_tensors(tmp_path / "m.pt")


def test_plain_pickles_of_tensors_are_read(tmp_path: Path) -> None:
    """``pickle.dump`` writes each storage as a file of torch within the file."""
    weights = Net().state_dict()
    for protocol in range(2, 6):
        (tmp_path / "n.pkl").write_bytes(pickle.dumps(weights, protocol=protocol))
        read = read_torch_tensors(tmp_path / "n.pkl")
        assert all(torch.equal(read[name], tensor) for name, tensor in weights.items())


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("dtype", [">f4", "<f4", "f2", "f8", "i8", "?"])
def test_numpy_arrays_are_read_against_numpy(tmp_path: Path, dtype: str, protocol: int) -> None:
    array = np.arange(12).reshape(3, 4).astype(dtype)
    arrays = {"a.weight": array, "b.weight": np.asfortranarray(array)}
    (tmp_path / "n.pkl").write_bytes(pickle.dumps(arrays, protocol=protocol))
    for tensor in read_torch_tensors(tmp_path / "n.pkl").values():
        assert tensor.numpy().tolist() == array.tolist()


def test_missing_folder_and_empty(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        read_torch_tensors(tmp_path / "none.pt")
    with pytest.raises(CheckpointError, match="is a folder"):
        read_torch_tensors(tmp_path)
    (tmp_path / "empty.pt").touch()
    with pytest.raises(CheckpointError, match="is empty"):
        read_torch_tensors(tmp_path / "empty.pt")


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.999])
def test_truncated(tmp_path: Path, share: float, new_format: bool) -> None:
    buffer = io.BytesIO()
    torch.save({"w": torch.randn(50, 50)}, buffer, _use_new_zipfile_serialization=new_format)
    data = buffer.getvalue()
    (tmp_path / "t.pt").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CheckpointError, match=r"truncated or damaged.*fetch it again"):
        read_torch_tensors(tmp_path / "t.pt")


FOREIGN = {
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "web page": b"\n<!DOCTYPE html><html></html>",
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(20),
    "safetensors": (2).to_bytes(8, "little") + b"{}",
    "compressed": b"\x1f\x8b" + bytes(20),
    "not a torch file": b"just some text\n",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_other_formats_are_named(tmp_path: Path, kind: str) -> None:
    (tmp_path / "f.pt").write_bytes(FOREIGN[kind])
    with pytest.raises(CheckpointError, match=kind):
        read_torch_tensors(tmp_path / "f.pt")


def test_other_archives_are_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.pt", "w") as archive:
        archive.writestr("notes.txt", "hello")
    with pytest.raises(CheckpointError, match=r"zip archive, but not one of torch"):
        read_torch_tensors(tmp_path / "z.pt")
    (tmp_path / "notes.txt").write_text("hello")
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        tar.add(tmp_path / "notes.txt", "notes.txt")
    with pytest.raises(CheckpointError, match=r"tar archive: unpack it.*cannot be loaded safely"):
        read_torch_tensors(tmp_path / "t.tar")


def test_flipped_bits_are_noticed(tmp_path: Path) -> None:
    """Torch does not look at the checksums of its own files; this reader does."""
    path = tmp_path / "n.pt"
    torch.save({"w": torch.zeros(64, 64)}, path)
    data = bytearray(path.read_bytes())
    data[data.index(bytes(4096)) + 2048] ^= 1
    path.write_bytes(data)
    assert torch.load(path, weights_only=True)["w"].count_nonzero() == 1
    with pytest.raises(CheckpointError, match=r"the checksum of n/data/0 does not match"):
        read_torch_tensors(path)


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """Refused at once: opening it would wait for ever."""
    os.mkfifo(tmp_path / "n.pt")
    with pytest.raises(CheckpointError, match="is a pipe or device, not a file"):
        read_torch_tensors(tmp_path / "n.pt")
