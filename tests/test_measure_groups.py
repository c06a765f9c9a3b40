"""Groups of measures in scores, stores and tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import genpredict
from genpredict.cli import run
from genpredict.errors import GenpredictError
from genpredict.jobs.merge import merge_stores
from genpredict.jobs.score_job import score_into
from genpredict.networks import build_network
from genpredict.options import Options
from genpredict.registry import choose_measures, measures_in
from genpredict.schema import LAYER_MEASURES
from genpredict.spectral import heavy_tail
from genpredict.spectral.weight_statistics import tensor_statistics
from genpredict.spectral.weightwatcher import weightwatcher_measures

GROUPS = ("heavy_tail", "weightwatcher", "statistics")


def networks() -> dict[str, torch.nn.Module]:
    """Networks with layers of one shape in several of them, and dead channels in one."""
    torch.manual_seed(0)
    names = ("digits_cnn", "digits_cnn", "sss:8:16:24:16:8", "sss:8:8:8:8:8")
    built = {f"{i} {name}": build_network(name) for i, name in enumerate(names)}
    with torch.no_grad():
        next(iter(built.values())).features[1][0].weight[:3] = 0
    return built


def test_scores_against_kernels() -> None:
    """Every measure of a group stands where its layer and unfolding stand."""
    scores = genpredict.score(networks(), measures=GROUPS)
    assert set(scores.attrs["measures"]) == {*LAYER_MEASURES, *sum(map(measures_in, GROUPS), ())}
    network = networks()["0 digits_cnn"]
    here = scores.sel(checkpoint="0 digits_cnn", layer=1)
    weight = network.features[1][0].weight.detach()
    for name, value in weightwatcher_measures(weight[None])._asdict().items():
        assert float(here[f"ww_{name}"]) == float(value), name
    matrix = weight.double().movedim(1, 0).flatten(1)
    sigma = torch.linalg.svdvals(matrix)
    xmin = heavy_tail.alpha_xmin(sigma)
    expected = float(heavy_tail.alpha(sigma, xmin))
    assert float(here["alpha"].sel(unfolding="in_channel")) == pytest.approx(expected, rel=1e-7)
    np.testing.assert_array_equal(
        here["weight_statistics"].sel(tensor="weight"), tensor_statistics(weight[None].double())[0]
    )
    head = scores["weight_statistics"].sel(checkpoint="0 digits_cnn", layer=4, tensor="bias")
    bias = network.head.bias.detach().double()
    assert float(head.sel(statistic="mean")) == pytest.approx(float(bias.mean()))


def scored(folder: Path, output: Path, *measures: str, workers: int = 1) -> Path:
    """Score the files of a folder into a store."""
    options = Options(measures=tuple(row.name for row in choose_measures(measures)))
    score_into(output, genpredict.open_checkpoints(folder), options, workers=workers, chunk_size=2)
    return output


def test_merge_adds_measures_against_scoring_all(tmp_path: Path) -> None:
    """A store without the groups, merged with one that has them, equals a store of everything."""
    folder = tmp_path / "networks"
    folder.mkdir()
    for name, network in networks().items():
        save_file(network.state_dict(), folder / f"{name.replace(':', '-')}.safetensors")
    plain = scored(folder, tmp_path / "plain.zarr")
    more = scored(folder, tmp_path / "more.zarr", *GROUPS)
    two = scored(folder, tmp_path / "two.zarr", *GROUPS, workers=2)
    merge_stores([plain, more], tmp_path / "merged.zarr")
    whole = genpredict.open_scores(more).load()
    for path in (two, tmp_path / "merged.zarr"):
        other = genpredict.open_scores(path).load()
        for name in whole.variables:
            assert whole[name].values.tobytes() == other[name].values.tobytes() or (
                whole[name].dtype == object and (whole[name] == other[name]).all()
            ), (path, name)


def test_a_group_in_correlate() -> None:
    """Its name stands for its measures; without them the error says how to get them."""
    scores = genpredict.score(networks(), measures="heavy_tail")
    scores = scores.assign_coords(test_accuracy=("checkpoint", [3.0, 1.0, 2.0, 4.0]))
    options = {"targets": "test_accuracy", "min_n": 3, "interval": "fisher", "permutations": 99}
    table = genpredict.correlate(scores, measures="heavy_tail", **options)
    assert list(table["measure"].values[:5]) == list(measures_in("heavy_tail"))
    for group in ("weightwatcher", "statistics"):
        with pytest.raises(GenpredictError, match=f"none of the group '{group}'"):
            genpredict.correlate(scores, measures=group, **options)


def test_a_measure_brings_what_it_is_made_of() -> None:
    """α is made of xmin, which is measured with it; WeightWatcher's ten are one call."""
    names = [row.name for row in choose_measures("alpha")]
    assert names == [*LAYER_MEASURES, "alpha_xmin", "alpha"]


def test_show_names_the_groups_of_a_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line of what is there besides the measures of every score; none where nothing is."""
    for name, measures in (("plain", ()), ("more", ("statistics", "param_norm"))):
        store = tmp_path / f"{name}.zarr"
        genpredict.score({"net": build_network("digits_cnn")}, measures=measures, output=store)
        assert run(["show", str(store)]) == 0
        printed = capsys.readouterr().out
        line = "measures besides: statistics (weight_statistics)\n"
        assert (line in printed) == (name == "more")
        assert ("measures besides" in printed) == (name == "more")
