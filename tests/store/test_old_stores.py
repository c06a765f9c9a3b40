"""Stores made before measures were rows of a table: they say nothing of their measures.

``first_measures.zarr`` was made then, of the networks that `save_zoo` writes, by ``genpredict score
zoo --manifest zoo/manifest.csv -o first_measures.zarr``.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from torch import nn

import genpredict
from genpredict import registry, schema
from genpredict.cli import run
from genpredict.errors import StoreError
from genpredict.jobs.merge import merge_stores
from genpredict.options import identity_of, measures_of
from genpredict.registry import register_measure
from genpredict.store.reading import check_store
from genpredict.store.writing import open_writer

OLD = Path(__file__).with_name("first_measures.zarr")
SWEEP = Path(__file__).resolve().parents[2] / "data" / "results" / "digits-sweep.zarr"
NEW = ("participation_ratio", "hill_alpha", "mp_spikes")


def save_zoo(folder: Path, names: str = "abcd") -> Path:
    """Write the networks of the old store, and others."""
    folder.mkdir()
    for seed, name in enumerate(names):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Conv2d(6, 8, 3), nn.Linear(8, 4))
        torch.save(net.state_dict(), folder / f"{name}.pth")
    return folder


@pytest.fixture(autouse=True)
def _only_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a test registers."""
    monkeypatch.setattr(registry, "_registered", {})


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the old store in an empty folder, beside which commands run."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(OLD, tmp_path / "old.zarr"))


@pytest.mark.parametrize("store", [OLD, SWEEP], ids=["old", "sweep"])
def test_an_old_store_opens_and_correlates(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It holds the first twelve measures; commands take it as it is."""
    scores = genpredict.open_scores(store)
    assert "measures" not in scores.attrs
    assert measures_of(scores.attrs) == schema.FIRST_MEASURES
    assert not set(NEW) & set(scores.variables)
    assert bool(scores["Q"].notnull().all())
    assert run(["show", str(store)]) == 0
    assert run(["show", str(store), "--layers"]) == 0
    options = ["--resamples", "20"]
    assert run(["correlate", str(store), "--measures", "Q,effective_rank", *options]) == 0
    if store == SWEEP:  # three checkpoints tell nothing
        assert "effective_rank" in capsys.readouterr().out


def test_an_old_store_is_continued_with_its_measures(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows that are added have the first twelve measures; those there are stay to the byte."""
    before = genpredict.open_scores(old).load()
    save_zoo(old.parent / "zoo")
    assert run(["score", "zoo", "-o", "old.zarr"]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert f"made before there were {', '.join(NEW)}; its new rows have none either" in told
    after = genpredict.open_scores(old)
    assert after["checkpoint"].values.tolist() == ["a.pth", "b.pth", "c.pth", "d.pth"]
    assert not set(NEW) & set(after.variables)
    for name in schema.FIRST_MEASURES:
        rows = after[name].isel(checkpoint=slice(3)).values
        assert rows.tobytes() == before[name].values.tobytes(), name
    fresh = genpredict.score(old.parent / "zoo" / "d.pth")
    for name in schema.FIRST_MEASURES:
        np.testing.assert_array_equal(after[name].values[3:], fresh[name].values)


def test_measures_are_added_by_a_merge(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the old store lacks comes from a store of the same checkpoints that has it."""
    save_zoo(old.parent / "zoo", "abc")
    register_measure("largest", "genpredict.spectral:spectral_norm", long_name="largest")
    assert run(["score", "zoo", "-o", "old.zarr", "--measures", "largest"]) == 1
    assert "made without the measures largest" in capsys.readouterr().err
    assert run(["score", "zoo", "-o", "new.zarr", "--measures", "largest"]) == 0
    assert run(["merge", "old.zarr", "new.zarr", "-o", "both.zarr"]) == 0
    both, new = genpredict.open_scores("both.zarr"), genpredict.open_scores("new.zarr")
    assert both.attrs["measures"] == [*schema.FIRST_MEASURES, *NEW, "largest"]
    for name in both.attrs["measures"]:
        np.testing.assert_array_equal(both[name].values, new[name].values)
    assert both["test_accuracy"].values.tolist() == [80, 70, 75]


def test_merging_other_checkpoints_leaves_out_what_not_all_have(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No row of a store lacks one of its measures: NaN means that there is no such entry."""
    save_zoo(old.parent / "zoo")
    for name in "abc":
        (old.parent / "zoo" / f"{name}.pth").unlink()
    assert run(["score", "zoo", "-o", "new.zarr"]) == 0
    assert run(["merge", "old.zarr", "new.zarr", "-o", "both.zarr"]) == 0
    assert "left out" in capsys.readouterr().err
    both = genpredict.open_scores("both.zarr")
    assert both.sizes["checkpoint"] == 4
    assert both.attrs["measures"] == list(schema.FIRST_MEASURES)
    assert not set(NEW) & set(both.variables)


def test_old_stores_merge_as_before(old: Path) -> None:
    """Two stores of the first measures give one."""
    copy = Path(shutil.copytree(old, old.parent / "copy.zarr"))
    merged = merge_stores([old, copy], old.parent / "both.zarr")
    assert (merged.done, merged.repeated, merged.left_out) == (3, 3, ())


def test_a_store_of_a_measure_that_is_not_here_opens(old: Path) -> None:
    """Its arrays say what they are; continued it is only where the measure can be computed."""
    save_zoo(old.parent / "zoo", "a")
    register_measure("largest", "genpredict.spectral:spectral_norm", long_name="largest")
    assert run(["score", "zoo", "-o", "new.zarr", "--measures", "largest"]) == 0
    text = (old.parent / "new.zarr" / "zarr.json").read_text()
    (old.parent / "new.zarr" / "zarr.json").write_text(text.replace("largest", "foreign"))
    (old.parent / "new.zarr" / "largest").rename(old.parent / "new.zarr" / "foreign")
    scores = genpredict.open_scores("new.zarr")
    assert scores["foreign"].attrs["long_name"] == "largest"
    save_zoo(old.parent / "more")
    assert run(["show", "new.zarr", "--layers"]) == 0
    assert run(["score", "more", "-o", "new.zarr"]) == 1


def test_a_store_of_other_definitions_is_refused(old: Path) -> None:
    """It is read, and never added to: the numbers would not compare."""
    attributes = {**genpredict.options.Options(device="cpu").attrs(), "measures": []}
    store = zarr.open_group(old, mode="r+")
    store.attrs["definitions"] = 0
    assert bool(genpredict.open_scores(old)["Q"].notnull().all())
    message = r"defined otherwise \(definitions 0, now 1\).*-o"
    with pytest.raises(StoreError, match=message), open_writer(old, attributes):
        pass


def test_identity_of_an_old_store_is_that_of_its_own_version() -> None:
    """Attributes that it lacks have the values that there were then."""
    assert identity_of(check_store(OLD))["definitions"] == 1
    assert identity_of(check_store(OLD))["measures"] == sorted(schema.FIRST_MEASURES)


def test_damaged_lists_of_measures_are_named(old: Path) -> None:
    """A list that is none is no reason for a traceback."""
    for wrong in ("quality", [1, 2], {"a": 1}):
        document = json.loads((old / "zarr.json").read_text())
        document["attributes"]["measures"] = wrong
        (old / "zarr.json").write_text(json.dumps(document))
        with pytest.raises(StoreError, match=r"measures in zarr\.json"):
            genpredict.open_scores(old)
