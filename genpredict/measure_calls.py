"""How the function of a layer measure is called: its arguments are given by name.

=====================  ============================================================================
``singular_values``    spectra in descending order, shape (..., n), zeros beyond the rank
``rank``               number of singular values of each spectrum, shape (...), int64
``rows``, ``columns``  L ≤ M, the sides of the full unfolding, shape (...), int64
``p``                  one of `schema.POWERS`, for a measure with powers: called once a power
a measure's name       numbers of an earlier measure, shape (...), with a last axis of powers where
                       this measure has powers and takes no ``p``
``weights``            weights of one shape (B, n_o, n_i, *kernel): a measure of layers; earlier
                       measures then have the shape (B, ...)
``biases``             their biases, shape (B, n_o), NaN where a layer has none
=====================  ============================================================================

It returns a tensor of shape (...), or (..., P) with powers and without ``p``, or (B,) of weights.
Arguments with a default that are none of these keep it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from genpredict.errors import GenpredictError
from genpredict.extensions import resolve
from genpredict.schema import Measure

#: Arguments that are no earlier measure: of spectra, and of layers.
OF_SPECTRA = ("singular_values", "rank", "rows", "columns")
OF_LAYERS = ("weights", "biases")


@dataclass(frozen=True)
class Call:
    """How the function of a measure is called.

    Parameters
    ----------
    row : Measure
    function : callable, optional
        None for what the factorization itself gives.
    arguments : tuple of str
        By name.
    """

    row: Measure
    function: Callable[..., Any] | None
    arguments: tuple[str, ...]

    @classmethod
    def of(cls, row: Measure, measures: Collection[str]) -> Call:
        """Import a measure's function and read its arguments off its signature.

        Parameters
        ----------
        row : Measure
        measures : collection of str
            Names of measures that it may build on.

        Raises
        ------
        GenpredictError
            Where it cannot be imported, or wants an argument that is not known.
        """
        if not row.function:
            return cls(row, None, ())
        function = resolve(row.function, f"measure {row.name}")
        known = {*OF_SPECTRA, *OF_LAYERS, *measures, *(("p",) if "p" in row.dims else ())}
        parameters = _parameters(function)
        for parameter in parameters:
            if parameter.name not in known and _is_required(parameter):
                raise GenpredictError(
                    f"measure {row.name}: {row.function} wants an argument {parameter.name!r}; "
                    f"there are {', '.join((*OF_SPECTRA, *OF_LAYERS))}, p for a measure with "
                    f"powers, and the measures {', '.join(measures)}"
                )
        return cls(row, function, tuple(p.name for p in parameters if p.name in known))

    @property
    def earlier(self) -> tuple[str, ...]:
        """Names of the measures among the arguments."""
        own = {*OF_SPECTRA, *OF_LAYERS, "p"}
        return tuple(name for name in self.arguments if name not in own)

    def is_of_layers(self, earlier: Mapping[str, Measure]) -> bool:
        """Return whether this is a measure of weights, or made of such."""
        if set(self.arguments) & set(OF_LAYERS):
            return True
        made_of = [earlier[name] for name in self.earlier]
        return any(row.function and "unfolding" not in row.dims for row in made_of)


@cache
def _parameters(function: Callable[..., Any]) -> tuple[inspect.Parameter, ...]:
    return tuple(inspect.signature(function).parameters.values())


def _is_required(parameter: inspect.Parameter) -> bool:
    variadic = (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and parameter.kind not in variadic
