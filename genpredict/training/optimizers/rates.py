"""The rule by which RMSGD sets the learning rate of a layer: numbers in, numbers out.

References
----------
.. [1] M. S. Hosseini, M. Tuli, K. N. Plataniotis, "Exploiting Explainable Metrics for Augmented
   SGD", CVPR 2022, Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import NamedTuple

#: What stands for a β that goes with the number of epochs.
SCALED = "scaled"
#: β and the epochs it is meant for, Table 5 of [1]_.
_BETA, _EPOCHS = 0.98, 250


def scaled_beta(epochs: int) -> float:
    """Return the β that leaves as much of a rate after `epochs` as .98 after 250.

    β = .98^(250/epochs). The paper has .98 at 250 epochs and .95 at 100; with .98 at 40 epochs
    rates are still high when training ends.

    Examples
    --------
    >>> [round(scaled_beta(epochs), 3) for epochs in (250, 100, 40)]
    [0.98, 0.951, 0.881]
    """
    return float(_BETA ** (_EPOCHS / epochs))


class Progress(NamedTuple):
    """Where a layer stands after t epochs.

    Parameters
    ----------
    rate : float
        η(t), its learning rate.
    stable_rank : float
        s(t), the mean stable rank of its low-rank unfoldings; s(0) = 0.
    has_signal : bool
        Whether any s so far was above zero.
    """

    rate: float
    stable_rank: float = 0.0
    has_signal: bool = False


def next_progress(
    last: Progress, stable_rank: float, *, lr: float, beta: float, zeta: float, hold: bool
) -> Progress:
    """Set the learning rate by what the stable rank gained in an epoch.

    η(t) = max(β·η(t−1) + ζ·[s(t) − s(t−1)], 0), Algorithm 1 of [1]_.

    Parameters
    ----------
    last : Progress
        Where the layer stood an epoch ago.
    stable_rank : float
        s(t).
    lr : float
        η(0).
    beta, zeta : float
        β, the share of the rate that is kept, and ζ, the gain on the stable rank.
    hold : bool
        Whether a layer in which EVBMF has found no signal yet keeps η(0). Without that its rate
        decays as βᵗ, and a layer that learns slowly is stopped before it has begun.

    Returns
    -------
    Progress

    Examples
    --------
    >>> rule = dict(lr=0.03, beta=0.5, zeta=1.0, hold=True)
    >>> start = Progress(rate=0.03)
    >>> next_progress(start, 0.0, **rule).rate, next_progress(start, 0.25, **rule).rate
    (0.03, 0.265)
    >>> next_progress(Progress(0.1, 0.5, True), 0.25, **rule).rate
    0.0
    """
    has_signal = last.has_signal or stable_rank > 0
    if hold and not has_signal:
        return Progress(lr, stable_rank, False)
    rate = beta * last.rate + zeta * (stable_rank - last.stable_rank)
    return Progress(max(rate, 0.0), stable_rank, has_signal)


def layer_stable_rank(parts: Sequence[Sequence[float]]) -> float:
    """Average the stable ranks of a layer over its unfoldings, then over its parts.

    Parameters
    ----------
    parts : sequence of sequence of float
        For each part (a gate of a recurrent layer, else the one weight) the stable ranks of its
        unfoldings, NaN for one that does not exist.

    Returns
    -------
    float

    Examples
    --------
    >>> layer_stable_rank([[float("nan"), 0.5], [float("nan"), 0.25]])
    0.375
    """
    means = []
    for part in parts:
        known = [value for value in part if not isnan(value)]
        means.append(sum(known) / len(known))
    return sum(means) / len(means)
