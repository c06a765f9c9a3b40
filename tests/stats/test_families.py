"""Families side by side: what is told of each, and a table whose families are its targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import genpredict
from genpredict.errors import GenpredictError
from genpredict.figures import plot_ranking, plot_scatter
from genpredict.stats import correlate, describe_families, families_as_targets

CLUSTER = ["family", "optimizer"]


def families(*, failed: int = 0) -> xr.Dataset:
    """Make scores of 24 networks of one family and 12 of another, in clusters of two."""
    rng = np.random.default_rng(5)
    n = 36
    accuracy = np.concatenate([np.linspace(50, 73, 24), np.linspace(80, 91, 12)])
    status = np.array(["done"] * (n - failed) + ["failed"] * failed, dtype=object)
    coordinates: dict[str, Any] = {
        "family": np.array(["wide"] * 24 + ["deep"] * 12, dtype=object),
        "optimizer": np.array([f"o{i // 2}" for i in range(n)], dtype=object),
        "test_accuracy": accuracy,
        "generalization_gap": rng.normal(size=n),
    }
    return xr.Dataset(
        {
            "size": ("checkpoint", accuracy + rng.normal(size=n)),
            "status": ("checkpoint", status),
        },
        coords={"checkpoint": [f"c{i}" for i in range(n)]}
        | {name: ("checkpoint", values) for name, values in coordinates.items()},
    )


def test_families_are_told_in_their_order_against_pandas() -> None:
    """Networks, clusters, and the ends of each target, as a table of the scores has them."""
    scores = families()
    told = describe_families(scores, cluster=CLUSTER)
    assert told.index.tolist() == ["wide", "deep"]
    assert told[["networks", "clusters"]].to_numpy().tolist() == [[24, 12], [12, 6]]
    rows = scores.to_dataframe().groupby("family")
    for name in ("test_accuracy", "generalization_gap"):
        for end in ("min", "max"):
            expected = rows[name].agg(end).loc[told.index]
            assert told[f"{end}_{name}"].tolist() == expected.tolist()


def test_failed_checkpoints_do_not_count() -> None:
    """A family of which nothing is done is no family."""
    assert describe_families(families(failed=3), cluster=None)["networks"].tolist() == [24, 9]
    assert describe_families(families(failed=12), cluster=None).index.tolist() == ["wide"]


def test_families_become_the_targets_of_one_group() -> None:
    """Every number is that of the family's group; the title tells the range."""
    scores = families()
    chosen = {"measures": ["size"], "by": "family", "cluster": CLUSTER}
    table = correlate(scores, **chosen)
    told = describe_families(scores, cluster=CLUSTER).iloc[::-1]
    columns = families_as_targets(table, told, names={"deep": "ResNets"})
    assert columns["target"].values.tolist() == [
        "ResNets: 80 to 91 %",
        "wide: 50 to 73 %",
    ]
    for name in ("rocc", "rocc_lower", "plcc_pvalue", "n_clusters"):
        expected = table[name].sel(target="test_accuracy", group=["family=deep", "family=wide"])
        assert columns[name].sel(measure="size").values.ravel().tolist() == (
            expected.sel(measure="size").values.tolist()
        )
    ax = plot_ranking(columns)
    texts = [label.get_text().replace("\n", " ") for label in ax.get_xticklabels()]
    assert texts == [
        "ResNets: 80 to 91 % n = 12 in 6 clusters",
        "wide: 50 to 73 % n = 24 in 12 clusters",
    ]


def test_a_range_from_just_below_zero_begins_at_zero() -> None:
    """No title says −0."""
    scores = families()
    shift = float(scores["generalization_gap"].min()) + 0.3
    scores = scores.assign_coords(generalization_gap=scores["generalization_gap"] - shift)
    table = correlate(scores, measures=["size"], targets="generalization_gap", by="family")
    told = describe_families(scores, cluster=None)
    columns = families_as_targets(table, told, target="generalization_gap")
    titles = columns["target"].values.tolist()
    assert any(": 0 to " in title for title in titles), titles
    assert not any("-0 " in title for title in titles)


@pytest.mark.parametrize("coordinates", [1, 2, 3])
def test_panels_name_the_coordinates_of_clusters_where_these_are_few(coordinates: int) -> None:
    """More than two take more lines than a panel has: the table has them."""
    scores = families().assign_coords(rate=("checkpoint", np.repeat(np.arange(18) * 0.1, 2)))
    cluster = ["optimizer", "family", "rate"][:coordinates]
    table = correlate(scores, measures=["size"], by="family", cluster=cluster)
    grid = plot_scatter(scores, measures=["size"], columns="family", correlations=table)
    title = " ".join(grid.axes[0, 0].get_title(loc="left").split())
    by = f" by {', '.join(cluster)}" if coordinates < 3 else ""
    assert title.endswith(f"n = 12 in 6 clusters{by}")


@pytest.mark.parametrize(
    ("wrong", "text"),
    [({"by": "colour"}, "by: 'colour'"), ({"targets": ["colour"]}, "targets: 'colour'")],
)
def test_unknown_names_are_named(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(GenpredictError, match=text):
        describe_families(families(), **wrong)


def test_a_table_without_the_families_is_refused() -> None:
    """The remedy is named: to correlate by the families."""
    table = correlate(families(), measures=["size"], cluster=None)
    with pytest.raises(GenpredictError, match="correlate with by='family'"):
        families_as_targets(table, describe_families(families()))


def test_families_of_a_file_against_joining(tmp_path: Path) -> None:
    """The stores that it lists, joined; what it calls them; what an absent number stands for."""
    stores = {name: tmp_path / f"{name}.zarr" for name in "ab"}
    for store, coordinates in zip(stores.values(), ({"beta": [0.8, 0.9]}, {}), strict=True):
        networks = {str(n): torch.nn.Linear(4, 5) for n in range(2)}
        scores = genpredict.score(networks, progress=False)
        scores = scores.assign_coords({n: ("checkpoint", v) for n, v in coordinates.items()})
        genpredict.write_scores(scores, store)
    rows = "".join(f'[families.{n}]\nstore = "{n}.zarr"\nname = "call {n}"\n' for n in stores)
    path = tmp_path / "families.toml"
    path.write_text(f'cluster = ["family", "beta"]\n[absent]\nbeta = 0\n{rows}', encoding="utf-8")
    joined, names, cluster = genpredict.open_families(path)
    assert (names, cluster) == ({"a": "call a", "b": "call b"}, ["family", "beta"])
    assert joined["beta"].values.tolist() == [0.8, 0.9, 0.0, 0.0]
    expected = genpredict.join_scores({n: genpredict.open_scores(s) for n, s in stores.items()})
    xr.testing.assert_equal(joined.drop_vars("beta"), expected.drop_vars("beta"))
    path.write_text('[families.a]\nname = "a"\n', encoding="utf-8")
    with pytest.raises(GenpredictError, match=r"needs a table \[families.NAME\] with store"):
        genpredict.open_families(path)
