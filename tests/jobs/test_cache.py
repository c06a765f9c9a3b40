"""The cache: other files, the same checkpoints, and so the same store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from nats_archives import size_architecture
from safetensors.torch import save_file
from test_score_job import contents, run, save_archive, save_networks, single_file

from genpredict.checkpoints import Item, open_checkpoints
from genpredict.checkpoints.checkpoint import Checkpoint
from genpredict.checkpoints.nats.cache_files import METADATA_KEY, write_cached
from genpredict.cli import run as run_command
from genpredict.errors import CheckpointError, GenpredictError, StoreError
from genpredict.jobs.cache import CacheOutcome, cache_archives
from genpredict.locking import LockedError, locked
from genpredict.store.reading import open_scores


@pytest.fixture
def nats(tmp_path: Path) -> Path:
    """Give archives of several epochs, data sets and seeds, one of them cut short."""
    folder = tmp_path / "NATS-full"
    save_archive(folder, 3, epochs=(1, 12, 90), seeds=(777, 888))
    save_archive(folder, 77, datasets=("cifar10", "cifar100"))
    save_archive(folder, 78)
    save_archive(folder, 4000)
    broken = folder / "000078.pickle.pbz2"
    broken.write_bytes(broken.read_bytes()[:5000])
    return folder


def cache(source: Path, folder: Path, **selection: Any) -> CacheOutcome:
    """Cache archives in this process."""
    return cache_archives(open_checkpoints(source, **selection), folder, workers=1)


def test_checkpoints_of_a_cache_against_those_of_the_archives(tmp_path: Path, nats: Path) -> None:
    """Ids, sources, metadata, names, order, dtypes and every bit of every tensor."""
    outcome = cache(nats, tmp_path / "cache")
    assert (outcome.files, outcome.networks, outcome.kept) == (3, 7, 0)
    (failure,) = outcome.failures
    assert failure[0] == "NATS-sss/000078"
    assert "truncated or damaged bz2" in failure[1]
    items = [item for item in open_checkpoints(nats).items if "000078" not in item.id]
    found, expected = list(open_checkpoints(tmp_path / "cache")), list(_read(items))
    assert [c.id for c in found] == [c.id for c in expected]
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine.source, mine.metadata) == (theirs.source, theirs.metadata)
        assert [type(v) for v in mine.metadata.values()] == [
            type(v) for v in theirs.metadata.values()
        ]
        pairs = zip(mine.tensors().items(), theirs.tensors().items(), strict=True)
        for (name, tensor), (other_name, other) in pairs:
            assert (name, tensor.dtype, tensor.shape) == (other_name, other.dtype, other.shape)
            assert torch.equal(tensor, other)


def _read(items: list[Item]) -> list[Checkpoint]:
    return [checkpoint for item in items for checkpoint in item.read()]


def test_the_store_of_a_cache_against_that_of_the_archives(tmp_path: Path, nats: Path) -> None:
    """The same bytes, but for sizes and checksums of the files; selections work as on archives."""
    (nats / "000078.pickle.pbz2").unlink()
    cache(nats, tmp_path / "cache")
    run(tmp_path / "a.zarr", nats)
    run(tmp_path / "c.zarr", tmp_path / "cache")
    stores = [contents(tmp_path / f"{name}.zarr") for name in "ac"]
    others = ("files/size", "files/checksum")
    arrays = [{k: v for k, v in c.items() if not k.startswith(others)} for c in stores]
    assert arrays[0] == arrays[1]
    for chosen in ({"nats_epochs": 90}, {"nats_datasets": "cifar100"}, {"indices": "3,77"}):
        ids = [
            [c.id for c in open_checkpoints(source, **chosen)]  # type: ignore[arg-type]
            for source in (nats, tmp_path / "cache")
        ]
        assert ids[0] == ids[1] != []


def test_a_cache_named_by_its_parts(tmp_path: Path, nats: Path) -> None:
    """The folder within, one file alone, and a copy elsewhere keep the ids."""
    cache(nats, tmp_path / "cache", indices="3")
    inner = tmp_path / "cache" / "NATS-sss"
    ids = [c.id for c in open_checkpoints(nats, indices="3")]
    for source in (inner, inner / "000003.cache.safetensors", inner.rename(tmp_path / "copy")):
        assert [c.id for c in open_checkpoints(source)] == ids if source.exists() else True
    assert [c.id for c in open_checkpoints(tmp_path / "copy")] == ids


def test_a_cache_is_resumed(tmp_path: Path, nats: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cached is not decoded again, unless the archive or the selection has changed."""
    folder = tmp_path / "cache"
    files = folder / "NATS-sss"
    cache(nats, folder)
    before = {f: f.stat().st_mtime_ns for f in files.iterdir()}
    (files / "000077.cache.safetensors").write_bytes(b"cut short")
    save_archive(nats, 4000, seeds=(777, 888))
    outcome = cache(nats, folder)
    assert (outcome.files, outcome.kept) == (2, 1)
    changed = {f.name for f in files.iterdir() if f.stat().st_mtime_ns != before[f]}
    assert changed >= {"000077.cache.safetensors", "004000.cache.safetensors"}
    assert "000003.cache.safetensors" not in changed
    again = cache_archives(open_checkpoints(nats), folder, selection="another", workers=1)
    assert (again.files, again.kept) == (3, 0)


def test_the_single_file_of_a_space(tmp_path: Path) -> None:
    """One cache file an architecture; the ids are those of the single file."""
    source = single_file(tmp_path / "nats", 3, 77)
    assert cache(source, tmp_path / "cache").files == 2
    ids = [c.id for c in open_checkpoints(source)]
    assert [c.id for c in open_checkpoints(tmp_path / "cache")] == ids
    networks = [c.metadata["network"] for c in open_checkpoints(tmp_path / "cache")]
    assert networks == [size_architecture(3), size_architecture(77)]


def test_tied_views_and_networks_that_cannot_be_loaded(tmp_path: Path) -> None:
    """Two names of one view stay one; a damaged network stays an error of its own."""
    weight = torch.randn(4, 4)
    metadata = {"epoch": 12, "dataset": "cifar10"}

    def broken() -> dict[str, torch.Tensor]:
        raise CheckpointError("a", "its weights are damaged")

    tied = {"a.weight": weight, "b.weight": weight, "c.weight": weight.T, "d": weight[1:]}
    made = [
        Checkpoint("x/000001/cifar10/12/1", "s", metadata, lambda: tied),
        Checkpoint("x/000001/cifar10/12/2", "s", metadata, broken),
    ]
    path = tmp_path / "000001.cache.safetensors"
    write_cached(path, "x/000001", made, source_size=1, selection="")
    first, second = open_checkpoints(path)
    tensors = first.tensors()
    assert list(tensors) == list(tied)
    assert tensors["a.weight"].data_ptr() == tensors["b.weight"].data_ptr()
    assert all(torch.equal(tensors[name], tied[name]) for name in tied)
    with pytest.raises(CheckpointError, match="its weights are damaged"):
        second.tensors()


def about(**changes: Any) -> str:
    """Return the metadata of a cache file with something wrong in it."""
    row = {"id": "c/12/1", "source": "s", "metadata": {"epoch": 12, "dataset": "c"}, "layout": 0}
    row |= changes.pop("row", {})
    whole = {"format": 2, "source_size": 1, "selection": "", "layouts": [[]], "rows": [row]}
    return json.dumps(whole | changes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no cache file, or damaged"),
        ("{", "no cache file, or damaged"),
        ("[]", "no cache file, or damaged"),
        (about(format=1), "a cache of another version"),
        (about(rows={}), "a cache of another version"),
        (about(rows=[1]), "its list of networks is damaged"),
        (about(row={"metadata": []}), "its list of networks is damaged"),
        (about(row={"metadata": {"epoch": "x", "dataset": "c"}}), "its list of networks"),
        (about(row={"metadata": {"epoch": 12, "dataset": "c", "x": []}}), "x is a list"),
        (about(row={"layout": 1}), "its list of networks is damaged"),
        (about(row={"layout": "0"}), "its list of networks is damaged"),
        (about(layouts=3), "its list of networks is damaged"),
        (about(layouts=[[["a", "F32"]]]), "is damaged"),
        (about(layouts=[[["a", "F32", [-2, -1]]]]), "its list of networks is damaged"),
        (about(layouts=[[["a", "F32", ["2"]]]]), "its list of networks is damaged"),
        (about(layouts=[[["a", "F32", [3]]]]), "is damaged"),
        (about(layouts=[[["a", "F32", [1]]]]), "is damaged"),
        (about(layouts=[[["a", "F64", [2]]]]), "is damaged"),
        (about(layouts=[[["a", "F32", [2]], ["a", "F32", [0]]]]), "is damaged"),
        ("[" * 10**5, "no cache file, or damaged"),
    ],
)
def test_hostile_and_damaged_files(tmp_path: Path, text: str | None, said: str) -> None:
    """A clear error, whatever the header says."""
    path = tmp_path / "000001.cache.safetensors"
    metadata = {} if text is None else {METADATA_KEY: text}
    save_file({"0/F32": torch.ones(2)}, path, metadata=metadata)
    with pytest.raises(CheckpointError, match=said):
        [checkpoint.tensors() for checkpoint in open_checkpoints(path)]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        list(open_checkpoints(path))


@pytest.mark.parametrize(
    "place",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [3], "data_offsets": [-4, 8]},
        {"dtype": "F32", "shape": [-1, -2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [1], "data_offsets": [1, 5]},
        {"dtype": "X9", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": 2, "data_offsets": [0, 8]},
    ],
)
def test_hostile_places(tmp_path: Path, place: dict[str, Any]) -> None:
    """A tensor that reaches beyond its bytes or out of the file is refused."""
    path = tmp_path / "000001.cache.safetensors"
    text = about(layouts=[[["x", "F32", [2]]]])
    whole = {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}
    header = json.dumps({"__metadata__": {METADATA_KEY: text}, "0/F32": place, "whole": whole})
    data = header.encode() + b" " * (-len(header) % 8)
    path.write_bytes(len(data).to_bytes(8, "little") + data + bytes(8))
    with pytest.raises(CheckpointError, match="damaged"):
        [checkpoint.tensors() for checkpoint in open_checkpoints(path)]


def test_refusals(tmp_path: Path, nats: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No archives, a cache being written, a place that cannot be written."""
    with pytest.raises(GenpredictError, match="sources: no archives among them"):
        cache(save_networks(tmp_path / "nets", 1), tmp_path / "cache")
    with locked(tmp_path / "cache.lock"), pytest.raises(LockedError, match="is writing to it"):
        cache(nats, tmp_path / "cache")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write: .*go on"):
        cache(nats, tmp_path / "file" / "cache")


def test_the_command(tmp_path: Path, nats: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two processes; 3 where an archive failed; what is cached is scored."""
    folder = tmp_path / "cache"
    command = ["cache", str(nats), "-o", str(folder), "--nats-epochs", "12", "--workers", "2"]
    assert run_command(command) == 3
    said = capsys.readouterr().err
    assert "5 networks of 3 architectures cached, 0 archives were there already, 1 failed" in said
    assert "failed: NATS-sss/000078: " in said
    assert run_command(command) == 3
    assert "0 architectures cached, 3 archives were there already" in capsys.readouterr().err
    assert run_command(["score", str(folder), "-o", str(tmp_path / "s.zarr")]) == 0
    assert open_scores(tmp_path / "s.zarr").sizes["checkpoint"] == 5
