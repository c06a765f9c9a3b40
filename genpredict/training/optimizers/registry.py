"""Every optimizer by name, with the hyperparameters of the paper's comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from genpredict.errors import GenpredictError
from genpredict.training.optimizers.hyperparameters import (
    RULES,
    Hyperparameter,
    Rule,
    check_hyperparameters,
)

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

#: Entry points by which another package registers optimizers: callables without arguments.
ENTRY_POINTS = "genpredict.optimizers"
_BUILDERS = "genpredict.training.optimizers.registry_builders"
#: Comes with the extra `train` only.
_EXTRA = "pytorch_optimizer"

# The comparison of the paper (here: Hosseini, Tuli, Plataniotis, CVPR 2022, appendix E.2.1).
_WEIGHT_DECAY = 5e-4
_MOMENTUM = 0.9
# Kingma & Ba, ICLR 2015, Algorithm 1; kept by all its descendants
_ADAM = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
# Heo et al., ICLR 2021, section 3.2 and the authors' code
_PROJECTION = {"delta": 0.1, "wd_ratio": 0.1}
# 50,000 training images of CIFAR-10 in batches of 128
_CIFAR_STEPS = 391


@dataclass(frozen=True)
class OptimizerSpec:
    """An optimizer as the registry knows it.

    Attributes
    ----------
    name : str
        Lower case.
    title : str
        As the paper prints it.
    defaults : mapping of str to float, int, bool or str
        All its hyperparameters.
    source : str
        Where the learning rate is from, and what differs from there.
    steps_down : bool
        Whether a step decay of the learning rate is meant for it.
    build : str
        "module:function" that takes the network and, by name, all hyperparameters; "" for the
        function called as the optimizer in `registry_builders`.
    rules : mapping of str to Rule
        What its hyperparameters may be, where `hyperparameters.RULES` does not say.
    """

    name: str
    title: str
    defaults: Mapping[str, Hyperparameter]
    source: str
    steps_down: bool = True
    build: str = ""
    rules: Mapping[str, Rule] = field(default_factory=dict)


_SPECS = (
    OptimizerSpec(
        "sgd",
        "SGD",
        {"lr": 0.1, "momentum": _MOMENTUM, "nesterov": False, "weight_decay": _WEIGHT_DECAY},
        "Table 5",
    ),
    OptimizerSpec(
        "adam",
        "Adam",
        {"lr": 3e-4, **_ADAM, "amsgrad": False, "weight_decay": _WEIGHT_DECAY},
        "Table 5; weight decay is part of the gradient",
    ),
    OptimizerSpec(
        "adagrad",
        "AdaGrad",
        {
            "lr": 0.01,
            "lr_decay": 0.0,
            "initial_accumulator": 0.0,
            "eps": 1e-10,
            "weight_decay": _WEIGHT_DECAY,
        },
        "Table 5; weight decay is part of the gradient",
    ),
    OptimizerSpec(
        "adabelief",
        "AdaBelief",
        {
            "lr": 1e-3,
            **_ADAM,
            "amsgrad": False,
            "rectify": False,
            "decoupled": False,
            "weight_decay": _WEIGHT_DECAY,
        },
        "Zhuang et al., NeurIPS 2020, as the authors train on CIFAR (release 0.0.5: eps 1e-8, "
        "weight decay in the gradient, not rectified); later releases differ for other tasks",
    ),
    OptimizerSpec(
        "adabound",
        "AdaBound",
        {
            "lr": 0.01,
            "final_lr": 0.1,
            "gamma": 1e-3,
            **_ADAM,
            "amsgrad": False,
            "decoupled": False,
            "weight_decay": _WEIGHT_DECAY,
        },
        "Table 5; final_lr, gamma, and weight decay in the gradient: Luo et al., ICLR 2019",
    ),
    OptimizerSpec(
        "adamp",
        "AdamP",
        {"lr": 0.01, **_ADAM, **_PROJECTION, "nesterov": False, "weight_decay": _WEIGHT_DECAY},
        "Table 5; weight decay is decoupled: Heo et al., ICLR 2021",
    ),
    OptimizerSpec(
        "sgdp",
        "SGDP",
        {
            "lr": 0.1,
            "momentum": _MOMENTUM,
            "nesterov": False,
            **_PROJECTION,
            "eps": 1e-8,
            "weight_decay": _WEIGHT_DECAY,
        },
        "Table 5; weight decay is decoupled: Heo et al., ICLR 2021",
    ),
    OptimizerSpec(
        "sam",
        "SAM",
        {
            "lr": 0.1,
            "momentum": _MOMENTUM,
            "nesterov": False,
            "rho": 0.05,
            "adaptive": False,
            "weight_decay": _WEIGHT_DECAY,
        },
        "lr of the SGD below it, Foret et al., ICLR 2021, with rho; Table 5 prints lr 1.0, ten "
        "times that of SGD, which is implausible: give lr=1.0 to have it",
    ),
    OptimizerSpec(
        "sls",
        "SLS",
        {
            "lr": 1.0,
            "c": 0.1,
            "beta": 0.9,
            "gamma": 2.0,
            "reset": "grow",
            "max_lr": 10.0,
            "steps_per_epoch": _CIFAR_STEPS,
            "max_trials": 100,
            "weight_decay": _WEIGHT_DECAY,
        },
        "Table 5: the step size of the first search; the others: Vaswani et al., NeurIPS 2019",
        steps_down=False,
    ),
    OptimizerSpec(
        "rmsgd",
        "RMSGD",
        {
            "lr": 0.03,
            "beta": 0.98,
            "zeta": 1.0,
            "momentum": _MOMENTUM,
            "nesterov": False,
            "weight_decay": _WEIGHT_DECAY,
            "hold": True,
            "p": 1,
            "estimator": "global",
            "variant": "paper",
            "dtype": "float64",
        },
        "Table 5; the rest: genpredict.training.optimizers.RMSGD",
        steps_down=False,
    ),
)
#: Every optimizer by its name.
OPTIMIZERS: dict[str, OptimizerSpec] = {spec.name: spec for spec in _SPECS}


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
        module, _, function = (spec.build or f"{_BUILDERS}:{name}").partition(":")
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
        for point in entry_points(group=ENTRY_POINTS):
            point.load()()
    if name not in OPTIMIZERS:
        raise GenpredictError(
            f"optimizer: there is none called {name!r}; known optimizers: {', '.join(OPTIMIZERS)}"
        )
    return OPTIMIZERS[name]
