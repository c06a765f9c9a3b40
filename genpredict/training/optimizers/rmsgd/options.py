"""Hyperparameters of RMSGD, checked at the door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import torch

from genpredict.errors import GenpredictError
from genpredict.training.optimizers.hyperparameters import Hyperparameter, rule_of

#: Options that hold for all groups: all layers are measured in one call, by one rule.
SHARED = ("estimator", "variant", "dtype", "linear")

#: Options of the class alone, in torch's terms; the others have a row in `RULES`.
_CHOICES: dict[str, tuple[object, ...]] = {
    "dtype": (torch.float64, torch.float32),
    "foreach": (None, True, False),
    "linear": (True, False),
}
_CHECKED = (
    *("lr", "beta", "zeta", "momentum", "weight_decay"),
    *("nesterov", "hold", "p", "estimator", "variant", "start"),
)


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse hyperparameters of a group that make no sense.

    Parameters
    ----------
    options : mapping
        All hyperparameters of RMSGD; other keys are not looked at.

    Returns
    -------
    dict
        All of them, NumPy's numbers as Python's.

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
    checked = dict(options)
    for name in options.keys() & set(_CHECKED):
        checked[name] = _admitted(name, options[name])
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
    return checked


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


def _admitted(name: str, value: object) -> Hyperparameter:
    """Return a value as its rule admits it."""
    rule = rule_of("rmsgd", name)
    if isinstance(value, torch.Tensor):
        _refuse(name, f"{rule.sentence} of Python's or NumPy's, no tensor (give its item())", value)
    admitted = rule.admit(value)
    if admitted is None:
        _refuse(name, rule.sentence, value)
    return admitted


def _refuse(name: str, rule: str, value: object) -> NoReturn:
    raise GenpredictError(f"{name}: {rule}, got {value!r}")
