"""Charts of the page as Vega-Lite specifications; the page's script fills in data and choices."""

from __future__ import annotations

from typing import Any

import altair as alt

from genpredict.figures.style import GROUP_COLOURS, INK
from genpredict.report.colours import ramp_colours
from genpredict.schema import MAIN_CHOICE_NAME

#: Shapes of groups beside their colours, as many as there are colours.
#: A star of five points in Vega's square from -1 to 1: Vega's own ninth shape is a sliver.
STAR = (
    "M0.00,-1.00L0.26,-0.36L0.95,-0.31L0.43,0.14L0.59,0.81L0"
    ".00,0.45L-0.59,0.81L-0.43,0.14L-0.95,-0.31L-0.26,-0.36Z"
)
SHAPES = (
    "circle",
    "triangle-up",
    "square",
    "diamond",
    "triangle-down",
    "cross",
    "triangle-left",
    "triangle-right",
    STAR,
)
RANK_ONE = "#D55E00"
RANK_ZERO = "#555555"
ABSENT = "#EEEEEE"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_MUTED = "#5c5c5c"
_GRID = "#e4e1d8"


def charts() -> dict[str, Any]:
    """Return the specifications and what the script needs to complete them.

    Returns
    -------
    dict
        `scatter` and `heatmap`, whose data are empty; `shapes`, `ramp`.
    """
    return {
        "scatter": _scatter().to_dict(validate=True),
        "heatmap": _heatmap().to_dict(validate=True),
        "shapes": list(SHAPES),
        "ramp": ramp_colours(),
    }


def _scatter() -> alt.Chart:
    """Return one mark a checkpoint: x a measure, y a target; i is its position in the data."""
    chart = alt.Chart(alt.NamedData(name="points")).mark_point(
        filled=True, color=GROUP_COLOURS[0], aria=False, tooltip=True, invalid="show"
    )
    scale = alt.Scale(zero=False, nice=False, padding=12)
    encoded = chart.encode(
        x=alt.X("x:Q", scale=scale), y=alt.Y("y:Q", scale=scale), tooltip=alt.Tooltip("i:Q")
    )
    styled: alt.Chart = _styled(encoded, height=380)
    return styled


def _heatmap() -> alt.LayerChart:
    """Return cells (column, layer): ordinary qualities on a scale, ranks 0 and 1 apart."""
    base = alt.Chart(alt.NamedData(name="cells")).encode(
        x=alt.X("column:O", sort=None, title=None),
        y=alt.Y("layer:O", sort=None, title="layer, by depth"),
        tooltip=alt.Tooltip("i:Q"),
    )
    scale = alt.Scale(range=ramp_colours())
    legend = alt.Legend(
        title=f"quality, {MAIN_CHOICE_NAME} (rad)", orient="top", gradientLength=180
    )
    ordinary = base.transform_filter("datum.kind === 'value'").mark_rect(aria=False)
    special = base.transform_filter("datum.kind !== 'value'").mark_rect(aria=False)
    kinds = alt.Scale(domain=["one", "zero", "absent"], range=[RANK_ONE, RANK_ZERO, ABSENT])
    layers = alt.layer(
        ordinary.encode(color=alt.Color("q:Q", scale=scale, legend=legend)),
        special.encode(color=alt.Color("kind:N", scale=kinds, legend=None)),
    ).resolve_scale(color="independent")
    styled: alt.LayerChart = _styled(layers, height=320)
    return styled


def _styled(chart: Any, *, height: int) -> Any:
    return (
        chart.properties(width="container", height=height, background="transparent")
        .configure(font=_FONT)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=INK,
            titleColor=INK,
            titleFontWeight="normal",
            titleFontSize=13,
            labelFontSize=12,
            gridColor=_GRID,
            domainColor=_MUTED,
            tickColor=_MUTED,
        )
        .configure_legend(
            labelColor=INK,
            titleColor=INK,
            titleFontWeight="normal",
            titleFontSize=13,
            labelFontSize=12,
            titleLimit=0,
            labelLimit=220,
        )
    )
