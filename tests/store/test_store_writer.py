"""The writer: rows redone, renamed, described anew; stores cut short and reached by links."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import zarr

from genpredict.checkpoints import Checkpoint, CheckpointSources, Item, open_checkpoints
from genpredict.errors import CheckpointError, StoreError
from genpredict.jobs import units
from genpredict.jobs.score_job import Outcome, score_into
from genpredict.scoring import Options
from genpredict.store.ledger import WHOLE, stamp_of
from genpredict.store.reading import open_scores
from genpredict.store.writing import open_writer


def network(seed: int, layers: int = 2) -> dict[str, torch.Tensor]:
    """Make a state dict of some convolutions."""
    rng = torch.Generator().manual_seed(seed)
    return {f"conv{n}.weight": torch.randn(6, 6, 3, 3, generator=rng) for n in range(layers)}


def save_networks(folder: Path, count: int = 3) -> Path:
    """Write files of small networks."""
    folder.mkdir()
    for number in range(count):
        torch.save(network(number), folder / f"n{number}.pt")
    return folder


def run(path: Path, sources: CheckpointSources | Path, **options: Any) -> Outcome:
    """Score into a store on the CPU, in this process."""
    found = sources if isinstance(sources, CheckpointSources) else open_checkpoints(sources)
    return score_into(path, found, Options(device="cpu"), workers=1, **options)


def read_archive(item_id: str, path: Path) -> Iterator[Checkpoint]:
    """Yield the rows that a text file names, then fail where it says so."""
    for line in path.read_text().split():
        if line == "broken":
            raise CheckpointError(path, "broken here")
        yield Checkpoint(f"{item_id}/c/1/{line}", str(path), {}, partial(network, int(line)))


def archives(folder: Path, **lines: str) -> CheckpointSources:
    """Make archives whose rows stand in text files."""
    items = []
    for name, text in lines.items():
        path = folder / f"{name}.txt"
        path.write_text(text)
        items.append(Item(name, path, 1, False, read_archive))
    return CheckpointSources(items)


def test_a_partly_readable_archive_mended_and_retried(tmp_path: Path) -> None:
    """Its failed row goes to the first row that is new; every row keeps its own numbers."""
    store = tmp_path / "s.zarr"
    run(store, archives(tmp_path, a="1 2 broken", b="3 4"))
    whole = archives(tmp_path, a="1 2 5", b="3 4")
    assert run(store, whole, retry_failed=True).failed == 0
    run(tmp_path / "anew.zarr", whole)
    found, anew = open_scores(store), open_scores(tmp_path / "anew.zarr")
    ids = anew["checkpoint"].values.tolist()
    assert sorted(found["checkpoint"].values.tolist()) == sorted(ids)
    assert found["quality"].sel(checkpoint=ids).equals(anew["quality"])


def test_overwrite_cut_short_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain rerun after an --overwrite that died half way measures everything anew."""
    source, store = save_networks(tmp_path / "nets"), tmp_path / "s.zarr"
    run(store, source)
    before = open_scores(store).load()
    removed: list[str] = []
    delete = shutil.rmtree

    def delete_three(path: Path) -> None:
        if len(removed) == 3:
            raise KeyboardInterrupt
        removed.append(Path(path).name)
        delete(path)

    monkeypatch.setattr(shutil, "rmtree", delete_three)
    with pytest.raises(KeyboardInterrupt):
        run(store, source, overwrite=True)
    monkeypatch.undo()
    assert removed[0] == "status"
    assert run(store, source).done == 3
    assert open_scores(store).load().equals(before)


def test_a_shallower_network_leaves_no_layer_of_the_deeper(tmp_path: Path) -> None:
    """A row written again holds the layers of its network and no more."""
    source, store = tmp_path / "nets", tmp_path / "s.zarr"
    source.mkdir()
    torch.save(network(0, layers=4), source / "deep.pt")
    broken = network(1, layers=4)
    broken["conv3.weight"][0] = torch.nan
    torch.save(broken, source / "mended.pt")
    run(store, source)
    torch.save(network(1, layers=2), source / "mended.pt")
    run(store, source, retry_failed=True)
    scores = open_scores(store).sel(checkpoint="mended.pt")
    assert scores["num_layers"] == 2
    assert scores["layer_name"].values.tolist() == ["conv0.weight", "conv1.weight", "", ""]


def test_one_store_has_one_lock_whatever_links_lead_to_it(tmp_path: Path) -> None:
    """A writer that comes through a link is refused like any other."""
    store = tmp_path / "s.zarr"
    run(store, save_networks(tmp_path / "nets"))
    (tmp_path / "link.zarr").symlink_to(store)
    with open_writer(store, {}), pytest.raises(StoreError, match="is writing to it"):
        open_writer(tmp_path / "link.zarr", {}).__enter__()


def test_a_row_that_is_done_stays_done(tmp_path: Path) -> None:
    """Retrying a neighbour does not fail a row whose file has gone bad since."""
    source, store = save_networks(tmp_path / "nets"), tmp_path / "s.zarr"
    (source / "n1.pt").write_bytes(b"no checkpoint")
    run(store, source)
    (source / "n0.pt").write_bytes(b"gone bad")
    torch.save(network(1), source / "n1.pt")
    outcome = run(store, source, retry_failed=True)
    assert (outcome.done, outcome.failed) == (3, 0)


def test_a_manifest_that_comes_later_is_taken_in(tmp_path: Path) -> None:
    """Accuracies added or corrected after scoring reach the rows that are done."""
    source, store = save_networks(tmp_path / "nets"), tmp_path / "s.zarr"
    run(store, source)
    for accuracy in (50, 90):
        manifest = tmp_path / "m.csv"
        manifest.write_text(f"path,test_accuracy,note\nn0.pt,{accuracy},x\nn1.pt,,\n")
        run(store, open_checkpoints(source, manifest=manifest))
        scores = open_scores(store)
        assert scores["test_accuracy"].fillna(-1).values.tolist() == [accuracy, -1, -1]
        assert scores["note"].values.tolist() == ["x", "", ""]


def test_an_incomplete_store_says_so(tmp_path: Path) -> None:
    """A store with an array missing, or arrays of different sizes, is no traceback."""
    store = tmp_path / "s.zarr"
    run(store, save_networks(tmp_path / "nets"))
    shutil.rmtree(store / "quality")
    with pytest.raises(StoreError, match=r"interrupted or damaged.*quality missing"):
        open_scores(store)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")  # a prototype, says torch
@pytest.mark.parametrize("name", ["a\ud800.weight", "nested.weight"])
def test_whatever_one_file_does_the_others_go_on(tmp_path: Path, name: str) -> None:
    """Tensors that are no text or of a rare kind cost their own row at the most."""
    source, store = save_networks(tmp_path / "nets"), tmp_path / "s.zarr"
    odd: Any = torch.randn(4, 5)
    if name.startswith("nested"):
        odd = torch.nested.nested_tensor([torch.randn(2, 3), torch.randn(4, 3)])
    torch.save({name: odd}, source / "odd.pt")
    outcome = run(store, source)
    assert outcome.done + outcome.failed == 4
    assert outcome.done >= 3


def test_units_are_no_larger_than_a_chunk_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cut depends on the items alone, so that a resumed run makes the same batches."""
    items = [Item(str(n), Path(str(n)), 10, True, read_archive) for n in range(10)]
    monkeypatch.setattr(units, "UNIT_BYTES", 30)
    assert [len(unit.items) for unit in units.cut(items)] == [3, 3, 3, 1]


# --- the ledger ----------------------------------------------------------------------------------


def test_an_archive_without_rows_is_not_decoded_again(tmp_path: Path) -> None:
    """What holds nothing that is asked for is known to; a new size makes it new."""
    begun: list[str] = []

    def read(item_id: str, path: Path) -> Iterator[Checkpoint]:
        begun.append(item_id)
        yield from read_archive(item_id, path)

    found = archives(tmp_path, a="", b="1 2", c="")
    items = [replace(item, reader=read) for item in found.items]
    run(tmp_path / "s.zarr", CheckpointSources(items))
    assert begun == ["a", "b", "c"]
    before = {f: f.read_bytes() for f in (tmp_path / "s.zarr").rglob("*") if f.is_file()}
    run(tmp_path / "s.zarr", CheckpointSources(items))
    assert begun == ["a", "b", "c"]
    assert before == {f: f.read_bytes() for f in before}
    (tmp_path / "c.txt").write_text("3")
    items[2] = replace(items[2], size=2)
    outcome = run(tmp_path / "s.zarr", CheckpointSources(items))
    assert begun[3:] == ["a", "b", "c"]  # one unit
    assert (outcome.done, outcome.warnings) == (3, ())


def test_a_file_that_has_changed_is_told(tmp_path: Path) -> None:
    """By its size: the rows stay those of the old file, and the remedy is said."""
    source, store = save_networks(tmp_path / "nets"), tmp_path / "s.zarr"
    assert run(store, source).warnings == ()
    assert run(store, source).warnings == ()
    old = (source / "n1.pt").stat().st_size
    torch.save(network(9, layers=5), source / "n1.pt")
    new = (source / "n1.pt").stat().st_size
    (warning,) = run(store, source).warnings
    assert warning.startswith(
        f"n1.pt: has changed since it was scored ({old:,} bytes then, {new:,} now); its rows are"
    )
    assert open_scores(store).sel(checkpoint="n1.pt")["num_layers"] == 2
    assert run(store, source, overwrite=True).warnings == ()
    assert open_scores(store).sel(checkpoint="n1.pt")["num_layers"] == 5


def test_a_file_of_the_same_size_that_has_changed_is_told(tmp_path: Path) -> None:
    """Trained again, or another folder's archive of one name: rows are those of the old file."""
    source, store = save_networks(tmp_path / "a"), tmp_path / "s.zarr"
    run(store, source)
    others = save_networks(tmp_path / "b")
    assert run(store, others).warnings == ()  # a copy, made at another time, is no other file
    torch.save(network(9), others / "n1.pt")
    size = (source / "n1.pt").stat().st_size
    assert (others / "n1.pt").stat().st_size == size
    (warning,) = run(store, others).warnings
    assert warning.startswith(
        f"n1.pt: has changed since it was scored ({size:,} bytes then and now, but other ones in "
        f"{others / 'n1.pt'}); its rows are those of the old file, or of another one of this name"
    )
    (source / "n1.pt").unlink()
    assert run(store, source).warnings == ()


def test_a_large_file_is_looked_at_in_pieces(tmp_path: Path) -> None:
    """Its end, where formats keep checksums, is always among them."""
    path = tmp_path / "large"
    path.write_bytes(bytes(5 * WHOLE))
    before = stamp_of(path, 7)
    assert before.size == 7
    with path.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    assert stamp_of(path, 7).checksum not in (before.checksum, 0)
    assert stamp_of(tmp_path / "gone", 7).checksum == 0


def test_a_store_without_a_ledger_gets_one(tmp_path: Path) -> None:
    """Made by an earlier version, or killed before it was written: filled in at the next run."""
    source, store = save_networks(tmp_path / "nets"), tmp_path / "s.zarr"
    run(store, source)
    shutil.rmtree(store / "files")
    assert run(store, source).new == 0
    torch.save(network(9, layers=5), source / "n1.pt")
    assert len(run(store, source).warnings) == 1


def test_a_new_store_is_made_with_room_for_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No array grows by rows that were known before: layers alone, once they are counted."""
    grown: set[str] = set()
    resize = zarr.Array.resize

    def noted(array: zarr.Array[Any], shape: tuple[int, ...]) -> None:
        if array.shape[0] != shape[0]:
            grown.add(array.path)
        resize(array, shape)

    monkeypatch.setattr(zarr.Array, "resize", noted)
    run(tmp_path / "s.zarr", save_networks(tmp_path / "nets"))
    assert not {name for name in grown if not name.startswith("files/")}
