"""How far training has taken the weights from where they started.

References
----------
.. [1] Y. Jiang, B. Neyshabur, H. Mobahi, D. Krishnan, S. Bengio, "Fantastic generalization
   measures and where to find them", ICLR 2020.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from genpredict.spectral import singular_values


def distances_from_initialization(
    weights: Sequence[Tensor], initial: Sequence[Tensor]
) -> tuple[float, float]:
    """Return √Σ‖W − W₀‖²_F and √Σ‖W − W₀‖²₂ over all layers [1]_.

    Parameters
    ----------
    weights, initial : sequence of Tensor, shapes (n_o, n_i, *kernel)
        Of the same layers in the same order.

    Returns
    -------
    tuple of float
        In units of the weights: by Frobenius norms, and by spectral norms of weights flattened
        to (n_o, rest).
    """
    frobenius, spectral = 0.0, 0.0
    for weight, start in zip(weights, initial, strict=True):
        step = (weight.detach().double() - start.detach().double()).flatten(1)
        frobenius += float(step.square().sum())
        spectral += float(singular_values(step).amax().square())
    return math.sqrt(frobenius), math.sqrt(spectral)
