"""Columns of a table of correlations: measures, targets and covariates, found by name.

A measure is a number per checkpoint. One that has factorizations and powers gives a column for
each, labelled ``Q_low_rank_p2``; a measure of layers is averaged over the entries of a network's
convolutions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import xarray as xr

from genpredict.aggregation import aggregate
from genpredict.errors import GenpredictError
from genpredict.registry import measures_in
from genpredict.schema import (
    LAYER_LABELS,
    LAYER_MEASURES,
    NETWORK_MEASURES,
    TARGETS,
    Variable,
    coordinate,
)
from genpredict.stats.coefficients import Array

#: Measures of the table when none are asked for. A raw spectrum has no entry of rank 1, so raw
#: `Q_adjusted` is raw `Q` over again and would only cost the others in Holm's adjustment.
MAIN = ("Q", "Q_adjusted_low_rank")
#: What any measure must beat; in every table, as far as the scores hold them.
BASELINES = (
    "log_num_parameters",
    "num_layers",
    "num_rank_zero",
    "num_rank_one",
    "log_prod_frobenius_norm",
    "log_prod_spectral_norm",
)
#: Decimals of targets that are differences of recorded numbers, so that equal ones are ties.
DECIMALS = {"generalization_gap": 9}
#: Other ways to aggregate quality to a network measure (options of `aggregate`).
VARIANTS: dict[str, dict[str, Any]] = {
    "Q_mean": {"aggregation": "mean"},
    "Q_geometric_mean": {"aggregation": "geometric_mean"},
    "Q_skip_empty": {"empty": "skip"},
    "Q_skip_rank_one": {"rank_one": "skip"},
    "Q_in_channel": {"unfolding": "in_channel"},
    "Q_out_channel": {"unfolding": "out_channel"},
    "Q_all_layers": {"kinds": ("conv", "linear")},
}
#: What these are made of, and the dimensions of each.
NEEDED = {
    **{name: LAYER_MEASURES[name].dims for name in ("quality", "stable_rank", "spectral_norm")},
    **{"rank": LAYER_MEASURES["rank"].dims, "layer_kind": LAYER_LABELS["layer_kind"].dims},
}
_ENTRIES = {"layer", "unfolding"}
_CHOICES = ("factorization", "p")
_LOG = "take_logarithm"  # marks an array whose column is logarithmic
_SUFFIXED = re.compile(r"(?P<name>.+?)(?:_(?P<factorization>raw|low_rank))?(?:_p(?P<p>\d+))?")

Named: TypeAlias = str | xr.DataArray


@dataclass(frozen=True)
class Column:
    """A number per checkpoint, and what it is.

    Parameters
    ----------
    label : str
        Unique in its table, e.g. ``Q_low_rank_p2``, as of `label_of`.
    name : str
        Of the measure, e.g. ``Q``.
    values : array, shape (checkpoints,)
        As measured; NaN where a logarithm is asked for of what is not positive.
    factorization : str
        "raw", "low_rank", or "" where the measure has none.
    p : float
        1, 2, or NaN where the measure has none.
    long_name, units : str
        Of `values`.
    log : bool
        Whether statistics take the logarithm, and axes are logarithmic (``log_`` before the name).
    """

    label: str
    name: str
    values: Array
    factorization: str = ""
    p: float = float("nan")
    long_name: str = ""
    units: str = "1"
    log: bool = False

    @property
    def numbers(self) -> Array:
        """What is correlated: the values, or their logarithms, shape (checkpoints,)."""
        return np.log(self.values) if self.log else self.values

    @property
    def title(self) -> str:
        """Name of `numbers` in words."""
        return f"log {self.long_name}" if self.log else self.long_name


def label_of(name: str, factorization: str = "", p: float | str | None = None) -> str:
    """Return the label of a column; `parsed_label` takes it apart.

    Examples
    --------
    >>> label_of("Q", "low_rank", 2), label_of("num_layers")
    ('Q_low_rank_p2', 'num_layers')
    """
    power = "" if p is None or p != p else f"_p{p:g}" if isinstance(p, float | int) else f"_p{p}"
    return name + (f"_{factorization}" if factorization else "") + power


def parsed_label(label: str) -> tuple[str, dict[str, str]]:
    """Return the name in a label, and the choices written out after it.

    Examples
    --------
    >>> parsed_label("Q_low_rank_p2")
    ('Q', {'factorization': 'low_rank', 'p': '2'})
    """
    match = _SUFFIXED.fullmatch(label)
    if match is None:
        return label, {}
    return match["name"], {dim: match[dim] for dim in _CHOICES if match[dim]}


def measure_columns(scores: xr.Dataset, measures: Sequence[Named] | Named | None) -> list[Column]:
    """Return the columns of measures, and of the baselines after them.

    Parameters
    ----------
    scores : Dataset
        As of `score` or `open_scores`.
    measures : sequence of str or DataArray, optional
        Network measures, ways to aggregate, measures of layers or a group of them, numeric
        coordinates; ``log_`` in front takes the logarithm; one column alone by its label. A
        DataArray over `checkpoint` (and `factorization`, `p`) is taken as it is, under its own
        name. Default: `MAIN`.

    Returns
    -------
    list of Column

    Raises
    ------
    GenpredictError
        For a name that is none of these; the message lists those that are.
    """
    wanted = list(MAIN) if measures is None else _members(scores, _listed(measures))
    return _distinct(scores, [*wanted, *baseline_names(scores)], "measures")


def baseline_names(scores: xr.Dataset) -> list[str]:
    """Return those of `BASELINES` that scores hold."""
    held = scores.variables
    return [name for name in BASELINES if name in held or name.removeprefix("log_") in held]


def target_columns(scores: xr.Dataset, targets: Sequence[Named] | Named | None) -> list[Column]:
    """Return the columns of targets.

    Parameters
    ----------
    scores : Dataset
    targets : sequence of str or DataArray, optional
        Numeric coordinates. Default: those of `schema.TARGETS` that some checkpoint has.

    Returns
    -------
    list of Column

    Raises
    ------
    GenpredictError
        For an unknown name, or when the scores have no target at all.
    """
    if targets is None:
        targets = [
            name for name in TARGETS if name in scores.variables and scores[name].notnull().any()
        ]
        if not targets:
            raise GenpredictError(
                "targets: these scores have none; give accuracies in a manifest "
                f"(columns {', '.join(TARGETS)}), or name a numeric coordinate"
            )
    return _distinct(scores, _listed(targets), "targets")


def columns_of(scores: xr.Dataset, one: Named, parameter: str) -> list[Column]:
    """Return the columns of one measure; `parameter` is named in the error."""
    return list(_spread(scores, one, parameter))


def covariate_values(scores: xr.Dataset, partial: Sequence[str] | str | None) -> Array:
    """Return covariates: numbers as they are, texts as one indicator a level but the first.

    Parameters
    ----------
    scores : Dataset
    partial : sequence of str, optional
        Measures of one column (``log_num_parameters``, ``Q_raw_p2``), or text coordinates.

    Returns
    -------
    array, shape (covariates, checkpoints)
        NaN where a text is empty.

    Raises
    ------
    GenpredictError
        For an unknown name, or one of several columns.
    """
    rows: list[Array] = []
    for name in [] if partial is None else _listed(partial):
        if isinstance(name, str) and name in scores.coords and _is_text(scores[name]):
            rows += _indicators(scores[name].values)
            continue
        columns = list(_spread(scores, name, "partial"))
        if len(columns) > 1:
            raise GenpredictError(
                f"partial: {name!r} has {len(columns)} columns; name one of "
                f"{', '.join(column.label for column in columns)}"
            )
        rows.append(columns[0].numbers)
    return np.array(rows, dtype=np.float64).reshape(len(rows), scores.sizes["checkpoint"])


def known_names(scores: xr.Dataset) -> list[str]:
    """List the names of measures that a Dataset can give.

    Parameters
    ----------
    scores : Dataset

    Returns
    -------
    list of str
    """
    variants = list(VARIANTS) if "quality" in scores.variables else []
    numbers = [str(name) for name in scores.variables if _is_number(scores, str(name))]
    first = [name for name in NETWORK_MEASURES if name in numbers]
    return [*first, *variants, *(name for name in numbers if name not in first)]


def _members(scores: xr.Dataset, names: Sequence[Named]) -> list[Named]:
    """Put, in place of a group's name, the names of those of its measures that are numbers."""
    members: list[Named] = []
    for name in names:
        group = measures_in(name) if isinstance(name, str) and name not in scores.variables else ()
        held = [m for m in group if m in scores.variables and _is_number(scores, m)]
        if group and not held:
            raise GenpredictError(
                f"measures: these scores hold none of the group {name!r} that are numbers; score "
                f"the same sources with --measures {name} into another store, then merge the two"
            )
        members += held or [name]
    return members


def _distinct(scores: xr.Dataset, names: Sequence[Named], parameter: str) -> list[Column]:
    columns: dict[str, Column] = {}
    for one in names:
        for column in _spread(scores, one, parameter):
            columns.setdefault(column.label, column)
    if not columns:
        raise GenpredictError(f"{parameter} is empty; name at least one, or leave it out")
    return list(columns.values())


def names_of(names: Sequence[Any] | str | None) -> list[str]:
    """Return names as a list of texts: none, one, or several."""
    return [] if names is None else [names] if isinstance(names, str) else [*map(str, names)]


def _listed(names: Sequence[Named] | Named) -> list[Named]:
    return [names] if isinstance(names, str | xr.DataArray) else list(names)


def _is_text(values: xr.DataArray) -> bool:
    return values.dtype.kind in "OUST"


def _is_number(scores: xr.Dataset, name: str) -> bool:
    values = scores[name]
    others = set(values.dims) - _ENTRIES - set(_CHOICES)
    return others == {"checkpoint"} and values.dtype.kind in "fiub"


def _spread(scores: xr.Dataset, one: Named, parameter: str) -> Iterator[Column]:
    """Yield a column for each factorization and power of a measure (or for those named)."""
    if isinstance(one, xr.DataArray):
        yield from _columns(str(one.name), _checked(scores, one, parameter), {})
        return
    whole = _find(scores, one)
    if whole is not None:
        yield from _columns(one, whole, {})
        return
    name, chosen = parsed_label(one)
    base = _find(scores, name) if chosen else None
    if base is not None and set(chosen) <= set(base.dims):
        columns = list(_columns(name, base, chosen))
        if columns:
            yield from columns
            return
    raise GenpredictError(
        f"{parameter}: no {one!r} in these scores; there are "
        f"{', '.join(known_names(scores))}; with log_ in front, their logarithms"
    )


def _find(scores: xr.Dataset, name: str) -> xr.DataArray | None:
    """Return a measure by its name, one number per checkpoint (and factorization and p)."""
    if name in scores.variables and _is_number(scores, name):
        return _per_checkpoint(scores, scores[name])
    if name in VARIANTS and "quality" in scores.variables:
        options = VARIANTS[name]
        if missing := missing_for_aggregation(scores, options.get("unfolding")):
            raise GenpredictError(
                f"measures: {name} is aggregated anew from the layers, but these scores lack "
                f"{', '.join(missing)}; take scores as `score` and open_scores give them"
            )
        words = ", ".join(f"{k} {v}" for k, v in options.items())
        return aggregate(scores, **options).assign_attrs(long_name=f"network quality Q ({words})")
    base = name.removeprefix("log_")
    if base == name or base not in scores.variables or not _is_number(scores, base):
        return None
    values = _per_checkpoint(scores, scores[base]).astype(np.float64)
    described = {"long_name": _long_name(base, values), "units": _units(base, values)}
    return values.where(values > 0).assign_attrs(described | {_LOG: 1})


def missing_for_aggregation(scores: xr.Dataset, unfolding: str | None = None) -> list[str]:
    """List what `aggregate` needs and these scores lack: variables, dimensions, an unfolding."""
    missing = [name for name in NEEDED if name not in scores.variables]
    missing += [
        f"{name} over {dim}"
        for name, dims in NEEDED.items()
        for dim in dims
        if name not in missing and dim not in scores[name].dims
    ]
    for dim, label in (("unfolding", unfolding), ("factorization", "raw")):
        if label is not None and (dim not in scores.coords or label not in scores[dim].values):
            missing.append(f"the {dim} {label}")
    return missing


def _per_checkpoint(scores: xr.Dataset, values: xr.DataArray) -> xr.DataArray:
    """Average a measure of layers over the entries of convolutions (all, where there is none)."""
    dims = [dim for dim in ("layer", "unfolding") if dim in values.dims]
    if not dims:
        return values
    if "layer" in dims and "layer_kind" in scores.variables:
        conv = scores["layer_kind"] == "conv"
        values = values.where(conv | ~conv.any("layer"))
    mean = values.mean(dims, keep_attrs=True)
    return mean.assign_attrs(long_name=f"mean {_long_name(str(values.name), values)}")


def _checked(scores: xr.Dataset, values: xr.DataArray, parameter: str) -> xr.DataArray:
    """Check a measure that was handed over as an array."""
    allowed = {"checkpoint", *_CHOICES}
    if values.name is None or "checkpoint" not in values.dims or set(values.dims) - allowed:
        raise GenpredictError(
            f"{parameter}: an array needs a name and the dims checkpoint (and factorization, p), "
            f"got {values.name!r} over {values.dims}; see genpredict.stats.aggregate"
        )
    if "checkpoint" not in values.coords:
        raise GenpredictError(f"{parameter}: {values.name!r} has no checkpoint ids to match by")
    return values.reindex(checkpoint=scores["checkpoint"])


def _columns(name: str, values: xr.DataArray, chosen: dict[str, str]) -> Iterator[Column]:
    long_name, units = _long_name(name, values), _units(name, values)
    for factorization in values["factorization"].values if "factorization" in values.dims else [""]:
        for p in values["p"].values if "p" in values.dims else [float("nan")]:
            at = {"factorization": factorization, "p": p}
            if any(str(at[dim]) != choice for dim, choice in chosen.items()):
                continue
            here = {dim: at[dim] for dim in _CHOICES if dim in values.dims}
            label = label_of(name, str(factorization), float(p))
            numbers = np.asarray(values.sel(here).values, dtype=np.float64)
            if name in DECIMALS:
                numbers = tied(numbers, DECIMALS[name])
            log = _LOG in values.attrs
            yield Column(label, name, numbers, str(factorization), float(p), long_name, units, log)


def tied(numbers: Array, decimals: int) -> Array:
    """Make numbers equal that are equal to so many decimals; others stay as they are.

    Examples
    --------
    >>> len(set(tied(np.array([99.9 - 92.3, 99.8 - 92.2, 3.0]), 9).tolist()))
    2
    """
    _, first, inverse = np.unique(
        np.round(numbers, decimals), return_index=True, return_inverse=True
    )
    return np.asarray(numbers[first][inverse])


def _long_name(name: str, values: xr.DataArray) -> str:
    return str(values.attrs.get("long_name", _described(name).long_name))


def _units(name: str, values: xr.DataArray) -> str:
    return str(values.attrs.get("units", _described(name).units))


def _described(name: str) -> Variable:
    known = NETWORK_MEASURES | LAYER_MEASURES
    return known[name] if name in known else coordinate(name, numeric=True)


def _indicators(texts: Any) -> list[Array]:
    levels = sorted(set(texts) - {""})
    missing = np.array([text == "" for text in texts])
    return [np.where(missing, np.nan, (texts == level).astype(float)) for level in levels[1:]]
