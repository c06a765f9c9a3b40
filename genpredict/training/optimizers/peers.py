"""pytorch-optimizer's classes, made to resume, to be copied and to take any memory layout."""

from __future__ import annotations

from typing import Any

import pytorch_optimizer
from torch import Tensor

from genpredict.training.optimizers.copies import CopiedWhole


class AdaBelief(CopiedWhole, pytorch_optimizer.AdaBelief):
    """AdaBelief that can be copied.

    References
    ----------
    J. Zhuang et al., "AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed
    Gradients", NeurIPS 2020.
    """


class AdaBound(CopiedWhole, pytorch_optimizer.AdaBound):
    """AdaBound whose bounds are those of the state that it continues from.

    The bounds follow the ratio of a group's learning rate to its first one, which the class
    keeps as an attribute of its own; here the group has it too (``base_lr``), and so has the
    state dict.

    References
    ----------
    L. Luo, Y. Xiong, Y. Liu, X. Sun, "Adaptive Gradient Methods with Dynamic Bound of Learning
    Rate", ICLR 2019.
    """

    def __init__(self, params: Any, **options: Any) -> None:
        super().__init__(params, **options)
        for group in self.param_groups:
            group["base_lr"] = group["lr"]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state dict."""
        super().load_state_dict(state_dict)
        self.base_lrs = [group["base_lr"] for group in self.param_groups]


class AdamP(CopiedWhole, pytorch_optimizer.AdamP):
    """AdamP for weights in any memory layout.

    The class flattens weights by ``view``, which fails for convolutions in channels_last.
    Projections onto channels or layers are sums over the other dimensions, in whatever order:
    so the dimensions are put in the order of memory first.

    References
    ----------
    B. Heo et al., "AdamP: Slowing Down the Slowdown for Momentum Optimizers on Scale-invariant
    Weights", ICLR 2021.
    """

    def _step_foreach(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        exp_avgs: list[Tensor],
        exp_avg_sqs: list[Tensor],
        step_size: float | Tensor,
        bias_correction2_sq: float,
    ) -> None:
        w, g, m, v = in_memory_order(params, grads, exp_avgs, exp_avg_sqs)
        super()._step_foreach(group, w, g, m, v, step_size, bias_correction2_sq)


class SGDP(CopiedWhole, pytorch_optimizer.SGDP):
    """SGDP for weights in any memory layout, by the same means as `AdamP`."""

    def _step_foreach(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        buffers: list[Tensor],
    ) -> None:
        super()._step_foreach(group, *in_memory_order(params, grads, buffers))


def in_memory_order(params: list[Tensor], *others: list[Tensor]) -> list[list[Tensor]]:
    """Permute dimensions 1 and up so that parameters are contiguous.

    Parameters
    ----------
    params : list of Tensor
    *others : lists of Tensor
        Of the same shapes, permuted alike; gradients first.

    Returns
    -------
    list of lists of Tensor
        Views, so that changes in place reach the tensors given; copies of gradients in another
        layout than their parameters.
    """
    orders = [_memory_order(parameter) for parameter in params]
    permuted = [
        [tensor.permute(order) for tensor, order in zip(tensors, orders, strict=True)]
        for tensors in (params, *others)
    ]
    permuted[1] = [gradient.contiguous() for gradient in permuted[1]]
    return permuted


def _memory_order(tensor: Tensor) -> list[int]:
    """Order dimensions by falling stride, the first in its place."""
    strides = tensor.stride()
    return [
        *range(tensor.ndim)[:1],
        *sorted(range(1, tensor.ndim), key=lambda axis: -strides[axis]),
    ]
