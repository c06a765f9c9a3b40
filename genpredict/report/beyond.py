"""Beside the ranking: the curve of all conventions, and the yardsticks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from genpredict.errors import GenpredictError
from genpredict.inference import MOST_RESAMPLED, Inference
from genpredict.report.tables import number_texts
from genpredict.stats.columns import missing_for_aggregation
from genpredict.stats.curve_tables import curve_table
from genpredict.stats.multiverse import multiverse
from genpredict.stats.yardsticks import YARDSTICKS, yardstick_table

#: Permutations of the curve's test on the page; `genpredict multiverse` takes more.
_PERMUTATIONS = 199
#: Up to this many checkpoints the page has the yardsticks; their time goes with the square.
MOST_COMPARED = 300


def curves_of(
    done: xr.Dataset, target: str, by: Sequence[str], inference: Inference
) -> dict[str, Any] | None:
    """Return the specification curve of one target as a table of texts, a row a group.

    Parameters
    ----------
    done : Dataset
        Of checkpoints that count.
    target : str
    by : sequence of str
    inference : Inference

    Returns
    -------
    dict or None
        `headings`, `rows` and `count`; None of more than 2,000 checkpoints, fewer than 5, or
        without layer measures.
    """
    count = done.sizes["checkpoint"]
    if not 5 <= count <= MOST_RESAMPLED or missing_for_aggregation(done):
        return None
    settings = replace(inference, permutations=_PERMUTATIONS)
    if settings.interval == "fisher":  # of no account here, and refused where there are clusters
        settings = replace(settings, interval="auto")
    curves = multiverse(done, target, list(by) or None, inference=settings)
    return _texts(curve_table(curves)) | {"count": curves.sizes["specification"]}


def yardsticks_of(done: xr.Dataset, target: str) -> dict[str, Any] | None:
    """Return the yardsticks of one target as a table of texts, a row a measure.

    Parameters
    ----------
    done : Dataset
    target : str

    Returns
    -------
    dict or None
        `headings`, `rows`, `hyperparameters`; None of more than 300 checkpoints, and where no
        setting differs.
    """
    if done.sizes["checkpoint"] > MOST_COMPARED:
        return None
    try:
        frame = yardstick_table(done, targets=target)
    except GenpredictError:  # no setting differs: there is nothing to vary
        return None
    names = frame.attrs["hyperparameters"]
    titles = {row.column: row.title for row in YARDSTICKS}
    titles |= {f"psi_{name}": f"ψ {name}" for name in names}
    table = _texts(frame.drop(columns="target").rename(columns=titles))
    return table | {"hyperparameters": ", ".join(names)}


def _texts(frame: pd.DataFrame) -> dict[str, Any]:
    """Return headings and rows, numbers of a column with the same digits."""
    columns = [
        number_texts(np.asarray(frame[name], dtype=np.float64))
        if frame[name].dtype.kind in "fiu"
        else [str(text) for text in frame[name]]
        for name in frame.columns
    ]
    return {"headings": list(frame.columns), "rows": list(zip(*columns, strict=True))}
