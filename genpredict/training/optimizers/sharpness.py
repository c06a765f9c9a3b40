"""SAM: sharpness-aware minimization over SGD, whose step takes a closure and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_optimizer
import torch
from torch import Tensor, nn

from genpredict.errors import GenpredictError
from genpredict.training.optimizers.copies import CopiedWhole
from genpredict.training.optimizers.replays import random_state, refuse_scaler, replayed

# The authors' code adds it to the norm of the gradient.
_NORM_EPSILON = 1e-12


class SAM(CopiedWhole, pytorch_optimizer.SAM):
    """Descend by the gradient at the worst point nearby.

    ε = ρ·g(w)/‖g(w)‖ (Eq. 2 of [1]_ for its norm 2), then a step of SGD from w by g(w + ε). With
    `adaptive`, ε = ρ·w²g/‖|w|g‖ [2]_.

    Parameters
    ----------
    params : iterable
        Parameters, named parameters or groups.
    network : nn.Module, optional
        Not needed: the second evaluation leaves the buffers (running statistics of batch norm) of
        every module that the closure calls alone.
    lr, momentum, weight_decay, nesterov
        Of SGD. Weight decay plays no part in ε.
    rho : float
        Radius ρ.
    adaptive : bool
        Whether the neighbourhood scales with the weights.

    Notes
    -----
    Ascent, restoring and descent are pytorch-optimizer's and torch's. What is different here:
    `step` does both evaluations, as every other optimizer does its one; dropout has the same
    masks in both; running statistics and random generators move as in one evaluation; a closure
    that fails leaves the weights as they were. No part waits for the device.

    References
    ----------
    .. [1] P. Foret, A. Kleiner, H. Mobahi, B. Neyshabur, "Sharpness-Aware Minimization for
       Efficiently Improving Generalization", ICLR 2021.
    .. [2] J. Kwon, J. Kim, H. Park, I. K. Choi, "ASAM", ICML 2021.

    Examples
    --------
    >>> network = nn.Linear(2, 1)
    >>> optimizer = SAM(network.named_parameters(), lr=0.1)
    >>> def closure(backward: bool = True) -> Tensor:
    ...     optimizer.zero_grad()
    ...     loss = network(torch.ones(4, 2)).square().mean()
    ...     loss.backward()
    ...     return loss
    >>> loss = optimizer.step(closure)
    """

    #: GradScaler then hands over its scale instead of calling step as if nothing were scaled.
    _step_supports_amp_scaling = True

    def __init__(
        self,
        params: Any,
        *,
        network: nn.Module | None = None,
        lr: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        nesterov: bool = False,
        rho: float = 0.05,
        adaptive: bool = False,
    ) -> None:
        super().__init__(
            params,
            torch.optim.SGD,
            rho=rho,
            adaptive=adaptive,
            use_gc=False,
            perturb_eps=_NORM_EPSILON,
            foreach=None,
            lr=lr,
            momentum=momentum,
            dampening=0,
            weight_decay=weight_decay,
            nesterov=nesterov,
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor:  # type: ignore[override]
        """Evaluate, climb, evaluate again, come back and descend.

        Parameters
        ----------
        closure : callable
            Zeroes gradients, evaluates the loss, computes gradients, returns the loss; called
            twice.

        Returns
        -------
        Tensor, shape ()
            Loss of the first evaluation, at the weights before the step.

        Raises
        ------
        GenpredictError
            Without a closure, or within ``GradScaler.step``.
        """
        refuse_scaler(self)
        if closure is None:
            raise GenpredictError("closure: SAM evaluates twice a step, call step(closure)")
        start = random_state(p for group in self.param_groups for p in group["params"])
        with torch.enable_grad():
            loss = closure()
        self.first_step()
        try:
            with replayed(start), torch.enable_grad():
                closure()
        finally:
            self._come_back()
        self.base_optimizer.step()
        return loss

    def _come_back(self) -> None:
        """Put the weights back to where they were before the ascent."""
        climbed = [parameter for parameter, state in self.state.items() if "old_p" in state]
        if climbed:
            torch._foreach_copy_(climbed, [self.state[one].pop("old_p") for one in climbed])
