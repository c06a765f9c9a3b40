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


#: Up to so many images to evaluate, and to so many a training image, every epoch is evaluated.
_FEW, _PROPORTION = 5000, 2.0
#: Forward and backward pass of an image, in forward passes.
_STEP_COST = 3
#: Share of the time of training that evaluation may take where it is thinned.
_SHARE = 0.1


def evaluation_interval(settings: Settings, *, num_train: int, num_evaluated: int) -> int:
    """Return the number of epochs from one evaluation to the next.

    Parameters
    ----------
    settings : Settings
    num_train : int
        Images trained on in an epoch.
    num_evaluated : int
        Images that an evaluation looks at, those of training among them.

    Returns
    -------
    int
        `eval_every` where it is given.

    Examples
    --------
    >>> from genpredict.training.settings import complete
    >>> settings = complete({"dataset": "cifar10"})
    >>> evaluation_interval(settings, num_train=50_000, num_evaluated=60_000)
    1
    >>> evaluation_interval(settings, num_train=2_560, num_evaluated=12_560)
    17
    """
    if settings.eval_every is not None:
        return settings.eval_every
    if num_evaluated <= _FEW or num_evaluated <= _PROPORTION * num_train:
        return 1
    return math.ceil(num_evaluated / (_STEP_COST * _SHARE * num_train))
