"""Every optimizer trains the digits network with the registry's defaults."""

from __future__ import annotations

import pytest
import torch
from tiny_training import make_closure

from genpredict.datasets import ImageSplit, load_digits
from genpredict.networks import build_network
from genpredict.training.optimizers import OPTIMIZERS, build_optimizer

EPOCHS, BATCH, STEP_EPOCHS = 20, 64, 5


def test_accuracy_of_a_run_is_measured_on_images_held_out() -> None:
    """An untrained network stands at chance."""
    torch.manual_seed(0)
    assert accuracy(build_network("digits_cnn"), load_digits()) < 30


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_reaches_95_percent_on_digits(name: str) -> None:
    """Batches of 64, 20 epochs, halved every 5 where a step decay is meant for the optimizer."""
    torch.manual_seed(0)
    split = load_digits()
    network = build_network("digits_cnn")
    optimizer = build_optimizer(name, network)
    lr = optimizer.param_groups[0]["lr"]
    shuffle = torch.Generator().manual_seed(0)
    for epoch in range(EPOCHS):
        if OPTIMIZERS[name].steps_down:
            optimizer.param_groups[0]["lr"] = lr * 0.5 ** (epoch // STEP_EPOCHS)
        network.train()
        order = torch.randperm(len(split.train_labels), generator=shuffle)
        for part in order.split(BATCH):
            batch = (split.train_images[part], split.train_labels[part])
            optimizer.step(make_closure(network, optimizer, batch))
        if hasattr(optimizer, "epoch_step"):
            optimizer.epoch_step()
    assert accuracy(network, split) >= 95


def accuracy(network: torch.nn.Module, split: ImageSplit) -> float:
    """Return the test accuracy in percent."""
    network.eval()
    with torch.no_grad():
        right = network(split.test_images).argmax(1) == split.test_labels
    return 100 * right.double().mean().item()
