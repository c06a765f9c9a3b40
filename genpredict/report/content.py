"""What the script of a page draws: columns of measures, targets and colours, layers, charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from genpredict.report import charts, marks, tables
from genpredict.report.packing import Columns, packed_texts
from genpredict.stats.column import Column

#: Up to this many marks are SVG elements; more are painted on a canvas.
MOST_SVG = 2000
_FIRST = ("Q_low_rank_p2", "Q_adjusted_low_rank_p2")


def content_of(
    done: xr.Dataset,
    rows: Sequence[Column],
    columns: Sequence[Column],
    readouts: Mapping[str, Any],
    made: Mapping[str, str],
) -> dict[str, Any]:
    """Return what the script draws.

    Parameters
    ----------
    done : Dataset
        Of checkpoints that count.
    rows, columns : sequence of Column
        Measures and targets.
    readouts : mapping
        As of `genpredict.report.marks.readouts`.
    made : mapping
        `where` and `partial` of the page, and `command`, which correlates these scores.

    Returns
    -------
    dict
    """
    packed = Columns()
    colours = marks.colour_columns(done, packed)
    keys = [row.label for row in rows]
    first = [key for key in _FIRST if key in keys] or keys[:1]
    return {
        "ids": packed_texts([str(label) for label in done["checkpoint"].values]),
        "measures": marks.axis_columns(rows, packed),
        "targets": marks.axis_columns(columns, packed),
        "columns": colours,
        "packed": packed.packed,
        "readouts": readouts,
        "made": made,
        "first": {
            "measures": [first[0], first[-1]] if first else [],
            "target": tables.main_target(columns),
            "colour": marks.first_colour(colours),
        },
        "missing": marks.missing_colour(),
        "most_svg": MOST_SVG,
        "charts": charts.charts(),
    }
