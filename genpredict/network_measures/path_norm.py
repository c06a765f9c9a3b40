"""The path norm: Σ over all paths from inputs to outputs of the product of squared weights.

References
----------
.. [1] B. Neyshabur, R. Tomioka, N. Srebro, "Norm-based capacity control in neural networks",
   COLT 2015.
.. [2] Y. Jiang, B. Neyshabur, H. Mobahi, D. Krishnan, S. Bengio, "Fantastic generalization
   measures and where to find them", ICLR 2020 (Eq. 44).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from genpredict.network_measures.scaled_tensor import log_sum, scaled

_Norm = nn.modules.batchnorm._BatchNorm
_LINEAR = (nn.Linear, nn.modules.conv._ConvNd)


def log_path_norm(network: nn.Module, input_shape: Sequence[int]) -> float:
    """Return the logarithm of the path norm, which no depth makes overflow.

    The network runs as in inference with every parameter squared, on one input of ones, and its
    outputs are summed. Batch norms are folded first: with their running statistics they are
    affine maps x ↦ s·x + t, joined with the bias b of a convolution or linear layer that feeds
    them, and s and b·s + t are squared.

    Parameters
    ----------
    network : nn.Module
        Left as it is.
    input_shape : sequence of int
        (channels, height, width), or (features,): of one input.

    Returns
    -------
    float
        −∞ where no path has weight.

    Raises
    ------
    RuntimeError
        What the network raises on inputs of this shape.

    Examples
    --------
    >>> network = nn.Linear(2, 1, bias=False)
    >>> _ = network.weight.data.copy_(torch.tensor([[1.0, 2.0]]))
    >>> round(log_path_norm(network, (2,)), 6)  # ln (1² + 2²)
    1.609438
    """
    squared = copy.deepcopy(network).double().eval().cpu()
    ones = torch.ones(1, *input_shape, dtype=torch.float64)
    with torch.no_grad():
        feeders = _feeders(squared, ones)
        norms = {name: m for name, m in squared.named_modules() if isinstance(m, _Norm)}
        folded = {name: _fold(norm, feeders.get(name)) for name, norm in norms.items()}
        for parameter in squared.parameters():
            parameter.square_()
        for name, affine in folded.items():
            squared.set_submodule(name, affine)
        return log_sum(squared(scaled(ones)))


class _SquaredAffine(nn.Module):
    """The map x ↦ s²·x + t² of a folded batch norm, channel by channel."""

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.scale, self.shift = scale.square(), shift.square()

    def forward(self, features: Tensor) -> Tensor:
        """Map features of shape (N, C, ...)."""
        shape = [1, -1] + [1] * (features.ndim - 2)
        return features * self.scale.reshape(shape) + self.shift.reshape(shape)


def _fold(norm: Any, feeder: Any) -> _SquaredAffine:
    """Fold a batch norm as in inference, the bias of what feeds it included and set to 0 there."""
    mean, variance = norm.running_mean, norm.running_var
    if mean is None:  # never tracked: as freshly made
        mean, variance = (
            torch.zeros(norm.num_features).double(),
            torch.ones(norm.num_features).double(),
        )
    scale = (variance + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -mean * scale
    if norm.bias is not None:
        shift = shift + norm.bias
    if feeder is not None and feeder.bias is not None:
        shift = shift + feeder.bias * scale
        feeder.bias.zero_()
    return _SquaredAffine(scale, shift)


def _feeders(network: nn.Module, inputs: Tensor) -> dict[str, nn.Module]:
    """Run a network; return, by name of a batch norm, the linear map whose output it takes."""
    outputs: list[tuple[Tensor, nn.Module]] = []  # kept alive, so that identities are unique
    feeders: dict[str, nn.Module] = {}

    def remember(module: nn.Module, _: Any, output: Tensor) -> None:
        outputs.append((output, module))

    def look(name: str, entered: tuple[Tensor, ...]) -> None:
        for output, module in outputs:
            if output is entered[0]:
                feeders[name] = module

    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, _LINEAR):
            hooks.append(module.register_forward_hook(remember))
        elif isinstance(module, _Norm):
            hooks.append(
                module.register_forward_pre_hook(lambda _, entered, name=name: look(name, entered))
            )
    network(inputs)
    for hook in hooks:
        hook.remove()
    return feeders
