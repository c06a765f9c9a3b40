"""Which measures there are: the rows of `genpredict.schema`, and those of other packages.

A layer measure is a function, which `genpredict.measure_calls` calls, and a row that names it.
A network measure is a function of a scores Dataset (`schema.NetworkMeasure`), computed as the rows
are.

Another package registers its measures with an entry point of the group ``genpredict.measures``
that names a callable without arguments, which calls `register_measure` or
`register_network_measure`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Literal

from genpredict.errors import GenpredictError
from genpredict.extensions import load_extensions
from genpredict.measure_calls import OF_LAYERS, OF_SPECTRA, Call
from genpredict.schema import (
    AXES,
    EXTRA_AXES,
    EXTRA_MEASURES,
    EXTRA_NETWORK_MEASURES,
    KNOWN,
    LAYER_LABELS,
    LAYER_MEASURES,
    LEDGER,
    NETWORK_MEASURES,
    STATE,
    Measure,
    NetworkMeasure,
)

#: Entry points of other packages' measures.
ENTRY_POINTS = "genpredict.measures"
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_LAYER = ("checkpoint", "layer")
_ENTRY = (*_LAYER, "unfolding")
_SPECTRUM = (*_ENTRY, "factorization")
_registered: dict[str, Measure] = {}
_registered_of_networks: dict[str, NetworkMeasure] = {}
#: Names that mean something in every store.
_OF_STORES = {
    *AXES, *EXTRA_AXES, *LAYER_LABELS, *LAYER_MEASURES, *EXTRA_MEASURES, *NETWORK_MEASURES,
    *EXTRA_NETWORK_MEASURES, *STATE, "checkpoint", "layer", LEDGER,
}  # fmt: skip
#: What else a measure cannot be called.
_OTHERS = {*KNOWN, *OF_SPECTRA, *OF_LAYERS, "finite", "default"}


def register_measure(
    name: str,
    function: str,
    *,
    long_name: str,
    units: str = "1",
    powers: bool = False,
    spectra: Literal["both", "raw"] = "both",
    group: str = "",
) -> None:
    """Add a layer measure, to be asked for by ``score(measures=[name])`` or ``--measures name``.

    Parameters
    ----------
    name : str
        Of the variable in scores.
    function : str
        "module:function"; imported when the measure is first computed, in worker processes too.
        `genpredict.measure_calls` says which arguments it
        may take.
    long_name, units : str
        For labels: in plain words, and "1" where the measure has no unit.
    powers : bool
        Whether there is one number for each p of `schema.POWERS`.
    spectra : {"both", "raw"}
        Measure the raw and the low-rank spectrum, or the raw one alone. Of no meaning for a
        measure of weights.
    group : str
        A name by which several measures are asked for together.

    Raises
    ------
    GenpredictError
        For a name that is no identifier or taken, a function that is not "module:function", or
        the group "default".

    Examples
    --------
    >>> register_measure("flatness", "my_package:flatness", long_name="flatness")
    """
    _check_row(name, function, group)
    if spectra not in ("both", "raw"):
        raise GenpredictError(f"spectra: must be 'both' or 'raw', got {spectra!r}")
    ending = ("p",) if powers else ()
    dims = (*(_ENTRY if spectra == "raw" else _SPECTRUM), *ending)
    _registered[name] = Measure(
        dims, long_name, units, name=name, function=function, group=group or name
    )


def register_network_measure(
    name: str, function: str, *, long_name: str, units: str = "1", group: str = ""
) -> None:
    """Add a network measure, to be asked for by ``score(measures=[name])`` or ``--measures name``.

    Parameters
    ----------
    name : str
        Of the variable in scores.
    function : str
        "module:function" of a scores Dataset, which returns a DataArray over `checkpoint` (and
        `factorization`, `p`); imported when the measure is first computed.
    long_name, units : str
        For labels: in plain words, and "1" where the measure has no unit.
    group : str
        A name by which several measures are asked for together.

    Raises
    ------
    GenpredictError
        As of `register_measure`.
    """
    _check_row(name, function, group)
    _registered_of_networks[name] = NetworkMeasure(
        ("checkpoint",), long_name, units, name=name, function=function, group=group or name
    )


def _check_row(name: str, function: str, group: str) -> None:
    """Raise where a row of the table cannot be, or its name means something else already."""
    if not name.isidentifier():
        raise GenpredictError(f"name: {name!r} is no identifier; take letters, digits and _ alone")
    if not _FUNCTION.fullmatch(function):
        raise GenpredictError(
            f"function: must be 'module:function', got {function!r}; name it as text, so that "
            f"worker processes can import it"
        )
    if group == "default":
        raise GenpredictError(
            f"group: 'default' is of genpredict's own measures; leave it out, and ask for "
            f"{name} by its name"
        )
    if name in _OF_STORES | _OTHERS:
        raise GenpredictError(f"name: {name!r} is taken by genpredict; choose another one")
    before = (_registered | _registered_of_networks).get(name)
    if before is not None and before.function != function:
        raise GenpredictError(
            f"name: {name!r} is registered already, as {before.function}; choose another one"
        )


def is_reserved(name: str) -> bool:
    """Return whether a name cannot be that of a coordinate: a measure's, or a part of a store's."""
    load_extensions(ENTRY_POINTS)
    return name in _OF_STORES or name in _registered or name in _registered_of_networks


def known_measures() -> dict[str, Measure]:
    """Return every layer measure by name: of every score, of the other groups, of other packages.

    Each may build on those before it.
    """
    load_extensions(ENTRY_POINTS)
    return LAYER_MEASURES | EXTRA_MEASURES | _registered


def measures_in(group: str) -> tuple[str, ...]:
    """Return the names of the measures of a group, in the order of the table; none of another name.

    Examples
    --------
    >>> measures_in("statistics")
    ('weight_statistics',)
    """
    rows: list[Measure | NetworkMeasure] = [*known_measures().values()]
    rows += known_network_measures().values()
    return tuple(row.name for row in rows if row.group == group)


def known_network_measures() -> dict[str, NetworkMeasure]:
    """Return every network measure by name, as `known_measures`."""
    load_extensions(ENTRY_POINTS)
    return NETWORK_MEASURES | EXTRA_NETWORK_MEASURES | _registered_of_networks


def choose_measures(wanted: Sequence[str] | str = ()) -> tuple[Measure, ...]:
    """Return the layer measures of every score, and what is asked for besides with what it needs.

    Parameters
    ----------
    wanted : sequence of str
        Names of measures and groups; those of network measures are passed over.

    Returns
    -------
    tuple of Measure
        In the order of the table.

    Raises
    ------
    GenpredictError
        For a name that is neither, or a function that cannot be imported or called.
    """
    if not wanted:
        return _of_every_score()
    named = _checked_names(wanted)
    rows = known_measures().values()
    return measures_named([row.name for row in rows if named & {row.name, row.group}])


@cache
def _of_every_score() -> tuple[Measure, ...]:
    """Return the layer measures of every score, to which no package adds."""
    return measures_named([row.name for row in LAYER_MEASURES.values() if row.group == "default"])


def choose_network_measures(wanted: Sequence[str] | str = ()) -> tuple[NetworkMeasure, ...]:
    """Return the network measures of every score and those that are asked for besides.

    Parameters
    ----------
    wanted : sequence of str
        Names of measures and groups; those of layer measures are passed over.

    Returns
    -------
    tuple of NetworkMeasure
        In the order of the table.

    Raises
    ------
    GenpredictError
        For a name that is neither.
    """
    named = _checked_names(wanted)
    return tuple(r for r in known_network_measures().values() if named & {r.name, r.group})


def _checked_names(wanted: Sequence[str] | str) -> set[str]:
    """Return the names that are asked for, the group of every score among them."""
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    rows: list[Measure | NetworkMeasure] = [*known_measures().values()]
    rows += known_network_measures().values()
    known = {name for row in rows for name in (row.name, row.group)}
    for name in names:
        if name not in known:
            others = sorted(known - set(LAYER_MEASURES) - set(NETWORK_MEASURES))
            raise GenpredictError(
                f"measures: there is no {name!r}; there are {', '.join(others)}; is the package "
                f"that adds it installed?"
            )
    return {*names, "default"}


def measures_named(names: Sequence[str]) -> tuple[Measure, ...]:
    """Return the rows of these measures and of what they build on, in the order of the table.

    Raises
    ------
    GenpredictError
        For a name that is no measure's, or a function that cannot be imported or called.
    """
    table = known_measures()
    if unknown := [name for name in names if name not in table]:
        raise GenpredictError(
            f"measures: there is no {unknown[0]!r}; is the package that adds it installed?"
        )
    order = list(table)
    needed = set(names)
    for place, name in reversed(list(enumerate(order))):
        if name in needed:
            call = Call.of(table[name], order)
            if late := [other for other in call.earlier if other in order[place:]]:
                raise GenpredictError(
                    f"measure {name}: asks for {late[0]}, which comes after it; register {late[0]} "
                    f"first"
                )
            needed |= set(call.earlier)
    rows: dict[str, Measure] = {}
    for name in order:
        if name in needed:
            rows[name] = _with_dims(table[name], rows)
    return tuple(rows.values())


def _with_dims(row: Measure, earlier: Mapping[str, Measure]) -> Measure:
    """Give a measure of weights the dimensions that its function has."""
    if row.name in _registered and Call.of(row, earlier).is_of_layers(earlier):
        return replace(row, dims=(*_LAYER, *row.dims[len(row.dims) - ("p" in row.dims) :]))
    return row
