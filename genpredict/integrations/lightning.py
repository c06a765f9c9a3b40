"""RMSGD in Lightning."""

from __future__ import annotations

from typing import Any

try:
    from lightning.pytorch import Callback
except ModuleNotFoundError:
    from pytorch_lightning import Callback

from genpredict.integrations.epoch_steps import call_epoch_step


class LightningEpochStep(Callback):
    """Call RMSGD's `epoch_step` when a training epoch ends, and log what came of it.

    Its state is in the optimizer's, which Lightning's checkpoints hold.

    Parameters
    ----------
    log : bool
        Whether rates, stable ranks and Q go to the trainer's loggers.

    Examples
    --------
    >>> trainer = Trainer(callbacks=[LightningEpochStep()])  # doctest: +SKIP
    """

    def __init__(self, *, log: bool = True) -> None:
        self.log = log

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Step, and log."""
        numbers = call_epoch_step(trainer.optimizers)
        if self.log:
            for logger in trainer.loggers:
                logger.log_metrics(numbers, step=trainer.global_step)
