"""Correlations looked up in the table that `genpredict.stats.correlate` returned."""

from __future__ import annotations

import xarray as xr

from genpredict.figures.labels import level_text, signed

_DIMS = ("measure", "target", "group")


def check_correlations(correlations: xr.Dataset) -> None:
    """Check that these are correlations.

    Raises
    ------
    ValueError
        When they lack a dimension.
    """
    missing = [dim for dim in _DIMS if dim not in correlations.dims]
    if missing:
        raise ValueError(
            f"correlations must be a Dataset over {_DIMS}, as genpredict.stats.correlate returns; "
            f"{', '.join(missing)} is missing"
        )


def at(correlations: xr.Dataset, *, measure: str, target: str, group: str) -> xr.Dataset:
    """Return one cell of the table.

    Parameters
    ----------
    correlations : Dataset, dims (measure, target, group)
    measure, target, group : str
        Labels along the dimensions.

    Returns
    -------
    Dataset, without dimensions

    Raises
    ------
    ValueError
        When the table holds no such label.
    """
    for dim, label in zip(_DIMS, (measure, target, group), strict=True):
        known = [str(text) for text in correlations[dim].values]
        if label not in known:
            raise ValueError(
                f"correlations hold no {dim} {label!r}, only {', '.join(known)}; "
                f"give correlate this {dim} too"
            )
    labels = dict(zip(_DIMS, (measure, target, group), strict=True))
    return correlations.sel(labels)


def group_label(coordinate: str, level: object) -> str:
    """Return the label of a group, as the statistics have it.

    Examples
    --------
    >>> group_label("epoch", 12.0)
    'epoch=12'
    """
    return f"{coordinate}={level_text(level)}"


def coefficient_text(cell: xr.Dataset, name: str) -> str:
    """Return a coefficient with its interval, e.g. "PLCC −0.51 [−0.84, 0.12]".

    Parameters
    ----------
    cell : Dataset, without dimensions
        With variables name, name_lower and name_upper.
    name : str
        Of a coefficient, such as "rocc".

    Returns
    -------
    str
    """
    value, low, high = (float(cell[f"{name}{end}"]) for end in ("", "_lower", "_upper"))
    interval = "" if low != low or high != high else f" [{signed(low)}, {signed(high)}]"
    return f"{name.upper()} {signed(value)}{interval}"
