from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from genpredict.checkpoints.formats.safetensors_files import read_safetensors
from genpredict.errors import CheckpointError


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.bool]
)
def test_tensors_come_back_exactly(tmp_path: Path, dtype: torch.dtype) -> None:
    saved = {"module.a.weight": torch.randn(4, 3).to(dtype), "module.b": torch.zeros(()).to(dtype)}
    save_file(saved, tmp_path / "n.safetensors", metadata={"format": "pt"})
    loaded = read_safetensors(tmp_path / "n.safetensors")
    assert set(loaded) == {"a.weight", "b"}
    assert torch.equal(loaded["a.weight"], saved["module.a.weight"])
    assert loaded["a.weight"].dtype == dtype


def test_order_is_that_of_the_file(tmp_path: Path) -> None:
    """By position of the data, whatever the order of the header."""
    header = {
        "a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
        "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
    }
    text = json.dumps(header).encode()
    path = tmp_path / "n.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    assert list(read_safetensors(path)) == ["b", "a"]


def test_sorted_files_come_in_natural_order(tmp_path: Path) -> None:
    """The writer's order, by type and name, says nothing about depth."""
    names = ["blocks.2.w", "blocks.10.w", "blocks.2.steps", "blocks.10.steps"]
    saved = {name: torch.ones(2, dtype=None if "w" in name else torch.int64) for name in names}
    save_file(saved, tmp_path / "n.safetensors")
    expected = ["blocks.2.steps", "blocks.2.w", "blocks.10.steps", "blocks.10.w"]
    assert list(read_safetensors(tmp_path / "n.safetensors")) == expected


GOOD = save({"w": torch.ones(20, 20)})


def bad_header(text: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (GOOD[:4], "not a safetensors file, or truncated"),
        (GOOD[:30], "not a safetensors file, or truncated"),
        (GOOD[:-10], "truncated or damaged: 1,[0-9]+ bytes where its header says"),
        (GOOD + b"more", "truncated or damaged"),
        ((2**62).to_bytes(8, "little") + b"{}", "its header would take 4,611,"),
        (bad_header(b"[]"), "its header is damaged"),
        (bad_header(b"not json"), "its header is damaged"),
        (bad_header(b'{"w": 3}'), "its header is damaged"),
        (bad_header(b"{}"), "holds no tensors"),
        (
            bad_header(b'{"w":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}') + bytes(4),
            "damaged safetensors file",
        ),
        (
            bad_header(b'{"w":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}}') + bytes(4),
            "damaged safetensors file",
        ),
        (b"version https://git-lfs.github.com/spec/v1\noid 1\n", "a Git LFS pointer"),
        (b"PK\x03\x04" + bytes(100), "not a safetensors file"),
    ],
)
def test_damage_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "n.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=f"n.safetensors: .*{message}"):
        read_safetensors(path)


@given(st.integers(0, len(GOOD)), st.binary(max_size=40))
def test_any_damage_is_a_checkpoint_error_or_tensors(
    tmp_path_factory: pytest.TempPathFactory, at: int, noise: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.safetensors"
    path.write_bytes(GOOD[:at] + noise + GOOD[at + len(noise) :])
    try:
        loaded = read_safetensors(path)
    except CheckpointError:
        return
    assert all(isinstance(tensor, torch.Tensor) for tensor in loaded.values())
