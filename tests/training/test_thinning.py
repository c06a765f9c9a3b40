"""Evaluations before the last epoch take about a tenth of the time of training, and it is said."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from broken_runs import Interrupter, assert_same_result
from safetensors.torch import load_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from genpredict.cli import run as run_command
from genpredict.datasets import load_dataset
from genpredict.networks import build_network
from genpredict.networks.wgan import Generator
from genpredict.training import Watcher, complete, train
from genpredict.training.evaluation import evaluate
from genpredict.training.materials import prepare
from genpredict.training.operations import count_operations
from genpredict.training.thinning import SHARE, EvaluationPlan, plan_evaluations, thinned

#: 600 images to train on allow 180 to be looked at an epoch: 500 of both parts every sixth.
THINNED: dict[str, Any] = {"num_train": 600, "epochs": 8, "threads": 1, "batch_size": 100}
ORDINARY = 8e7  # operations of ResNet-20


class Said(Watcher):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def noted(self, text: str) -> None:
        """Keep it."""
        self.texts.append(text)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thin evaluations of small networks on small images as well."""
    monkeypatch.setattr("genpredict.training.thinning._NO_MATTER", 0.0)


@pytest.mark.parametrize("num_train", [20, 100, 640, 2560, 10_000, 25_000, 50_000, 1_281_167])
@pytest.mark.parametrize("held_out", [{"test": 10_000}, {"test": 300}, {"test": 50_000}])
@pytest.mark.parametrize("more", [{}, {"validation": 1000}])
@pytest.mark.parametrize("asked", [(), ("test",), ("test", "validation")])
def test_a_plan_keeps_to_the_share(
    num_train: int, held_out: dict[str, int], more: dict[str, int], asked: tuple[str, ...]
) -> None:
    """Whatever the sizes: on average no more images than allowed, no part too few, asked ones all.

    Over a run of any length: what is left out before the first epoch and at the last only adds.
    """
    parts = {"train": num_train, **held_out, **more}
    allowed = SHARE * 3 * num_train
    asked = tuple(part for part in asked if part in parts)
    plan = thinned(parts, asked=asked, allowed=allowed, operations=ORDINARY, least=500)
    counts = plan.counts or parts
    if plan.counts is not None:
        assert sum(counts.values()) / plan.interval <= allowed
        assert not plan.is_due(0)
    else:
        assert sum(parts.values()) * ORDINARY <= 1e10  # a matter of a fraction of a second
    for part, size in parts.items():
        assert min(500, size) <= counts[part] <= size
        assert part not in asked or counts[part] == size
    # not thinned more than it need be: half as often, or half as much, would do
    assert plan.interval == 1 or sum(counts.values()) > allowed


def test_test_images_are_left_out_after_training_images() -> None:
    """All of CIFAR-10 is tested on all test images every epoch, as it always was."""
    plan = thinned(
        {"train": 50_000, "test": 10_000}, allowed=15_000, operations=ORDINARY, least=500
    )
    assert plan == EvaluationPlan(1, {"train": 5000, "test": 10_000})


def test_an_evaluation_that_takes_no_time_is_whole() -> None:
    """The digits by their small network: every epoch, and before the first."""
    settings = complete({})
    plan = plan_evaluations(settings, prepare(settings))
    assert plan == EvaluationPlan(1, None)
    assert plan.is_due(0)


@pytest.mark.usefixtures("always")
def test_a_thinned_run(tmp_path: Path) -> None:
    """Weights, and everything of the last epoch and of kept ones, are those of a run that is not.

    The history tells how many images an accuracy is of.
    """
    whole = train(tmp_path, **THINNED, eval_every=1, checkpoint_epochs=(2,))
    run = train(tmp_path, **THINNED, checkpoint_epochs=(2,))
    history = run.history
    evaluated = [2, 6, 8]
    assert history["epoch"].values[np.isfinite(history["test_accuracy"])].tolist() == evaluated
    assert history["test_count"].sel(epoch=evaluated).values.tolist() == [597, 500, 597]
    assert history["train_count"].sel(epoch=evaluated).values.tolist() == [600, 500, 600]
    for name in ("test_accuracy", "train_loss", "generalization_gap", "test_top5_accuracy"):
        kept = whole.history[name].sel(epoch=[2, 8])
        np.testing.assert_array_equal(history[name].sel(epoch=[2, 8]), kept)
    for here, there in zip(run.checkpoints, whole.checkpoints, strict=True):
        first, second = (load_file(path) for path in (here, there))
        assert all(torch.equal(first[name], second[name]) for name in second)
    times = {"seconds"}
    assert {k: v for k, v in run.summary.items() if k not in times} == {
        k: v for k, v in whole.summary.items() if k not in times
    }


@pytest.mark.usefixtures("always")
def test_a_part_is_the_same_for_every_seed_and_stratified() -> None:
    """Of a part the numbers are those of the images themselves, the same in every run."""
    states = [prepare(complete({"num_train": 600, "seed": seed})) for seed in (0, 1)]
    network = states[0].network
    split = load_dataset("digits", limit=600)
    places = states[0]._sample("test", split.test_labels)[:500]
    assert torch.equal(places, states[1]._sample("test", split.test_labels)[:500])
    assert torch.bincount(split.test_labels[places]).float().std() < 1.5
    oracle = evaluate(
        network, split.test_images[places], split.test_labels[places], split.normalization
    )
    numbers = states[0].evaluate({"train": 100, "test": 500})
    assert numbers["test_accuracy"] == oracle.accuracy
    assert numbers["test_loss"] == pytest.approx(oracle.loss)
    assert numbers["generalization_gap"] == numbers["train_accuracy"] - oracle.accuracy


@pytest.mark.usefixtures("always")
def test_broken_off_a_thinned_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    """Before and after its only evaluation in between."""
    whole = train(tmp_path / "whole", **THINNED)
    for epoch in (4, 7):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / f"{epoch}", watcher=Interrupter(epoch, 3), **THINNED)
        assert_same_result(train(tmp_path / f"{epoch}", **THINNED), whole)


@pytest.mark.usefixtures("always")
def test_thinning_is_said(tmp_path: Path) -> None:
    """What is looked at, how to have it otherwise, and in the end what it took."""
    watcher = Said()
    train(tmp_path, watcher=watcher, **THINNED)
    first, last = watcher.texts
    assert first == (
        "evaluating every 6 epochs on 500 of 600 train images, 500 of 597 test images, for about "
        "a tenth of the time of training; after the last epoch on all (--eval-every 1: always on "
        "all)"
    )
    assert re.fullmatch(
        r"evaluating and measuring took \d+ % of the [\d.]+ s of training; evaluating the weights "
        r"that are kept [\d.]+ s more",
        last,
    )
    watcher = Said()
    train(tmp_path, watcher=watcher, **THINNED | {"epochs": 3})
    assert watcher.texts[0].startswith("evaluating after the last epoch alone (--eval-every 1: ")


@pytest.mark.usefixtures("always")
def test_a_sweep_says_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Once, at its end; a plan with eval_every has nothing to say."""
    plan = tmp_path / "sweep.toml"
    for line, is_said in (("", True), ("eval_every = 2", False)):
        plan.write_text(f"[settings]\nnum_train = 60\nepochs = 2\n{line}\n", encoding="utf-8")
        assert (
            run_command(["sweep", str(plan), "-o", str(tmp_path / "runs"), "--workers", "1"]) == 0
        )
        said = " ".join(capsys.readouterr().err.split())
        assert ("looked at a part of the images" in said) == is_said


@pytest.mark.usefixtures("always")
def test_texts_are_thinned_too(tmp_path: Path) -> None:
    """To the beginnings of the three texts."""
    given = {"recipe": "ptb", "network": "lstm:1:8:8", "epochs": 3, "threads": 1}
    history = train(tmp_path, **given, batch_size=200).history
    assert history["train_count"].values[2:].tolist() == [2000, 16245]
    assert np.isnan(history["test_perplexity"].values[:2]).all()
    assert np.isfinite(history["test_perplexity"].values[2:]).all()


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (build_network("resnet20"), (3, 32, 32)),
        (build_network("mobilenetv2"), (3, 32, 32)),
        (Generator(1, 8), (32,)),
    ],
    ids=["resnet20", "mobilenetv2", "generator"],
)
def test_operations_against_torch(network: nn.Module, shape: tuple[int, ...]) -> None:
    """As torch's own counter has them; mode and statistics stay as they were."""
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    counted = count_operations(network.train(), shape)
    assert network.training
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())
    with FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, *shape))
    assert counted == counter.get_total_flops()
