"""A layer measure or learning rate over epochs, a line a layer (the paper's Figures 3, 5, 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from numpy.typing import NDArray

from genpredict.figures.labels import name_of, shortened, wrapped
from genpredict.figures.layers import LayerMatrix, layer_matrix
from genpredict.figures.style import (
    COLUMN_WIDTH,
    SMALL_FONT,
    colour_bar,
    depth_ramp,
    new_axes,
    styled,
    tidy,
    whole_numbers,
)

#: Up to so many layers are named beside the colour bar.
MOST_NAMES = 12
#: Up to so many epochs are marked one by one.
MARKED = 15


def plot_evolution(
    scores: xr.Dataset,
    *,
    measure: str = "stable_rank",
    x: str = "epoch",
    factorization: str = "low_rank",
    p: int = 2,
    unfolding: str = "out_channel",
    log: bool = False,
    bar: bool | Sequence[Axes] | NDArray[Any] = True,
    width: float = COLUMN_WIDTH,
    ax: Axes | None = None,
) -> Axes:
    """Draw a number per layer over the epochs of one run; deeper layers are darker.

    Parameters
    ----------
    scores : Dataset
        The checkpoints of one run, as of `open_scores`, or any Dataset with `measure` over `layer`
        and `x`, such as learning rates over epochs.
    measure : str
        A variable over layers.
    x : str
        A coordinate that tells the checkpoints apart, or a dimension.
    factorization, p, unfolding : str, int, str
        Choices, for a measure that has these dimensions.
    log : bool
        Logarithmic measure.
    bar : bool, or sequence or array of Axes
        Whether the layers are named beside a bar of their colours; beside all of the axes given,
        for panels that share one. A layer has the same colour in every unfolding.
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
        For names that the scores do not hold; when two checkpoints share an epoch.

    Examples
    --------
    >>> run = scores.isel(checkpoint=scores["seed"] == 1)  # doctest: +SKIP
    >>> plot_evolution(run, measure="quality")  # doctest: +SKIP

    Two panels with one bar:

    >>> figure, axes = plt.subplots(1, 2, layout="constrained")  # doctest: +SKIP
    >>> plot_evolution(run, measure="rank", ax=axes[0], bar=False)  # doctest: +SKIP
    >>> plot_evolution(run, measure="quality", ax=axes[1], bar=axes)  # doctest: +SKIP
    """
    matrix = layer_matrix(
        scores, measure, columns=x, factorization=factorization, p=p, unfolding=unfolding
    )
    with styled():
        ax = ax or new_axes(width, 0.72 * width)
        _draw(ax, matrix)
        if all(float(value).is_integer() for value in matrix.columns):
            ax.xaxis.set_major_locator(whole_numbers())
        if log:
            ax.set_yscale("log", nonpositive="mask")
        ax.set_xlabel(name_of(x, scores.get(x)))
        ax.set_ylabel(wrapped(matrix.label, 34))
        ax.spines[["top", "right"]].set_visible(False)
        tidy(ax)
        if bar is not False:
            _depth_bar([ax] if bar is True else list(np.asarray(bar).flat), matrix)
    return ax


def _draw(ax: Axes, matrix: LayerMatrix) -> None:
    """Draw one line a layer."""
    positions = np.asarray(matrix.columns, dtype=np.float64)
    shades = depth_ramp()(matrix.depth)
    marker = "o" if len(positions) <= MARKED else ""
    for name, shade, heights in zip(matrix.layers, shades, matrix.values.T, strict=True):
        ax.plot(
            positions,
            heights,
            color=shade,
            linewidth=0.9,
            marker=marker,
            markersize=2.2,
            label=name,
        )
    if not matrix.values.size:
        ax.text(0.5, 0.5, "no values", ha="center", va="center", transform=ax.transAxes)


def _depth_bar(panels: list[Axes], matrix: LayerMatrix) -> None:
    """Name the layers beside a bar of their colours, the input on top; number them when many."""
    count = len(matrix.layers)
    if not count:
        return
    shades = ListedColormap(depth_ramp()(matrix.depth).tolist())
    norm = BoundaryNorm(np.arange(count + 1) + 0.5, count)
    aspect = 30 if len(panels) == 1 else 60
    bar = colour_bar(panels, ScalarMappable(norm, shades), "layer", aspect=aspect)
    bar.ax.invert_yaxis()
    bar.minorticks_off()
    if count <= MOST_NAMES:
        bar.set_ticks(range(1, count + 1), labels=[shortened(n, 16) for n in matrix.layers])
        bar.ax.tick_params(length=0, labelsize=SMALL_FONT - 1)
    else:
        step = next(s for s in (5, 10, 20, 50, 100, 1000) if count / s <= 8)
        bar.set_ticks([1, *range(step, count + 1, step)])
