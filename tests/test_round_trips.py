"""Every public Dataset survives netCDF and Zarr, by xarray's own methods."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
import xarray as xr

import genpredict

STORE = Path(__file__).parents[1] / "data" / "results" / "digits-sweep.zarr"


def _scores() -> xr.Dataset:
    networks = {"a": {"0.weight": torch.eye(4)}, "b": {"0.weight": torch.ones(6, 3, 3, 3)}}
    return genpredict.score(networks, targets={"a": 50.0, "b": 60.0}, include="*weight")


def _table() -> xr.Dataset:
    scores = genpredict.open_scores(STORE)
    return genpredict.correlate(scores, measures=["Q"], resamples=50, permutations=99, cluster=None)


def _top() -> xr.Dataset:
    scores = genpredict.open_scores(STORE)
    return genpredict.top_fraction(
        scores, measures=["Q"], resamples=50, permutations=99, cluster=None
    )


def _difference() -> xr.Dataset:
    scores = genpredict.open_scores(STORE)
    return genpredict.difference(scores, "Q_low_rank_p2", "Q_raw_p2", resamples=50, cluster=None)


MAKERS = {
    "scores": _scores,
    "opened": lambda: genpredict.open_scores(STORE).isel(checkpoint=slice(5)),
    "correlate": _table,
    "top_fraction": _top,
    "difference": _difference,
}


@pytest.fixture(scope="module")
def made() -> Callable[[str], xr.Dataset]:
    """Each Dataset, made once."""
    return cache(lambda name: MAKERS[name]())


@pytest.mark.parametrize("name", MAKERS)
def test_netcdf(name: str, made: Callable[[str], xr.Dataset], tmp_path: Path) -> None:
    """Numbers bit for bit, texts as texts, labels and units."""
    made(name).to_netcdf(tmp_path / "x.nc")
    with xr.open_dataset(tmp_path / "x.nc") as back:
        _assert_same(back, made(name))


@pytest.mark.filterwarnings("ignore:Consolidated metadata")  # xarray's default, not ours
@pytest.mark.parametrize("name", MAKERS)
def test_zarr(name: str, made: Callable[[str], xr.Dataset], tmp_path: Path) -> None:
    """The same by Zarr."""
    dataset = made(name).drop_encoding()
    dataset.to_zarr(tmp_path / "x.zarr")
    with xr.open_zarr(tmp_path / "x.zarr", chunks=None) as back:
        _assert_same(back, dataset)


def _assert_same(back: xr.Dataset, dataset: xr.Dataset) -> None:
    assert back.drop_attrs().equals(dataset.drop_attrs())
    assert set(back.attrs) == set(dataset.attrs)
    for name, variable in dataset.variables.items():
        assert back[name].attrs.get("units") == variable.attrs.get("units"), name
        texts = variable.dtype.kind in "OUT"
        assert (back[name].dtype.kind in "OUT") == texts, name


def test_scores_kept_as_netcdf_become_a_store(
    made: Callable[[str], xr.Dataset], tmp_path: Path
) -> None:
    """Whoever keeps scores as netCDF can hand them to the commands again."""
    made("scores").to_netcdf(tmp_path / "x.nc")
    with xr.open_dataset(tmp_path / "x.nc") as back:
        genpredict.write_scores(back, tmp_path / "s.zarr")
    opened = genpredict.open_scores(tmp_path / "s.zarr")
    assert opened["Q"].equals(made("scores")["Q"])
    assert opened.attrs["measures"] == made("scores").attrs["measures"]
