"""What the released optimizer (`rmsgd` 1.0.2 on PyPI) does otherwise than the paper.

Facts about that package, on one parameter group:

- Measured are 4-D weights, and 2-D ones where its option `linear` is on.
- Stable ranks (p = 1) are divided by the number of rows of the unfolding before it is transposed
  to be wide; an unfolding with one row counts as 0.
- After the first epoch every rate becomes (1 + β)·lr.
- After a later epoch a layer whose stable rank is 0 (to 1e-8) and never was found otherwise goes
  back to lr. The layers are walked through in a list from which those found ready are removed on
  the way, so that the layer behind one that becomes ready is passed over in that epoch: not held.
- Any other parameter takes the rate of the one before it; those before the first weight keep lr.
- Momentum is torch's: v ← αv + g, starting from v = g, and w ← w − ηv.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan, prod

from genpredict.training.optimizers.rates import Progress

#: Up to this a stable rank counts as 0: numpy.isclose's absolute tolerance, which it relies on.
ABSOLUTE_TOLERANCE = 1e-8


def released_stable_rank(shape: Sequence[int], stable_ranks: tuple[float, float]) -> float:
    """Average stable ranks (p = 1) over unfoldings as the released optimizer normalizes them.

    Parameters
    ----------
    shape : sequence of int
        (n_o, n_i, *kernel).
    stable_ranks : tuple of float
        By `genpredict.spectral`, of the unfoldings in_channel and out_channel; NaN where one does
        not exist.

    Returns
    -------
    float

    Examples
    --------
    >>> released_stable_rank((64, 1, 3, 3), (float("nan"), 0.5))  # 64 × 9, one of 1 × 576
    0.03515625
    """
    total = prod(shape)
    ranks = [
        0.0 if isnan(value) else value * min(rows, total // rows) / rows
        for rows, value in zip((shape[1], shape[0]), stable_ranks, strict=True)
    ]
    return ranks[1] if len(shape) == 2 else (ranks[0] + ranks[1]) / 2


def released_progress(
    layers: Sequence[Progress],
    stable_ranks: Sequence[float],
    *,
    epoch: int,
    lr: float,
    beta: float,
    zeta: float,
) -> list[Progress]:
    """Set the rates of all layers as the released optimizer does.

    Parameters
    ----------
    layers : sequence of Progress
        Where they stood an epoch ago, in the order of the parameters; `has_signal` is the
        released code's "ready".
    stable_ranks : sequence of float
        By `released_stable_rank`.
    epoch : int
        Number of epochs before this one.
    lr, beta, zeta : float
        As of `rates.next_progress`; the released code has ζ = 1.

    Returns
    -------
    list of Progress

    Examples
    --------
    >>> released_progress([Progress(0.03)], [0.1], epoch=0, lr=0.03, beta=0.5, zeta=1.0)[0].rate
    0.045
    """
    if epoch == 0:
        return [
            Progress(beta * layer.rate + zeta * lr, s)
            for layer, s in zip(layers, stable_ranks, strict=True)
        ]
    progress = []
    pass_over = False
    for layer, s in zip(layers, stable_ranks, strict=True):
        rate, ready = beta * layer.rate + zeta * (s - layer.stable_rank), layer.has_signal
        if not ready and pass_over:
            pass_over = False
        elif not ready and abs(s) <= ABSOLUTE_TOLERANCE:
            rate = lr
        elif not ready:
            ready = pass_over = True
        progress.append(Progress(max(rate, 0.0), s, ready))
    return progress
