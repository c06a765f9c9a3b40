"""What a store cannot hold is a failed row; whatever is written can be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from genpredict.errors import StoreError
from genpredict.row_checks import MOST_CHARACTERS, MOST_COORDINATES, MOST_LAYERS, Row
from genpredict.rows import join_rows, to_dataset
from genpredict.schema import LAYER_MEASURES
from genpredict.store import limits
from genpredict.store.reading import open_scores
from genpredict.store.writing import open_writer

ATTRS = {"estimator": "global", "genpredict_version": "test"}


def rows(name: str, layers: int = 2, **metadata: Any) -> xr.Dataset:
    """Return the row of a network of some layers of one shape."""
    row = Row(name, f"{name}.pt", metadata, [(f"l{n}", "conv", "3x3x3x3") for n in range(layers)])
    sizes = {"unfolding": 2, "factorization": 2, "p": 2}
    measures = {
        measure: np.ones([layers, *(sizes[dim] for dim in variable.dims if dim in sizes)])
        for measure, variable in LAYER_MEASURES.items()
    }
    return to_dataset([row], measures)


def written(path: Path, *parts: xr.Dataset) -> xr.Dataset:
    """Write rows, one flush each, and read them."""
    with open_writer(path, ATTRS, chunk_size=2) as writer:
        for part in parts:
            writer.write(part)
    return open_scores(path)


def reason(scores: xr.Dataset, name: str) -> str:
    """Return why a row has failed; the others are done."""
    others = scores["status"].sel(checkpoint=scores["checkpoint"] != name)
    assert set(others.values.tolist()) == {"done"}
    assert scores["status"].sel(checkpoint=name) == "failed"
    assert scores["rank"].sel(checkpoint=name).isnull().all()
    return str(scores["error"].sel(checkpoint=name).item())


@pytest.mark.parametrize(
    ("name", "bad", "said"),
    [
        ("a layer too many", {"layers": MOST_LAYERS + 1}, "has 100,001 layers"),
        ("many settings", {f"s{n}": n for n in range(MOST_COORDINATES + 1)}, "has 201 settings"),
        ("a long name", {"n" * 300: 1}, "in more than 200 bytes"),
        ("a long text", {"note": "x" * (MOST_CHARACTERS + 1)}, "note is a text of 10,001"),
        ("the list of files", {"files": 3}, "files cannot name a coordinate"),
        ("a measure", {"quality": 3.0}, "quality cannot name a coordinate"),
        ("a path", {"a/../b": 3.0}, "a/../b cannot name a coordinate"),
    ],
)
def test_a_row_beyond_a_limit_fails_alone(
    tmp_path: Path, name: str, bad: dict[str, Any], said: str
) -> None:
    """The store opens, with every other row done, whichever comes first."""
    scores = written(tmp_path / "s.zarr", rows("a", seed=1), rows("bad", **bad), rows("b"))
    assert said in reason(scores, "bad")
    assert scores.sizes["layer"] == 2
    assert scores["seed"].sel(checkpoint="a") == 1


def test_depth_and_rows_together_fit_a_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One deep network would make every row as long as itself: it fails where there are many."""
    monkeypatch.setattr(limits, "MOST_ENTRIES", 60)
    path = tmp_path / "s.zarr"
    scores = written(path, rows("a"), rows("b"), rows("deep", 21), rows("deeper", 15))
    assert "has 21 layers, and this store of 3 checkpoints has room" in reason(scores, "deep")
    assert scores.sizes["layer"] == 15
    with pytest.raises(StoreError, match=r"up to 15 layers holds at most 4 checkpoints, not 5"):
        written(path, rows("c"))
    assert open_scores(path).sizes["checkpoint"] == 4


def test_coordinates_of_a_store_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand rows with names of their own do not make a thousand times as many arrays."""
    monkeypatch.setattr(limits, "MOST_COORDINATES", 70)
    parts = [rows(f"r{n}", **{f"x{n}": n}) for n in range(3)]
    many = rows("bad", **{f"y{n}": n for n in range(70)})
    scores = written(tmp_path / "s.zarr", *parts, many)
    assert "brings the coordinate" in reason(scores, "bad")
    assert scores["x2"].sel(checkpoint="r2") == 2


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_numbers_and_texts_of_one_coordinate_in_any_order(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    """Whatever was written before: the same texts, in the bytes of a store of texts alone."""
    tags = (7.0, "x", 0.5)
    parts = [rows(f"r{n}", tag=tags[n], other=n) for n in (0, 1, 2)]
    with open_writer(tmp_path / "s.zarr", ATTRS, chunk_size=2) as writer:
        writer.allot(["r0", "r1", "r2"])
        for n in order:
            writer.write(parts[n])
    scores = open_scores(tmp_path / "s.zarr")
    assert scores["tag"].values.tolist() == ["7", "x", "0.5"]
    assert scores["other"].dtype == float
    with open_writer(tmp_path / "t.zarr", ATTRS, chunk_size=2) as writer:
        writer.allot(["r0", "r1", "r2"])
        texts = scores["tag"].values.tolist()
        writer.write(join_rows([rows(f"r{n}", tag=texts[n], other=n) for n in range(3)]))
    for file in sorted(f for f in (tmp_path / "t.zarr" / "tag").rglob("*") if f.is_file()):
        other = tmp_path / "s.zarr" / file.relative_to(tmp_path / "t.zarr")
        assert other.read_bytes() == file.read_bytes(), file


def test_a_kill_while_numbers_become_texts_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the exchange, and between two renames where there is none: the numbers are there."""
    path = tmp_path / "s.zarr"
    written(path, rows("r0", tag=7.0))

    def killed(*_: object) -> bool:
        raise KeyboardInterrupt

    def two_steps(new: Path, old: Path) -> bool:
        old.rename(old.with_name(f".{old.name}.replaced"))
        raise KeyboardInterrupt

    for kill in (killed, two_steps):
        with monkeypatch.context() as patch:
            patch.setattr("genpredict.outputs.exchange", kill)
            with pytest.raises(KeyboardInterrupt):
                written(path, rows("r1", tag="x"))
        scores = written(path)
        assert scores["tag"].values.tolist()[0] == 7.0
    scores = written(path, rows("r1", tag="x"))
    assert scores["tag"].values.tolist() == ["7", "x"]
    assert not list(path.glob(".*"))
