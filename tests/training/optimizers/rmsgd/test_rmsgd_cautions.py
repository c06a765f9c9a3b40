"""Starting from trained weights, forgotten epoch_steps, learning rates of other kinds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from digits_problem import small_network
from torch import nn

from genpredict.errors import GenpredictError
from genpredict.training.optimizers import RMSGD
from genpredict.training.optimizers.rmsgd import cautions


def trained_layer() -> nn.Parameter:
    """A signal of two directions under noise."""
    torch.manual_seed(0)
    signal = torch.randn(12, 2) @ torch.randn(2, 30)
    return nn.Parameter(signal + 0.1 * torch.randn(12, 30))


def test_a_trained_layer_lifts_rates_and_a_warning_says_so() -> None:
    """s(0) = 0 adds the whole stable rank to the rate; the warning names the remedy."""
    optimizer = RMSGD([("weight", trained_layer())], lr=1e-3)
    walk(optimizer, 1)
    with pytest.warns(UserWarning, match=r'1 of 1 layers have a signal .* give start="measured"'):
        optimizer.epoch_step()
    assert optimizer.learning_rates()["weight"] > 0.05
    optimizer.epoch_step()  # once is enough


@pytest.mark.parametrize("stepped", [True, False])
def test_measured_start_adds_what_is_gained_against_hand(stepped: bool) -> None:
    """η(1) = βη(0) + ζ(s(1) − s(0)), with s(0) of the weights given; unmoved they gain nothing."""
    weight = trained_layer()
    optimizer = RMSGD([("weight", weight)], lr=1e-3, start="measured", weight_decay=0.0)
    if stepped:
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
        assert optimizer.state[weight]["stable_rank"] > 0.05
    optimizer.epoch_step()
    assert optimizer.learning_rates()["weight"] == pytest.approx(0.98e-3)


def test_a_group_added_later_is_measured_then() -> None:
    """As in gradual unfreezing."""
    first, second = trained_layer(), trained_layer()
    optimizer = RMSGD([first], lr=1e-3, start="measured")
    first.grad = torch.zeros_like(first)
    optimizer.step()
    optimizer.add_param_group({"params": [second]})
    second.grad = torch.zeros_like(second)
    optimizer.step()
    assert optimizer.state[second]["stable_rank"] == optimizer.state[first]["stable_rank"] > 0


def test_random_weights_do_not_warn() -> None:
    """Nothing has a signal."""
    optimizer = RMSGD(small_network().named_parameters(), lr=1e-3)
    optimizer.epoch_step()


def walk(optimizer: RMSGD, steps: int) -> None:
    """Step along a gradient of nothing."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    for _ in range(steps):
        optimizer.step()


def test_a_forgotten_epoch_step_is_told() -> None:
    """Once, when half an epoch more than ever has passed; usual epochs say nothing."""
    optimizer = RMSGD([trained_layer()], start="measured")
    for steps in (10, 12, 15):
        walk(optimizer, steps)
        optimizer.epoch_step()
    walk(optimizer, 22)
    with pytest.warns(UserWarning, match=r"22 steps without epoch_step \(an epoch had at most 15"):
        walk(optimizer, 1)
    walk(optimizer, 50)


def test_an_epoch_step_never_called_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """After more steps than epochs have, with where to call it behind a wrapper."""
    monkeypatch.setattr(cautions, "MOST_STEPS", 20)
    optimizer = RMSGD([trained_layer()])
    walk(optimizer, 20)
    with pytest.warns(UserWarning, match=r"none was called yet.*optimizer\.optimizer\.epoch_step"):
        walk(optimizer, 1)


@pytest.mark.parametrize("lr", [np.float32(0.25), np.float64(0.25), np.int64(1)])
def test_learning_rates_of_numpy(lr: Any) -> None:
    """They are numbers, and become Python's."""
    optimizer = RMSGD([trained_layer()], lr=lr)
    assert type(optimizer.param_groups[0]["lr"]) is float
    assert optimizer.param_groups[0]["start_lr"] == float(lr)


def test_learning_rates_that_are_tensors() -> None:
    """Refused with what to give instead."""
    with pytest.raises(
        GenpredictError, match=r"^lr: .* no tensor \(give its item\(\)\), got tensor"
    ):
        RMSGD([trained_layer()], lr=torch.tensor(0.1))  # type: ignore[arg-type]
