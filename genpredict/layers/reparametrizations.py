"""Put weights together that are stored as factors.

torch keeps a reparametrized weight as its ingredients: weight normalization as direction and
length, spectral normalization as the raw matrix and two singular vectors, pruning as the raw
weight and a mask. What the network computes with is their product, so that is what is measured.
Factors whose shapes do not fit each other stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_FACTOR = re.compile(
    r"(?P<stem>.*weight(?:_(?:ih|hh|hr)(?:_l\d+(?:_reverse)?)?)?)_(?P<form>v|orig|bar|raw)"
)
_ENDINGS = ("_v", "_orig", "_bar", "_raw")
_PARAMETRIZED = re.compile(r"(?P<path>.*)\.original(?P<number>1?)")
_PARAMETRIZATIONS = "parametrizations."
_Form = tuple[str, tuple[str, ...], Callable[..., "Tensor | None"]]


def merge_factors(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Replace factors by the weights they make, at the place of the main factor.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        A state dict.

    Returns
    -------
    mapping
        The same object where nothing is factored.
    """
    made: dict[str, tuple[str, Tensor]] = {}
    used: set[str] = set()
    for name, tensor in tensors.items():
        if _may_be_factor(name) and _is_weight(tensor):
            for stem, factors, merge in _forms(name, tensors):
                if name not in made and all(factor in tensors for factor in factors):
                    weight = merge(tensor, *(tensors[factor] for factor in factors))
                    if weight is not None:
                        made[name] = stem, weight
                        used.update((*factors, stem))
    if not made:
        return tensors
    merged = {}
    for name, tensor in tensors.items():
        if name in made:
            stem, weight = made[name]
            merged[stem] = weight
        elif name not in used:
            merged[name] = tensor
    return merged


def stale_factors(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return tensors that are made anew from a factor at every step, and so are no parameters.

    Examples
    --------
    >>> stale_factors({"rnn.weight_hh_l0_raw": 1, "rnn.module.weight_hh_l0": 2})
    {'rnn.module.weight_hh_l0': 'made from rnn.weight_hh_l0_raw at every step'}
    """
    stale = {}
    for name in tensors:
        if name.endswith("_raw") and (match := _FACTOR.fullmatch(name)):
            stem = _stem_of_raw(match["stem"], tensors)
            if stem in tensors:
                stale[stem] = f"made from {name} at every step"
    return stale


def _may_be_factor(name: str) -> bool:
    """Return whether a name may have one of the forms of `_forms`, told in less time."""
    return "weight" in name and (name.endswith(_ENDINGS) or _PARAMETRIZATIONS in name)


def _is_weight(tensor: Tensor) -> bool:
    """Return whether a factor can be multiplied: a dense matrix or kernel in floating point."""
    return (
        tensor.ndim >= 2
        and tensor.is_floating_point()
        and tensor.element_size() > 1
        and not tensor.is_meta
        and not tensor.is_sparse
        and tensor.numel() > 0
        and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
    )


def _forms(name: str, tensors: Mapping[str, Tensor]) -> Iterator[_Form]:
    """Yield, for each form a name may have, the weight's name, the other factors and the rule.

    The last one of each takes the factor itself for the weight: parametrizations that are not known
    here, equalized learning rates.
    """
    if match := _FACTOR.fullmatch(name):
        stem, form = match["stem"], match["form"]
        if form == "v":
            yield stem, (f"{stem}_g",), _weight_norm
        elif form == "raw":
            yield _stem_of_raw(stem, tensors), (), _alone
        else:
            yield stem, (f"{stem}_mask",), _pruned
            yield stem, (f"{stem}_u", f"{stem}_v"), _spectral_norm
            yield stem, (), _alone
    elif _PARAMETRIZATIONS in name and (match := _PARAMETRIZED.fullmatch(name)):
        path = match["path"]
        stem = "".join(path.rsplit(_PARAMETRIZATIONS, 1))
        if match["number"]:
            yield stem, (f"{path}.original0",), _weight_norm
        else:
            yield stem, (f"{path}.0._u", f"{path}.0._v"), _spectral_norm
            yield stem, (), _alone


def _stem_of_raw(stem: str, tensors: Mapping[str, Tensor]) -> str:
    """Return the name of a weight that is dropped out of a raw one (weight-dropped recurrences)."""
    path, _, leaf = stem.rpartition(".")
    inner = f"{path}.module." if path else "module."
    return f"{inner}{leaf}" if any(name.startswith(inner) for name in tensors) else stem


def _alone(weight: Tensor) -> Tensor:
    """Return the factor itself."""
    return weight


def _weight_norm(direction: Tensor, length: Tensor) -> Tensor | None:
    """Return g·v/‖v‖, the norm taken over the axes on which g has extent 1."""
    axes = [n for n in range(direction.ndim) if length.ndim == 0 or length.shape[n : n + 1] == (1,)]
    kept = [n for n in range(direction.ndim) if n not in axes]
    if not axes or any(length.shape[n : n + 1] != direction.shape[n : n + 1] for n in kept):
        return None
    direction, length = _precise(direction), _precise(length)
    return direction * (length / direction.square().sum(axes, keepdim=True).sqrt())


def _precise(tensor: Tensor) -> Tensor:
    """Return a tensor in at least float32, so that the product of factors is not rounded again."""
    return tensor if tensor.element_size() == 8 else tensor.float()


def _pruned(weight: Tensor, mask: Tensor) -> Tensor | None:
    """Return the weight with the masked entries zero."""
    return weight * mask.to(weight.dtype) if mask.shape == weight.shape else None


def _spectral_norm(weight: Tensor, left: Tensor, right: Tensor) -> Tensor | None:
    """Return W/σ with σ = uᵀWv from the stored singular vectors."""
    weight, left, right = _precise(weight), _precise(left), _precise(right)
    sides = (left.numel(), right.numel())
    for axis in range(2):
        matrix = weight.movedim(axis, 0).flatten(1)
        if tuple(matrix.shape) == sides:
            return weight / left.flatten().dot(matrix.mv(right.flatten()))
    return None
