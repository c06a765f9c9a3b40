"""Sizes, fonts and colours of all figures.

The palettes can be told apart by colour-blind readers: Okabe and Ito's for groups, cividis-like
ramps of rising lightness for numbers, purple-orange around zero for correlations.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure

#: Widths of a column and of a page of a two-column journal, inches.
COLUMN_WIDTH = 3.4
PAGE_WIDTH = 7.0
#: Okabe & Ito (2008), black left out (it draws texts and lines), the pale yellow last.
GROUP_COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#E69F00",
    "#7A4B94",
    "#8C564B",
    "#F0E442",
)
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", ">")
#: Marks and cells with no value, and the rest of many groups.
MISSING = "#BBBBBB"
INK = "#222222"
FONT = 8.0
SMALL_FONT = 7.0
_LINE = 0.6

_STYLE = {
    "font.size": FONT,
    "axes.labelsize": FONT,
    "axes.titlesize": SMALL_FONT,
    "axes.linewidth": _LINE,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.labelpad": 3.0,
    "axes.titlepad": 4.0,
    "text.color": INK,
    "legend.fontsize": SMALL_FONT,
    "legend.title_fontsize": SMALL_FONT,
    "legend.frameon": False,
    "lines.linewidth": 1.0,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw with the style of genpredict; the caller's settings are back afterwards."""
    with mpl.rc_context(_STYLE):
        yield


def tidy(ax: Axes) -> None:
    """Set ticks as the style has them; ticks made later would take the caller's settings."""
    for which, length in (("major", 2.5), ("minor", 1.5)):
        ax.tick_params(
            which=which, labelsize=SMALL_FONT, width=_LINE, length=length, color=INK, pad=2.0
        )


def new_axes(width: float, height: float) -> Axes:
    """Return the Axes of a new figure whose layout makes room for labels, bars and legends."""
    figure, ax = plt.subplots(figsize=(width, height), layout="constrained")
    spaced(figure)
    return ax


def spaced(figure: Figure) -> None:
    """Lay a figure out so that nothing overlaps, with narrow margins."""
    figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)


def ramp() -> Colormap:
    """Return the palette of numbers: dark is low; its palest tenth, lost on white, is left out."""
    colours = plt.get_cmap("viridis")([i / 255 * 0.93 for i in range(256)])
    return ListedColormap(colours, name="genpredict_ramp")


def depth_ramp() -> Colormap:
    """Return the palette of depth: darker with every layer."""
    return sns.cubehelix_palette(start=2.6, rot=0.35, light=0.78, dark=0.12, as_cmap=True)
