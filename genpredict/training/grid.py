"""A sweep's plan: every combination of the values given for some settings."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genpredict.errors import GenpredictError
from genpredict.training.settings import Hyperparameter, Settings, complete

Value = Hyperparameter | list[int]
_Axis = Annotated[list[Value], Field(min_length=1)]
_HyperparameterAxis = Annotated[list[Hyperparameter], Field(min_length=1)]
#: How deep the values of each table lie; below that pydantic names every kind that it tried.
_DEPTHS = {"settings": 2, "grid": 3, "hyperparameters": 3}


class Plan(BaseModel):
    """What a sweep's TOML file says.

    Attributes
    ----------
    settings : dict
        For all runs: fields of `Settings`.
    grid : dict of lists
        Fields of `Settings`; every combination of the values is a run.
    hyperparameters : dict of dicts
        By optimizer; a list is one more axis of the grid, for this optimizer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: dict[str, Value] = Field(default_factory=dict)
    grid: dict[str, _Axis] = Field(default_factory=dict)
    hyperparameters: dict[str, dict[str, Hyperparameter | _HyperparameterAxis]] = Field(
        default_factory=dict
    )


def read_plan(path: Path) -> list[Settings]:
    """Read a sweep's file and spell its runs out.

    Parameters
    ----------
    path : Path
        A TOML file with the tables of `Plan`.

    Returns
    -------
    list of Settings
        One a run; the last axis of the grid moves fastest.

    Raises
    ------
    GenpredictError
        Naming the file and what is wrong in it.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GenpredictError(f"{path}: no readable TOML file: {error}") from error
    try:
        return spell_out(table)
    except GenpredictError as error:
        raise GenpredictError(f"{path}: {error}") from error


def spell_out(table: Mapping[str, Any]) -> list[Settings]:
    """Spell out the runs of a plan.

    Parameters
    ----------
    table : mapping
        The fields of `Plan`.

    Returns
    -------
    list of Settings

    Raises
    ------
    GenpredictError
        For unknown tables and settings, values that make no sense, a setting that is both fixed
        and varied, or hyperparameters of an optimizer that no run has.

    Examples
    --------
    >>> runs = spell_out({"grid": {"optimizer": ["sgd", "adam"], "seed": [0, 1, 2]}})
    >>> len(runs)
    6
    """
    try:
        plan = Plan(**table)
    except ValidationError as error:
        raise GenpredictError(_worded(error)) from error
    twice = sorted(plan.settings.keys() & plan.grid.keys())
    if twice:
        raise GenpredictError(f"{twice[0]}: stands in settings and in grid; keep one of them")
    runs = [complete(given) for given in _combinations(plan)]
    _check_optimizers(plan, runs)
    return list({run.id: run for run in runs}.values())


def _worded(error: ValidationError) -> str:
    """Say what is wrong with each value once, and what the tables take."""
    faults: dict[str, str] = {}
    for fault in error.errors():
        place = fault["loc"][: _DEPTHS.get(str(fault["loc"][0]), 1)]
        is_value = len(fault["loc"]) > len(place)
        rule = "must be a number, true, false or a text" if is_value else fault["msg"]
        faults.setdefault(".".join(map(str, place)), f"{rule}, not {fault['input']!r}")
    return (
        f"{'; '.join(f'{name}: {rule}' for name, rule in faults.items())} (known tables: settings, "
        f"with one value each; grid, with a list each; hyperparameters.OPTIMIZER, with either)"
    )


def _combinations(plan: Plan) -> Iterator[dict[str, Any]]:
    """Yield what each run is given."""
    for choices in itertools.product(*plan.grid.values()):
        given = {**plan.settings, **dict(zip(plan.grid, choices, strict=True))}
        optimizer = complete(given).optimizer
        axes = {
            name: value if isinstance(value, list) else [value]
            for name, value in plan.hyperparameters.get(optimizer, {}).items()
        }
        for choice in itertools.product(*axes.values()):
            yield {**given, "hyperparameters": dict(zip(axes, choice, strict=True))}


def _check_optimizers(plan: Plan, runs: list[Settings]) -> None:
    """Refuse hyperparameters that nothing would use."""
    unused = plan.hyperparameters.keys() - {run.optimizer for run in runs}
    if unused:
        raise GenpredictError(
            f"hyperparameters.{sorted(unused)[0]}: no run has this optimizer; add it to the grid, "
            f"or take the table out"
        )
