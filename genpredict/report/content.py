"""What the script of a page draws: columns of measures, targets and colours, layers, charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from genpredict.report import charts, layers, marks
from genpredict.report.context import MOST_SVG
from genpredict.report.packing import Columns, packed_texts
from genpredict.stats.column import Column

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
    targets = [column.label for column in columns]
    target = "test_accuracy" if "test_accuracy" in targets else next(iter(targets), "")
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
            "target": target,
            "colour": marks.first_colour(colours),
        },
        "missing": marks.missing_colour(),
        "most_svg": MOST_SVG,
        "heatmap": layers.heatmap_of(done) if "Q" in done else None,
        "charts": charts.charts(),
    }
