"""Columns: what is asked of scores that do not hold all of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import xarray as xr

from genpredict import score
from genpredict.errors import GenpredictError
from genpredict.stats.columns import VARIANTS, measure_columns


@pytest.fixture(scope="module")
def scores() -> xr.Dataset:
    """Score three small networks."""
    torch.manual_seed(0)
    return score({f"n{n}": {"c.weight": torch.randn(4, 3, 3, 3)} for n in range(3)}, device="cpu")


CUTS: dict[str, Callable[[xr.Dataset], xr.Dataset]] = {
    "layer_kind": lambda s: s.drop_vars("layer_kind"),
    "rank, ": lambda s: s.drop_vars(["rank", "spectral_norm"]),
    "quality over unfolding": lambda s: s.sel(unfolding="out_channel"),
    "stable_rank over p": lambda s: s.sel(p=2),
    "the factorization raw": lambda s: s.sel(factorization=["low_rank"]),
}


@pytest.mark.parametrize("said", CUTS)
@pytest.mark.parametrize("name", VARIANTS)
def test_scores_that_cannot_be_aggregated_anew(scores: xr.Dataset, name: str, said: str) -> None:
    """The error names the measure, what is missing and the remedy."""
    text = rf"measures: {name} is aggregated anew .* lack .*{said.strip(', ')}.*; take scores as"
    with pytest.raises(GenpredictError, match=text):
        measure_columns(CUTS[said](scores), name)


def test_a_missing_unfolding(scores: xr.Dataset) -> None:
    """One unfolding is enough for what does not ask for the other."""
    out = scores.sel(unfolding=["out_channel"])
    with pytest.raises(GenpredictError, match="lack the unfolding in_channel;"):
        measure_columns(out, "Q_in_channel")
    one, both = (measure_columns(s, "Q_out_channel_raw_p1")[0].values for s in (out, scores))
    assert one.tolist() == both.tolist()
