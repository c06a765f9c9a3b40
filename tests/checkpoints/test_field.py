"""What people really have: a hundred small files and folders, and what is to be made of each."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import pytest
import xarray as xr

import genpredict
from genpredict.errors import GenpredictError

FIELD = Path(__file__).resolve().parents[3] / "shared" / "data" / "field"
KEY = FIELD / "expected.csv"
ROWS = list(csv.DictReader(KEY.read_text().splitlines())) if KEY.is_file() else []


@pytest.mark.skipif(not ROWS, reason=f"the files of {FIELD} are not on this machine")
@pytest.mark.parametrize("row", ROWS, ids=[row["file"] for row in ROWS])
def test_the_answer_key_holds(row: dict[str, str]) -> None:
    """Outcome, rows, layers, convolutions, parameters; what is said, and what is not."""
    path = FIELD / "files" / row["file"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scores, said = scored(path)
    said += [str(warning.message) for warning in caught]
    if scores is None:
        assert row["outcome"] == "failed", said
        check_words(row, path, said)
        return
    said += [text for text in scores["error"].values if text]
    check_words(row, path, said)
    statuses = set(scores["status"].values)
    assert statuses == ({"failed"} if row["outcome"] == "failed" else {"done"}), said
    assert scores.sizes["checkpoint"] == int(row["checkpoints"])
    kinds = scores["layer_kind"].values.tolist() if "layer_kind" in scores else []
    counted = {
        "layers": [sum(bool(kind) for kind in network) for network in kinds],
        "conv": [network.count("conv") for network in kinds],
        "num_parameters": [int(n) for n in scores["num_parameters"].fillna(-1).values],
    }
    for name, numbers in counted.items():
        if row[name]:
            assert ";".join(map(str, numbers)) == row[name], (name, said)


def scored(path: Path) -> tuple[xr.Dataset | None, list[str]]:
    """Score a source; an error before any row is written is one failed row."""
    try:
        return genpredict.score(path), []
    except GenpredictError as error:
        return None, [str(error)]


def check_words(row: dict[str, str], path: Path, said: list[str]) -> None:
    """Assert which words messages hold; names of files are no messages."""
    text = " ".join(said).replace(str(path), "").replace(path.name, "").lower()
    if row["must_say"]:
        assert row["must_say"].lower() in text, said
    if row["must_not_say"]:
        assert row["must_not_say"].lower() not in text, said
