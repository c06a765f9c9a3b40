"""Families of scores in one Dataset."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

import genpredict
from genpredict.errors import GenpredictError


def scored(sizes: list[int], **coords: list[object]) -> xr.Dataset:
    """Score random networks of two layers, as wide as told, with further coordinates."""
    rng = torch.Generator().manual_seed(sum(sizes))
    networks = {
        f"n{size}": {f"{i}.weight": torch.randn(size, 3 + i, generator=rng) for i in range(2)}
        for size in sizes
    }
    scores = genpredict.score(networks)
    return scores.assign_coords({name: ("checkpoint", list(c)) for name, c in coords.items()})


def test_every_family_keeps_its_numbers_and_is_named() -> None:
    """Measures, accuracies and ids of each family stand unchanged behind its name."""
    first = scored([4, 6], test_accuracy=[50.0, 60.0], seed=[1, 2])
    second = scored([8], test_accuracy=[70.0], lr=[0.1])
    joined = genpredict.join_scores({"a": first, "b": second})
    assert joined["checkpoint"].values.tolist() == ["a/n4", "a/n6", "b/n8"]
    assert joined["family"].values.tolist() == ["a", "a", "b"]
    for family, part in (("a", first), ("b", second)):
        rows = joined.isel(checkpoint=(joined["family"] == family).values)
        for name in ("Q", "rank", "quality", "test_accuracy", "num_parameters"):
            np.testing.assert_array_equal(rows[name].values, part[name].values)
    assert joined["num_parameters"].dtype == np.int64  # nobody lacks it
    np.testing.assert_array_equal(joined["seed"].values, [1, 2, np.nan])
    np.testing.assert_array_equal(joined["lr"].values, [np.nan, np.nan, 0.1])


def test_correlations_of_a_family_are_those_of_its_own_scores() -> None:
    """Joined and grouped by family, every correlation equals the family's own."""
    families = {
        name: scored(sizes, test_accuracy=list(np.sqrt(np.arange(len(sizes)) + 1.0)))
        for name, sizes in (("a", [4, 9, 5, 7, 6]), ("b", [12, 8, 10, 9, 15, 11]))
    }
    options = {"measures": ["Q"], "permutations": 0, "resamples": 50}
    table = genpredict.correlate(genpredict.join_scores(families), by="family", **options)
    for name, part in families.items():
        alone = genpredict.correlate(part, **options).sel(group="all")
        joined = table.sel(group=f"family={name}")
        np.testing.assert_allclose(joined["rocc"], alone["rocc"])


@pytest.mark.parametrize(
    ("families", "said"),
    [
        ({}, "at least one family"),
        ({"a": scored([4], family=["x"])}, "have 'family' already"),
        (
            {"a": scored([4]), "b": scored([4]).assign_attrs(estimator="reference")},
            "'a' has estimator 'global', 'b' 'reference'",
        ),
    ],
)
def test_what_cannot_be_joined_is_named(families: dict[str, xr.Dataset], said: str) -> None:
    """Nothing to join, a coordinate twice and unlike estimators are errors that say so."""
    with pytest.raises(GenpredictError, match=said):
        genpredict.join_scores(families)
