"""The table of optimizers: a row each, with the hyperparameters of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from genpredict.training.optimizers.hyperparameters import (
    Hyperparameter,
    Rule,
)

BUILDERS = "genpredict.training.optimizers.registry_builders"
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


KNOWN_OPTIMIZERS = (
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
