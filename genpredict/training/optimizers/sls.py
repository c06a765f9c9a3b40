"""SLS: stochastic gradient descent whose step size an Armijo line search finds at every step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from genpredict.errors import GenpredictError
from genpredict.training.optimizers.replays import (
    RandomState,
    gradients_kept,
    random_state,
    refuse_scaler,
    replayed,
    takes_backward,
)

Reset = Literal["grow", "keep", "maximum"]


class Closure(Protocol):
    """Evaluates a mini-batch."""

    def __call__(self, backward: bool = True) -> Tensor:
        """Return the loss; with `backward`, set the gradients too."""


def first_trial(
    previous: float, *, gamma: float, steps_per_epoch: int, max_lr: float, reset: Reset
) -> float:
    """Return the step size that a search starts from (Algorithm 2 of [1]_).

    Parameters
    ----------
    previous : float
        The step size that the last search ended with.
    gamma, steps_per_epoch, max_lr, reset
        See `SLS`.

    Examples
    --------
    >>> first_trial(0.5, gamma=2.0, steps_per_epoch=1, max_lr=10.0, reset="grow")
    1.0
    """
    if reset == "maximum":
        return max_lr
    if reset == "keep":
        return previous
    return min(previous * math.pow(gamma, 1 / steps_per_epoch), max_lr)  # γ^(b/n)


def armijo_holds(
    after: float, before: float, *, rate: float, squared_norm: float, c: float
) -> bool:
    """Tell whether a step lowers the loss enough (Eq. 1 of [1]_).

    f(w − η·g) ≤ f(w) − c·η·‖g‖². A loss that is not finite does not.

    Examples
    --------
    >>> armijo_holds(0.94, 1.0, rate=0.1, squared_norm=5.0, c=0.1)
    True
    """
    return after <= before - c * rate * squared_norm


class SLS(Optimizer):
    r"""Step along the negative gradient of a mini-batch as far as Armijo's condition allows.

    Every step tries η, βη, β²η, … on the mini-batch at hand until
    f(w − η·g) ≤ f(w) − c·η·‖g‖² (Eq. 1 of [1]_).

    Parameters
    ----------
    params : iterable
        Parameters or named parameters; one group.
    network : nn.Module, optional
        Not needed: trials leave the buffers (running statistics of batch norm) of every module that
        the closure calls alone.
    lr : float
        Step size of the first trial of the first search. (The paper begins with η_max, the
        authors' code with 1.)
    c : float
        Share of the decrease that the gradient promises, in (0, 1).
    beta : float
        β in (0, 1), by which a trial shrinks.
    gamma : float
        γ ≥ 1: with reset="grow" a step size may grow by this factor over an epoch.
    reset : {"grow", "keep", "maximum"}
        What a search starts from: the last step size times γ^(b/n), the last step size, or
        max_lr.
    max_lr : float
        η_max, which no step exceeds.
    steps_per_epoch : int
        n/b: training images by images a batch.
    max_trials : int
        Trials after which a search is given up.
    weight_decay : float
        λ: f has λ/2·‖w‖² added and g has λw, so that the search is on what is minimised. The
        loss returned is without.

    Raises
    ------
    GenpredictError
        For several groups, or lr above max_lr.

    Notes
    -----
    Trials see the same dropout masks as the gradient did; running statistics and random
    generators move as in one evaluation. There is no momentum: it is not a descent direction.

    A search that is given up, or for a loss or gradient that is not finite, leaves the weights and
    the step size as they are and counts in ``group["failures"]``. (The authors' code then steps
    by 1e-6 and keeps the shrunken step size, from which it takes epochs to recover.)

    The step size of the last search is ``group["step_size"]``. A torch scheduler that changes
    ``group["lr"]`` acts as a multiplier on steps: they are step_size·lr/start_lr.

    Every trial waits for the device: whether to go on is decided here.

    References
    ----------
    .. [1] S. Vaswani, A. Mishkin, I. Laradji, M. Schmidt, G. Gidel, S. Lacoste-Julien, "Painless
       Stochastic Gradient: Interpolation, Line-Search, and Convergence Rates", NeurIPS 2019.

    Examples
    --------
    >>> network = nn.Linear(2, 1)
    >>> optimizer = SLS(network.named_parameters())
    >>> def closure(backward: bool = True) -> Tensor:
    ...     loss = network(torch.ones(4, 2)).square().mean()
    ...     if backward:
    ...         optimizer.zero_grad()
    ...         loss.backward()
    ...     return loss
    >>> losses = [optimizer.step(closure).item() for _ in range(5)]
    >>> losses == sorted(losses, reverse=True)
    True
    """

    #: GradScaler then hands over its scale instead of calling step as if nothing were scaled.
    _step_supports_amp_scaling = True

    def __init__(
        self,
        params: Any,
        *,
        network: nn.Module | None = None,
        lr: float = 1.0,
        c: float = 0.1,
        beta: float = 0.9,
        gamma: float = 2.0,
        reset: Reset = "grow",
        max_lr: float = 10.0,
        steps_per_epoch: int = 391,
        max_trials: int = 100,
        weight_decay: float = 5e-4,
    ) -> None:
        defaults = {
            "lr": lr,
            "c": c,
            "beta": beta,
            "gamma": gamma,
            "reset": reset,
            "max_lr": max_lr,
            "steps_per_epoch": steps_per_epoch,
            "max_trials": max_trials,
            "weight_decay": weight_decay,
        }
        if lr > max_lr:
            raise GenpredictError(f"lr: must be at most max_lr, {max_lr!r}, not {lr!r}")
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take the one group.

        Raises
        ------
        GenpredictError
            For another one: a search has one step size.
        """
        if self.param_groups:
            raise GenpredictError("params: SLS takes one parameter group, got another")
        super().add_param_group(param_group)
        group = self.param_groups[0]
        group["start_lr"] = group["lr"]
        group.update(step_size=None, trials=0, failures=0)

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Tensor:  # type: ignore[override]
        """Evaluate, and search along the gradient.

        Parameters
        ----------
        closure : callable
            ``closure(backward=True)`` zeroes gradients, evaluates the loss, computes gradients;
            ``closure(backward=False)`` only evaluates. Called once and then once a trial. A
            closure without the parameter `backward` serves too; it computes gradients at every
            trial, which takes longer.

        Returns
        -------
        Tensor, shape ()
            Loss before the step.

        Raises
        ------
        GenpredictError
            Without a closure, or within ``GradScaler.step``.
        """
        refuse_scaler(self)
        if closure is None:
            raise GenpredictError("closure: SLS evaluates several times a step, call step(closure)")
        parameters = self.param_groups[0]["params"]
        start = random_state(parameters)
        with torch.enable_grad():
            loss = closure()
        moved = [parameter for parameter in parameters if parameter.grad is not None]
        if moved:
            self._search(moved, float(loss.detach()), lambda: self._again(closure, start))
        return loss

    def learning_rates(self) -> dict[str, float]:
        """Return the step size that the last step used, for each parameter, by its name.

        Before the first step it is lr. Unnamed parameters are called by their place.
        """
        group = self.param_groups[0]
        size = group["start_lr"] if group["step_size"] is None else group["step_size"]
        names = group.get("param_names", map(str, range(len(group["params"]))))
        return dict.fromkeys(names, size * group["lr"] / group["start_lr"])

    def _again(self, closure: Closure, start: RandomState) -> float:
        """Evaluate the mini-batch at the trial's weights."""
        with replayed(start):
            if takes_backward(closure):
                return float(closure(backward=False).detach())
            with torch.enable_grad(), gradients_kept(self.param_groups[0]["params"]):
                return float(closure().detach())

    def _search(self, weights: list[Tensor], loss: float, evaluate: Callable[[], float]) -> None:
        """Move the weights by the first trial that Armijo's condition accepts, if there is one."""
        group = self.param_groups[0]
        factor = group["lr"] / group["start_lr"]
        decay = group["weight_decay"]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        directions = torch._foreach_add(gradients, weights, alpha=decay)
        before = loss + _penalty(weights, decay)
        squared_norm = _squared_norm(directions)
        size = self._first_trial()
        if factor == 0:
            return
        kept = [weight.clone() for weight in weights]
        trials = group["max_trials"] if math.isfinite(before + squared_norm) else 0
        for _ in range(trials):
            torch._foreach_add_(weights, directions, alpha=-size * factor)
            group["trials"] += 1
            after = evaluate() + _penalty(weights, decay)
            if armijo_holds(
                after, before, rate=size * factor, squared_norm=squared_norm, c=group["c"]
            ):
                group["step_size"] = size
                return
            torch._foreach_copy_(weights, kept)
            size *= group["beta"]
        group["failures"] += 1

    def _first_trial(self) -> float:
        """Return the step size to try first, a scheduler's factor apart."""
        group = self.param_groups[0]
        if group["step_size"] is None:
            return float(group["start_lr"])
        return first_trial(
            group["step_size"],
            gamma=group["gamma"],
            steps_per_epoch=group["steps_per_epoch"],
            max_lr=group["max_lr"],
            reset=group["reset"],
        )


def _squared_norm(tensors: list[Tensor] | tuple[Tensor, ...]) -> float:
    """Return Σ‖·‖² over tensors, summed in float64."""
    return float(torch.stack(torch._foreach_norm(tensors)).double().square().sum())


def _penalty(weights: list[Tensor], decay: float) -> float:
    """Return λ/2·‖w‖²."""
    return decay / 2 * _squared_norm(weights) if decay else 0.0
