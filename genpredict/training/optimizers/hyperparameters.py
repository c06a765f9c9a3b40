"""What each hyperparameter may be; checked once, at the door, for every optimizer alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import NoReturn

from genpredict.errors import GenpredictError

Hyperparameter = float | int | bool | str


@dataclass(frozen=True)
class Rule:
    """What a hyperparameter may be.

    Attributes
    ----------
    text : str
        The rule in words, to follow "must".
    kind : type
        float takes any finite real number, int whole numbers, bool and str their own kind.
    holds : callable
        Whether a number is allowed.
    choices : tuple
        All that is allowed, where it is not a range.
    """

    text: str
    kind: type[Hyperparameter]
    holds: Callable[[float], bool] = lambda value: True
    choices: tuple[Hyperparameter, ...] = ()

    @property
    def sentence(self) -> str:
        """The rule, choices as Python writes them."""
        choices = (True, False) if self.kind is bool else self.choices
        return f"must be one of {choices}" if choices else f"must {self.text}"

    def admit(self, value: object) -> Hyperparameter | None:
        """Return a value as its kind, None where it breaks the rule."""
        if self.choices:
            same = (one for one in self.choices if type(one) is type(value) and one == value)
            return next(same, None)
        if isinstance(value, bool) or self.kind is bool:
            return value if isinstance(value, bool) and self.kind is bool else None
        if not isinstance(value, Real) or not math.isfinite(value):
            return None
        number = float(value)
        if not self.holds(number) or (self.kind is int and not number.is_integer()):
            return None
        return int(number) if self.kind is int else number


def _choice(*choices: Hyperparameter) -> Rule:
    return Rule(f"be one of {', '.join(map(repr, choices))}", type(choices[0]), choices=choices)


POSITIVE = Rule("be a finite number above 0", float, lambda value: value > 0)
NOT_NEGATIVE = Rule("be a finite number of at least 0", float, lambda value: value >= 0)
AT_LEAST_ONE = Rule("be a finite number of at least 1", float, lambda value: value >= 1)
SHARE = Rule("lie in [0, 1)", float, lambda value: 0 <= value < 1)
INNER_SHARE = Rule("lie in (0, 1)", float, lambda value: 0 < value < 1)
WHOLE_SHARE = Rule("lie in [0, 1]", float, lambda value: 0 <= value <= 1)
COUNT = Rule("be a whole number of at least 1", int, lambda value: value >= 1)
SWITCH = Rule("be True or False", bool)

#: Rule by name; ``optimizer.name`` goes before ``name``.
RULES: dict[str, Rule] = {
    "lr": POSITIVE,
    "final_lr": POSITIVE,
    "max_lr": POSITIVE,
    "momentum": SHARE,
    "beta1": SHARE,
    "beta2": SHARE,
    "weight_decay": NOT_NEGATIVE,
    "lr_decay": NOT_NEGATIVE,
    "initial_accumulator": NOT_NEGATIVE,
    "eps": POSITIVE,
    "rho": POSITIVE,
    "gamma": POSITIVE,
    "delta": NOT_NEGATIVE,
    "wd_ratio": WHOLE_SHARE,
    "nesterov": SWITCH,
    "amsgrad": SWITCH,
    "decoupled": SWITCH,
    "rectify": SWITCH,
    "adaptive": SWITCH,
    "sls.c": INNER_SHARE,
    "sls.beta": INNER_SHARE,
    "sls.gamma": AT_LEAST_ONE,
    "sls.reset": _choice("grow", "keep", "maximum"),
    "sls.steps_per_epoch": COUNT,
    "sls.max_trials": COUNT,
    "rmsgd.beta": SHARE,
    "rmsgd.zeta": NOT_NEGATIVE,
    "rmsgd.hold": SWITCH,
    "rmsgd.p": _choice(1, 2),
    "rmsgd.estimator": _choice("global", "reference"),
    "rmsgd.variant": _choice("paper", "released"),
    "rmsgd.start": _choice("zero", "measured"),
    "rmsgd.dtype": _choice("float64", "float32"),
}


def rule_of(optimizer: str, name: str) -> Rule:
    """Return what a hyperparameter of an optimizer may be.

    Examples
    --------
    >>> rule_of("rmsgd", "beta").sentence
    'must lie in [0, 1)'
    """
    return RULES.get(f"{optimizer}.{name}") or RULES[name]


def check_hyperparameters(
    optimizer: str,
    given: Mapping[str, object],
    defaults: Mapping[str, Hyperparameter],
    rules: Mapping[str, Rule] | None = None,
) -> dict[str, Hyperparameter]:
    """Fill hyperparameters up with defaults and refuse those that make no sense.

    Parameters
    ----------
    optimizer : str
        Name, for the rules and the message.
    given : mapping
        Hyperparameters by name; whole numbers are taken for floats, never bools for numbers.
    defaults : mapping
        All that the optimizer has.
    rules : mapping of str to Rule, optional
        The optimizer's own, which go before `RULES`.

    Returns
    -------
    dict
        All hyperparameters, as plain Python numbers, bools and strings.

    Raises
    ------
    GenpredictError
        Naming optimizer, hyperparameter, rule, value, and the names that are known.

    Examples
    --------
    >>> check_hyperparameters("sgd", {"lr": 1}, {"lr": 0.1, "momentum": 0.9})
    {'lr': 1.0, 'momentum': 0.9}
    >>> check_hyperparameters("sgd", {"momentum": 1.5}, {"lr": 0.1, "momentum": 0.9})
    Traceback (most recent call last):
    genpredict.errors.GenpredictError: sgd: momentum must lie in [0, 1), not 1.5; ...
    """
    checked = dict(defaults)
    for name, value in given.items():
        if name not in defaults:
            _refuse(optimizer, f"there is no {name!r}", defaults)
        rule = (rules or {}).get(name) or rule_of(optimizer, name)
        admitted = rule.admit(value)
        if admitted is None:
            _refuse(optimizer, f"{name} must {rule.text}, not {value!r}", defaults)
        checked[name] = admitted
    if checked.get("nesterov") and not checked.get("momentum", True):
        _refuse(optimizer, "nesterov must be False, not True, without a momentum above 0", defaults)
    return checked


def _refuse(optimizer: str, fault: str, known: Mapping[str, object]) -> NoReturn:
    defaults = ", ".join(f"{name} = {value!r}" for name, value in known.items())
    raise GenpredictError(f"{optimizer}: {fault}; hyperparameters and defaults: {defaults}")
