from __future__ import annotations

import bz2
import pickle
import resource
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hostile_objects import (
    hostile_bytes,
    hostile_objects,
    legacy_bytes,
    with_storage,
    with_window,
    write_pbz2,
)
from hypothesis import given
from hypothesis import strategies as st

from genpredict.checkpoints.nats import storages, unpickling
from genpredict.checkpoints.nats.storages import read_tensors
from genpredict.checkpoints.nats.unpickling import load_nats_pickle
from genpredict.errors import CheckpointError

DTYPES = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32,
    torch.int16, torch.int8, torch.uint8, torch.bool,
]  # fmt: skip


def storage_of(*values: float) -> bytes:
    return legacy_bytes(torch.tensor(values).storage())


pytestmark = pytest.mark.filterwarnings("ignore:TypedStorage is deprecated:UserWarning")


def test_an_archive_comes_back_exactly(tmp_path: Path) -> None:
    """Dicts, numbers, numpy scalars, and tensors of every type, also views and shared ones."""
    base = torch.randn(6, 4)
    tensors = OrderedDict({str(d): (torch.randn(3, 2) * 9).to(d) for d in DTYPES})
    tensors |= {"view": base[1:4, ::2], "first": base, "second": base, "scalar": torch.tensor(7)}
    tensors["parameter"] = torch.nn.Parameter(torch.randn(2, 2))
    numbers = {"f": np.float64(1.5), "i": np.int64(-3), "h": np.float32(0.25), "b": np.bool_(True)}
    path = write_pbz2(tmp_path / "a.pickle.pbz2", {"t": tensors, "n": numbers, "s": {1, 2}})
    loaded = load_nats_pickle(path)
    assert loaded["n"] == {"f": 1.5, "i": -3, "h": 0.25, "b": True}
    assert loaded["s"] == {1, 2}
    read = read_tensors(loaded["t"])
    assert list(read) == list(tensors)
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor), name
    assert read["first"].data_ptr() == read["second"].data_ptr()


def test_common_storages_never_reach_torch_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quick way applies to what torch writes today, and agrees with torch.load."""
    tensors = {str(d): torch.arange(300).reshape(3, 100).to(d) for d in DTYPES}
    path = write_pbz2(tmp_path / "a.pickle.pbz2", tensors)
    stored = load_nats_pickle(path)
    monkeypatch.setattr(storages, "_STORAGE", storages.re.compile(b"never"))
    slow = read_tensors(stored)
    monkeypatch.undo()
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("the slow way was taken"))
    quick = read_tensors(stored)
    assert all(torch.equal(quick[name], slow[name]) for name in tensors)


def test_cuda_storages(tmp_path: Path) -> None:
    cpu, cuda = b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"
    payload = storage_of(1, 2, 3, 4).replace(cpu, cuda)
    assert cuda in payload
    path = write_pbz2(tmp_path / "a.pickle.pbz2", {"w": with_storage(payload)})
    assert read_tensors(load_nats_pickle(path))["w"].tolist() == [[1, 2], [3, 4]]


def test_hostile_archives_are_refused_and_run_nothing(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for trick, thing in hostile_objects(canary).items():
        path = write_pbz2(tmp_path / "evil.pickle.pbz2", {"12": thing})
        with pytest.raises(CheckpointError, match=r"evil.*refused: it asks for .*nothing was run"):
            load_nats_pickle(path)
        assert not canary.exists(), trick
    for trick, data in hostile_bytes(canary).items():
        path.write_bytes(bz2.compress(data))
        with pytest.raises(CheckpointError):
            load_nats_pickle(path)
        assert not canary.exists(), trick


@pytest.mark.parametrize("wrap", [legacy_bytes, pickle.dumps])
def test_hostile_storages_are_refused_and_run_nothing(tmp_path: Path, wrap: Any) -> None:
    """A pickle inside a storage inside the archive."""
    canary = tmp_path / "canary"
    for trick, thing in hostile_objects(canary).items():
        path = write_pbz2(tmp_path / "e.pickle.pbz2", {"w": with_storage(wrap(thing))})
        stored = load_nats_pickle(path)
        with pytest.raises((pickle.UnpicklingError, ValueError, RuntimeError)):
            read_tensors(stored)
        assert not canary.exists(), trick


def test_a_storage_that_is_a_tensor_or_list_is_refused(tmp_path: Path) -> None:
    for thing in (torch.ones(4), [1, 2]):
        path = write_pbz2(tmp_path / "e.pickle.pbz2", {"w": with_storage(legacy_bytes(thing))})
        with pytest.raises(ValueError, match="a tensor's storage holds a"):
            read_tensors(load_nats_pickle(path))


@pytest.mark.parametrize(
    ("offset", "shape", "stride"),
    [
        (0, (5,), (1,)),
        (1, (2, 2), (2, 1)),
        (0, (10**12,), (0,)),
        (0, (2**40, 2**40), (1, 1)),
        (-1, (2,), (1,)),
        (0, (2,), (-1,)),
        (0, (-2, -2), (1, 1)),
        (0, (2, 2), (1,)),
        (0, (2.0,), (1,)),
    ],
)
def test_windows_beyond_the_storage_are_refused(
    tmp_path: Path, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    window = with_window(storage_of(1, 2, 3, 4), offset, shape, stride)
    path = write_pbz2(tmp_path / "e.pickle.pbz2", {"w": window})
    with pytest.raises((ValueError, CheckpointError), match=r"reaches beyond|malformed|no size"):
        read_tensors(load_nats_pickle(path))


def test_a_hostile_archive_leaves_the_next_one_alone(tmp_path: Path) -> None:
    """Attributes set on what a pickle is given do not reach later files."""
    data = hostile_bytes(tmp_path)["build on a function"]
    (tmp_path / "e.pickle.pbz2").write_bytes(bz2.compress(data))
    with pytest.raises(CheckpointError):
        load_nats_pickle(tmp_path / "e.pickle.pbz2")
    good = write_pbz2(tmp_path / "g.pickle.pbz2", {"w": torch.ones(2, 2)})
    assert read_tensors(load_nats_pickle(good))["w"].sum() == 4


def test_too_large(tmp_path: Path) -> None:
    """A bomb of zeros stops at the limit, without unpacking the rest."""
    path = write_pbz2(tmp_path / "b.pickle.pbz2", {"w": bytes(50_000_000)})
    assert path.stat().st_size < 1000
    start = time.process_time()
    with pytest.raises(CheckpointError, match=r"refused: unpacks to more than 1,000,000 bytes"):
        load_nats_pickle(path, max_bytes=1_000_000)
    assert time.process_time() - start < 1
    assert load_nats_pickle(path)["w"] == bytes(50_000_000)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.99])
def test_truncated(tmp_path: Path, share: float) -> None:
    path = write_pbz2(tmp_path / "t.pickle.pbz2", {"w": torch.randn(200, 200)})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CheckpointError, match=r"truncated or damaged.*fetch it again"):
        load_nats_pickle(path)


def test_other_formats(tmp_path: Path) -> None:
    path = tmp_path / "o.pickle.pbz2"
    with pytest.raises(CheckpointError, match="no such file"):
        load_nats_pickle(path)
    path.touch()
    with pytest.raises(CheckpointError, match="is empty"):
        load_nats_pickle(path)
    path.write_bytes(pickle.dumps({}))
    with pytest.raises(CheckpointError, match="not bz2-compressed"):
        load_nats_pickle(path)
    path.write_bytes(bz2.compress(b"hello"))
    with pytest.raises(CheckpointError, match="not a NATS-Bench archive or damaged"):
        load_nats_pickle(path)


@given(st.binary(max_size=200), st.integers(0, 400))
def test_damaged_storages_fail_cleanly_against_torch_load(noise: bytes, at: int) -> None:
    """Any overwriting of a storage's bytes gives an error or the tensor that torch gives."""
    good = storage_of(1, 2, 3, 4)
    bad = good[:at] + noise + good[at + len(noise) :]
    try:
        flat = storages.Storage(bad).flat()
    except Exception:
        return
    assert flat.ndim == 1
    assert flat.numel() * flat.element_size() <= len(bad)


def test_a_memo_bomb_is_refused(tmp_path: Path) -> None:
    """A pickle of nine bytes that makes the unpickler reserve 64 GB gets no memory."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("the limit on memory is Linux's")
    before = resource.getrlimit(resource.RLIMIT_AS)
    path = tmp_path / "b.pickle.pbz2"
    path.write_bytes(bz2.compress(b"\x80\x02Nr\xff\xff\xff\xff."))
    with pytest.raises(CheckpointError, match="refused: asks for more memory than any archive"):
        load_nats_pickle(path)
    assert resource.getrlimit(resource.RLIMIT_AS) == before


class Decoder:
    """A faster decoder, of which the tests know what it does."""

    def __init__(self, fails: bool) -> None:
        self.fails, self.opened = fails, 0

    def open(self, path: str, *, parallelization: int) -> Any:
        """Open as bz2 does, or fail."""
        assert parallelization == 1
        self.opened += 1
        if self.fails:
            raise RuntimeError("no valid block")
        return bz2.open(path, "rb")


@pytest.mark.parametrize("fails", [False, True])
def test_a_faster_decoder_against_bz2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """It reads where it can; where it cannot, bz2 reads, and words the errors as ever."""
    decoder = Decoder(fails)
    monkeypatch.setattr(unpickling, "_fast_bz2", lambda: decoder)
    good = write_pbz2(tmp_path / "g.pickle.pbz2", {"w": torch.ones(2, 2)})
    assert read_tensors(load_nats_pickle(good))["w"].sum() == 4
    good.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="truncated or damaged bz2"):
        load_nats_pickle(good)
    assert decoder.opened == 2


def test_indexed_bzip2_against_bz2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real one, where it is installed: the same tensors, damage noticed."""
    module = pytest.importorskip("indexed_bzip2")
    monkeypatch.setattr(unpickling, "_fast_bz2", lambda: module)
    weight = torch.randn(300, 300)
    path = write_pbz2(tmp_path / "g.pickle.pbz2", {"w": weight})
    assert torch.equal(read_tensors(load_nats_pickle(path))["w"], weight)
    whole = path.read_bytes()
    for at in (12, len(whole) // 2):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(CheckpointError, match="damaged"):
            load_nats_pickle(path)
