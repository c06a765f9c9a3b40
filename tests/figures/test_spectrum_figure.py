"""`plot_spectrum`: the values and levels drawn are those given."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from placement import check_layout

from genpredict.figures import plot_spectrum
from genpredict.spectral import evbmf, signal_threshold, singular_values, unfold

LEVELS = {"noise_variance": 0.04, "columns": 25, "threshold": 4.0}


def test_spectrum_of_a_layer_against_spectral() -> None:
    """Takes what the spectral functions return; what exceeds the threshold is what is signal."""
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(16, 8, 3, 3, generator=rng, dtype=torch.float64)
    weight[:4] += 3 * torch.randn(1, 8, 3, 3, generator=rng, dtype=torch.float64)
    raw, found = singular_values(unfold(weight)), evbmf(weight)
    ax = plot_spectrum(
        raw,
        found.singular_values,
        noise_variance=found.noise_variance,
        columns=72,
        threshold=signal_threshold(torch.tensor(16 / 72)),
        name="conv1",
    )
    rank = int(found.rank)
    assert rank >= 1
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), raw)
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), found.singular_values[:rank])
    cut = ax.lines[2].get_ydata()[0]
    assert (raw > cut).sum() == rank
    check_layout(ax.figure)


def test_levels_against_theory() -> None:
    """√(M s x̄) = 2 and √(M s) = 1."""
    ax = plot_spectrum([5.0, 3, 1], [4.5, 2, 0], name="fc", **LEVELS)
    assert ax.lines[2].get_ydata()[0] == pytest.approx(2)
    assert ax.lines[3].get_ydata()[0] == pytest.approx(1)
    legend = ax.get_legend()
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["raw (3)", "low rank (2)", "signal above √(M s x̄)", "noise level √(M s)"]
    assert legend.get_title().get_text() == "fc"
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), [1, 2])


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("n", [1, 4, 2048])
def test_any_spectrum_can_be_drawn(n: int, log: bool) -> None:
    """Rank 0, zeros, one value and very many."""
    for raw in (np.zeros(n), np.linspace(3, 0, n)):
        ax = plot_spectrum(raw, np.zeros(n), log=log, **LEVELS)
        assert len(ax.lines[1].get_ydata()) == 0
        ax.figure.draw_without_rendering()


BAD = {
    r"raw must be a row of finite non-negative .* got shape \(1, 2\); take one layer": {
        "raw": [[2.0, 1.0]]
    },
    "raw must be a row of finite": {"raw": [math.nan, 1.0]},
    "low_rank must be in descending order; sort it": {"low_rank": [1.0, 2.0]},
    "noise_variance must be a number of at least 0, got -1": {"noise_variance": -1.0},
    "threshold must be a number of at least 0, got nan": {"threshold": math.nan},
}


@pytest.mark.parametrize(("message", "options"), BAD.items(), ids=list(BAD))
def test_errors_name_parameter_and_remedy(message: str, options: dict[str, object]) -> None:
    given = {"raw": [2.0, 1.0], "low_rank": [1.0, 0.0], **LEVELS, **options}
    with pytest.raises(ValueError, match=message):
        plot_spectrum(given.pop("raw"), given.pop("low_rank"), **given)
