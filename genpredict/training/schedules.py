"""What multiplies a learning rate over the epochs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genpredict.training.settings import Settings


def rate_factor(settings: Settings, epoch: int) -> float:
    """Return what multiplies the learning rate in an epoch.

    Parameters
    ----------
    settings : Settings
    epoch : int
        Epochs that are done, 0 in the first.

    Returns
    -------
    float
        "constant": 1. "step": ``step_factor ** (epoch // step_epochs)``. "cosine":
        (1 + cos(π·epoch/epochs))/2, which goes to 0 and stands still within an epoch, as in
        NATS-Bench.

    Examples
    --------
    >>> from genpredict.training.settings import complete
    >>> settings = complete({"optimizer": "sgd", "schedule": "step", "step_epochs": 25})
    >>> [rate_factor(settings, epoch) for epoch in (0, 24, 25, 50)]
    [1.0, 1.0, 0.5, 0.25]
    """
    if settings.schedule == "step":
        return float(settings.step_factor ** (epoch // settings.step_epochs))
    if settings.schedule == "cosine":
        return (1 + math.cos(math.pi * epoch / settings.epochs)) / 2
    return 1.0
