"""Results for the eye."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import genpredict
from genpredict.errors import GenpredictError

STORE = Path(__file__).resolve().parents[2] / "data" / "results" / "digits-sweep.zarr"


@pytest.fixture(scope="module")
def scores() -> xr.Dataset:
    """Give scores of 90 networks."""
    return genpredict.open_scores(STORE)


def test_correlations_with_n_and_clusters_against_summary(scores: xr.Dataset) -> None:
    """Estimates as `summary` has them, n, clusters and choices, at a prompt and in Jupyter."""
    options = {"measures": "Q_low_rank_p2", "targets": "test_accuracy", "permutations": 99}
    table = genpredict.correlate(
        scores, cluster=("network", "optimizer"), where="epoch == 20", **options
    )
    shown = genpredict.look(table)
    estimate = genpredict.summary(table).loc["Q_low_rank_p2", "test_accuracy"]
    for text in (repr(shown), shown._repr_html_()):
        assert estimate in text
        assert "ROCC (Spearman's ρ), 95 % intervals" in text.replace("&#x27;", "'")
        assert "where epoch == 20; clusters by network, optimizer" in text
        assert "30 clusters of 90 checkpoints" in text
    assert shown.table["n"].tolist() == ["90"] * len(shown.table)


def test_scores_by_quality(scores: xr.Dataset) -> None:
    """Both ends by Q, rounded, counts whole; failures are counted."""
    status = scores["status"].copy()
    status[7] = "failed"
    shown = genpredict.look(scores.assign(status=status))
    assert len(shown.table) == 10
    assert (np.diff(shown.table["Q"]) <= 0).all()
    assert shown.table["num_layers"].dtype == "Int64"
    assert "89 checkpoints" in repr(shown)
    assert "the 5 of highest and of lowest Q of 89" in repr(shown)
    assert "1 more checkpoints failed" in repr(shown)


def test_scores_of_which_none_is_done(scores: xr.Dataset) -> None:
    """An empty table that has Q, and how many failed."""
    status = scores["status"].copy()
    status[:] = "failed"
    shown = genpredict.look(scores.assign(status=status))
    assert list(shown.table) == ["Q"]
    assert repr(shown).startswith("0 checkpoints; Q and Q_adjusted: low rank, p = 2 (rad)")
    assert "90 more checkpoints failed" in repr(shown)


def test_texts_are_escaped_in_jupyter(scores: xr.Dataset) -> None:
    """A checkpoint's name is a text."""
    few = scores.isel(checkpoint=slice(3))
    shown = genpredict.look(few.assign_coords(checkpoint=["<b>a</b>", "b", "c"]))
    assert "<b>a</b>" not in shown._repr_html_()
    assert "&lt;b&gt;a" in shown._repr_html_()


def test_another_dataset() -> None:
    """The message says what it takes."""
    with pytest.raises(GenpredictError, match="result: must be what score, open_scores or"):
        genpredict.look(xr.Dataset({"a": ("x", [1.0])}))
