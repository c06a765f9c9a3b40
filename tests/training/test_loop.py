"""The training loop: against a plain loop, broken off and taken up, diverging, watched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from broken_runs import Interrupter, assert_same_result
from synchronisation import NoSynchronisation
from torch import nn

import genpredict
from genpredict.errors import GenpredictError
from genpredict.training import Run, Watcher, complete, train
from genpredict.training.epochs import cut, take_step, train_epoch
from genpredict.training.materials import prepare
from genpredict.training.metadata import checkpoint_metadata
from genpredict.training.run_folder import STATE, SUMMARY

SMALL: dict[str, Any] = {
    "optimizer": "sgd",
    "epochs": 3,
    "num_train": 120,
    "batch_size": 50,
    "threads": 1,
    "checkpoint_epochs": (1,),
    "flip": True,
    "crop_padding": 1,
}


def test_weights_against_a_plain_loop(tmp_path: Path) -> None:
    """Without augmentation the run is what anyone would write down in ten lines."""
    plain = {"flip": False, "crop_padding": 0, "schedule": "constant"}
    run = train(tmp_path, **SMALL | plain | {"threads": torch.get_num_threads()})
    materials = prepare(run.settings)
    split, network = materials.split, materials.network
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    network.train()
    for _ in range(3):
        for batch in torch.randperm(120, generator=materials.shuffle).split(50):
            optimizer.zero_grad()
            logits = network(split.train_images[batch])
            nn.functional.cross_entropy(logits, split.train_labels[batch]).backward()
            optimizer.step()
    found = next(iter(genpredict.open_checkpoints(run.checkpoints[-1]))).tensors()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("optimizer", ["rmsgd", "sgd"])
@pytest.mark.parametrize(("epoch", "step"), [(0, 2), (1, 1), (2, 3)])
def test_a_broken_run_goes_on_bit_for_bit(
    tmp_path: Path, optimizer: str, epoch: int, step: int
) -> None:
    """Interrupted in the middle of any epoch, it ends as if it had not been."""
    settings = SMALL | {"optimizer": optimizer}
    whole = train(tmp_path / "whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", watcher=Interrupter(epoch, step), **settings)
    broken = Run(tmp_path / "broken" / whole.id)
    assert not broken.is_over
    assert (broken.path / STATE).exists() == (epoch > 0)
    assert_same_result(train(tmp_path / "broken", **settings), whole)
    assert not (broken.path / STATE).exists()


def test_a_run_that_is_over_is_not_trained_again(tmp_path: Path) -> None:
    """It is returned as it stands."""
    run = train(tmp_path, **SMALL)
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    train(tmp_path, watcher=Interrupter(0, 1), **SMALL)
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


def test_the_callers_random_state_is_left_alone(tmp_path: Path) -> None:
    """A run draws from its own seed, whatever the caller drew before."""
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first = train(tmp_path / "a", **SMALL)
    assert torch.equal(torch.rand(3), expected)
    assert_same_result(train(tmp_path / "b", **SMALL), first)


def test_history_holds_every_epoch_and_layer(tmp_path: Path) -> None:
    """From before training on; measures equal those that `score` finds in the checkpoint."""
    run = train(tmp_path, **SMALL | {"optimizer": "rmsgd", "epochs": 4})
    history = run.history
    assert history["epoch"].values.tolist() == [0, 1, 2, 3, 4]
    assert np.isnan(history["running_loss"][0])
    assert (history["seconds"][1:] > 0).all()
    score = genpredict.score(run.checkpoints[-1]).isel(checkpoint=0)
    for name in ("rank", "stable_rank", "condition_number", "quality"):
        np.testing.assert_allclose(history[name][-1], score[name], rtol=1e-9)
    assert history["layer_name"].values.tolist() == score["layer_name"].values.tolist()
    assert (history["learning_rate"][:2] == 0.03).all()
    gap = history["train_accuracy"] - history["test_accuracy"]
    np.testing.assert_allclose(history["generalization_gap"], gap)
    assert (history["test_top5_accuracy"] >= history["test_accuracy"]).all()
    assert set(history["stable_rank"].dims) >= {"unfolding", "factorization", "p"}
    genpredict.plot_evolution(history, measure="learning_rate")


def test_rates_of_the_schedule_stand_in_the_history(tmp_path: Path) -> None:
    """Each epoch's rate is the one that its steps took."""
    run = train(tmp_path, **SMALL | {"schedule": "step", "step_epochs": 2, "epochs": 4})
    rates = run.history["learning_rate"].isel(layer=0).values
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.1, 0.05, 0.05])


def test_runs_join_the_scores(tmp_path: Path) -> None:
    """Every kept epoch is a row that knows where it comes from and how well it does."""
    run = train(tmp_path, **SMALL)
    train(tmp_path, **SMALL | {"optimizer": "adam"})
    scores = genpredict.score(tmp_path)
    ids = [f"{run.id}/checkpoints/epoch-{epoch:03d}.safetensors" for epoch in (1, 3)]
    assert set(ids) < set(scores["checkpoint"].values.tolist())
    last = scores.sel(checkpoint=ids[1])
    assert last["epoch"] == 3
    assert (last["optimizer"], last["network"], last["dataset"]) == ("sgd", "digits_cnn", "digits")
    assert last["num_train"] == 120
    assert last["learning_rate"] == 0.1
    assert last["run"] == run.id
    assert float(last["test_accuracy"]) == run.summary["test_accuracy"]
    gap = run.summary["generalization_gap"]
    assert float(last["generalization_gap"]) == pytest.approx(gap)


def test_a_run_that_diverges_says_so_and_keeps_no_weights(tmp_path: Path) -> None:
    """A loss that is not finite ends it; what is known of it stays."""
    run = train(tmp_path, **SMALL | {"hyperparameters": {"lr": 1e30}})
    assert run.summary["status"] == "diverged"
    assert run.summary["epochs"] == 1
    assert run.checkpoints == []


def test_budget_ends_training_with_the_epoch_it_is_spent_in(tmp_path: Path) -> None:
    """A budget of next to nothing is one epoch; its weights are kept."""
    run = train(tmp_path, **SMALL | {"budget_seconds": 1e-6, "checkpoint_epochs": ()})
    assert run.summary["epochs"] == 1
    assert [path.name for path in run.checkpoints] == ["epoch-001.safetensors"]


class Clock:
    """Time stands still but in training, where every epoch takes five seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        """Move on: the loop looks before an epoch and after it."""
        self.now += 5.0
        return self.now


def test_the_time_of_some_epochs_of_sgd_as_a_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the paper has it; what was spent before an interruption counts, what was lost does not."""
    monkeypatch.setattr("genpredict.training.loop.time", Clock())
    spent = train(tmp_path, **SMALL).summary["seconds"]
    assert spent == pytest.approx(3 * 5.0)
    other = SMALL | {"optimizer": "rmsgd", "epochs": 50, "budget_seconds": spent}
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, watcher=Interrupter(2, 1), **other)
    run = train(tmp_path, **other)
    assert run.summary["epochs"] == 3
    assert run.history["epoch"].values.tolist() == [0, 1, 2, 3]
    assert run.checkpoints[-1].name == "epoch-003.safetensors"


def test_the_callers_gpus_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Building a network for the CPU seeds no other device."""

    def refuse(seed: int) -> None:
        raise AssertionError(f"all GPUs seeded with {seed}")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", refuse)
    prepare(complete(SMALL))


def test_steps_never_wait_for_the_device() -> None:
    """Nothing in an epoch but its end asks for a value (on a GPU: no stop of the stream).

    torch's Adam reads its own step counter, which stays on the CPU: it is left out here.
    """
    for optimizer in ("sgd", "rmsgd"):
        materials = prepare(complete(SMALL | {"optimizer": optimizer, "cutout_holes": 1}))
        materials.network.train()
        split = materials.split
        batch = torch.arange(8)
        with NoSynchronisation():
            images = materials.augmentation(split.train_images[batch], materials.draws)
            take_step(materials, split.normalization(images), split.train_labels[batch])


def test_a_last_single_image_is_not_a_batch_of_its_own() -> None:
    """Batch norm needs two."""
    assert [len(batch) for batch in cut(torch.arange(101), 50)] == [50, 51]
    assert [len(batch) for batch in cut(torch.arange(1), 50)] == [1]
    materials = prepare(complete(SMALL | {"num_train": 11, "batch_size": 10}))
    means = train_epoch(materials, 10, Watcher())
    assert 0 <= means.accuracy <= 100


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    """With what to do about it."""
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, watcher=Interrupter(1, 1), **SMALL)
    state = next(tmp_path.glob(f"*/{STATE}"))
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(GenpredictError, match=r"state\.pt: damaged .*delete it to start"):
        train(tmp_path, **SMALL)


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    """Named, with the remedy."""
    (tmp_path / "runs").write_text("", encoding="utf-8")
    with pytest.raises(GenpredictError, match=r"runs/.*cannot be written.*another folder"):
        train(tmp_path / "runs", **SMALL)


def test_the_summary_of_an_unfinished_run(tmp_path: Path) -> None:
    """There is none, and the message says how to get one."""
    with pytest.raises(GenpredictError, match="not over; train with the same settings"):
        _ = Run(tmp_path).summary
    assert not (tmp_path / SUMMARY).exists()


def test_networks_of_nats_spaces_are_called_as_in_its_archives() -> None:
    """So that runs and archives of one architecture are one group in a store."""
    numbers = dict.fromkeys(("train_accuracy", "test_accuracy", "train_loss", "test_loss"), 1.0)
    settings = complete({"network": "sss:8:16:24:32:40"})
    found = checkpoint_metadata(settings, "run", 3, 100, numbers)
    assert (found["network"], found["search_space"]) == ("8:16:24:32:40", "sss")
    plain = checkpoint_metadata(complete({"network": "resnet20"}), "run", 3, 100, numbers)
    assert plain["network"] == "resnet20"
    assert "search_space" not in plain
