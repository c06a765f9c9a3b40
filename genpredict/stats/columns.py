"""Columns of a table of correlations: measures, targets and covariates, found by name.

A measure is a number per checkpoint. One that has factorizations and powers gives a column for
each, labelled ``Q_low_rank_p2``; a measure of layers is averaged over the entries of a network's
convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
)
from genpredict.stats.column import (
    CHOICES,
    Column,
    label_of,
    long_name_of,
    parsed_label,
    tied,
    units_of,
)

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
_LOG = "take_logarithm"  # marks an array whose column is logarithmic

Named: TypeAlias = str | xr.DataArray


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
    wanted = list(MAIN) if measures is None else _members(scores, listed(measures))
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
    return _distinct(scores, listed(targets), "targets")


def columns_of(scores: xr.Dataset, one: Named, parameter: str) -> list[Column]:
    """Return the columns of one measure; `parameter` is named in the error."""
    return list(spread_columns(scores, one, parameter))


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
    numbers = [str(name) for name in scores.variables if is_number(scores[name])]
    first = [name for name in NETWORK_MEASURES if name in numbers]
    return [*first, *variants, *(name for name in numbers if name not in first)]


def _members(scores: xr.Dataset, names: Sequence[Named]) -> list[Named]:
    """Put, in place of a group's name, the names of those of its measures that are numbers."""
    members: list[Named] = []
    for name in names:
        group = measures_in(name) if isinstance(name, str) and name not in scores.variables else ()
        held = [m for m in group if m in scores.variables and is_number(scores[m])]
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
        for column in spread_columns(scores, one, parameter):
            columns.setdefault(column.label, column)
    if not columns:
        raise GenpredictError(f"{parameter} is empty; name at least one, or leave it out")
    return list(columns.values())


def names_of(names: Sequence[Any] | str | None) -> list[str]:
    """Return names as a list of texts: none, one, or several."""
    return [] if names is None else [names] if isinstance(names, str) else [*map(str, names)]


def listed(names: Sequence[Named] | Named) -> list[Named]:
    """Return one or several names as a list."""
    return [names] if isinstance(names, str | xr.DataArray) else list(names)


def is_text(values: xr.DataArray) -> bool:
    """Return whether an array holds texts."""
    return values.dtype.kind in "OUST"


def is_number(values: xr.DataArray) -> bool:
    """Return whether an array comes to a number a checkpoint (and layer, factorization and p)."""
    others = set(values.dims) - _ENTRIES - set(CHOICES)
    return others == {"checkpoint"} and values.dtype.kind in "fiub"


def spread_columns(scores: xr.Dataset, one: Named, parameter: str) -> Iterator[Column]:
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
    if name in scores.variables and is_number(scores[name]):
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
    if base == name or base not in scores.variables or not is_number(scores[base]):
        return None
    values = _per_checkpoint(scores, scores[base]).astype(np.float64)
    described = {"long_name": long_name_of(base, values), "units": units_of(base, values)}
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
    return mean.assign_attrs(long_name=f"mean {long_name_of(str(values.name), values)}")


def _checked(scores: xr.Dataset, values: xr.DataArray, parameter: str) -> xr.DataArray:
    """Check a measure that was handed over as an array."""
    allowed = {"checkpoint", *CHOICES}
    if values.name is None or "checkpoint" not in values.dims or set(values.dims) - allowed:
        raise GenpredictError(
            f"{parameter}: an array needs a name and the dims checkpoint (and factorization, p), "
            f"got {values.name!r} over {values.dims}; see genpredict.stats.aggregate"
        )
    if "checkpoint" not in values.coords:
        raise GenpredictError(f"{parameter}: {values.name!r} has no checkpoint ids to match by")
    return values.reindex(checkpoint=scores["checkpoint"])


def _columns(name: str, values: xr.DataArray, chosen: dict[str, str]) -> Iterator[Column]:
    long_name, units = long_name_of(name, values), units_of(name, values)
    for factorization in values["factorization"].values if "factorization" in values.dims else [""]:
        for p in values["p"].values if "p" in values.dims else [float("nan")]:
            at = {"factorization": factorization, "p": p}
            if any(str(at[dim]) != choice for dim, choice in chosen.items()):
                continue
            here = {dim: at[dim] for dim in CHOICES if dim in values.dims}
            label = label_of(name, str(factorization), float(p))
            numbers = np.asarray(values.sel(here).values, dtype=np.float64)
            if name in DECIMALS:
                numbers = tied(numbers, DECIMALS[name])
            log = _LOG in values.attrs
            yield Column(label, name, numbers, str(factorization), float(p), long_name, units, log)
