"""From settings to what a run is made of."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from genpredict.errors import GenpredictError

if TYPE_CHECKING:
    from genpredict.training.settings import Settings
    from genpredict.training.training_state import TrainingState

#: Who prepares runs that are no classification of images: by the data set, or by the network.
_BY_DATASET = {"text": "genpredict.training.language:prepare_language"}
_BY_NETWORK = {"wgan": "genpredict.training.wgan:prepare_wgan"}
_IMAGES = "genpredict.training.materials:prepare"


def prepare_run(settings: Settings) -> TrainingState:
    """Load the data, build network and optimizer.

    Raises
    ------
    GenpredictError
        When a name is unknown, the data are not there, or the network cannot take them.
    """
    if settings.budget is not None:
        raise GenpredictError(
            f"budget: {settings.budget!r} is for sweeps, which know how long SGD took; give "
            f"budget_seconds"
        )
    by_network = _BY_NETWORK.get(settings.network, _IMAGES)
    module, _, function = _BY_DATASET.get(settings.dataset, by_network).partition(":")
    state: TrainingState = getattr(import_module(module), function)(settings)
    return state
