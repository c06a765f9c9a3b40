"""An optimizer of one's own, registered at run time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from genpredict.errors import GenpredictError
from genpredict.training import sweep
from genpredict.training.optimizers import OPTIMIZERS, OptimizerSpec, register_optimizer
from genpredict.training.optimizers.hyperparameters import Rule

LION = OptimizerSpec(
    "signs",
    "Signs",
    {"lr": 0.01, "sharpness": 2},
    "a test",
    build=f"{__name__}:build_signs",
    rules={"sharpness": Rule("be 1 or 2", int, choices=(1, 2))},
)


def build_signs(network: nn.Module, *, lr: float, sharpness: int) -> torch.optim.Optimizer:
    """Stand in for somebody's optimizer."""
    return torch.optim.SGD(network.named_parameters(), lr=lr / sharpness)


def test_a_registered_optimizer_is_swept_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its name, with hyperparameters checked by its own rules."""
    monkeypatch.delitem(OPTIMIZERS, "signs", raising=False)
    register_optimizer(LION)
    register_optimizer(LION)  # again is no other
    plan = {
        "settings": {"optimizer": "signs", "epochs": 1, "num_train": 50},
        "hyperparameters": {"signs": {"sharpness": [1, 2]}},
    }
    outcomes = sweep(plan, tmp_path, workers=1)
    assert [outcome.status for outcome in outcomes] == ["finished"] * 2
    with pytest.raises(GenpredictError, match="signs: sharpness must be 1 or 2, not 3"):
        sweep({**plan, "hyperparameters": {"signs": {"sharpness": 3}}}, tmp_path)
    monkeypatch.delitem(OPTIMIZERS, "signs")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"name": "sgd"}, "'sgd' is taken"),
        ({"build": "nowhere"}, "build must be \"module:function\", not 'nowhere'"),
        ({"defaults": {"sharpness": 2}}, "must have a learning rate"),
        ({"rules": {}}, "rules must say what sharpness may be"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused(change: dict[str, object], match: str) -> None:
    """By what is wrong with it."""
    OPTIMIZERS.pop("signs", None)
    with pytest.raises(GenpredictError, match=match):
        register_optimizer(replace(LION, **change))  # type: ignore[arg-type]
