"""Recipes: the settings that belong together, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from genpredict.errors import GenpredictError


@dataclass(frozen=True)
class Recipe:
    """Settings of a way to train.

    Attributes
    ----------
    source : str
        Where they are from.
    settings : mapping
        Fields of `Settings`; whatever a user gives goes before them.
    hyperparameters : mapping of str to mapping
        By optimizer; the optimizer's own defaults fill the rest.
    """

    source: str
    settings: Mapping[str, Any]
    hyperparameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


RECIPES: dict[str, Recipe] = {
    "paper": Recipe(
        "Hosseini, Tuli, Plataniotis, CVPR 2022, appendix E.2.1 and Table 5",
        {
            "network": "resnet18",
            "dataset": "cifar10",
            "optimizer": "rmsgd",
            "epochs": 250,
            "batch_size": 128,
            "schedule": "step",
            "step_epochs": 25,
            "step_factor": 0.5,
            "flip": True,
            "crop_padding": 4,
        },
    ),
    "nats": Recipe(
        "Dong, Liu, Musial, Gabrys, NATS-Bench, TPAMI 2021, Table 4",
        {
            "network": "sss:8:8:8:8:8",
            "dataset": "cifar10",
            "optimizer": "sgd",
            "epochs": 12,
            "batch_size": 256,
            "schedule": "cosine",
            "flip": True,
            "crop_padding": 4,
        },
        {
            "sgd": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
            "sls": {"steps_per_epoch": 196},  # 50,000 images by 256
        },
    ),
    "digits": Recipe(
        "genpredict: long enough for every optimizer to learn the digits on one core",
        {
            "network": "digits_cnn",
            "dataset": "digits",
            "optimizer": "rmsgd",
            "epochs": 20,
            "batch_size": 64,
            "schedule": "step",
            "step_epochs": 5,
            "step_factor": 0.5,
        },
        {
            "adam": {"lr": 0.001},  # Table 5's 0.0003 needs longer than 20 epochs of digits
            "sls": {"steps_per_epoch": 19},  # 1,200 images by 64
        },
    ),
}


def find_recipe(name: str) -> Recipe:
    """Return a recipe.

    Raises
    ------
    GenpredictError
        If there is none of that name.
    """
    if name not in RECIPES:
        raise GenpredictError(
            f"recipe: there is none called {name!r}; known recipes: {', '.join(RECIPES)}"
        )
    return RECIPES[name]
