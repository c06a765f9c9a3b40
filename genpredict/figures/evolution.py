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
from genpredict.figures.palettes import Palette, colour_map
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
_DASH = 4.0  # of lines that coincide, in widths of a line


def plot_evolution(
    scores: xr.Dataset,
    *,
    measure: str = "stable_rank",
    x: str = "epoch",
    factorization: str = "low_rank",
    p: int = 2,
    unfolding: str = "out_channel",
    log: bool = False,
    palette: Palette | None = None,
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
    palette : str or sequence of str, optional
        Colours from the input to the output: the name of a colour map, such as "cividis".
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
        Where layers coincide all along, their colours take turns on the one line.

    Raises
    ------
    ValueError
        For names that the scores do not hold, and a palette that there is not; when two
        checkpoints share an epoch.

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
    shades = colour_map(palette, depth_ramp())(matrix.depth)
    with styled():
        ax = ax or new_axes(width, 0.72 * width)
        _draw(ax, matrix, shades)
        if all(float(value).is_integer() for value in matrix.columns):
            ax.xaxis.set_major_locator(whole_numbers())
        if log:
            ax.set_yscale("log", nonpositive="mask")
        ax.set_xlabel(name_of(x, scores.get(x)))
        ax.set_ylabel(wrapped(matrix.label, 34))
        ax.spines[["top", "right"]].set_visible(False)
        tidy(ax)
        if bar is not False:
            _depth_bar([ax] if bar is True else list(np.asarray(bar).flat), matrix, shades)
    return ax


def _draw(ax: Axes, matrix: LayerMatrix, shades: NDArray[np.float64]) -> None:
    """Draw one line a layer."""
    positions = np.asarray(matrix.columns, dtype=np.float64)
    marker = "o" if len(positions) <= MARKED else ""
    turns = _turns(matrix.values.T)
    for index, heights in enumerate(matrix.values.T):
        turn, count = turns[index]
        dashes = "-" if count == 1 else (turn * _DASH, (_DASH, (count - 1) * _DASH))
        ax.plot(
            positions,
            heights,
            color=shades[index],
            linewidth=0.9,
            linestyle=dashes,
            marker=marker,
            markersize=2.2,
            markevery=(turn % len(positions), count),
            label=matrix.layers[index],
        )
    if not matrix.values.size:
        ax.text(0.5, 0.5, "no values", ha="center", va="center", transform=ax.transAxes)


def _turns(curves: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return of each curve which it is among those that coincide with it, and of how many."""
    alike: dict[bytes, list[int]] = {}
    for index, curve in enumerate(curves):
        alike.setdefault(curve.tobytes(), []).append(index)
    places = {i: (turn, len(own)) for own in alike.values() for turn, i in enumerate(own)}
    return [places[index] for index in range(len(curves))]


def _depth_bar(panels: list[Axes], matrix: LayerMatrix, colours: NDArray[np.float64]) -> None:
    """Name the layers beside a bar of their colours, the input on top; number them when many."""
    count = len(matrix.layers)
    if not count:
        return
    shades = ListedColormap(colours.tolist())
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
