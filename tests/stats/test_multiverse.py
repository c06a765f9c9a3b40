"""The specification curve: every convention, its summary, and a test that keeps its level."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from stats_cases import scores_of

import genpredict
from genpredict import aggregate, multiverse, open_scores
from genpredict.cli.app import run
from genpredict.errors import GenpredictError
from genpredict.inference import Inference
from genpredict.stats.curve_tables import specification_table
from genpredict.stats.multiverse import curve
from genpredict.stats.specifications import specifications

SWEEP = Path(genpredict.__file__).parents[1] / "data" / "results" / "digits-sweep.zarr"


@pytest.fixture(scope="module")
def sweep() -> xr.Dataset:
    """Open the committed scores of the digits sweep."""
    return open_scores(SWEEP)


@pytest.fixture(scope="module")
def curves(sweep: xr.Dataset) -> xr.Dataset:
    """Make its curve by network, seeds of an optimizer as clusters."""
    asked: dict[str, Any] = {"cluster": ["network", "optimizer"], "permutations": 99}
    return multiverse(sweep, "test_accuracy", by="network", **asked)


def test_every_specification_against_aggregate(sweep: xr.Dataset, curves: xr.Dataset) -> None:
    """252 choices, each the correlation of what `aggregate` gives for it."""
    assert curves.sizes["specification"] == len(specifications()) == 252
    part = sweep.isel(checkpoint=(sweep["network"] == "resnet20").values)
    for label in ("raw/1/l2/conv/zero/limit/both", "low_rank/2/mean/all/skip/worst/in_channel"):
        at = curves.sel(specification=label)
        q = aggregate(
            part,
            aggregation=str(at["aggregation"].item()),
            kinds=("conv",) if at["kinds"] == "conv" else ("conv", "linear"),
            empty=str(at["empty"].item()),
            rank_one=str(at["rank_one"].item()),
            unfolding=None if at["unfolding"] == "both" else str(at["unfolding"].item()),
        ).sel(factorization=at["factorization"].item(), p=at["p"].item())
        known = np.isfinite(q.values)
        expected = stats.spearmanr(q.values[known], part["test_accuracy"].values[known]).statistic
        assert float(at["estimate"].sel(group="network=resnet20")) == pytest.approx(expected)


def test_summary_of_the_curve_against_numpy(curves: xr.Dataset) -> None:
    """Median and shares of signs of the specifications that have a correlation."""
    for group in curves["group"].values:
        part = curves.sel(group=group)
        shown = part["estimate"].values[np.isfinite(part["estimate"].values)]
        assert float(part["median"]) == pytest.approx(np.median(shown))
        assert float(part["share_positive"]) == pytest.approx(np.mean(shown > 0))
        assert 0 < float(part["median_pvalue"]) <= 1
    assert curves["n_clusters"].values.tolist() == [30, 10, 10, 10]


def test_what_is_known_is_taken_over(sweep: xr.Dataset, curves: xr.Dataset) -> None:
    """An earlier result saves the aggregation, in part or whole, and changes nothing."""
    asked: dict[str, Any] = {"cluster": ["network", "optimizer"], "permutations": 99}
    half = curves.isel(specification=slice(0, 100))
    again = multiverse(sweep, "test_accuracy", by="network", known=half, **asked)
    xr.testing.assert_identical(again, curves)
    bare = sweep.drop_vars("quality")
    xr.testing.assert_identical(
        multiverse(bare, "test_accuracy", by="network", known=curves, **asked), curves
    )


@pytest.mark.parametrize("copies", [1, 3])
def test_curve_keeps_its_level_against_theory(copies: int) -> None:
    """Twelve kindred specifications of an unrelated target: 5 % of curves, clusters or not."""
    rng = np.random.default_rng(copies)
    significant = np.zeros(2)
    for _ in range(400):
        shared = rng.normal(size=(1, 15)) + 0.7 * rng.normal(size=(12, 15))
        x = np.repeat(shared, copies, axis=1) + 0.1 * rng.normal(size=(12, 15 * copies))
        y = np.repeat(rng.normal(size=15), copies) + 0.1 * rng.normal(size=15 * copies)
        codes = np.repeat(range(15), copies) if copies > 1 else None
        tested = curve(x, y, codes, Inference(permutations=59), "rocc")
        significant += [tested["median_pvalue"] <= 0.05, tested["sign_pvalue"] <= 0.05]
    assert 0.025 <= significant[0] / 400 <= 0.08
    assert significant[1] / 400 <= 0.08  # signs are few different numbers: conservative


def test_the_command_prints_and_writes_the_curve(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], curves: xr.Dataset
) -> None:
    """A row a group; the file has a row a group and specification."""
    output = tmp_path / "curve.csv"
    asked = ["--target", "test_accuracy", "--by", "network", "--cluster", "network,optimizer"]
    command = ["multiverse", str(SWEEP), *asked, "--permutations", "99", "-o", str(output)]
    assert run(command) == 0
    printed = capsys.readouterr().out
    assert "ROCC under 252 specifications" in printed
    assert f"{float(curves['median'].sel(group='network=resnet20')):.2f}" in printed
    assert len(output.read_text().splitlines()) == 1 + 252 * 4
    assert len(specification_table(curves)) == 252 * 4


def test_what_a_multiverse_refuses() -> None:
    """Scores without layers, several targets, an unknown coefficient."""
    with pytest.raises(GenpredictError, match="scores: a multiverse is aggregated anew"):
        multiverse(scores_of(), "test_accuracy")
    with pytest.raises(GenpredictError, match="coefficient must be one of"):
        multiverse(scores_of(), "test_accuracy", coefficient="tau")
    with pytest.raises(GenpredictError, match="target: must be one column"):
        multiverse(scores_of(), "Q")
