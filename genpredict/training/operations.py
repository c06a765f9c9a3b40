"""What a forward pass costs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd


def count_operations(network: nn.Module, shape: Sequence[int]) -> float:
    """Count the floating point operations of a forward pass of one input, roughly.

    Two for each multiplication of a convolution or a linear layer, and its addition; two for every
    parameter at least, which is what layers of other kinds count as.

    Parameters
    ----------
    network : nn.Module
        Neither its mode nor its statistics nor random generators change.
    shape : sequence of int
        Of one input.

    Returns
    -------
    float

    Examples
    --------
    >>> count_operations(nn.Conv2d(3, 8, 3, padding=1), (3, 32, 32)) == 2 * 8 * 27 * 32**2
    True
    """
    products: list[int] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, _ConvTransposeNd):
            products.append(inputs[0].numel() * module.weight[0].numel())
        elif isinstance(module, _ConvNd | nn.Linear):
            products.append(output.numel() * module.weight[0].numel())

    parameters = list(network.parameters())
    device, mode = parameters[0].device, network.training
    handles = [module.register_forward_hook(count) for module in network.modules()]
    try:
        network.eval()
        with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad():
            network(torch.zeros(1, *shape, device=device))
    finally:
        network.train(mode)
        for handle in handles:
            handle.remove()
    return 2.0 * max(sum(products), sum(parameter.numel() for parameter in parameters))
