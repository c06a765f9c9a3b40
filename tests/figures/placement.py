"""Where things lie in a drawn figure: legends, colour bars and texts against the data."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def legends_of(figure: Figure) -> list[Legend]:
    """List the legends of a figure and of its Axes."""
    own = [ax.get_legend() for ax in figure.axes]
    return [*figure.legends, *[legend for legend in own if legend is not None]]


def overlaps(first: Bbox, second: Bbox) -> bool:
    """Tell whether two boxes share more than a pixel in both directions."""
    common = Bbox.intersection(first, second)
    return common is not None and common.width > 1 and common.height > 1


def check_layout(figure: Figure) -> None:
    """Assert that no legend lies over axes, that axes lie apart and that texts are on the page."""
    figure.draw_without_rendering()
    boxes = [ax.get_window_extent() for ax in figure.axes]
    for i, box in enumerate(boxes):
        assert not any(overlaps(box, other) for other in boxes[i + 1 :]), "axes overlap"
        for legend in legends_of(figure):
            assert not overlaps(box, legend.get_window_extent()), "a legend lies over the data"
    page = figure.bbox.padded(1)
    for box in [*[legend.get_window_extent() for legend in legends_of(figure)], *texts(figure)]:
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1
        assert page.y0 <= box.y0
        assert box.y1 <= page.y1


def texts(figure: Figure) -> list[Bbox]:
    """Return the boxes of all titles, labels and tick texts that are shown."""
    found = [text for ax in figure.axes for text in _texts(ax)]
    return [text.get_window_extent() for text in found if text.get_text() and text.get_visible()]


def _texts(ax: Axes) -> list[Text]:
    ticks = [
        tick.label1
        for axis in (ax.xaxis, ax.yaxis)
        for tick in axis.get_major_ticks()
        if min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    ]
    return [ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label, *ticks]
