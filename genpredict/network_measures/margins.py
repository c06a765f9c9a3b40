"""Output margins: by how much the right class wins.

References
----------
.. [1] P. Bartlett, D. Foster, M. Telgarsky, "Spectrally-normalized margin bounds for neural
   networks", NeurIPS 2017.
.. [2] Y. Jiang, B. Neyshabur, H. Mobahi, D. Krishnan, S. Bengio, "Fantastic generalization
   measures and where to find them", ICLR 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genpredict.network_measures.labelled_batches import LabelledInputs

#: The margin that this share of inputs falls short of stands for all; the least is an outlier's.
SHARE = 0.1


def output_margins(network: nn.Module, examples: LabelledInputs) -> Tensor:
    """Return f_y(x) − max_{j≠y} f_j(x) for every input, negative where it is misclassified.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode; maps inputs to logits, shape (N, C) with C ≥ 2.
    examples : LabelledInputs

    Returns
    -------
    Tensor, shape (N,), float64
    """
    margins = []
    with torch.no_grad():
        for inputs, labels in examples.batches():
            logits = network(inputs).double()
            right = logits.gather(1, labels.unsqueeze(1))
            others = logits.scatter(1, labels.unsqueeze(1), -torch.inf)
            margins.append(right.squeeze(1) - others.amax(1))
    return torch.cat(margins)


def margin(network: nn.Module, examples: LabelledInputs) -> float:
    """Return the 10th percentile γ of the output margin [2]_, linearly interpolated."""
    return float(output_margins(network, examples).quantile(SHARE))
