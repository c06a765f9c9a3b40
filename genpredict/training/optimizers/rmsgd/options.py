"""Hyperparameters of RMSGD, checked at the door."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, NoReturn

import torch

from genpredict.errors import GenpredictError
from genpredict.schema import POWERS
from genpredict.spectral import ESTIMATORS

VARIANTS = ("paper", "released")
#: Options that hold for all groups: all layers are measured in one call, by one rule.
SHARED = ("estimator", "variant", "dtype", "linear")

_RANGES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "lr": ("must be a finite number above 0", lambda value: value > 0),
    "beta": ("must lie in [0, 1)", lambda value: 0 <= value < 1),
    "zeta": ("must be a finite number of at least 0", lambda value: value >= 0),
    "momentum": ("must lie in [0, 1)", lambda value: 0 <= value < 1),
    "weight_decay": ("must be a finite number of at least 0", lambda value: value >= 0),
}
_CHOICES: dict[str, tuple[object, ...]] = {
    "p": POWERS,
    "estimator": ESTIMATORS,
    "variant": VARIANTS,
    "dtype": (torch.float64, torch.float32),
    "nesterov": (True, False),
    "hold": (True, False),
    "foreach": (None, True, False),
    "linear": (True, False),
}


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse hyperparameters of a group that make no sense.

    Parameters
    ----------
    options : mapping
        All hyperparameters of RMSGD; other keys are not looked at.

    Raises
    ------
    GenpredictError
        Naming the hyperparameter, the rule and the value.

    Examples
    --------
    >>> check_options({"beta": 1.5})
    Traceback (most recent call last):
    genpredict.errors.GenpredictError: beta: must lie in [0, 1), got 1.5
    """
    for name in _RANGES.keys() & options.keys():
        rule, holds = _RANGES[name]
        value = options[name]
        if not _is_number(value) or not (isfinite(value) and holds(value)):
            _refuse(name, rule, value)
    for name in _CHOICES.keys() & options.keys():
        # 1 == True, but as a choice it is another
        if not any(
            type(options[name]) is type(one) and options[name] == one for one in _CHOICES[name]
        ):
            _refuse(name, f"must be one of {_CHOICES[name]}", options[name])
    if options.get("nesterov") and not options.get("momentum"):
        _refuse("nesterov", "needs a momentum above 0", True)
    if options.get("variant") == "released":
        _check_released(options)


def check_shared(options: Mapping[str, Any], shared: Mapping[str, Any]) -> None:
    """Refuse options of a group that must be the same in all groups.

    Parameters
    ----------
    options : mapping
        Of the group.
    shared : mapping
        Of the optimizer.

    Raises
    ------
    GenpredictError
        Naming the option and both values.
    """
    for name in SHARED:
        if options.get(name, shared[name]) != shared[name]:
            raise GenpredictError(
                f"{name}: must be the same in all groups, "
                f"got {options[name]!r} beside {shared[name]!r}"
            )


def check_further(options: Mapping[str, Any]) -> None:
    """Refuse a further group where the variant takes but one."""
    if options["variant"] == "released":
        raise GenpredictError('variant: "released" takes one parameter group, got another')


def _check_released(options: Mapping[str, Any]) -> None:
    """Refuse what the released optimizer has no form of."""
    if options.get("p", 1) != 1:
        _refuse("p", 'must be 1 with variant="released", which knows no other', options["p"])
    if not options.get("hold", True):
        _refuse("hold", 'must be True with variant="released", which always holds', False)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse(name: str, rule: str, value: object) -> NoReturn:
    raise GenpredictError(f"{name}: {rule}, got {value!r}")
