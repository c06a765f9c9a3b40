"""A word on label noise: train accuracy then is of labels that were made wrong on purpose."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr

#: What is told of training labels.
_OF_TRAINING = ("train_accuracy", "train_loss", "generalization_gap")


def noise_note(scores: xr.Dataset, targets: Iterable[str] | None = None) -> str:
    """Say how many checkpoints were trained with label noise, and what that makes of their gap.

    Parameters
    ----------
    scores : Dataset
    targets : iterable of str, optional
        Those that are looked at; by default all that the scores have.

    Returns
    -------
    str
        "" where there is no noise, or no target of training labels.

    Examples
    --------
    >>> noisy = {"label_noise": [0.0, 0.4], "train_accuracy": [99.0, 41.0]}
    >>> scores = xr.Dataset(coords={name: ("checkpoint", row) for name, row in noisy.items()})
    >>> noise_note(scores).partition(":")[0]
    '1 of 2 checkpoints were trained with label noise'
    """
    looked_at = _OF_TRAINING if targets is None else [t for t in _OF_TRAINING if t in set(targets)]
    told = any(name in scores.variables and scores[name].notnull().any() for name in looked_at)
    if not told or "label_noise" not in scores.variables:
        return ""
    noise = scores["label_noise"].values
    if noise.dtype.kind not in "fiu" or not (noise > 0).any():
        return ""
    count = int(np.sum(noise > 0))
    return (
        f"{count:,} of {len(noise):,} checkpoints were trained with label noise: their train "
        "accuracy and loss are those of the noisy labels, so that a gap may be far below 0; "
        "--where 'label_noise == 0' leaves them out"
    )
