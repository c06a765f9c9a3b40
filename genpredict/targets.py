"""Accuracies given from Python, joined to checkpoints by id."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import xarray as xr

from genpredict.errors import GenpredictError
from genpredict.network_columns import with_gap
from genpredict.schema import TARGETS

if TYPE_CHECKING:
    import pandas as pd

#: By checkpoint: a test accuracy, or several targets by name; by target: numbers by checkpoint; or
#: a table with a row a checkpoint and a column a target.
Targets: TypeAlias = "Mapping[str, float] | Mapping[str, Mapping[str, float]] | pd.DataFrame"
_LISTED = 5


def with_targets(scores: xr.Dataset, targets: Targets) -> xr.Dataset:
    """Give checkpoints their accuracies and losses.

    Parameters
    ----------
    scores : Dataset
        As of `score` or `open_scores`.
    targets : mapping or DataFrame
        Test accuracies (percent) by checkpoint, ``{"a.pt": 91.2, "b.pt": 89.9}``; several targets
        by checkpoint, ``{"a.pt": {"train_accuracy": 99.5, "test_accuracy": 91.2}}``; the other way
        about, ``{"test_accuracy": {"a.pt": 91.2}}``; or a table indexed by checkpoint.

    Returns
    -------
    Dataset
        With the targets as coordinates, and the generalization gap where it follows. Checkpoints
        that are not named keep what they have.

    Raises
    ------
    GenpredictError
        For a checkpoint that is not among the scores, a target of another name, accuracies that
        are no percentages.

    Examples
    --------
    >>> import torch
    >>> from genpredict import score
    >>> scores = score({"a": {"weight": torch.eye(4)}, "b": {"weight": torch.ones(4, 4)}})
    >>> with_targets(scores, {"a": 91.2, "b": 89.9})["test_accuracy"].values.tolist()
    [91.2, 89.9]
    """
    columns = _columns(targets, set(map(str, scores["checkpoint"].values)))
    ids = [str(name) for name in scores["checkpoint"].values]
    for name, by_checkpoint in columns.items():
        _check(name, by_checkpoint, ids)
        known = scores[name].values if name in scores.coords else np.full(len(ids), np.nan)
        numbers = [
            float(by_checkpoint.get(i, before)) for i, before in zip(ids, known, strict=True)
        ]
        scores = scores.assign_coords({name: ("checkpoint", numbers, TARGETS[name].attrs)})
    if "generalization_gap" not in columns and "generalization_gap" in scores.coords:
        scores = scores.drop_vars("generalization_gap")  # of other accuracies
    return with_gap(scores)


def _columns(targets: Targets, checkpoints: set[str]) -> dict[str, dict[str, float]]:
    """Return numbers by target and checkpoint, whichever way about they are given."""
    # a DataFrame, or a Series of test accuracies
    given: Any = targets.to_dict() if hasattr(targets, "to_dict") else targets
    if not isinstance(given, Mapping) or not given:
        raise GenpredictError(
            f"targets: must map checkpoints to accuracies in percent, such as "
            f'{{"a.pt": 91.2}}, got {type(given).__name__}'
        )
    columns: dict[str, dict[str, float]] = {}
    for outer, inner, number in _cells(given):
        target, checkpoint = (outer, inner) if _is_target(outer, checkpoints) else (inner, outer)
        if target not in TARGETS:
            raise GenpredictError(
                f"targets: {target!r} is none; known are {', '.join(TARGETS)}. Other columns "
                f"come from manifest="
            )
        columns.setdefault(target, {})[checkpoint] = number
    return columns


def _is_target(name: str, checkpoints: set[str]) -> bool:
    return name in TARGETS and name not in checkpoints


def _cells(targets: Mapping[str, Any]) -> Iterator[tuple[str, str, float]]:
    """Yield every number with its two keys; one that has a single key is a test accuracy."""
    for outer, inner in targets.items():
        if isinstance(inner, Mapping):
            yield from ((str(outer), str(name), number) for name, number in inner.items())
        else:
            yield str(outer), "test_accuracy", inner


def _check(name: str, by_checkpoint: Mapping[str, Any], ids: list[str]) -> None:
    """Raise where a number belongs to no checkpoint, or is none of this target."""
    if unknown := [checkpoint for checkpoint in by_checkpoint if checkpoint not in set(ids)]:
        more = f" and {len(unknown) - _LISTED} more" if len(unknown) > _LISTED else ""
        raise GenpredictError(
            f"targets: no checkpoint {', '.join(map(repr, unknown[:_LISTED]))}{more} among the "
            f"scores, which are {', '.join(map(repr, ids[:_LISTED]))}{', …' * (len(ids) > _LISTED)}"
        )
    for checkpoint, number in by_checkpoint.items():
        if not isinstance(number, Real):
            raise GenpredictError(f"targets: {name} of {checkpoint!r} must be a number: {number!r}")
    if TARGETS[name].units == "%":
        _check_percentages(name, by_checkpoint)


def _check_percentages(name: str, by_checkpoint: Mapping[str, float]) -> None:
    known = {key: float(number) for key, number in by_checkpoint.items() if not math.isnan(number)}
    for checkpoint, number in known.items():
        if not 0 <= number <= 100:
            raise GenpredictError(
                f"targets: {name} of {checkpoint!r} is {number}, no percentage (0 to 100)"
            )
    if known and max(known.values()) <= 1 and max(known.values()) > 0:
        raise GenpredictError(
            f"targets: every {name} lies between 0 and 1; accuracies are in percent: multiply "
            f"by 100"
        )
