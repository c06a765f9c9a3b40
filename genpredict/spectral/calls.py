"""Call the functions of measures with what each of them asks for by name.

Results of one slice have the axes of their row's dimensions after `layer`, behind one leading axis:
(B, factorization, p) for spectra of one unfolding each, (B, unfolding, factorization, p) for
layers. What a function is given has the axes of what it makes, so that they broadcast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genpredict.errors import GenpredictError
from genpredict.measure_calls import Call
from genpredict.schema import AXES, EXTRA_AXES, FACTORIZATIONS, POWERS, Measure

_RAW = FACTORIZATIONS.index("raw")


@dataclass(frozen=True)
class Calls:
    """The calls that make some measures, each from those before it.

    Parameters
    ----------
    rows : tuple of Measure
    spectra : tuple of Call
        Measures of one unfolding's spectra.
    layers : tuple of Call
        Measures of weights, and what is made of such.
    """

    rows: tuple[Measure, ...]
    spectra: tuple[Call, ...]
    layers: tuple[Call, ...]

    @classmethod
    def of(cls, rows: Sequence[Measure]) -> Calls:
        """Import the functions and sort the calls."""
        earlier: dict[str, Measure] = {}
        spectra: list[Call] = []
        layers: list[Call] = []
        for row in rows:
            call = Call.of(row, earlier)
            if call.function is not None:
                (layers if call.is_of_layers(earlier) else spectra).append(call)
            earlier[row.name] = row
        return cls(tuple(rows), tuple(spectra), tuple(layers))

    @property
    def of_others(self) -> bool:
        """Whether a function of another package is among those of spectra."""
        return any(not call.row.function.startswith("genpredict.") for call in self.spectra)


@dataclass(frozen=True)
class Spectra:
    """Spectra of some unfoldings of one smaller side n, and what measures may ask of them.

    Parameters
    ----------
    singular_values : Tensor, shape (B, F, n)
        Of each factorization in the order of `schema.FACTORIZATIONS`.
    rank : Tensor, shape (B, F), int64
        How many each spectrum has.
    rows, columns : Tensor, shape (B,), int64
        L ≤ M of the full unfoldings.
    """

    singular_values: Tensor
    rank: Tensor
    rows: Tensor
    columns: Tensor

    def argument(self, name: str, dims: Sequence[str]) -> Tensor:
        """Return one of the above with the axes of a measure of these dimensions."""
        values: Tensor = getattr(self, name)
        if name in ("rows", "columns"):
            return values.unsqueeze(-1).expand_as(self.rank) if "factorization" in dims else values
        return values if "factorization" in dims else values[:, _RAW]


def measure_spectra(
    calls: Sequence[Call], spectra: Spectra, known: Mapping[str, tuple[Tensor, tuple[str, ...]]]
) -> dict[str, Tensor]:
    """Compute measures of spectra, one after the other.

    Parameters
    ----------
    calls : sequence of Call
    spectra : Spectra
    known : mapping of str to (Tensor, dims)
        What the factorization gives, of shape (B,).

    Returns
    -------
    dict of str to Tensor
        By name, of shape (B, F, P) or the part of it that the measure's dims have.
    """
    results = dict(known)
    shared: dict[tuple[object, ...], Any] = {}

    def argument(name: str, dims: tuple[str, ...]) -> Tensor:
        if name in ("singular_values", "rank", "rows", "columns"):
            return spectra.argument(name, dims)
        return _with_axes(*results[name], dims)

    for call in calls:
        dims = tuple(dim for dim in call.row.dims if dim in ("factorization", "p"))
        values = _called(call, {n: argument(n, dims) for n in call.arguments if n != "p"}, shared)
        shape = (len(spectra.rank), *(len(AXES[dim]) for dim in dims))
        results[call.row.name] = _checked(call, values, shape), dims
    return {call.row.name: results[call.row.name][0] for call in calls}


def _with_axes(values: Tensor, dims: tuple[str, ...], wanted: tuple[str, ...]) -> Tensor:
    """Give numbers the axes of a measure that is made of them: new ones of 1, of spectra raw."""
    if "factorization" in dims and "factorization" not in wanted:
        values = values[:, _RAW]
    elif "factorization" in wanted and "factorization" not in dims:
        values = values.unsqueeze(1)
    return values.unsqueeze(-1) if "p" in wanted and "p" not in dims else values


def measure_layers(
    calls: Sequence[Call],
    inputs: Mapping[str, Tensor],
    earlier: Mapping[str, Tensor],
    sizes: Mapping[str, int],
) -> dict[str, Tensor]:
    """Compute measures of the weights of layers of one shape.

    Parameters
    ----------
    calls : sequence of Call
    inputs : mapping of str to Tensor
        `weights`, shape (B, n_o, n_i, *kernel), and `biases`, shape (B, n_o).
    earlier : mapping of str to Tensor
        Measures of these layers, with a leading axis of B and the axes of their dims.
    sizes : mapping of str to int
        Of the dimensions.

    Returns
    -------
    dict of str to Tensor
    """
    results = {**earlier, **inputs}
    shared: dict[tuple[object, ...], Any] = {}
    for call in calls:
        values = _called(call, {n: results[n] for n in call.arguments if n != "p"}, shared)
        shape = (len(inputs["weights"]), *(sizes[dim] for dim in call.row.dims[2:]))
        results[call.row.name] = _checked(call, values, shape)
    return {call.row.name: results[call.row.name] for call in calls}


def sizes_of_axes() -> dict[str, int]:
    """Return the size of every dimension that does not grow."""
    return {dim: len(labels) for dim, labels in (AXES | EXTRA_AXES).items()}


def _called(
    call: Call, arguments: Mapping[str, Tensor], shared: dict[tuple[object, ...], Any]
) -> Any:
    """Call a function, once a power where it takes one; once in all for all of its outputs."""
    key = (call.row.function, call.row.dims)
    if key not in shared:
        assert call.function is not None  # what has none is not called
        if "p" in call.arguments:
            each = [call.function(**arguments, p=p) for p in POWERS]
            shared[key] = each if call.row.output else torch.stack(each, dim=-1)
        else:
            shared[key] = call.function(**arguments)
    result = shared[key]
    if not call.row.output:
        return result
    if "p" in call.arguments:
        return torch.stack([getattr(part, call.row.output) for part in result], dim=-1)
    return getattr(result, call.row.output)


def _checked(call: Call, values: Any, shape: tuple[int, ...]) -> Tensor:
    """Return the result of a function as float64; raise where it is not of this shape."""
    if not isinstance(values, Tensor) or tuple(values.shape) != shape:
        kind = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values)
        raise GenpredictError(
            f"measure {call.row.name}: {call.row.function} must return a tensor of shape {shape}, "
            f"one number an entry, got {kind}"
        )
    return values.double()
