"""What a checkpoint of a run says about itself."""

from __future__ import annotations

import math
from collections.abc import Mapping

from genpredict.training.settings import Settings

#: Fields of `Settings` that become coordinates of a score.
_FROM_SETTINGS = (
    "dataset", "optimizer", "seed", "recipe", "batch_size", "schedule", "label_noise", "flip",
    "crop_padding", "cutout_holes",
)  # fmt: skip
#: Hyperparameters that become coordinates, and how these are called.
_FROM_HYPERPARAMETERS = {
    "lr": "learning_rate",
    "weight_decay": "weight_decay",
    "momentum": "momentum",
    "beta": "beta",
    "zeta": "zeta",
    "rho": "rho",
}
#: Numbers of the epoch that are kept.
_NUMBERS = (
    *("train_accuracy", "test_accuracy", "validation_accuracy"),
    *("train_loss", "test_loss", "validation_loss"),
)
#: Search spaces of NATS-Bench, whose networks are called by their architecture alone, as its
#: archives call them.
_SPACES = ("sss", "tss")


def checkpoint_metadata(
    settings: Settings, run_id: str, epoch: int, num_train: int, numbers: Mapping[str, float]
) -> dict[str, str | float | int]:
    """Collect coordinates and targets by the names of `genpredict.schema`.

    Parameters
    ----------
    settings : Settings
    run_id : str
        Becomes the coordinate ``run``.
    epoch : int
        Epochs done.
    num_train : int
        Images that it was trained on.
    numbers : mapping
        Accuracies (percent) and losses (nat) after it.

    Returns
    -------
    dict
        What is not known is left out.
    """
    metadata: dict[str, str | float | int] = {"run": run_id, "epoch": epoch, "num_train": num_train}
    metadata |= _named(settings.network)
    for name in _FROM_SETTINGS:
        value = getattr(settings, name)
        if value is not None:
            metadata[name] = int(value) if isinstance(value, bool) else value
    for name, coordinate in _FROM_HYPERPARAMETERS.items():
        value = settings.hyperparameters.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            metadata[coordinate] = value
    known = {name: numbers.get(name, math.nan) for name in _NUMBERS}
    metadata |= {name: value for name, value in known.items() if math.isfinite(value)}
    return metadata


def _named(network: str) -> dict[str, str]:
    """Return the coordinates that name a network: "sss:8:8:8:8:8" is 8:8:8:8:8 of space sss."""
    space, _, architecture = network.partition(":")
    if space in _SPACES:
        return {"network": architecture, "search_space": space}
    return {"network": network}
