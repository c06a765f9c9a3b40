"""Accuracies given from Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import genpredict
from genpredict import GenpredictError, score, with_targets

NETWORKS = {name: {"weight": torch.eye(4) + n} for n, name in enumerate(["a", "b", "c"])}


@pytest.mark.parametrize(
    "targets",
    [
        {"a": {"test_accuracy": 90.0, "train_accuracy": 99.9}, "b": {"test_accuracy": 80.0}},
        {"test_accuracy": {"a": 90.0, "b": 80.0}, "train_accuracy": {"a": 99.9}},
        pd.DataFrame(
            {"test_accuracy": [90.0, 80.0], "train_accuracy": [99.9, np.nan]}, index=["a", "b"]
        ),
    ],
    ids=["by checkpoint", "by target", "table"],
)
def test_targets_in_every_form(targets: Any) -> None:
    """Whichever way about they are given, the same coordinates and the gap come out."""
    scores = score(NETWORKS, targets=targets)
    np.testing.assert_array_equal(scores["test_accuracy"], [90.0, 80.0, np.nan])
    np.testing.assert_array_equal(scores["train_accuracy"], [99.9, np.nan, np.nan])
    np.testing.assert_allclose(scores["generalization_gap"], [9.9, np.nan, np.nan])
    assert scores["test_accuracy"].attrs["units"] == "%"


@pytest.mark.parametrize("kind", [dict, pd.Series])
def test_a_number_is_a_test_accuracy(kind: Any) -> None:
    """A mapping or Series of numbers names test accuracies; those not named stay as they are."""
    scores = with_targets(score(NETWORKS, targets={"a": 10.0}), kind({"b": 20.0}))
    np.testing.assert_array_equal(scores["test_accuracy"], [10.0, 20.0, np.nan])


def test_the_gap_follows_new_accuracies() -> None:
    """A gap that was computed of accuracies that changed is computed anew."""
    scores = score(NETWORKS, targets={"a": {"test_accuracy": 90, "train_accuracy": 95}})
    changed = with_targets(scores, {"a": 91})
    assert changed["generalization_gap"].values[0] == pytest.approx(4)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"z": 90.0}, r"no checkpoint 'z' among the scores, which are 'a', 'b', 'c'"),
        ({"a": {"accuracy": 90.0}}, r"'accuracy' is none; known are train_accuracy"),
        ({"a": 0.9, "b": 0.8}, r"between 0 and 1; accuracies are in percent: multiply by 100"),
        ({"a": 101.0}, r"test_accuracy of 'a' is 101.0, no percentage"),
        ({"a": "good"}, r"test_accuracy of 'a' must be a number: 'good'"),
        ([90.0, 80.0, 70.0], r"must map checkpoints to accuracies in percent"),
    ],
)
def test_what_is_no_target_is_refused(targets: Any, message: str) -> None:
    """With the rule, the value and what to do."""
    with pytest.raises(GenpredictError, match=message):
        score(NETWORKS, targets=targets)


def test_ten_lines_from_networks_to_a_table(tmp_path: Any) -> None:
    """Networks and accuracies in memory become a store and a table of correlations."""
    torch.manual_seed(0)
    networks = {f"n{n}": {"weight": torch.randn(8, 8) + n * torch.ones(8, 8)} for n in range(12)}
    accuracies = {f"n{n}": 60.0 + 2 * n for n in range(12)}
    scores = score(networks, targets=accuracies, output=tmp_path / "s.zarr")
    stored = genpredict.open_scores(tmp_path / "s.zarr")
    table = genpredict.correlate(stored, measures=["Q"], targets=["test_accuracy"], resamples=200)
    assert table.equals(genpredict.correlate(scores, measures=["Q"], resamples=200))
