"""`plot_spectrum`: the values and levels drawn are those given, or those of the weight."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from placement import check_layout

from genpredict.figures import plot_spectrum
from genpredict.spectral import (
    LayerSpectrum,
    evbmf,
    layer_spectrum,
    signal_threshold,
    singular_values,
    unfold,
)


def spectrum_of(raw: Any, low_rank: Any, **changed: Any) -> LayerSpectrum:
    """Make a spectrum by hand: √(M s x̄) = 2 and √(M s) = 1."""
    levels = {"rank": 1, "noise_variance": 0.04, "rows": 9, "columns": 25, "threshold": 4.0}
    return LayerSpectrum(raw=raw, low_rank=low_rank, **(levels | changed))


def weight_of(seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    weight = torch.randn(16, 8, 3, 3, generator=rng, dtype=torch.float64)
    weight[:4] += 3 * torch.randn(1, 8, 3, 3, generator=rng, dtype=torch.float64)
    return weight


@pytest.mark.parametrize(("unfolding", "rows", "columns"), [
    (None, 16, 72), ("out_channel", 16, 72), ("in_channel", 8, 144),
])  # fmt: skip
def test_spectrum_of_a_weight_against_spectral(
    unfolding: str | None, rows: int, columns: int
) -> None:
    """A weight is all it takes; what exceeds the threshold is what is signal."""
    weight = weight_of(0)
    how = unfolding or "out_channel"
    raw, found = singular_values(unfold(weight, how)), evbmf(weight, how)
    ax = plot_spectrum(weight.requires_grad_(), unfolding=unfolding, name="conv1")
    rank = int(found.rank)
    assert rank >= 1
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), raw)
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), found.singular_values[:rank])
    cut, noise = (line.get_ydata()[0] for line in ax.lines[2:])
    assert (raw > cut).sum() == rank
    threshold = signal_threshold(torch.tensor(rows / columns, dtype=torch.float64))
    assert noise == pytest.approx(float(columns * found.noise_variance) ** 0.5)
    assert cut == pytest.approx(noise * float(threshold) ** 0.5)
    check_layout(ax.figure)


def test_spectrum_of_an_evbmf_result() -> None:
    """The same picture as of the weight; other estimators come this way."""
    weight = weight_of(1)
    for estimator in ("global", "reference"):
        found = layer_spectrum(weight, estimator=estimator)
        ax = plot_spectrum(found)
        level = (found.columns * found.noise_variance) ** 0.5
        assert ax.lines[3].get_ydata()[0] == pytest.approx(level)
        assert len(ax.lines[1].get_ydata()) == found.rank


def test_levels_against_theory() -> None:
    """√(M s x̄) = 2 and √(M s) = 1."""
    ax = plot_spectrum(spectrum_of([5.0, 3, 1], [4.5, 2, 0]), name="fc")
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
        ax = plot_spectrum(spectrum_of(raw, np.zeros(n)), log=log)
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
    given = {"raw": [2.0, 1.0], "low_rank": [1.0, 0.0], **options}
    with pytest.raises(ValueError, match=message):
        plot_spectrum(spectrum_of(**given))


def test_what_is_no_layer_is_refused() -> None:
    """Arrays, and an unfolding for what is unfolded already."""
    with pytest.raises(ValueError, match=r"spectrum must be a weight .* got ndarray; see torch"):
        plot_spectrum(np.ones((3, 4)))
    with pytest.raises(ValueError, match="unfolding='in_channel' is for weights; a LayerSpectrum"):
        plot_spectrum(spectrum_of([1.0], [0.0]), unfolding="in_channel")
