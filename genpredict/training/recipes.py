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
    "ptb": Recipe(
        "Hosseini, Tuli, Plataniotis, CVPR 2022, appendix E.4: sizes, clipping, β; batches as in "
        "PyTorch's word language model. Without a text a small one is made up",
        {
            "network": "lstm:3:400:1150",
            "dataset": "text",
            "optimizer": "rmsgd",
            "epochs": 200,
            "batch_size": 20,
            "sequence_length": 35,
            "clip_norm": 0.25,
            "schedule": "step",
            "step_epochs": 25,
            "step_factor": 0.5,
        },
        {
            "rmsgd": {"lr": 1.0, "beta": 0.9, "weight_decay": 0.0},
            "sgd": {"lr": 1.0, "weight_decay": 0.0},
            "adam": {"lr": 0.001, "weight_decay": 0.0},
        },
    ),
    "wgan": Recipe(
        "Arjovsky, Chintala, Bottou, ICML 2017, Algorithm 1, with the optimizers of Hosseini, "
        "Tuli, Plataniotis, CVPR 2022, appendix E.5; small enough for the digits",
        {
            "network": "wgan",
            "dataset": "digits",
            "optimizer": "rmsgd",
            "epochs": 40,
            "batch_size": 32,
            "schedule": "constant",
        },
        {
            "rmsgd": {"momentum": 0.0, "weight_decay": 0.0},  # the game turns momentum against it
            "sgd": {"momentum": 0.0, "weight_decay": 0.0},
            "adam": {"lr": 5e-4, "beta1": 0.0, "weight_decay": 0.0},
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
