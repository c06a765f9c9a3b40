"""RMSGD in Hugging Face's Trainer."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from genpredict.integrations.epoch_steps import call_epoch_step


class TrainerEpochStep(TrainerCallback):
    """Call RMSGD's `epoch_step` when an epoch ends, and keep what came of it.

    Its state is in the optimizer's, which Trainer's checkpoints hold.

    Parameters
    ----------
    log : bool
        Whether rates, stable ranks and Q go into the trainer's log history.

    Examples
    --------
    >>> trainer = Trainer(
    ...     model, arguments, train_dataset=images, optimizers=(optimizer, None),
    ...     callbacks=[TrainerEpochStep()],
    ... )  # doctest: +SKIP
    """  # fmt: skip

    def __init__(self, *, log: bool = True) -> None:
        self.log = log

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Step, and log."""
        numbers = call_epoch_step([kwargs["optimizer"]])
        if self.log:
            state.log_history.append({"epoch": state.epoch, "step": state.global_step, **numbers})
