"""Correlations looked up in the table that `genpredict.stats.correlate` returned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from genpredict.figures.labels import NOT_GIVEN, composed, level_text, name_of, signed, wrapped
from genpredict.stats.tables import choices_text, what_is_missing

_DIMS = ("measure", "target", "group")
_CHOICES = ("name", "factorization", "p")


def check_correlations(correlations: xr.Dataset) -> None:
    """Check that these are correlations.

    Raises
    ------
    ValueError
        When they lack a dimension.
    """
    if missing := what_is_missing(correlations):
        raise ValueError(missing)


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


def with_values(
    table: xr.Dataset, coefficient: str, dims: Sequence[str] = _DIMS[:2]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Leave out measures and targets that have no value at all; keep all where none has one.

    Parameters
    ----------
    table : Dataset, dims (measure, target)
    coefficient : str
    dims : sequence of str
        Of measure and target, those along which something may go.

    Returns
    -------
    table : Dataset
    empty : Dataset
        The coordinates `measure` and `target` of what is left out.
    """
    known = table[coefficient].notnull()
    if not known.any():
        return table, table.isel(measure=[], target=[])
    kept = {dim: known.any([other for other in _DIMS[:2] if other != dim]) for dim in dims}
    empty: dict[Any, Any] = {dim: ~kept[dim].values if dim in kept else [] for dim in _DIMS[:2]}
    return table.isel({dim: there.values for dim, there in kept.items()}), table.isel(empty)


def measure_names(table: xr.Dataset, width: int | None = 28) -> list[str]:
    """Return what the measures are called, with factorization and p; in lines of some width."""
    titles = []
    for row in range(table.sizes["measure"]):
        cell = table.isel(measure=row)
        choices = {name: level_text(cell[name].item()) for name in _CHOICES if name in cell.coords}
        name = choices.pop("name", str(cell["measure"].item()))
        given = {k: v for k, v in choices.items() if v != NOT_GIVEN}
        called = str(cell["long_name"].item()) if "long_name" in cell.coords else name_of(name)
        text = composed(called, "", factorization=given.get("factorization"), p=given.get("p"))
        titles.append(text if width is None else wrapped(text, width))
    return titles


def absent_text(empty: xr.Dataset) -> str:
    """Name what `with_values` left out; "" where it is nothing.

    Parameters
    ----------
    empty : Dataset
        Its measures and targets.

    Returns
    -------
    str
    """
    names = measure_names(empty, None) + [name_of(str(name)) for name in empty["target"].values]
    return f"without a value: {', '.join(names)}" if names else ""


def by_strength(
    table: xr.Dataset, coefficient: str, targets: Sequence[str] | None
) -> tuple[NDArray[np.intp], str]:
    """Return the order of the measures, the strongest first whatever its sign, and a note on it.

    Parameters
    ----------
    table : Dataset, dims (measure, target)
    coefficient : str
    targets : sequence of str, optional
        Those that were asked for: the first decides; else the test accuracy, where there is one.

    Returns
    -------
    order : array of int
    note : str
        "" where there is nothing to order.
    """
    strength = abs(table[coefficient])
    key = strength.isel(target=0)
    if targets is None and "test_accuracy" in table["target"].values:
        key = strength.sel(target="test_accuracy")
    order = np.argsort(-np.nan_to_num(key.values, nan=-1.0), kind="stable")
    if int(key.notnull().sum()) < 2:
        return order, ""
    return order, f"in order of |{coefficient.upper()}| with {name_of(str(key['target'].values))}"


def sample_text(table: xr.Dataset) -> str:
    """Return how many checkpoints stand behind a table, and in how many clusters of what.

    Parameters
    ----------
    table : Dataset
        With `n`, and `n_clusters` where checkpoints may be no independent draws.

    Returns
    -------
    str
        "" of an empty table.

    Examples
    --------
    >>> sample_text(xr.Dataset({"n": 90, "n_clusters": 30}, attrs={"cluster": "network,optimizer"}))
    'n = 90 in 30 clusters by network, optimizer'
    >>> sample_text(xr.Dataset({"n": ("target", [83, 94]), "n_clusters": ("target", [83, 94])}))
    'n = 83 to 94'
    """
    if not table["n"].size:
        return ""
    text = f"n = {_span(table['n'])}"
    if "n_clusters" not in table or (table["n_clusters"] == table["n"]).all():
        return text
    by = str(table.attrs.get("cluster", "")).replace(",", ", ")
    count = _span(table["n_clusters"])
    return f"{text} in {count} cluster{'s' * (count != '1')}{f' by {by}' if by else ''}"


def _span(counts: xr.DataArray) -> str:
    least, most = int(counts.min()), int(counts.max())
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def conditions_text(table: xr.Dataset) -> str:
    """Say which checkpoints count and what is held fixed; `sample_text` says the clusters."""
    kept = {name: value for name, value in table.attrs.items() if name != "cluster"}
    return choices_text(xr.Dataset(attrs=kept))


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
