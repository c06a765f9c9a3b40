"""What the scatter panels draw: columns of measures, targets and colours, ready for JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.colors import LogNorm
from numpy.typing import NDArray

from genpredict.figures.coefficients import coefficient_text
from genpredict.figures.groups import Levels, Numbers, grouping
from genpredict.figures.labels import axis_label, level_text, name_of
from genpredict.figures.style import MISSING
from genpredict.report.packing import Columns, packed_texts
from genpredict.stats.column import Column
from genpredict.stats.known_coefficients import COEFFICIENTS

#: Significant digits of numbers on the page; counts are exact.
DIGITS = 6
#: Texts about a checkpoint that are no group of checkpoints.
_NO_GROUPS = ("checkpoint", "source", "status", "error")
#: What colours the marks at first, where it has more than one value.
_PREFERRED = ("network", "dataset", "optimizer", "label_noise", "epoch")


def label_of(column: Column) -> str:
    """Return the label of a column of a table of correlations, with choices and unit."""
    attrs = {"long_name": column.title, "units": "1" if column.log else column.units}
    return axis_label(
        column.name,
        xr.DataArray(0.0, attrs=attrs),
        factorization=column.factorization or None,
        p=None if np.isnan(column.p) else level_text(column.p),
    )


def short_name(column: Column) -> str:
    r"""Return what a column is called where room is short: Q and its kin by their own names.

    Examples
    --------
    >>> short_name(Column("Q_adjusted_raw_p1", "Q_adjusted", np.zeros(1), "raw", 1.0))
    'Q_adjusted, raw, p\xa0=\xa01'
    """
    label = label_of(column).partition(" (")[0]
    if not column.name.startswith("Q"):
        return label
    long_name = column.title or name_of(column.name)
    return column.name + label.removeprefix(long_name.partition(" (")[0])


def axis_columns(columns: Iterable[Column], packed: Columns) -> list[dict[str, Any]]:
    """Return measures or targets as the page takes them.

    Parameters
    ----------
    columns : iterable of Column
        As of `genpredict.stats.columns`. A logarithm is drawn as the number itself on a
        logarithmic axis.
    packed : Columns
        Takes the numbers.

    Returns
    -------
    list of dict
        key, label, name (a short one), log, at (the place of the numbers in `packed`).
    """
    return [
        {
            "key": column.label,
            "label": label_of(replace(column, log=False)),
            "name": short_name(column),
            "log": column.log,
            "at": packed.place_of(column.values),
        }
        for column in columns
    ]


def numbers(values: NDArray[Any]) -> list[float | int | None]:
    """Round numbers for the page; None where there is none.

    Examples
    --------
    >>> numbers(np.array([1 / 3, np.nan, 23738.0]))
    [0.333333, None, 23738]
    """
    return [_number(value) for value in np.asarray(values, dtype=np.float64).tolist()]


def _number(value: float) -> float | int | None:
    if not np.isfinite(value):
        return None
    if value.is_integer() and abs(value) < 2.0**53:
        return int(value)
    return float(f"{value:.{DIGITS}g}")


def colour_columns(scores: xr.Dataset, packed: Columns) -> list[dict[str, Any]]:
    """Return every coordinate of the checkpoints, and the counts, as the page takes them.

    Parameters
    ----------
    scores : Dataset
        Of checkpoints that are done.
    packed : Columns
        Takes the numbers and codes.

    Returns
    -------
    list of dict
        key, label, `at` (the place of the numbers, or of codes of texts, in `packed`), `log` of
        numbers and the packed `levels` of texts; `kind` is
        "numbers", "groups" (with `groups`, `colours` and `group_of_level`), or "none" where it
        tells no groups apart (one value, or as many as checkpoints).
    """
    names = [
        str(name)
        for name, variable in scores.variables.items()
        if variable.dims == ("checkpoint",) and name not in _NO_GROUPS
    ]
    return [_coloured(scores, name, packed) for name in names]


def _coloured(scores: xr.Dataset, name: str, packed: Columns) -> dict[str, Any]:
    coordinate = scores[name]
    if coordinate.dtype.kind in "fiu":
        return _numeric(scores, name, packed)
    texts = np.array([level_text(value) for value in coordinate.values.tolist()], dtype=object)
    levels, first, codes = np.unique(texts, return_index=True, return_inverse=True)
    column = {
        "key": name,
        "label": name_of(name, coordinate),
        "kind": "none",
        "levels": packed_texts(levels.tolist()),
        "bare": coordinate.dtype.kind == "b",
        "at": packed.place_of(codes),
    }
    if 1 < len(levels) < max(len(texts), 3):
        groups = grouping(scores, name, parameter="colour")
        assert isinstance(groups, Levels)
        column |= {
            "kind": "groups",
            "groups": groups.levels,
            "crowded": bool(np.mean(np.asarray(groups.levels)[groups.codes] == groups.rest) > 0.5),
            "colours": groups.colours,
            "group_of_level": packed.place_of(groups.codes[first]),
        }
    return column


def _numeric(scores: xr.Dataset, name: str, packed: Columns) -> dict[str, Any]:
    colours = grouping(scores, name, parameter="colour")
    assert isinstance(colours, Numbers)
    finite = colours.values[np.isfinite(colours.values)]
    return {
        "key": name,
        "label": axis_label(name, scores[name]),
        "kind": "numbers" if len(np.unique(finite)) > 1 else "none",
        "log": isinstance(colours.norm, LogNorm),
        "at": packed.place_of(colours.values),
    }


def first_colour(columns: list[dict[str, Any]]) -> str:
    """Return the key of the column that colours the marks at first; "" for one colour.

    Not one of which most checkpoints are "others", in grey.
    """
    useful = {
        column["key"]: column["kind"]
        for column in columns
        if column["kind"] != "none" and not column.get("crowded")
    }
    preferred = [key for key in _PREFERRED if key in useful]
    groups = [key for key, kind in useful.items() if kind == "groups"]
    return next(iter([*preferred, *groups]), "")


def readouts(correlations: xr.Dataset | None) -> dict[str, dict[str, list[list[str]]]]:
    """Return what is written above a panel: by measure and target, a line a group.

    Parameters
    ----------
    correlations : Dataset, optional
        As of `genpredict.stats.correlate`.

    Returns
    -------
    dict
        measure → target → [group, "PLCC −0.51 [−0.84, 0.12]", "ROCC …", "KROCC …", "n = 14"];
        groups too small for a number are left out, all checkpoints never.
    """
    if correlations is None:
        return {}
    lines_of: dict[str, dict[str, list[list[str]]]] = {}
    for m, measure in enumerate(correlations["measure"].values):
        for t, target in enumerate(correlations["target"].values):
            lines = lines_of.setdefault(str(measure), {}).setdefault(str(target), [])
            for g, group in enumerate(correlations["group"].values):
                cell = correlations.isel(measure=m, target=t, group=g)
                if group == "all" or not np.isnan(float(cell["plcc"])):
                    texts = [coefficient_text(cell, name) for name in COEFFICIENTS]
                    lines.append([str(group), *texts, f"n = {int(cell['n']):,}"])
    return lines_of


def missing_colour() -> str:
    """Return the colour of marks whose colour is not known."""
    return MISSING
