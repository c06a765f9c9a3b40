"""Opening a store: what is read of it, and when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from zarr.storage import LocalStore

import genpredict
from genpredict import schema
from genpredict.errors import StoreError
from genpredict.network_columns import with_network_measures
from genpredict.options import Options
from genpredict.row_checks import Row
from genpredict.rows import to_dataset
from genpredict.store.writing import open_writer

LAYERS = ("quality", "rank", "stable_rank", "hill_alpha", "layer_name", "dead_input_channels")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of networks of different depths, 2 checkpoints to a chunk."""
    networks = {
        f"n{number}": {
            f"conv{layer}.weight": torch.randn(6, 3, 3, 3, generator=rng)
            for layer in range(1 + number % 3)
        }
        for number in range(7)
        for rng in [torch.Generator().manual_seed(number)]
    }
    scores = genpredict.score(networks)
    genpredict.write_scores(scores, tmp_path / "s.zarr", chunk_size=2)
    return tmp_path / "s.zarr"


@pytest.fixture
def chunks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arrays of which chunks are read, one entry a chunk."""
    read: list[str] = []
    get = LocalStore.get

    async def counted(self: LocalStore, key: str, *args: Any, **kwargs: Any) -> Any:
        if "/c/" in key or key.endswith("/c"):
            read.append(key.partition("/c")[0].rpartition("/")[2])
        return await get(self, key, *args, **kwargs)

    monkeypatch.setattr(LocalStore, "get", counted)
    return read


def test_opening_reads_no_layer_measure(store: Path, chunks: list[str]) -> None:
    """Nor labels of layers; Q is there all the same, and layer measures when they are looked at."""
    scores = genpredict.open_scores(store)
    assert "status" in chunks
    assert bool(np.isfinite(scores["Q"]).all())
    assert not set(chunks) & {*schema.LAYER_MEASURES, *schema.LAYER_LABELS}
    before = len(chunks)
    scores["quality"].variable.load()
    assert chunks[before:] == ["quality"] * 4
    assert not set(chunks) & {"stable_rank", "rank"}


def test_one_number_a_checkpoint_is_one_chunk(store: Path, chunks: list[str]) -> None:
    """The number of files is what opening costs: every column is read at once, and once."""
    scores = genpredict.open_scores(store)
    for name in (*schema.NETWORK_MEASURES, "checkpoint", "num_parameters"):
        scores[name].variable.load()
        assert chunks.count(name) == 1, name


def test_texts_are_objects_when_they_are_read(store: Path) -> None:
    """As in scores in memory; those nobody looks at are not decoded."""
    scores = genpredict.open_scores(store)
    for name in ("network", "source", "layer_name", "error"):
        assert scores[name].dtype == object
        assert all(type(text) is str for text in scores[name].values.ravel().tolist())


def test_network_measures_on_disk_are_those_of_the_layers(store: Path) -> None:
    """To the bit, in rows of fewer layers than the deepest network's too."""
    scores = genpredict.open_scores(store).load()
    anew = with_network_measures(scores.drop_vars(list(schema.NETWORK_MEASURES)))
    for name in schema.NETWORK_MEASURES:
        assert scores[name].values.tobytes() == anew[name].values.tobytes(), name
        assert scores[name].attrs == anew[name].attrs


@pytest.mark.parametrize(
    "lost", ["Q/c/0/0/0", "num_layers/c/0", "quality/c/1/0/0/0/0", "rank/c/3/0/0"]
)
def test_lost_files_of_rows_that_are_done_are_named(store: Path, lost: str) -> None:
    """Of network measures and of layer measures, though those are not read."""
    (store / lost).unlink()
    with pytest.raises(StoreError, match="marked as done, but some of its measures are missing"):
        genpredict.open_scores(store)


def test_all_rows_failed_or_pending(tmp_path: Path) -> None:
    """Such a store has no chunk of a measure, and misses none."""
    options = Options(device="cpu")
    row = Row("bad", "bad.pt", error="bad.pt: cannot be read")
    nothing = {r.name: np.empty((0, *_sizes(r))) for r in options.rows}
    with open_writer(tmp_path / "s.zarr", options.attrs()) as writer:
        writer.write(to_dataset([row], nothing, options.rows))
        writer.allot(["later"])
    scores = genpredict.open_scores(tmp_path / "s.zarr")
    assert scores["status"].values.tolist() == ["failed", "pending"]
    assert bool(scores["Q"].isnull().all())


def _sizes(row: schema.Measure) -> tuple[int, ...]:
    return tuple(len(schema.AXES[dim]) for dim in row.dims[2:])


def test_scores_of_a_store_of_old_compute_what_it_lacks() -> None:
    """Q and the counts come from its layers, as when it was made."""
    old = genpredict.open_scores(Path(__file__).with_name("first_measures.zarr"))
    assert set(schema.NETWORK_MEASURES) <= set(old.data_vars)
    assert list(old.data_vars)[: len(schema.NETWORK_MEASURES)] == list(schema.NETWORK_MEASURES)
    xr.testing.assert_allclose(old["Q"], genpredict.aggregate(old), rtol=1e-15)
