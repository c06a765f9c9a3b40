"""Optimizers: RMSGD and its rivals by name. Each loads what it needs at its first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genpredict.training.optimizers.known_optimizers import OptimizerSpec
    from genpredict.training.optimizers.registry import (
        OPTIMIZERS,
        build_optimizer,
        default_hyperparameters,
        register_optimizer,
    )
    from genpredict.training.optimizers.rmsgd.optimizer import RMSGD

_MODULE_OF = {
    "RMSGD": "rmsgd",
    "OPTIMIZERS": "registry",
    "OptimizerSpec": "registry",
    "build_optimizer": "registry",
    "default_hyperparameters": "registry",
    "register_optimizer": "registry",
}

__all__ = [
    "RMSGD",
    "OPTIMIZERS",
    "OptimizerSpec",
    "build_optimizer",
    "default_hyperparameters",
    "register_optimizer",
]


def __getattr__(name: str) -> object:
    """Import a public name at its first use."""
    if name in _MODULE_OF:
        module = import_module(f"genpredict.training.optimizers.{_MODULE_OF[name]}")
        return getattr(module, name)
    raise AttributeError(f"module 'genpredict.training.optimizers' has no attribute {name!r}")
