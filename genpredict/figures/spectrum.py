"""Singular values of one layer, raw and low-rank (the paper's Figure 1a)."""

from __future__ import annotations

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

_RAW = "#777777"
#: Up to so many values are marked one by one.
MARKED = 80


def plot_spectrum(
    raw: ArrayLike,
    low_rank: ArrayLike,
    *,
    noise_variance: float,
    columns: int,
    threshold: float,
    name: str = "",
    log: bool = False,
    width: float = COLUMN_WIDTH,
    ax: Axes | None = None,
) -> Axes:
    """Draw what EVBMF makes of the spectrum of a layer.

    Parameters
    ----------
    raw : array-like, shape (n,)
        Singular values of the unfolding, as of `singular_values`.
    low_rank : array-like, shape (n,) or (r,)
        Shrunk singular values, as of `evbmf`; zeros are noise and not drawn.
    noise_variance : float
        s, as of `evbmf`, in squared weights.
    columns : int
        M, the longer side of the matrix (what is left of it, DESIGN 3.3).
    threshold : float
        x̄, as of `signal_threshold`: signal is what exceeds √(M·s·x̄).
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

    Raises
    ------
    ValueError
        For spectra that are no descending non-negative numbers, or a negative noise variance.

    Examples
    --------
    >>> from genpredict.spectral import evbmf, signal_threshold, singular_values, unfold
    >>> found = evbmf(weight)  # doctest: +SKIP
    >>> plot_spectrum(  # doctest: +SKIP
    ...     singular_values(unfold(weight)),
    ...     found.singular_values,
    ...     noise_variance=found.noise_variance,
    ...     columns=144,
    ...     threshold=signal_threshold(torch.tensor(16 / 144)),
    ... )
    """
    first, second = _spectrum(raw, "raw"), _spectrum(low_rank, "low_rank")
    noise = _level(noise_variance, "noise_variance") * _level(columns, "columns")
    cut = np.sqrt(noise * _level(threshold, "threshold"))
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


def _draw(
    ax: Axes, values: NDArray[np.float64], shade: str, label: str, *, filled: bool = True
) -> list[Artist]:
    marker = "o" if len(values) <= MARKED else ""
    return list(
        ax.plot(
            np.arange(1, len(values) + 1),
            values,
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


def _spectrum(values: ArrayLike, parameter: str) -> NDArray[np.float64]:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or not len(found) or not (np.isfinite(found) & (found >= 0)).all():
        raise ValueError(
            f"{parameter} must be a row of finite non-negative singular values, "
            f"got shape {found.shape}; take one layer of a batch"
        )
    if (np.diff(found) > 0).any():
        raise ValueError(f"{parameter} must be in descending order; sort it")
    return found


def _level(value: float, parameter: str) -> float:
    found = float(value)
    if not found >= 0:
        raise ValueError(f"{parameter} must be a number of at least 0, got {found}")
    return found
