"""Singular values of one layer, raw and low-rank (the paper's Figure 1a)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from genpredict.figures.labels import shortened
from genpredict.figures.style import (
    COLUMN_WIDTH,
    GROUP_COLOURS,
    INK,
    legend_above,
    new_axes,
    styled,
    tidy,
    whole_numbers,
)

if TYPE_CHECKING:
    from genpredict.spectral import LayerSpectrum

#: torch.Tensor; drawing needs no more of torch than its weights.
Tensor: TypeAlias = Any

_RAW = "#777777"
#: Up to so many values are marked one by one.
MARKED = 80


def plot_spectrum(
    spectrum: LayerSpectrum | Tensor,
    *,
    unfolding: str | None = None,
    name: str = "",
    log: bool = False,
    width: float = COLUMN_WIDTH,
    ax: Axes | None = None,
) -> Axes:
    """Draw what EVBMF makes of the spectrum of a layer.

    Parameters
    ----------
    spectrum : Tensor, shape (n_o, n_i, *kernel), or LayerSpectrum
        A layer's weight, or what `layer_spectrum` made of it; that takes other estimators and
        tolerances, too.
    unfolding : {"out_channel", "in_channel"}, optional
        Of a weight; "out_channel" by default.
    name : str
        Of the layer; may have several lines.
    log : bool
        Logarithmic singular values.
    width : float
        In inches.
    ax : Axes, optional
        Draw here instead of in a new figure.

    Returns
    -------
    Axes
        Of low-rank values only the signal is drawn. The upper line is √(M s x̄), which a singular
        value must exceed to be signal, the lower one the noise level √(M s).

    Raises
    ------
    ValueError
        For weights or an unfolding that `layer_spectrum` refuses; for spectra that are no
        descending non-negative numbers, or a negative noise variance.

    Examples
    --------
    >>> plot_spectrum(weight, unfolding="in_channel")  # doctest: +SKIP
    >>> plot_spectrum(layer_spectrum(weight, estimator="reference"))  # doctest: +SKIP
    """
    factorized = _factorized(spectrum, unfolding)
    first, second = _spectrum(factorized.raw, "raw"), _spectrum(factorized.low_rank, "low_rank")
    noise = _level(factorized.noise_variance, "noise_variance") * _level(
        factorized.columns, "columns"
    )
    cut = np.sqrt(noise * _level(factorized.threshold, "threshold"))
    with styled():
        ax = ax or new_axes(width, 0.75 * width)
        handles: list[Artist] = [
            *_draw(ax, first, _RAW, f"raw ({len(first)})", filled=False),
            *_draw(ax, second[second > 0], GROUP_COLOURS[0], f"low rank ({(second > 0).sum()})"),
            ax.axhline(cut, color=GROUP_COLOURS[1], dashes=(4, 2), label="signal above √(M s x̄)"),
            ax.axhline(np.sqrt(noise), color=INK, dashes=(1, 1.5), label="noise level √(M s)"),
        ]
        if log and first.any():
            ax.set_yscale("log", nonpositive="mask")
        else:
            ax.set_ylim(bottom=0.0)
        ax.set_xlim(0.3, len(first) + 0.7)
        ax.xaxis.set_major_locator(whole_numbers())
        ax.set_xlabel("index of the singular value")
        ax.set_ylabel("singular value")
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines["left"].set_position(("outward", 4))
        legend_above(ax, handles, title="\n".join(shortened(line, 48) for line in name.split("\n")))
        tidy(ax)
    return ax


def _factorized(spectrum: LayerSpectrum | Tensor, unfolding: str | None) -> LayerSpectrum:
    """Return what is to be drawn; a weight is factorized first."""
    from genpredict.spectral import LayerSpectrum, layer_spectrum  # loads torch, 2 s

    if isinstance(spectrum, LayerSpectrum):
        if unfolding is not None:
            raise ValueError(
                f"unfolding={unfolding!r} is for weights; a LayerSpectrum has its own, "
                f"give it to layer_spectrum"
            )
        return spectrum
    if not hasattr(spectrum, "detach"):
        raise ValueError(
            f"spectrum must be a weight (a torch tensor) or a LayerSpectrum, got "
            f"{type(spectrum).__name__}; see torch.as_tensor and genpredict.layer_spectrum"
        )
    return layer_spectrum(spectrum, unfolding or "out_channel")


def _draw(
    ax: Axes, singular_values: NDArray[np.float64], shade: str, label: str, *, filled: bool = True
) -> list[Artist]:
    marker = "o" if len(singular_values) <= MARKED else ""
    return list(
        ax.plot(
            np.arange(1, len(singular_values) + 1),
            singular_values,
            marker=marker,
            markersize=3.2,
            markerfacecolor=shade if filled else "white",
            markeredgewidth=0.7,
            clip_on=False,
            zorder=3,
            linewidth=0.8 if marker else 1.4,
            color=shade,
            label=label,
        )
    )


def _spectrum(singular_values: ArrayLike, parameter: str) -> NDArray[np.float64]:
    spectrum = np.asarray(
        singular_values.cpu() if hasattr(singular_values, "cpu") else singular_values,
        dtype=np.float64,
    )
    if (
        spectrum.ndim != 1
        or not len(spectrum)
        or not (np.isfinite(spectrum) & (spectrum >= 0)).all()
    ):
        raise ValueError(
            f"{parameter} must be a row of finite non-negative singular values, "
            f"got shape {spectrum.shape}; take one layer of a batch"
        )
    if (np.diff(spectrum) > 0).any():
        raise ValueError(f"{parameter} must be in descending order; sort it")
    return spectrum


def _level(value: float, parameter: str) -> float:
    level = float(value)
    if not level >= 0:
        raise ValueError(f"{parameter} must be a number of at least 0, got {level}")
    return level
