"""Large by a few bytes, or cut short while it is read: refused at once, in little memory."""

from __future__ import annotations

import bz2
import json
import os
import pickle
import resource
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from genpredict import open_checkpoints
from genpredict.checkpoints.finding.natural_order import natural_key
from genpredict.checkpoints.formats import safetensors_files
from genpredict.checkpoints.formats.safetensors_files import read_safetensors
from genpredict.checkpoints.named_tensors import strip_prefixes
from genpredict.checkpoints.nats import unpickling as nats_unpickling
from genpredict.checkpoints.nats.archives import read_archive
from genpredict.errors import CheckpointError, GenpredictError
from genpredict.layers.names import name_rule
from genpredict.training import train
from genpredict.training.run_folder import Run


def peak() -> int:
    """Return the most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_a_file_that_is_cut_short_while_it_is_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mapped, it would kill the process; also where its tensors are looked at afterwards."""
    path = tmp_path / "n.safetensors"
    save_file({"a": torch.ones(1000, 1000), "b": torch.ones(1000, 1000)}, path)
    kept = read_safetensors(path)
    os.truncate(path, 4096)
    assert float(kept["a"].sum() + kept["b"].sum()) == 2e6
    save_file(kept, path)
    read_array = safetensors_files.read_array

    def cut(*given: Any) -> torch.Tensor:
        os.truncate(path, 4096)
        return read_array(*given)

    monkeypatch.setattr(safetensors_files, "read_array", cut)
    with pytest.raises(CheckpointError, match="lie beyond the end"):
        read_safetensors(path)


def test_a_torch_file_that_is_cut_short_after_it_is_read_changes_nothing(tmp_path: Path) -> None:
    """Also a large one, which was mapped."""
    path = tmp_path / "n.pt"
    torch.save({"w": torch.ones(4300, 4000)}, path)
    (checkpoint,) = open_checkpoints(path)
    kept = checkpoint.tensors()
    os.truncate(path, 4096)
    assert float(kept["w"].sum()) == 4300 * 4000
    with pytest.raises(CheckpointError, match=r"n\.pt: "):
        checkpoint.tensors()


def test_a_header_of_ninety_megabytes_is_refused(tmp_path: Path) -> None:
    """It would take Python 2.6 GB to read."""
    path, before = tmp_path / "n.safetensors", peak()
    with path.open("wb") as file:
        file.write((95 * 10**6).to_bytes(8, "little") + b"{")
        file.truncate(96 * 10**6)
    with pytest.raises(CheckpointError, match="its header would take 95,000,000 of"):
        read_safetensors(path)
    assert peak() - before < 2**26


def test_holes_and_overlaps_are_refused(tmp_path: Path) -> None:
    """As safetensors' own reader does: bytes of nobody, or of two."""
    for first in (0, 8):
        header = {
            "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            "b": {"dtype": "F32", "shape": [1], "data_offsets": [first, first + 4]},
        }
        text = json.dumps(header).encode()
        path = tmp_path / "n.safetensors"
        path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(first + 4))
        with pytest.raises(CheckpointError, match="begins at byte"):
            read_safetensors(path)


def test_names_of_any_length_take_little_time() -> None:
    """Repeated prefixes, and numbers of more digits than Python reads."""
    start = time.process_time()
    assert list(strip_prefixes({"module." * 20_000 + "w": 1, "module." * 20_000 + "v": 2}))
    long = [f"l{'9' * 100_000}{n}" for n in range(3)]
    assert sorted([*long, "l2", "l10"], key=natural_key) == ["l2", "l10", *long]
    assert sorted(["e010", "e9", "f", "e10x"], key=natural_key) == ["e9", "e010", "e10x", "f"]
    assert time.process_time() - start < 5


@pytest.mark.parametrize("name", ["000001.pickle.pbz2", "NATS-sss.pickle.pbz2"])
def test_an_archive_that_unpacks_to_gigabytes_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One architecture or a whole space: beyond some times what the largest real one has."""
    assert nats_unpickling.MAX_UNPACKED_BYTES < 2**30
    monkeypatch.setattr("genpredict.checkpoints.nats.archives.MAX_UNPACKED_BYTES", 10**6)
    path = tmp_path / name
    path.write_bytes(bz2.compress(pickle.dumps({"x": bytes(3 * 10**6)})))
    with pytest.raises(CheckpointError, match="refused: unpacks to more than 1,000,"):
        list(read_archive("a", path))


def test_two_results_of_one_name_are_refused(tmp_path: Path) -> None:
    """A seed as a number and as a text: not silently the last of them."""
    result: dict[str, Any] = {"epochs": 12, "net_state_dict": {}}
    info = {"arch_str": "8:8:8:8:8", "arch_index": 1}
    info |= {"all_results": {("cifar10", 777): result, ("cifar10", "777"): result}}
    path = tmp_path / "000001.pickle.pbz2"
    path.write_bytes(bz2.compress(pickle.dumps({"12": info})))
    with pytest.raises(CheckpointError, match="two results of cifar10, 12 epochs, seed 777"):
        list(read_archive("a", path))


def test_names_that_are_no_utf8_are_told_apart(tmp_path: Path) -> None:
    """Two that look alike are two checkpoints, and stop nobody."""
    for name in (b"caf\xe9.pt", b"caf\xe8.pt", b"tea.pt"):
        torch.save({"w": torch.ones(3, 3)}, tmp_path / os.fsdecode(name))
    ids = [checkpoint.id for checkpoint in open_checkpoints(tmp_path)]
    assert len(set(ids)) == 3
    assert "tea.pt" in ids
    assert sum("caf\\xe" in name for name in ids) == 2


class _Set:
    """Pickles to a set of very many equal tuples of tuples."""

    def __reduce__(self) -> tuple[Any, ...]:
        deep: Any = ()
        for _ in range(40):
            deep = (deep, deep)
        return set, ([deep] * 10,)


def hashing_bomb(path: Path, run: Run) -> None:
    """Put a state that would be hashed for ever."""
    torch.save({"done": _Set()}, path)


def other_case(path: Path, run: Run) -> None:
    """Put a state with a second pickle, which torch finds under a name in other letters."""
    import zipfile

    torch.save({"done": 1, "seconds": 1.0}, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("state/DATA.PKL", pickle.dumps({"done": 2}))


def without_keys(path: Path, run: Run) -> None:
    """Put a state that lacks what is gone on from."""
    torch.save({"done": 1}, path)


def of_another(path: Path, run: Run) -> None:
    """Put a state of another network."""
    torch.save({"done": 1, "seconds": 1.0, "network": {"w": torch.ones(2)}}, path)


@pytest.mark.parametrize("put", [hashing_bomb, other_case, without_keys, of_another])
def test_a_state_that_is_none_is_named(tmp_path: Path, put: Any) -> None:
    """Of a run that was broken off: at once, with the remedy."""
    settings: dict[str, Any] = {"epochs": 1, "num_train": 20, "threads": 1}
    run = train(tmp_path, **settings)
    (run.path / "summary.json").unlink()
    put(run.path / "state.pt", run)
    start = time.process_time()
    with pytest.raises(GenpredictError, match=r"state\.pt: damaged \(.*delete it to start the run"):
        train(tmp_path, **settings)
    assert time.process_time() - start < 20


def test_a_shard_that_is_a_link_out_of_the_source_is_not_read(tmp_path: Path) -> None:
    """As its warning says; a link within the source is read."""
    source = tmp_path / "source"
    (source / "blobs").mkdir(parents=True)
    for name, place in (("m-00001-of-00002", source / "blobs"), ("m-00002-of-00002", tmp_path)):
        save_file({name: torch.ones(3, 3)}, place / f"{name}.blob")
        (source / f"{name}.safetensors").symlink_to(place / f"{name}.blob")
    shards = [f"m-0000{n}-of-00002" for n in (1, 2)]
    index = {"weight_map": {name: f"{name}.safetensors" for name in shards}}
    (source / "m.safetensors.index.json").write_text(json.dumps(index))
    found = open_checkpoints(source)
    assert any("link out of the source, not followed" in text for text in found.warnings)
    (checkpoint,) = (one for one in found if one.id.endswith("m.safetensors"))
    with pytest.raises(CheckpointError, match=r"m-00002-of-00002\.safetensors is a link out of"):
        checkpoint.tensors()
    (checkpoint,) = (one for one in open_checkpoints(tmp_path) if one.id.endswith("m.safetensors"))
    assert len(checkpoint.tensors()) == 2


def test_what_is_remembered_of_names_is_bounded() -> None:
    """Long names, which a few packed bytes can hold by the thousand, are forgotten at once."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(300):
        name_rule(f"{'layer.' * 3000}{number}.weight")
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert kept < 2**20


@pytest.mark.parametrize("name", ["n.pkl", "000001.pickle.pbz2"])
def test_a_place_of_the_memo_beyond_the_file_is_refused(tmp_path: Path, name: str) -> None:
    """A few bytes for which Python would reserve and fill a gigabyte."""
    bomb, before = b"\x80\x02Nr\x00\x00\x00\x04.", peak()
    is_archive = name.endswith("pbz2")
    (tmp_path / name).write_bytes(bz2.compress(bomb) if is_archive else bomb)
    with pytest.raises(CheckpointError, match=r"refused: (asks for more memory|it holds a place)"):
        [checkpoint.tensors() for checkpoint in open_checkpoints(tmp_path / name)]
    assert peak() - before < 2**26
