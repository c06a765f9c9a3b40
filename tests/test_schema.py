"""Every coordinate that genpredict itself writes has a name and a unit in the schema."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

import genpredict
from genpredict import schema
from genpredict.training.metadata import checkpoint_metadata
from genpredict.training.settings import complete

ZOO = Path(__file__).resolve().parents[1] / "data" / "digits-zoo"
KNOWN = schema.KNOWN


def test_metadata_of_runs_and_the_zoo_are_described() -> None:
    """None of them falls back to its own name without a unit."""
    numbers = dict.fromkeys(("train_accuracy", "test_accuracy", "train_loss", "test_loss"), 1.0)
    settings = complete({"optimizer": "rmsgd", "num_train": 100})
    found = checkpoint_metadata(settings, "run", 3, 100, numbers)
    assert {"run", "recipe", "num_train", "beta", "zeta", "flip", "batch_size"} <= set(found)
    with (ZOO / "manifest.csv").open(encoding="utf-8") as text:
        columns = set(next(csv.reader(text))) - {"path"}
    assert set(found) | columns <= set(KNOWN)
    for name, value in found.items():
        assert (KNOWN[name].dtype == "str") == isinstance(value, str), name


def test_counts_of_the_zoo_are_integers() -> None:
    """Batch sizes and numbers of images are whole, with their names and units."""
    scores = genpredict.score(ZOO, manifest=ZOO / "manifest.csv")
    for name in ("batch_size", "num_train"):
        assert scores[name].dtype == np.int64
        assert scores[name].attrs == schema.EXTRA_COORDINATES[name].attrs
