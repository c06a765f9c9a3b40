"""Sizes, fonts and colours of all figures.

The palettes can be told apart by colour-blind readers: Okabe and Ito's for groups, cividis-like
ramps of rising lightness for numbers, purple-orange around zero for correlations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, Formatter, MaxNLocator

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
#: Marks and cells with no value; marks of the rest of many groups.
MISSING = "#BBBBBB"
OTHERS = "#7F7F7F"
#: Of lines whose colours are taken a second time, a third, ….
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)))
INK = "#222222"
FONT = 8.0
SMALL_FONT = 7.0
#: Linear axes that reach this far have ticks such as 300k.
LARGE = 20_000
_LINE = 0.6
#: First digits of the ticks of a logarithmic axis that have texts, the best set first.
_MANTISSAS = ({"1.0", "2.0", "5.0"}, {"1.0", "2.0", "3.0", "4.0", "6.0", "8.0"})

_STYLE: dict[Any, Any] = {
    "font.size": FONT,
    "axes.labelsize": FONT,
    "axes.titlesize": SMALL_FONT,
    "axes.linewidth": _LINE,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.labelpad": 3.0,
    "axes.titlepad": 4.0,
    "figure.titlesize": FONT + 1.0,
    "text.color": INK,
    "legend.fontsize": SMALL_FONT,
    "legend.title_fontsize": SMALL_FONT,
    "legend.frameon": False,
    "text.parse_math": False,  # names come from files: $\\frac$ is one
    "lines.linewidth": 1.0,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw with the style of genpredict; the caller's settings are back afterwards.

    But for `interactive`: the first figure of a session loads Jupyter's backend, which turns it on
    (figures of later cells are shown by it). Taken back, only the first figure would appear.
    """
    interactive = mpl.is_interactive()
    try:
        with mpl.rc_context(_STYLE):
            try:
                yield
            finally:
                interactive = mpl.is_interactive()
    finally:
        mpl.interactive(interactive)


def tidy(ax: Axes) -> None:
    """Set ticks as the style has them, once the data are in.

    On the axes themselves: ticks that matplotlib makes later would take the caller's settings.
    """
    for which, length in (("major", 2.5), ("minor", 1.5)):
        ax.tick_params(
            which=which, labelsize=SMALL_FONT, width=_LINE, length=length, color=INK, pad=2.0
        )
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_fontsize(FONT)
        if axis.get_scale() == "log":  # powers of ten are written as mathematics
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                tick.label1.set_parse_math(True)
                tick.label2.set_parse_math(True)  # of colour bars
        low, high = axis.get_view_interval()
        if axis.get_scale() == "linear" and high >= LARGE:
            axis.set_major_formatter(EngFormatter(sep=""))
        elif axis.get_scale() == "log" and 0 < low < high < 100 * low:
            axis.set_major_formatter(_Plain(axis))
            axis.set_minor_formatter(_Plain(axis))


class _Plain(Formatter):
    """Texts of ticks at 1, 2 and 5 times a power of ten, at more where fewer than two show."""

    def __init__(self, axis: Axis) -> None:
        self._of = axis

    def __call__(self, value: float, _position: float | None = None) -> str:
        """Return the text of one tick, "" for those without."""
        low, high = sorted(self._of.get_view_interval())
        ticks = [*self._of.get_majorticklocs(), *self._of.get_minorticklocs()]
        inside = {_leading(tick) for tick in ticks if low <= tick <= high}
        some = next((m for m in _MANTISSAS if len(inside & m) > 1), inside)
        if _leading(value) not in some:
            return ""
        return EngFormatter(sep="")(value) if value >= LARGE else f"{value:g}"


def _leading(value: float) -> str:
    """Return the first two digits of a number.

    Examples
    --------
    >>> _leading(500_000.0), _leading(0.012)
    ('5.0', '1.2')
    """
    return f"{value:.1e}"[:3]


def whole_numbers() -> MaxNLocator:
    """Return a locator that puts ticks at whole numbers, as for epochs and indices."""
    return MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)


def root_of(ax: Axes) -> Figure:
    """Return the figure that an Axes is in."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("ax must be part of a figure, this one was removed from its figure")
    return figure


def new_axes(width: float, height: float) -> Axes:
    """Return the Axes of a new figure whose layout makes room for labels, bars and legends."""
    figure, ax = plt.subplots(figsize=(width, height), layout="constrained")
    spaced(figure)
    return ax


def spaced(figure: Figure) -> None:
    """Lay a figure out so that nothing overlaps, with narrow margins."""
    figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03, wspace=0.04, hspace=0.02)


def colour_bar(
    panels: Axes | list[Axes], mappable: ScalarMappable, title: str, **options: Any
) -> Colorbar:
    """Draw a colour bar beside the panels.

    Parameters
    ----------
    panels : Axes or list of Axes
        They give room to the bar.
    mappable : ScalarMappable
        Whose colours.
    title : str
        With the unit.
    **options
        To `Figure.colorbar`.

    Returns
    -------
    Colorbar
    """
    first = panels[0] if isinstance(panels, list) else panels
    options = {"aspect": 30, "pad": 0.02, "fraction": 0.06} | options
    bar = first.figure.colorbar(mappable, ax=panels, **options)
    bar.set_label(title)
    bar.outline.set_visible(False)
    tidy(bar.ax)
    return bar


def legend_above(
    ax: Axes, handles: Sequence[Artist], *, title: str = "", ncols: int = 2, place: str = ""
) -> None:
    """Put a legend over the axes, where no data can be; the layout makes room for it.

    Parameters
    ----------
    ax : Axes
    handles : sequence of Artist
        With their labels.
    title : str
        What the axes show, where they have no title of their own.
    ncols : int
    place : str
        A place outside of all axes, e.g. "outside upper left", in a figure that is this one's
        alone.
    """
    options: dict[str, Any] = {
        "handles": list(handles),
        "title": title or None,
        "ncols": ncols,
        "alignment": "left",
        "borderpad": 0.0,
        "borderaxespad": 0.2,
        "handlelength": 1.4,
        "handletextpad": 0.5,
        "columnspacing": 1.2,
    }
    owner: Any = root_of(ax) if place else ax
    where = {"loc": place} if place else {"loc": "lower left", "bbox_to_anchor": (0.0, 1.01)}
    owner.legend(**options, **where)


def ramp() -> Colormap:
    """Return the palette of numbers: dark is low; no near-black and nothing lost on white."""
    colours = plt.get_cmap("viridis")([0.06 + i / 255 * 0.87 for i in range(256)])
    return ListedColormap(colours, name="genpredict_ramp")


def depth_ramp() -> Colormap:
    """Return the palette of depth: darker with every layer."""
    palette: Colormap = sns.cubehelix_palette(
        start=2.6, rot=0.35, light=0.78, dark=0.12, as_cmap=True
    )
    return palette
