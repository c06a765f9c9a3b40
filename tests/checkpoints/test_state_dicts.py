from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
from quantization import quantized
from torch import nn

from genpredict.checkpoints.choosing import find_state_dict
from genpredict.checkpoints.state_dicts import WRAPPERS
from genpredict.errors import CheckpointError

WEIGHTS = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).state_dict()
OPTIMIZER = {"state": {0: {"exp_avg": torch.ones(2, 2)}}, "param_groups": [{"lr": 0.1}]}


def prefixed(prefix: str) -> dict[str, Any]:
    return {prefix + name: tensor for name, tensor in WEIGHTS.items()}


def test_bare() -> None:
    assert list(find_state_dict(WEIGHTS, "f")) == list(WEIGHTS)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_every_wrapper(wrapper: str) -> None:
    """The weights are found beside an optimizer, numbers and loose tensors."""
    wrapped = {
        "epoch": 3,
        "optimizer": OPTIMIZER,
        "optimizer_state_dict": OPTIMIZER,
        "model_ema": prefixed("ema."),
        "loss": torch.tensor(0.3),
        wrapper: WEIGHTS,
    }
    assert list(find_state_dict(wrapped, "f")) == list(WEIGHTS)


def test_an_unknown_wrapper_is_found_where_it_is_the_only_one() -> None:
    found = find_state_dict({"generator": WEIGHTS, "optimizer": {"w": torch.ones(2)}}, "f")
    assert list(found) == list(WEIGHTS)


def test_nested_wrappers() -> None:
    assert list(find_state_dict({"model": {"state_dict": WEIGHTS}}, "f")) == list(WEIGHTS)
    assert list(find_state_dict({"checkpoint": WEIGHTS, "step": 1}, "f")) == list(WEIGHTS)


def test_lightning() -> None:
    checkpoint = {
        "epoch": 1,
        "pytorch-lightning_version": "2.5",
        "state_dict": prefixed("model."),
        "loops": {"fit_loop": {}},
        "callbacks": {},
        "optimizer_states": [OPTIMIZER],
        "hyper_parameters": {"lr": 0.1},
    }
    assert list(find_state_dict(checkpoint, "f")) == list(WEIGHTS)


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.", "_orig_mod.module.model."]
)
def test_prefixes_that_all_share_go(prefix: str) -> None:
    assert list(find_state_dict(prefixed(prefix), "f")) == list(WEIGHTS)


def test_prefixes_that_some_lack_stay() -> None:
    mixed = {**prefixed("model."), "head.weight": torch.ones(2, 2)}
    assert list(find_state_dict(mixed, "f")) == list(mixed)
    assert list(find_state_dict({"model.": torch.ones(2, 2)}, "f")) == ["model."]


def test_packed_quantized_weights_stay_visible() -> None:
    weight = quantized(torch.randn(3, 4))
    packed = {"fc._packed_params._packed_params": (weight, torch.zeros(3)), "fc.scale": 0.1}
    names = ["fc._packed_params._packed_params.0", "fc._packed_params._packed_params.1"]
    assert list(find_state_dict(packed, "f")) == names


def test_no_tensors_names_the_keys() -> None:
    with pytest.raises(CheckpointError, match=r"f: holds no tensors by name \(keys seen: args, ep"):
        find_state_dict({"epoch": 3, "args": {}}, "f")
    with pytest.raises(CheckpointError, match="keys seen: none"):
        find_state_dict(OrderedDict(), "f")


def test_other_objects_are_named() -> None:
    with pytest.raises(CheckpointError, match=r"holds a list.*torch\.save\(model\.state_dict"):
        find_state_dict([torch.ones(2)], "f")
    with pytest.raises(CheckpointError, match="holds a Tensor"):
        find_state_dict(torch.ones(2), "f")


def test_several_state_dicts_are_named() -> None:
    with pytest.raises(CheckpointError, match=r"several networks \(generator, critic\)"):
        find_state_dict({"generator": WEIGHTS, "critic": WEIGHTS}, "f")
