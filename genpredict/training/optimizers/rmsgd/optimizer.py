"""RMSGD: stochastic gradient descent whose learning rates follow the stable ranks of the layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, cast, overload

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from genpredict.errors import GenpredictError
from genpredict.layers import Layer
from genpredict.spectral import Estimator, LayerMeasures, measure_weights
from genpredict.training.optimizers.rmsgd.cautions import (
    warn_of_nameless,
    warn_of_order,
    warn_of_start,
    warn_of_steps,
)
from genpredict.training.optimizers.rmsgd.epoch import (
    paper_rates,
    read_stable_ranks,
    released_rates,
    write_rates,
)
from genpredict.training.optimizers.rmsgd.members import Members, check_in_network, find_members
from genpredict.training.optimizers.rmsgd.options import check_further, check_options, check_shared
from genpredict.training.optimizers.rmsgd.parameters import (
    Group,
    check_order,
    check_parameters,
    each_once,
    named_by,
    parameter_names,
)
from genpredict.training.optimizers.rmsgd.saved_state import ADDED, check_state, in_own_order
from genpredict.training.optimizers.rmsgd.sharded import check_not_flat
from genpredict.training.optimizers.rmsgd.start import (
    MEASURED,
    begin,
    has_newcomers,
    start_ranks,
)
from genpredict.training.optimizers.rmsgd.updates import effective_rate, gather, update

Parameters = Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[dict[str, Any]]


class RMSGD(Optimizer):
    r"""Descend with one learning rate a layer, set every epoch by what its stable rank gained.

    η_ℓ(t) = max(β·η_ℓ(t−1) + ζ·[s_ℓ(t) − s_ℓ(t−1)], 0), Algorithm 1 of [1]_, with s_ℓ(t) the
    stable rank of layer ℓ's low-rank weights after epoch t, the mean over its unfoldings,
    s_ℓ(0) = 0 and η_ℓ(0) = lr. Every step: v ← αv − η_ℓ·g, w ← w + v.

    Call `step` after every mini-batch and `epoch_step` after every epoch.

    Parameters
    ----------
    params : iterable
        Parameters, pairs of name and parameter (`network.named_parameters()`, which is better:
        see Notes), or groups with hyperparameters of their own.
    lr : float
        η(0), above 0.
    beta : float
        β in [0, 1): the share of its rate that a layer keeps.
    zeta : float
        ζ ≥ 0: the gain on the stable rank.
    momentum : float
        α in [0, 1).
    weight_decay : float
        Added to the gradient as weight_decay·w.
    nesterov : bool
        Whether to look ahead: w ← w + αv − η_ℓ·g.
    hold : bool
        Whether a layer keeps lr until its stable rank is above 0 for the first time: a layer that
        never gets a signal keeps lr to the end. Otherwise its rate decays as βᵗ while nothing but
        noise is found in it.
    p : {1, 2}
        Power of the stable rank: 1 as in the released code and so in the published results, 2 as
        the paper's Eq. 2 is printed.
    estimator : {"global", "reference"}
        Of the noise variance (`genpredict.spectral.measure_weights`).
    variant : {"paper", "released"}
        The released optimizer, `rmsgd` 1.0.2 on PyPI, differs in its momentum, its first epoch,
        its normalization and in what it measures (`released`); it implies p = 1, hold and, whatever
        is given, the reference estimator, and takes one group only.
    start : {"zero", "measured"}
        s(0): 0 as in the paper, which holds for random weights alone, or what the weights have
        when the first step is taken. Fine-tuning needs "measured": with s(0) = 0 the first
        `epoch_step` would add to every rate the whole stable rank of a trained layer.
    dtype : {torch.float64, torch.float32}
        Arithmetic of the measuring: float32 takes about half the time.
    linear : bool, optional
        Whether matrices are measured, or convolutions alone. By default True, with
        variant="released" False, as there.
    foreach : bool, optional
        Whether to step in lists of tensors, which gives the same result. By default where
        parameters are not on the CPU.
    network : nn.Module, optional
        What the parameters are of. Its order of parameters then decides whose rate each takes, and
        its names are theirs where they come without.

    Raises
    ------
    GenpredictError
        For hyperparameters outside their ranges, or parameters that cannot be optimized.

    Notes
    -----
    *Which rate.* A layer's rate is that of its weight. Biases and norms take the rate of the
    weight in the same module by their names, else of the nearest weight before them; the rules
    are those of `rmsgd.layers.named_layers`. Where the two lie in groups of different lr, the
    rate is scaled by the ratio of these. Frozen parameters are not measured and not moved.

    *Which order.* "Before" means the order given; of named parameters in several groups (weights
    first, biases and norms second) the order that `rmsgd.order` reads off their names; with
    `network` its own. Where none of these decides, the first `epoch_step` warns.

    *Names* tell recurrent weights, which are measured gate by gate (s_ℓ is the mean over the
    gates: a parameter has one rate), fused projections, and look-up tables, which are no layers.

    *First epoch.* Until the first `epoch_step` every rate is lr. With s(0) = 0 the first signal
    of a layer gains it ζ·s at once.

    *Several processes.* With DistributedDataParallel every process measures the same weights.
    FSDP2's are put together first, the same on every process. ZeroRedundancyOptimizer gives each
    process some of the parameters: with `functools.partial(RMSGD, network=network)` as its class
    the rates are those of one process; call ``zero.optim.epoch_step()``.

    *Schedulers* of torch change `group["lr"]`, which acts as a multiplier: a step uses
    η_ℓ·group["lr"]/group["start_lr"], where start_lr is the lr given first. The rule itself is
    not affected.

    *State* is in `state` (rate, stable_rank, has_signal, momentum_buffer of each parameter, from
    its first step on) and `param_groups` alone; it is matched by name where there are names.
    `step` never waits for the device, but the first with start="measured"; `epoch_step` does once
    for the stable ranks, after the few questions that `measure_weights` asks.

    References
    ----------
    .. [1] M. S. Hosseini, M. Tuli, K. N. Plataniotis, "Exploiting Explainable Metrics for
       Augmented SGD", CVPR 2022.

    Examples
    --------
    >>> network = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Linear(16, 4))
    >>> optimizer = RMSGD(network.named_parameters(), lr=0.03)
    >>> for batch in torch.randn(5, 32, 8):
    ...     optimizer.zero_grad()
    ...     network(batch).square().mean().backward()
    ...     optimizer.step()
    >>> measures = optimizer.epoch_step()
    >>> sorted(optimizer.learning_rates())
    ['0.bias', '0.weight', '1.bias', '1.weight']
    """

    network: nn.Module | None = None

    def __init__(
        self,
        params: Parameters,
        lr: float = 0.03,
        beta: float = 0.98,
        zeta: float = 1.0,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        nesterov: bool = False,
        hold: bool = True,
        p: int = 1,
        estimator: Estimator = "global",
        variant: Literal["paper", "released"] = "paper",
        *,
        start: Literal["zero", "measured"] = "zero",
        dtype: torch.dtype = torch.float64,
        linear: bool | None = None,
        foreach: bool | None = None,
        network: nn.Module | None = None,
    ) -> None:
        released = variant == "released"
        defaults = {
            "lr": lr,
            "beta": beta,
            "zeta": zeta,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "hold": hold,
            "p": p,
            "estimator": "reference" if released and estimator == "global" else estimator,
            "variant": variant,
            "start": start,
            "dtype": dtype,
            "linear": not released if linear is None else linear,
            "foreach": foreach,
        }
        defaults = check_options(defaults)
        check_order(params)
        if network is not None:
            self.network = network
        super().__init__(cast("Any", params), defaults)
        if network is not None:
            check_in_network(self.param_groups, network)

    def add_param_group(self, param_group: Group) -> None:
        """Add a group, e.g. of parameters that were frozen before.

        Parameters
        ----------
        param_group : dict
            `params` and hyperparameters of its own; the others are the optimizer's. A parameter
            that occurs twice in it (tied weights) counts once.

        Raises
        ------
        GenpredictError
            For hyperparameters outside their ranges; for `estimator`, `variant`, `dtype` or
            `linear` other than the optimizer's; for a second group with variant="released"; for
            parameters that are not real floating-point, or that another group holds.
        """
        group = dict(param_group)
        group.pop("network", None)  # which wrappers take for a hyperparameter
        group["params"] = each_once(group["params"])
        if self.network is not None:
            group["params"] = named_by(self.network, group["params"])
        checked = check_options({**self.defaults, **group})
        group.update({name: checked[name] for name in group})
        check_shared(group, self.defaults)
        if self.param_groups:
            check_further(self.defaults)
        check_parameters(group["params"], self.param_groups)
        group.setdefault("start_lr", group.get("lr", self.defaults["lr"]))
        for name in ("epoch", "steps", "longest_epoch"):
            group.setdefault(name, 0)
        super().add_param_group(group)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Move every parameter that has a gradient.

        Parameters
        ----------
        closure : callable, optional
            Evaluates the model, computes gradients and returns the loss; called once.

        Returns
        -------
        float or Tensor or None
            What the closure returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._begin(only_moving=True)
        for group in self.param_groups:
            group["steps"] += 1
            batch = gather(group, self.state)
            if batch.parameters:
                update(
                    batch,
                    momentum=group["momentum"],
                    weight_decay=group["weight_decay"],
                    nesterov=group["nesterov"],
                    released=group["variant"] == "released",
                    foreach=group["foreach"],
                )
        warn_of_steps(self.param_groups[0])
        return loss

    @torch.no_grad()
    def epoch_step(self, measures: LayerMeasures | None = None) -> LayerMeasures:
        """Measure all layers in one batched call and set the learning rates; once an epoch.

        Parameters
        ----------
        measures : LayerMeasures, optional
            Of `layers()`, in that order, where the weights have been measured already.

        Returns
        -------
        LayerMeasures
            Of `layers()`, in that order, so that nothing need be measured twice.

        Raises
        ------
        GenpredictError
            If there is no layer, weights are not finite, or `measures` are of another number of
            layers. Rates are then as before.
        """
        found = self._members()
        weights = [layer.weight for layer in found.layers]
        if not weights:
            check_not_flat(one for group in self.param_groups for one in group["params"])
            raise GenpredictError(
                "params: no layer to measure; there must be one of two dimensions or more that is "
                "not frozen and, where parameters have names, is called weight and is no embedding "
                "(without names shapes alone decide)"
            )
        first = self.param_groups[0]
        if measures is None:
            measures = measure_weights(weights, estimator=first["estimator"], dtype=first["dtype"])
        stable_ranks = read_stable_ranks(measures, found.layers)
        self._begin(only_moving=False)
        rule = released_rates if first["variant"] == "released" else paper_rates
        own, led = rule(found, self.state, stable_ranks)
        if first["epoch"] == 0:
            self._caution(found)
            if first["steps"]:
                warn_of_start(own, found)
        write_rates(found, self.state, own, led)
        for group in self.param_groups:
            longest = max(group["longest_epoch"], group["steps"])
            group.update(epoch=group["epoch"] + 1, longest_epoch=longest, steps=0)
        return measures

    def layers(self) -> list[Layer]:
        """Return what `epoch_step` measures: names, kinds and weights (views), in its order."""
        return self._members().layers

    def learning_rates(self) -> dict[str, float]:
        """Return the learning rate that the next step uses for each parameter, by its name.

        Unnamed parameters are called after group, place and shape: ``group0.param3[16x3x3x3]``.
        """
        rates = [
            effective_rate(group, self.state.get(parameter, {}))
            for group in self.param_groups
            for parameter in group["params"]
        ]
        return dict(zip(parameter_names(self.param_groups), rates, strict=True))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state dict of an RMSGD with the same parameters.

        Where both have names, each parameter gets the state of its name, whatever the order.

        Raises
        ------
        GenpredictError
            If it is the state of another optimizer, or of parameters of other names.
        """
        check_state(state_dict)
        super().load_state_dict(in_own_order(state_dict, self.param_groups))

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return state if self.network is None else {**state, "network": self.network}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in ADDED.items():
                group.setdefault(name, value)

    def _members(self, *, later_first: bool = False) -> Members:
        return find_members(self.param_groups, self.network, later_first=later_first)

    def _begin(self, *, only_moving: bool) -> None:
        """Give parameters that are new their η(0) and s(0)."""
        groups = self.param_groups
        if has_newcomers(groups, self.state, only_moving=only_moving):
            is_measured = any(group["start"] == MEASURED for group in groups)
            begin(groups, self.state, start_ranks(groups, self._members()) if is_measured else {})

    def _caution(self, found: Members) -> None:
        """Warn where it is a guess whose rate a parameter takes."""
        if self.network is not None or self.param_groups[0]["variant"] == "released":
            return
        if "param_names" not in self.param_groups[0]:
            warn_of_nameless(self.param_groups, found)
        elif len(self.param_groups) > 1:
            warn_of_order(found, self._members(later_first=True))
