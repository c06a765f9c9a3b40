"""States that survive a file."""

from __future__ import annotations

import io
import random
from typing import Any

import pytest
import torch
from tiny_training import tiny_batches, tiny_network, train_steps

from genpredict.training.optimizers import OPTIMIZERS, build_optimizer

STEPS = 24
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in OPTIMIZERS),
    ("sgd", {"nesterov": True}),
    ("sgd", {"momentum": 0.0}),
    ("adam", {"amsgrad": True}),
    ("adabelief", {"rectify": True, "amsgrad": True, "decoupled": True}),
    ("adabound", {"amsgrad": True, "decoupled": True}),
    ("adamp", {"nesterov": True}),
    ("sgdp", {"nesterov": True}),
    ("sam", {"adaptive": True, "nesterov": True}),
    ("sam", {"momentum": 0.0}),
    ("sls", {"reset": "maximum", "steps_per_epoch": 4}),
]


@pytest.mark.parametrize(("name", "options"), VARIANTS)
@pytest.mark.parametrize("seed", [0, 1])
def test_resumes_bit_for_bit(name: str, options: dict[str, Any], seed: int) -> None:
    """Cut at a random step, through a file read with weights_only, into one built otherwise."""
    batches = tiny_batches(STEPS, seed=seed)
    cut = 4 * random.Random(f"{name}{seed}").randrange(1, STEPS // 4)
    whole = tiny_network(seed=seed)
    optimizer = build_optimizer(name, whole, **options)
    train_steps(whole, optimizer, batches[:cut])
    optimizer.param_groups[0]["lr"] *= 0.5  # as a step decay does
    file = io.BytesIO()
    saved = {"net": whole.state_dict(), "opt": optimizer.state_dict(), "rng": torch.get_rng_state()}
    torch.save(saved, file)
    train_steps(whole, optimizer, batches[cut:])

    file.seek(0)
    state = torch.load(file, weights_only=True)
    again = tiny_network(seed=seed + 1)
    other = build_optimizer(name, again, **{**options, "lr": 0.07, "weight_decay": 0.1})
    again.load_state_dict(state["net"])
    other.load_state_dict(state["opt"])
    torch.set_rng_state(state["rng"])
    train_steps(again, other, batches[cut:])
    for key, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    assert _options(other) == _options(optimizer)


def _options(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return what the one group holds besides its parameters."""
    return {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
