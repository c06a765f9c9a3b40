"""Scores at hand become a store like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from genpredict import GenpredictError, StoreError, open_scores, score, write_scores
from genpredict.cli import run

NETWORKS = {
    "deep": {f"{n}.weight": torch.eye(4) + n for n in range(3)},
    "shallow": {"0.weight": torch.ones(6, 3, 3, 3)},
}


@pytest.fixture(scope="module")
def scores() -> xr.Dataset:
    """Two networks with a target and columns of one's own, texts and numbers."""
    made = score(NETWORKS, targets={"deep": 70.0, "shallow": 60.0})
    return made.assign_coords(
        lab=("checkpoint", ["here", "there"]),
        epoch=("checkpoint", [3, 4]),
        size=("checkpoint", [1, 2]),
    )


def test_what_is_written_is_read_again(scores: xr.Dataset, tmp_path: Path) -> None:
    """Every variable and coordinate comes back, numbers bit for bit."""
    write_scores(scores, tmp_path / "s.zarr")
    back = open_scores(tmp_path / "s.zarr")
    assert set(back.variables) == set(scores.variables)
    for name in scores.variables:
        np.testing.assert_array_equal(back[name].values, scores[name].values, err_msg=str(name))


def test_commands_open_it(
    scores: xr.Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`show` lists its networks, and a store written again is the same store."""
    write_scores(scores, tmp_path / "s.zarr")
    write_scores(open_scores(tmp_path / "s.zarr"), tmp_path / "again.zarr")
    assert run(["show", str(tmp_path / "again.zarr")]) == 0
    assert "deep" in capsys.readouterr().out


def test_some_checkpoints_of_a_store(scores: xr.Dataset, tmp_path: Path) -> None:
    """A selection along `checkpoint` can be written."""
    write_scores(scores.isel(checkpoint=[1]), tmp_path / "s.zarr")
    assert open_scores(tmp_path / "s.zarr")["checkpoint"].values.tolist() == ["shallow"]


def test_a_store_that_is_there_stays(scores: xr.Dataset, tmp_path: Path) -> None:
    """It is replaced when that is asked for, and only a store is."""
    path = tmp_path / "s.zarr"
    write_scores(scores, path)
    with pytest.raises(StoreError, match="exists; choose another path, or overwrite=True"):
        write_scores(scores.isel(checkpoint=[0]), path)
    write_scores(scores.isel(checkpoint=[0]), path, overwrite=True)
    assert open_scores(path).sizes["checkpoint"] == 1
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreError):
        write_scores(scores, other, overwrite=True)
    assert (other / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.drop_vars("rank"), "scores: lack rank"),
        (lambda s: s.sel(p=[2]), r"p must be \[1, 2\], as score\(\) made it"),
        (lambda s: xr.concat([s, s], "checkpoint"), "two checkpoints are called 'deep'"),
        (lambda s: s["Q"], r"must be a Dataset of score\(\), got DataArray"),
    ],
)
def test_what_is_no_scores_is_refused(scores: xr.Dataset, change: object, message: str) -> None:
    """Before anything is made, with what to do."""
    with pytest.raises(GenpredictError, match=message):
        write_scores(change(scores), "never.zarr")  # type: ignore[operator]
    assert not Path("never.zarr").exists()


def test_a_store_can_take_the_place_of_what_it_was_read_from(
    scores: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers that load when they are looked at are not deleted before; nor by a full disk."""
    path = tmp_path / "s.zarr"
    write_scores(scores, path)
    with monkeypatch.context() as patch:
        patch.setattr("genpredict.store.saving.replace_folder", full)
        with pytest.raises(StoreError, match=r"s\.zarr: cannot write: full"):
            write_scores(open_scores(path).isel(checkpoint=[1]), path, overwrite=True)
    assert open_scores(path)["checkpoint"].values.tolist() == ["deep", "shallow"]
    write_scores(open_scores(path).isel(checkpoint=[1]), path, overwrite=True)
    back = open_scores(path)
    np.testing.assert_array_equal(back["rank"], scores["rank"].isel(checkpoint=[1]))
    assert [file.name for file in tmp_path.iterdir()] == ["s.zarr"]


def full(*_: object) -> None:
    """Fail as a full disk does."""
    raise OSError(28, "full")
