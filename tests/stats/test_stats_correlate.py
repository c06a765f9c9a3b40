"""The labelled table: names, groups, conditions, covariates, missing values, multiplicity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats
from stats_cases import scores_of

import genpredict.stats
from genpredict import schema
from genpredict.aggregation import aggregate
from genpredict.errors import GenpredictError
from genpredict.network_columns import with_network_measures
from genpredict.row_checks import Row
from genpredict.rows import to_dataset
from genpredict.stats import benjamini_hochberg, correlate, holm, to_table

#: Options that make a table in no time.
QUICK: dict[str, Any] = {"interval": "fisher", "permutations": 0}
Q_LABELS = ["Q_raw_p1", "Q_raw_p2", "Q_low_rank_p1", "Q_low_rank_p2"]
BASELINES = ["log_num_parameters", "num_layers", "num_rank_zero", "num_rank_one"]


def real_scores() -> xr.Dataset:
    """Make scores of 12 networks with measures of two convolutions and a linear layer."""
    rng = np.random.default_rng(0)
    layers = [("a", "conv", "4x3x3x3"), ("b", "conv", "8x4x3x3"), ("c", "linear", "10x8")]
    rows = [
        Row(f"net{i}", f"net{i}.pt", {"test_accuracy": 70.0 + i, "num_parameters": 100 + i}, layers)
        for i in range(12)
    ]
    sizes = {"unfolding": 2, "factorization": 2, "p": 2}
    measures = {
        name: rng.uniform(0.1, 1, (36, *(sizes[dim] for dim in variable.dims[2:])))
        for name, variable in schema.LAYER_MEASURES.items()
    }
    measures["rank"] = rng.integers(0, 5, (36, 2)).astype(float)
    return with_network_measures(to_dataset(rows, measures))


def test_table_has_labels_of_measures_targets_and_groups() -> None:
    """Q by factorization and p, low-rank Q_adjusted, the baselines; `all` first of the groups."""
    found = correlate(scores_of(), by="network", **QUICK)
    adjusted = ["Q_adjusted_low_rank_p1", "Q_adjusted_low_rank_p2"]
    assert found["measure"].values.tolist() == Q_LABELS + adjusted + BASELINES
    assert found["target"].values.tolist() == ["test_accuracy", "generalization_gap"]
    assert found["group"].values.tolist() == ["all", "network=a", "network=b", "network=c"]
    assert found["name"].values.tolist()[:2] == ["Q", "Q"]
    assert found["factorization"].values.tolist()[3:9:5] == ["low_rank", ""]
    np.testing.assert_array_equal(found["p"].values[[2, 3, 8]], [1, 2, np.nan])
    assert found["plcc"].dims == ("measure", "target", "group")
    assert found["plcc"].attrs == {"long_name": "Pearson's r (PLCC)", "units": "1"}
    assert found.attrs["level"] == 0.95


def test_raw_q_adjusted_is_left_out_for_it_is_raw_q_against_aggregation() -> None:
    """Of raw spectra both are one number: Holm counts it once, and who asks for it gets it."""
    scores = real_scores()
    raw = scores.sel(factorization="raw")
    np.testing.assert_array_equal(raw["Q_adjusted"], raw["Q"])
    found = correlate(scores, targets=["test_accuracy"], permutations=99, resamples=50)
    assert not [label for label in found["measure"].values if "adjusted_raw" in label]
    pvalues = found["plcc_pvalue"].values[found["plcc_pvalue"].notnull().values]
    least = min(1.0, len(pvalues) * pvalues.min())
    assert float(found["plcc_pvalue_holm"].min()) == pytest.approx(least)
    asked = correlate(scores, measures=["Q_adjusted"], targets=["test_accuracy"], **QUICK)
    assert asked["measure"].values.tolist()[:2] == ["Q_adjusted_raw_p1", "Q_adjusted_raw_p2"]


@pytest.mark.parametrize("name", ["plcc", "rocc", "krocc"])
def test_every_cell_against_scipy(name: str) -> None:
    """Signed, in the right cell of the table: each measure, target and group."""
    scores = scores_of()
    found = correlate(scores, by="network", **QUICK)
    test = {"plcc": stats.pearsonr, "rocc": stats.spearmanr, "krocc": stats.kendalltau}[name]
    for group, members in (("all", slice(None)), ("network=b", scores["network"] == "b")):
        for label in Q_LABELS:
            _, p = label.rsplit("_p", 1)
            factorization = label[2:].rsplit("_p", 1)[0]
            x = scores["Q"].sel(factorization=factorization, p=int(p))
            for target in ("test_accuracy", "generalization_gap"):
                cell = found[name].sel(measure=label, target=target, group=group)
                by_scipy = test(x[members].values, scores[target][members].values).statistic
                assert float(cell) == pytest.approx(by_scipy, abs=1e-12)
    assert float(found[name].min()) < 0


def test_reversed_target_reverses_every_sign() -> None:
    """Estimates and bounds; p-values stay. Nothing is absolute."""
    scores = scores_of(12)
    upward = correlate(scores, targets="test_accuracy", permutations=200)
    scores["test_accuracy"] = -scores["test_accuracy"]
    downward = correlate(scores, targets="test_accuracy", permutations=200)
    for name in ("plcc", "rocc", "krocc"):
        np.testing.assert_allclose(downward[name], -upward[name], atol=1e-12)
        np.testing.assert_allclose(downward[name + "_lower"], -upward[name + "_upper"], atol=1e-12)
        np.testing.assert_array_equal(downward[name + "_pvalue"], upward[name + "_pvalue"])


def test_seed_repeats_and_groups_do_not_interfere() -> None:
    """The same seed gives the same table; grouping leaves `all` as it is."""
    asked: dict[str, Any] = {"resamples": 100, "permutations": 100, "targets": "test_accuracy",
                             "interval": "bca"}  # fmt: skip
    alone, again = (correlate(scores_of(), seed=3, **asked) for _ in range(2))
    xr.testing.assert_identical(alone, again)
    grouped = correlate(scores_of(), seed=3, by="network", adjust=(), **asked)
    for name, values in grouped.sel(group=["all"]).data_vars.items():
        xr.testing.assert_equal(values, alone[name])
    other = correlate(scores_of(), seed=4, **asked)
    assert not other["plcc_lower"].equals(alone["plcc_lower"])


def test_missing_values_leave_their_pair_alone() -> None:
    """NaN and infinity are dropped for each pair and n counts the rest."""
    scores = scores_of(20)
    scores["Q"][0, 0, 0], scores["num_layers"][1] = np.nan, np.inf
    scores["test_accuracy"][2:4] = np.nan
    found = correlate(scores, **QUICK)["n"].squeeze()
    counts = {
        ("Q_raw_p1", "test_accuracy"): 17,
        ("Q_raw_p1", "generalization_gap"): 19,
        ("Q_raw_p2", "test_accuracy"): 18,
        ("num_layers", "test_accuracy"): 17,
        ("Q_low_rank_p2", "generalization_gap"): 20,
    }
    for (measure, target), n in counts.items():
        assert int(found.sel(measure=measure, target=target)) == n


def test_small_groups_are_nan() -> None:
    """Not noise: below min_n nothing but n; one covariate takes one more checkpoint."""
    scores = scores_of(14)
    small = correlate(scores, by="network", targets="test_accuracy", **QUICK)
    np.testing.assert_array_equal(small["n"].sel(measure="Q_raw_p1").squeeze(), [14, 5, 5, 4])
    known = small["plcc"].sel(measure="Q_raw_p1").squeeze().notnull()
    np.testing.assert_array_equal(known, [True, True, True, False])
    partial = correlate(scores, by="network", partial="num_layers", **QUICK)
    assert partial["plcc"].sel(measure="Q_raw_p1", group="network=a").isnull().all()
    for n in (1, 2, 3):
        assert correlate(scores_of(n), min_n=0, **QUICK)["plcc"].isnull().all() == (n < 3)


def test_failed_and_pending_checkpoints_do_not_count() -> None:
    """Only done ones have measures."""
    scores = scores_of(20)
    scores["status"][:4] = "failed"
    assert correlate(scores, **QUICK)["n"].max() == 16


def test_where_selects_checkpoints() -> None:
    """By an expression on coordinates, or a mask by checkpoint."""
    scores = scores_of(30)
    by_text = correlate(scores, where="epoch == 90 and network != 'c'", **QUICK)
    mask = (scores["epoch"] == 90) & (scores["network"] != "c")
    by_mask = correlate(scores, where=mask, **QUICK)
    xr.testing.assert_equal(by_text, by_mask)
    assert (by_text.attrs["where"], by_mask.attrs["where"]) == (
        "epoch == 90 and network != 'c'",
        "a mask",
    )
    assert by_text["n"].max() == 10


def test_groups_by_two_coordinates_and_numbers() -> None:
    """Combinations that occur, sorted; numbers without a decimal point; others are in no group."""
    scores = scores_of(40)
    scores["network"][0] = ""
    scores["epoch"][1] = np.nan
    found = correlate(scores, by=["network", "epoch"], **QUICK)
    names = [f"network={n},epoch={e}" for n in "abc" for e in (12, 90)]
    assert found["group"].values.tolist() == ["all", *names]
    sizes = found["n"].isel(measure=0, target=0)
    assert int(sizes.sel(group="all")) == 40
    assert int(sizes[1:].sum()) == 38


def test_partial_by_text_is_within_groups() -> None:
    """Indicators of network: the correlation of what deviates from each network's mean."""
    scores = scores_of(30)
    scores["test_accuracy"] = scores["test_accuracy"] + 20 * (scores["network"] == "b")
    found = correlate(scores, partial="network", targets="test_accuracy", **QUICK)
    left = [
        (column - column.groupby("network").mean().sel(network=column["network"]).values).values
        for column in (scores["Q"].sel(factorization="raw", p=1), scores["test_accuracy"])
    ]
    cell = found["plcc"].sel(measure="Q_raw_p1").item()
    assert cell == pytest.approx(np.corrcoef(*left)[0, 1], abs=1e-12)
    assert found["krocc"].isnull().all()
    assert found.attrs["partial"] == "network"


def test_covariates_that_are_constant_in_a_group_cost_nothing() -> None:
    """Within one network, holding the network fixed is no condition at all."""
    scores = scores_of(14)
    plain, partial = (
        correlate(scores, by="network", partial=p, **QUICK).sel(group="network=a")
        for p in (None, "network")
    )
    assert plain["plcc"].sel(measure="Q_raw_p1").notnull().all()
    for name in ("plcc", "plcc_lower", "rocc", "rocc_upper"):
        np.testing.assert_allclose(partial[name], plain[name], atol=1e-12)


def test_partial_on_itself_is_nan() -> None:
    """A baseline that is held fixed has nothing left; its bounds and p are NaN too."""
    found = correlate(scores_of(), partial="log_num_parameters", resamples=50, permutations=50)
    gone = found.sel(measure="log_num_parameters")
    for name in ("plcc", "plcc_lower", "plcc_upper", "plcc_pvalue"):
        assert gone[name].isnull().all()
        assert found[name].sel(measure="Q_raw_p1").notnull().all()


def test_adjusted_over_the_whole_table() -> None:
    """Every test of one coefficient is one family, groups and baselines included."""
    found = correlate(scores_of(), by="network", interval="fisher", permutations=500)
    for name in ("plcc", "rocc", "krocc"):
        raw = found[name + "_pvalue"].values
        np.testing.assert_array_equal(found[name + "_pvalue_holm"], holm(raw))
        np.testing.assert_array_equal(found[name + "_pvalue_bh"], benjamini_hochberg(raw))
    assert "plcc_pvalue_bh" not in correlate(scores_of(), adjust=["holm"], **QUICK)


def test_layer_measures_are_means_over_convolutions() -> None:
    """Both unfoldings of both convolutions; the linear layer stays out."""
    scores = real_scores()
    found = correlate(scores, measures=["stable_rank", "noise_variance", "rank"], **QUICK)
    labels = [f"stable_rank_{f}_p{p}" for f in ("raw", "low_rank") for p in (1, 2)]
    assert found["measure"].values.tolist()[:6] == [*labels, "noise_variance", "rank"]
    mean = (
        scores["stable_rank"][:, :2].sel(factorization="low_rank", p=2).mean(("layer", "unfolding"))
    )
    by_scipy = stats.pearsonr(mean, scores["test_accuracy"]).statistic
    cell = found["plcc"].sel(measure="stable_rank_low_rank_p2").item()
    assert cell == pytest.approx(by_scipy, abs=1e-12)
    assert found["long_name"].sel(measure="rank").item() == "mean low-rank rank (EVBMF)"


def test_measures_by_label_variant_logarithm_and_array() -> None:
    """One column alone; another way to aggregate, by name or as an array; a logarithm."""
    scores = real_scores()
    array = aggregate(scores, aggregation="mean").rename("mine")
    asked = ["Q_low_rank_p2", "Q_mean", "log_frobenius_norm_raw", array]
    found = correlate(scores, measures=asked, **QUICK)
    kinds = [f"{f}_p{p}" for f in ("raw", "low_rank") for p in (1, 2)]
    expected = ["Q_low_rank_p2", *(f"Q_mean_{k}" for k in kinds), "log_frobenius_norm_raw"]
    expected += [f"mine_{k}" for k in kinds]
    assert found["measure"].values.tolist()[: len(expected)] == expected
    for kind in kinds:
        pair = found["plcc"].sel(measure=[f"Q_mean_{kind}", f"mine_{kind}"]).values
        assert pair[0] == pair[1]


def test_numeric_coordinates_are_measures_and_targets() -> None:
    """Epoch as a measure of the number of parameters, if one likes."""
    found = correlate(scores_of(), measures="epoch", targets="num_parameters", **QUICK)
    assert found["measure"].values.tolist()[0] == "epoch"
    assert found["target"].values.tolist() == ["num_parameters"]
    itself = found["plcc"].sel(measure="log_num_parameters").item()
    assert 0.5 < itself < 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"measures": "quantity"}, r"measures: no 'quantity' in these scores; there are Q, Q_adj"),
        ({"targets": "Q_raw_p3"}, r"targets: no 'Q_raw_p3' in these scores"),
        ({"targets": []}, r"targets is empty; name at least one, or leave it out"),
        ({"targets": "network"}, r"targets: no 'network' in these scores"),
        ({"partial": "Q"}, r"partial: 'Q' has 4 columns; name one of Q_raw_p1, Q_raw_p2"),
        ({"by": "planet"}, r"by: 'planet' is no coordinate along checkpoint; there are .*network"),
        ({"where": "epoch = ="}, r"where: cannot read 'epoch = ='.*such as \"epoch == 90\""),
        ({"where": "epoch == 7"}, r"where: none of 30 scored checkpoints meets 'epoch == 7'"),
        ({"interval": "exact"}, r"interval must be one of \('auto', .*\), got 'exact'"),
        ({"level": 95}, r"level must lie in \(0, 1\), such as 0.95, got 95"),
        ({"resamples": 0}, r"resamples must be at least 2, got 0"),
        ({"adjust": ["none"]}, r"adjust must hold some of \('holm', 'bh'\), got \['none'\]"),
        ({"measures": xr.DataArray([1.0], dims="x", name="m")}, r"measures: an array needs a name"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], text: str) -> None:
    """The error names the parameter, the value and what there is."""
    with pytest.raises(GenpredictError, match=text):
        correlate(scores_of(), **options)


def test_scores_without_targets_are_refused() -> None:
    """With the remedy."""
    scores = scores_of().drop_vars(["test_accuracy", "generalization_gap"])
    with pytest.raises(GenpredictError, match="targets: these scores have none; give accuracies"):
        correlate(scores, **QUICK)


def test_table_has_the_columns_of_issue_3() -> None:
    """Long form: name, factorization and p apart; empty where a measure has none."""
    table = to_table(correlate(scores_of(), by="network", **QUICK))
    statistics = [f"{c}{s}" for c in ("plcc", "rocc", "krocc") for s in
                  ("", "_lower", "_upper", "_pvalue")]  # fmt: skip
    keys = ["measure", "factorization", "p", "target", "group", "n"]
    assert list(table.columns)[: len(keys + statistics)] == keys + statistics
    assert len(table) == 10 * 2 * 4
    assert table["group"].iloc[0] == "all"
    text = table.to_csv(index=False).splitlines()
    assert text[1].startswith("Q,raw,1,test_accuracy,all,30,")
    assert any(line.startswith("num_layers,,,test_accuracy,network=a,10,") for line in text)


def test_table_agrees_with_the_dataset() -> None:
    """Every row holds the numbers of its cell."""
    found = correlate(scores_of(), by="network", **QUICK)
    for row in to_table(found).to_dict("records"):
        same = (found["name"] == row["measure"]) & (found["factorization"] == row["factorization"])
        same &= found["p"].isnull() if pd.isna(row["p"]) else found["p"] == row["p"]
        cell = found["rocc"].sel(target=row["target"], group=row["group"])[same.values]
        np.testing.assert_array_equal(cell, [row["rocc"]])


def test_result_can_be_written(tmp_path: Any) -> None:
    """To netCDF and back."""
    found = correlate(scores_of(), **QUICK)
    found.to_netcdf(tmp_path / "c.nc", engine="scipy")
    again = xr.load_dataset(tmp_path / "c.nc", engine="scipy")
    np.testing.assert_array_equal(again["plcc"], found["plcc"])
    assert again["measure"].values.tolist() == found["measure"].values.tolist()


def test_aggregate_is_at_hand() -> None:
    """genpredict.stats.aggregate is the one of scoring."""
    assert genpredict.stats.aggregate is aggregate
