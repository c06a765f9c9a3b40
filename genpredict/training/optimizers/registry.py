"""Every optimizer by name, with the hyperparameters of the paper's comparison."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from genpredict.errors import GenpredictError
from genpredict.extensions import give_back_dask, load_extensions
from genpredict.training.optimizers.hyperparameters import (
    RULES,
    Hyperparameter,
    check_hyperparameters,
)
from genpredict.training.optimizers.known_optimizers import (
    BUILDERS,
    KNOWN_OPTIMIZERS,
    OptimizerSpec,
)

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

#: Entry points by which another package registers optimizers: callables without arguments.
ENTRY_POINTS = "genpredict.optimizers"
#: Comes with the extra `train` only.
_EXTRA = "pytorch_optimizer"


#: Every optimizer by its name.
OPTIMIZERS: dict[str, OptimizerSpec] = {spec.name: spec for spec in KNOWN_OPTIMIZERS}


def register_optimizer(spec: OptimizerSpec) -> None:
    """Add an optimizer, so that `build_optimizer`, `train` and sweeps know it by its name.

    Parameters
    ----------
    spec : OptimizerSpec
        With `build`; see `docs/contributing.md` for an example, and for the entry point by which a
        package registers its own.

    Raises
    ------
    GenpredictError
        If the name is taken, `build` is no "module:function", there is no lr, or a hyperparameter
        has no rule.

    Examples
    --------
    >>> register_optimizer(
    ...     OptimizerSpec(
    ...         "plain", "Plain SGD", {"lr": 0.1}, "an example",
    ...         build="genpredict.training.optimizers.registry_builders:sgd",
    ...     )
    ... )
    >>> default_hyperparameters("plain")
    {'lr': 0.1}
    >>> del OPTIMIZERS["plain"]
    """  # fmt: skip
    if OPTIMIZERS.get(spec.name, spec) != spec:
        raise GenpredictError(f"optimizer: {spec.name!r} is taken; choose another name")
    if not all(spec.build.partition(":")[::2]):
        raise GenpredictError(f'{spec.name}: build must be "module:function", not {spec.build!r}')
    if "lr" not in spec.defaults:
        raise GenpredictError(f"{spec.name}: defaults must have a learning rate, lr")
    for name in spec.defaults:
        if not {name, f"{spec.name}.{name}"} & RULES.keys() and name not in spec.rules:
            raise GenpredictError(f"{spec.name}: rules must say what {name} may be; add a Rule")
    OPTIMIZERS[spec.name] = spec


def default_hyperparameters(name: str) -> dict[str, Hyperparameter]:
    """Return all hyperparameters of an optimizer with their defaults.

    Raises
    ------
    GenpredictError
        If no optimizer has this name.

    Examples
    --------
    >>> default_hyperparameters("sgd")
    {'lr': 0.1, 'momentum': 0.9, 'nesterov': False, 'weight_decay': 0.0005}
    """
    return dict(find_optimizer(name).defaults)


def build_optimizer(name: str, network: nn.Module, **hyperparameters: Any) -> Optimizer:
    """Build an optimizer by its name for all parameters of a network.

    Parameters
    ----------
    name : str
        A key of `OPTIMIZERS`: sgd, adam, adagrad, adabelief, adabound, adamp, sgdp, sam, sls or
        rmsgd.
    network : nn.Module
        Its parameters are passed with their names.
    **hyperparameters
        Those that differ from `default_hyperparameters`.

    Returns
    -------
    torch.optim.Optimizer
        Steps by ``optimizer.step(closure)``. ``closure(backward=True)`` zeroes the gradients,
        evaluates the loss of the mini-batch, computes gradients unless backward is False, and
        returns the loss (a tensor of one number). All but SAM and SLS call it once.

    Raises
    ------
    GenpredictError
        If no optimizer has this name; for hyperparameters that it does not have, or outside their
        ranges; if the network has no parameters, or the package it needs is not there.

    Examples
    --------
    >>> from torch import nn
    >>> optimizer = build_optimizer("sgd", nn.Linear(2, 1), lr=0.05, nesterov=True)
    >>> optimizer.param_groups[0]["lr"]
    0.05
    """
    spec = find_optimizer(name)
    checked = check_hyperparameters(name, hyperparameters, spec.defaults, spec.rules)
    if next(network.parameters(), None) is None:
        raise GenpredictError(f"network: has no parameters for {name} to optimize")
    try:
        module, _, function = (spec.build or f"{BUILDERS}:{name}").partition(":")
        if spec.build:
            give_back_dask()  # code of another package
        optimizer: Optimizer = getattr(import_module(module), function)(network, **checked)
    except ModuleNotFoundError as error:
        if error.name != _EXTRA:
            raise
        raise GenpredictError(
            f"{name}: needs the package pytorch-optimizer; pip install 'genpredict[train]'"
        ) from error
    except GenpredictError as error:
        raise GenpredictError(f"{name}: {error}") from error
    return optimizer


def find_optimizer(name: str) -> OptimizerSpec:
    """Return what the registry knows of an optimizer, other packages' among them.

    Raises
    ------
    GenpredictError
        If no optimizer has this name.
    """
    if name not in OPTIMIZERS:
        load_extensions(ENTRY_POINTS)
    if name not in OPTIMIZERS:
        raise GenpredictError(
            f"optimizer: there is none called {name!r}; known optimizers: {', '.join(OPTIMIZERS)}"
        )
    return OPTIMIZERS[name]
