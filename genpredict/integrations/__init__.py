"""Callbacks for other people's training loops; each loads its framework at its first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from genpredict.errors import GenpredictError

if TYPE_CHECKING:
    from genpredict.integrations.lightning import LightningEpochStep
    from genpredict.integrations.trainer import TrainerEpochStep

__all__ = ["LightningEpochStep", "TrainerEpochStep", "call_epoch_step"]

#: Where each name is, and what has to be installed for it.
_HOMES = {
    "LightningEpochStep": ("lightning", "lightning"),
    "TrainerEpochStep": ("trainer", "transformers"),
    "call_epoch_step": ("epoch_steps", ""),
}


def __getattr__(name: str) -> Any:
    """Import a callback when it is first asked for.

    Raises
    ------
    GenpredictError
        If its framework is not installed.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, package = _HOMES[name]
    try:
        return getattr(import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as error:
        raise GenpredictError(f"{name}: needs {package}; pip install {package}") from error
