"""Stores made apart and joined: the store of all, or an error that names the difference."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from test_score_job import contents, run, save_archive, save_networks

from genpredict.checkpoints import open_checkpoints
from genpredict.cli import run as run_command
from genpredict.errors import StoreError
from genpredict.jobs import merge
from genpredict.jobs.merge import Merged, merge_stores
from genpredict.jobs.score_job import score_into
from genpredict.locking import LockedError, locked
from genpredict.scoring import Options
from genpredict.store.reading import open_scores
from genpredict.store.writing import lock_of, open_writer


@pytest.fixture
def halves(tmp_path: Path) -> list[Path]:
    """Give two stores of five networks each, two of them deeper, one broken."""
    first = save_networks(tmp_path / "nets", 10)
    (first / "n003.pt").write_bytes(b"no checkpoint")
    torch.save({f"c{n}.weight": torch.ones(4, 4, 3, 3) for n in range(4)}, first / "n008.pt")
    second = tmp_path / "second"
    second.mkdir()
    for number in range(5, 10):
        (first / f"n{number:03d}.pt").rename(second / f"n{number:03d}.pt")
    for name, source in (("a", first), ("b", second)):
        run(tmp_path / f"{name}.zarr", source, chunk_size=3)
    for file in second.iterdir():
        file.rename(first / file.name)
    return [tmp_path / "a.zarr", tmp_path / "b.zarr"]


def arrays(path: Path) -> dict[str, bytes]:
    """Return the bytes of every array; attributes and the ledger apart."""
    return {
        name: data
        for name, data in contents(path).items()
        if name.count("/") and not name.startswith(("source/", "files/"))
    }


def test_two_halves_against_the_whole(tmp_path: Path, halves: list[Path]) -> None:
    """The arrays of one run over everything, to the byte; a run can go on with the result."""
    merged = merge_stores(halves, tmp_path / "c.zarr")
    assert merged == Merged(done=9, failed=1, pending=0, repeated=0)
    run(tmp_path / "whole.zarr", tmp_path / "nets", chunk_size=3)
    assert arrays(tmp_path / "c.zarr") == arrays(tmp_path / "whole.zarr")
    assert run(tmp_path / "c.zarr", tmp_path / "nets").new == 0
    assert not list(tmp_path.glob("*.merging*"))
    assert not list(tmp_path.glob("*.lock"))


def test_equal_rows_collapse(tmp_path: Path, halves: list[Path]) -> None:
    """The same checkpoint measured twice is one row; what one store alone knows is kept."""
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,test_accuracy\nn001.pt,50\nn009.pt,60\n")
    whole = tmp_path / "whole.zarr"
    sources = open_checkpoints(tmp_path / "nets", manifest=manifest)
    score_into(whole, sources, Options(device="cpu"), workers=1)
    assert merge_stores([*halves, whole], tmp_path / "c.zarr").repeated == 10
    scores = open_scores(tmp_path / "c.zarr")
    assert scores.sizes["checkpoint"] == 10
    known = scores["test_accuracy"].dropna("checkpoint").to_series()
    assert known.to_dict() == {"n001.pt": 50, "n009.pt": 60}


def test_rows_that_differ_need_a_word(tmp_path: Path, halves: list[Path]) -> None:
    """By default an error that names id, variable and stores; else the first or last counts."""
    other, (a, _) = tmp_path / "other.zarr", halves
    torch.save({"conv.weight": torch.ones(8, 3, 3, 3)}, tmp_path / "nets" / "n001.pt")
    run(other, tmp_path / "nets")
    said = rf"n001\.pt: \w+ differs between {a} and {other}; say which counts with --prefer"
    with pytest.raises(StoreError, match=said):
        merge_stores([a, other], tmp_path / "c.zarr")
    assert not (tmp_path / "c.zarr").exists()
    for prefer, expected in (("first", a), ("last", other)):
        merge_stores([a, other], tmp_path / "c.zarr", prefer=prefer, overwrite=True)  # type: ignore[arg-type]
        found, known = open_scores(tmp_path / "c.zarr"), open_scores(expected)
        layers = slice(known.sizes["layer"])
        assert (
            found["quality"]
            .sel(checkpoint="n001.pt")
            .isel(layer=layers)
            .equals(
                known["quality"].sel(checkpoint="n001.pt").isel(layer=slice(found.sizes["layer"]))
            )
        )


@pytest.mark.parametrize("measure", ["quality", "noise_variance"])
def test_rounding_is_no_difference(tmp_path: Path, halves: list[Path], measure: str) -> None:
    """Another machine or version rounds otherwise: the first row counts; more than that differs."""
    first, nudged = halves[0], tmp_path / "nudged.zarr"
    for factor in (1 + 1e-12, 1 + 1e-6):
        shutil.rmtree(nudged, ignore_errors=True)
        shutil.copytree(first, nudged)
        values = zarr.open_group(nudged, mode="r+")[measure]
        values[:] = np.asarray(values[:]) * factor
        if factor < 1 + 1e-9:
            merge_stores([first, nudged], tmp_path / "c.zarr")
            merged, known = (open_scores(s)[measure] for s in (tmp_path / "c.zarr", first))
            np.testing.assert_array_equal(merged.values, known.values)
        else:
            with pytest.raises(StoreError, match=f"{measure} differs between"):
                merge_stores([first, nudged], tmp_path / "d.zarr")


def test_done_counts_before_failed_before_pending(tmp_path: Path, halves: list[Path]) -> None:
    """Whatever the order of the stores."""
    torch.save({"conv.weight": torch.ones(8, 3, 3, 3)}, tmp_path / "nets" / "n003.pt")
    run(tmp_path / "mended.zarr", tmp_path / "nets")
    with open_writer(tmp_path / "pending.zarr", Options(device="cpu").attrs()) as writer:
        writer.allot(["n003.pt", "n004.pt", "later.pt"])
    stores = [tmp_path / "pending.zarr", halves[0], tmp_path / "mended.zarr"]
    for number, order in enumerate((stores, stores[::-1])):
        merged = merge_stores(order, tmp_path / f"{number}.zarr")
        assert (merged.done, merged.failed, merged.pending) == (10, 0, 1)
        scores = open_scores(tmp_path / f"{number}.zarr")
        assert scores["status"].sel(checkpoint="later.pt") == "pending"


def test_other_choices_do_not_go_together(tmp_path: Path, halves: list[Path]) -> None:
    """Estimator, dtype, patterns, tolerances: the error names what differs and where."""
    other = tmp_path / "other.zarr"
    score_into(
        other, open_checkpoints(tmp_path / "nets"), Options(device="cpu", dtype="float32"),
        workers=1,
    )  # fmt: skip
    said = rf"{other}: made with dtype='float32', but {halves[0]} with 'float64'; such numbers"
    with pytest.raises(StoreError, match=said):
        merge_stores([halves[0], other], tmp_path / "c.zarr")


def test_other_selections_of_archives_go_together_but_not_on(tmp_path: Path) -> None:
    """Epoch 12 in one store, 90 in the other: all rows; no run takes it for complete."""
    save_archive(tmp_path / "nats", 3, epochs=(12, 90))
    for epoch in ("12", "90"):
        command = ["score", str(tmp_path / "nats"), "--nats-epochs", epoch, "--device", "cpu"]
        assert run_command([*command, "-o", str(tmp_path / f"{epoch}.zarr")]) == 0
    merge_stores([tmp_path / "12.zarr", tmp_path / "90.zarr"], tmp_path / "c.zarr")
    assert open_scores(tmp_path / "c.zarr")["epoch"].values.tolist() == [12, 90]
    with pytest.raises(StoreError, match="made with nats_epochs='mixed'"):
        score_into(
            tmp_path / "c.zarr", open_checkpoints(tmp_path / "nats"), Options(device="cpu"),
            attrs={"nats_epochs": [12]}, workers=1,
        )  # fmt: skip


@pytest.mark.faults
def test_killed_or_full_leaves_no_half(
    tmp_path: Path, halves: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stood there before stays; the next merge begins anew."""
    merge_stores(halves[:1], tmp_path / "c.zarr")
    before = contents(tmp_path / "c.zarr")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(merge, "_write_block", full)
        with pytest.raises(StoreError, match=r"c\.zarr.*cannot write: No space left on device"):
            merge_stores(halves, tmp_path / "c.zarr", overwrite=True)
    assert contents(tmp_path / "c.zarr") == before
    merge_stores(halves, tmp_path / "c.zarr", overwrite=True)
    assert open_scores(tmp_path / "c.zarr").sizes["checkpoint"] == 10
    assert not list(tmp_path.glob("*.merging"))


def test_refusals(tmp_path: Path, halves: list[Path]) -> None:
    """An existing store, one of the sources, a store being written, a missing one, no store."""
    a, b = halves
    with pytest.raises(StoreError, match="is one of the stores to merge"):
        merge_stores([a, b], a)
    merge_stores([a], tmp_path / "c.zarr")
    with pytest.raises(StoreError, match=r"c\.zarr: exists; choose another store"):
        merge_stores([a, b], tmp_path / "c.zarr")
    with locked(lock_of(b)), pytest.raises(LockedError, match="is writing to it"):
        merge_stores([a, b], tmp_path / "d.zarr")
    with pytest.raises(StoreError, match="no such scores store"):
        merge_stores([a, tmp_path / "none.zarr"], tmp_path / "d.zarr")
    (tmp_path / "precious").mkdir()
    with pytest.raises(StoreError, match="not a scores store"):
        merge_stores([a, b], tmp_path / "precious", overwrite=True)
    shutil.rmtree(b / "quality")
    with pytest.raises(StoreError, match=r"b\.zarr: .*quality missing"):
        merge_stores([a, b], tmp_path / "d.zarr")
    assert not (tmp_path / "d.zarr").exists()


def test_the_command(
    tmp_path: Path, halves: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """3 where some failed; the store records the command."""
    command = ["merge", *map(str, halves), "-o", str(tmp_path / "c.zarr")]
    assert run_command(command) == 3
    said = capsys.readouterr().err
    assert "c.zarr: 9 done, 1 failed, 0 pending; 0 were in several stores" in said
    attrs = zarr.open_group(tmp_path / "c.zarr", mode="r").attrs
    assert str(attrs["command"]).startswith("genpredict merge ")
    assert run_command(command) == 1
    assert "exists; choose another store" in capsys.readouterr().err
