"""How the registry's optimizers are built: one function a name, every option written out.

Hyperparameters come checked and complete. What is not one of them is set here to what the
optimizer's paper has, whatever a package's default is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer


def sgd(network: nn.Module, **options: Any) -> Optimizer:
    """Build torch's SGD."""
    return torch.optim.SGD(network.named_parameters(), dampening=0, **options)


def adam(network: nn.Module, *, beta1: float, beta2: float, **options: Any) -> Optimizer:
    """Build torch's Adam."""
    return torch.optim.Adam(network.named_parameters(), betas=(beta1, beta2), **options)


def adagrad(network: nn.Module, *, initial_accumulator: float, **options: Any) -> Optimizer:
    """Build torch's Adagrad."""
    return torch.optim.Adagrad(
        network.named_parameters(), initial_accumulator_value=initial_accumulator, **options
    )


def adabelief(
    network: nn.Module,
    *,
    beta1: float,
    beta2: float,
    amsgrad: bool,
    decoupled: bool,
    **options: Any,
) -> Optimizer:
    """Build pytorch-optimizer's AdaBelief."""
    from genpredict.training.optimizers.peers import AdaBelief

    return AdaBelief(
        network.named_parameters(),
        betas=(beta1, beta2),
        weight_decouple=decoupled,
        fixed_decay=False,
        n_sma_threshold=5,  # of the rectified form: Liu et al., ICLR 2020, and the authors' code
        degenerated_to_sgd=True,
        ams_bound=amsgrad,
        **options,
    )


def adabound(
    network: nn.Module,
    *,
    beta1: float,
    beta2: float,
    amsgrad: bool,
    decoupled: bool,
    **options: Any,
) -> Optimizer:
    """Build AdaBound."""
    from genpredict.training.optimizers.peers import AdaBound

    return AdaBound(
        network.named_parameters(),
        betas=(beta1, beta2),
        weight_decouple=decoupled,
        fixed_decay=False,
        ams_bound=amsgrad,
        **options,
    )


def adamp(network: nn.Module, *, beta1: float, beta2: float, **options: Any) -> Optimizer:
    """Build AdamP."""
    from genpredict.training.optimizers.peers import AdamP

    return AdamP(
        network.named_parameters(),
        betas=(beta1, beta2),
        weight_decouple=True,
        fixed_decay=False,
        foreach=True,  # the other form waits for the device at every parameter
        **options,
    )


def sgdp(network: nn.Module, **options: Any) -> Optimizer:
    """Build SGDP."""
    from genpredict.training.optimizers.peers import SGDP

    return SGDP(
        network.named_parameters(),
        dampening=0.0,
        weight_decouple=True,
        fixed_decay=False,
        foreach=True,
        **options,
    )


def sam(network: nn.Module, **options: Any) -> Optimizer:
    """Build SAM over SGD."""
    from genpredict.training.optimizers.sharpness import SAM

    return SAM(network.named_parameters(), **options)


def sls(network: nn.Module, **options: Any) -> Optimizer:
    """Build the line search."""
    from genpredict.training.optimizers.sls import SLS

    return SLS(network.named_parameters(), **options)


def rmsgd(network: nn.Module, *, dtype: str, **options: Any) -> Optimizer:
    """Build RMSGD."""
    from genpredict.training.optimizers.rmsgd.optimizer import RMSGD

    return RMSGD(network.named_parameters(), dtype=getattr(torch, dtype), **options)
