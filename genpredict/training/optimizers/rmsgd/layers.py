"""Which parameters RMSGD measures, and whose learning rate each of the others takes.

Parameters that come with names are told apart as `genpredict score` tells the tensors of a
checkpoint (`genpredict.layers.selection`): recurrent weights fall into gates, fused attention
projections into q, k and v; look-up tables, position embeddings and tokens are no layers; what is
stored as direction and length is put together. Without names only shapes are known: every
parameter of two dimensions or more is a layer, whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from genpredict.layers import Layer, select_layers
from genpredict.spectral import unfoldings
from genpredict.training.optimizers.rmsgd.sharded import whole

_PARAMETRIZED = re.compile(r"(.*?)parametrizations\.([^.]+)\.original[01]?")
_FACTOR = re.compile(r"((?:.*\.)?weight)_(?:orig|g|v|bar)")
#: Lengths and directions of weight normalization, old form and new, which `select_layers` merges.
_LENGTHS = ("weight_g", ".original0")
_MERGED = (*_LENGTHS, "weight_v", ".original1")


@dataclass(frozen=True)
class Measured:
    """The layers among some parameters.

    Parameters
    ----------
    layers : list of Layer
        What is measured, in the order of the parameters; several of one where it falls into
        parts.
    owners : list of int
        Of each layer the index of its parameter.
    sources : list of (int or None)
        Of each parameter the index of the one whose rate it takes, its own where it is measured;
        None where there is none.
    """

    layers: list[Layer]
    owners: list[int]
    sources: list[int | None]

    def parts(self) -> dict[int, list[int]]:
        """Return the indices of the layers of each measured parameter."""
        indices_of: dict[int, list[int]] = {}
        for index, owner in enumerate(self.owners):
            indices_of.setdefault(owner, []).append(index)
        return indices_of


def _owner(name: str, index_of: Mapping[str, int]) -> int | None:
    """Return the index of the parameter that a weight is, or the main factor of."""
    main = (name, f"{name}_v", f"{name}_raw")
    return next((index_of[factor] for factor in main if factor in index_of), None)


def named_layers(parameters: Mapping[str, Tensor], *, linear: bool) -> Measured:
    """Find the layers among parameters by their names, and whose rate the others take.

    The rate of a parameter that is not measured is, in this order, that of

    1. the weight it is a factor of: `weight_g` and `weight_v` of `weight`,
    2. the weight it is the bias of by its name: `bias_ih_l0` of `weight_ih_l0`,
    3. another weight of the same module, the nearest before it, else the first,
    4. the nearest weight before it, whatever its module (batch norm after a convolution),
    5. the first weight.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        By name, in the order of depth. Frozen ones (`requires_grad` False) are not measured.
    linear : bool
        Whether matrices are measured, or convolutions alone.

    Returns
    -------
    Measured

    Examples
    --------
    >>> from torch import nn
    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.LSTM(8, 4))
    >>> found = named_layers(dict(network.named_parameters()), linear=True)
    >>> [layer.name for layer in found.layers[:3]]
    ['0.weight', '2.weight_ih_l0[i]', '2.weight_ih_l0[f]']
    >>> found.sources  # weight, bias | scale, shift | W_ih, W_hh, b_ih, b_hh
    [0, 0, 0, 0, 4, 5, 4, 5]
    """
    names = list(parameters)
    # the main factors of merged weights go by the weight's name, lengths by no weight's
    index_of = {stem(name): i for i, name in enumerate(names) if not name.endswith(_LENGTHS)}
    layers, _ = select_layers(
        {
            name if name.endswith(_MERGED) else stem(name): whole(one)
            for name, one in parameters.items()
        }
    )
    free = [parameter.requires_grad for parameter in parameters.values()]
    kept = [
        (layer, owner)
        for layer in layers
        if (owner := _owner(layer.name.partition("[")[0], index_of)) is not None
        and free[owner]
        and (linear or layer.kind == "conv")
    ]
    owners = [owner for _, owner in kept]
    weights = {stem(names[owner]): owner for owner in owners}
    return Measured(
        [layer for layer, _ in kept],
        owners,
        [_source(index, name, weights) for index, name in enumerate(names)],
    )


def unnamed_layers(names: Sequence[str], parameters: Sequence[Tensor], *, linear: bool) -> Measured:
    """Find the layers among parameters by their shapes alone.

    A parameter that is not measured takes the rate of the nearest weight before it, else of the
    first.

    Parameters
    ----------
    names : sequence of str
        To call the layers by.
    parameters : sequence of Tensor
        In the order of depth. Frozen ones are not measured.
    linear : bool
        Whether matrices are measured, or convolutions alone.

    Returns
    -------
    Measured
    """
    dimensions = 2 if linear else 3
    owners = [
        index
        for index, parameter in enumerate(parameters)
        if parameter.requires_grad
        and parameter.ndim >= dimensions
        and unfoldings(tuple(parameter.shape))
    ]
    sources = [_nearest(index, owners) for index in range(len(parameters))]
    return Measured(list(_whole(names, parameters, owners)), owners, sources)


def released_layers(
    names: Sequence[str], parameters: Sequence[Tensor], *, linear: bool
) -> Measured:
    """Find the layers as the released optimizer does (`released`).

    Parameters
    ----------
    names, parameters
        As of `unnamed_layers`.
    linear : bool
        Whether matrices are measured too, or 4-D weights alone.

    Returns
    -------
    Measured
    """
    dimensions = (2, 4) if linear else (4,)
    owners = [
        index
        for index, parameter in enumerate(parameters)
        if parameter.requires_grad and parameter.ndim in dimensions
    ]
    sources = [
        max((owner for owner in owners if owner <= index), default=None)
        for index in range(len(parameters))
    ]
    return Measured(list(_whole(names, parameters, owners)), owners, sources)


def _whole(
    names: Sequence[str], parameters: Sequence[Tensor], owners: Sequence[int]
) -> Iterator[Layer]:
    """Yield unsplit parameters as layers."""
    for index in owners:
        weight = whole(parameters[index])
        yield Layer(names[index], "linear" if weight.ndim == 2 else "conv", weight)


def stem(name: str) -> str:
    """Return the weight that a parameter is a factor of by its name; else the name itself.

    Examples
    --------
    >>> stem("conv.weight_orig"), stem("conv.parametrizations.weight.original1"), stem("conv.bias")
    ('conv.weight', 'conv.weight', 'conv.bias')
    """
    if match := _PARAMETRIZED.fullmatch(name):
        return match[1] + match[2]
    match = _FACTOR.fullmatch(name)
    return match[1] if match else name


def _source(index: int, name: str, weights: Mapping[str, int]) -> int | None:
    """Apply the rules of `named_layers` to one parameter; `weights` are the measured ones."""
    path, dot, leaf = stem(name).rpartition(".")
    for partner in (path + dot + leaf, path + dot + leaf.replace("bias", "weight")):
        if partner in weights:
            return weights[partner]
    siblings = [owner for other, owner in weights.items() if other.rpartition(".")[0] == path]
    return _nearest(index, siblings or list(weights.values()))


def _nearest(index: int, owners: Sequence[int]) -> int | None:
    """Return the last of the owners up to an index, else the first of them all."""
    before = [owner for owner in owners if owner <= index]
    return max(before) if before else min(owners, default=None)
