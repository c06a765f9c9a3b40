"""Groups of measures besides those of every score."""

from __future__ import annotations

import xarray as xr

from genpredict.registry import known_measures, known_network_measures
from genpredict.schema import Measure, NetworkMeasure
from genpredict.stats.columns import BASELINES, is_number


def groups_held(scores: xr.Dataset) -> dict[str, str]:
    """Return the measures besides those of every score that scores hold, and the group of each.

    Parameters
    ----------
    scores : Dataset

    Returns
    -------
    dict of str to str
        In the order of the table of measures; only such as come to a number a checkpoint.
    """
    rows: list[Measure | NetworkMeasure] = [*known_measures().values()]
    rows += known_network_measures().values()
    return {
        row.name: row.group
        for row in rows
        if row.group != "default" and row.name in scores.data_vars and is_number(scores[row.name])
    }


def section_of(name: str) -> str:
    """Return the section of tables and figures in which a measure stands.

    Parameters
    ----------
    name : str
        Of a measure, as in the coordinate `name` of correlations.

    Returns
    -------
    str
        Its group in words; "baselines"; empty for the measures of every score, for columns that
        are no measure, and for a measure that is its own group.

    Examples
    --------
    >>> section_of("ww_alpha"), section_of("log_path_norm"), section_of("Q")
    ('weightwatcher', 'network', '')
    """
    if name in BASELINES:
        return "baselines"
    known: dict[str, Measure | NetworkMeasure] = {**known_measures(), **known_network_measures()}
    row = known.get(name)
    return "" if row is None or row.group in ("default", name) else row.group.replace("_", " ")
