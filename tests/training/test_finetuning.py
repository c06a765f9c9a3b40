"""Fine-tuning the published ResNet-20 on 640 images of CIFAR-10: RMSGD against SGD."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import genpredict
from genpredict.networks import build_network
from genpredict.training.optimizers import RMSGD

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
PUBLISHED = SHARED / "checkpoints/akamaster/resnet20-12fca82f.th"
# as the published network was trained
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LR = 1e-3

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PUBLISHED.exists(), reason="needs the published networks"),
]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Many threads on a busy machine wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def read_images(part: str, count: int) -> tuple[Tensor, Tensor]:
    """Return the first images, normalized, and their labels."""
    parquet = pytest.importorskip("pyarrow.parquet")
    image = pytest.importorskip("PIL.Image")
    table = parquet.read_table(SHARED / f"cifar10/{part}-00000-of-00001.parquet").slice(0, count)
    pixels = [np.asarray(image.open(BytesIO(one["bytes"]))) for one in table["img"].to_pylist()]
    images = torch.from_numpy(np.stack(pixels).transpose(0, 3, 1, 2) / np.float32(255))
    scaled = (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    return scaled, torch.tensor(table["label"].to_pylist())


def published() -> nn.Module:
    network = build_network("resnet20")
    (checkpoint,) = genpredict.open_checkpoints(PUBLISHED)
    weights = dict(checkpoint.tensors())
    named = {name: weights[name] for name in network.state_dict() if name in weights}
    network.load_state_dict(named, strict=False)
    return network


def fine_tune(network: nn.Module, optimizer: Any, epochs: int) -> None:
    images, labels = read_images("train", 640)
    generator = torch.Generator().manual_seed(0)
    network.train()
    for _ in range(epochs):
        for batch in torch.randperm(640, generator=generator).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
        if hasattr(optimizer, "epoch_step"):
            optimizer.epoch_step()


def accuracy(network: nn.Module) -> float:
    images, labels = read_images("test", 2000)
    network.eval()
    with torch.no_grad():
        logits = torch.cat([network(some) for some in images.split(500)])
    return 100 * float((logits.argmax(1) == labels).double().mean())


def test_measured_start_ends_where_sgd_does_and_the_default_warns() -> None:
    """Within a point of SGD after three epochs; s(0) = 0 lifts rates to .15, and says so."""
    options = {"lr": LR, "momentum": 0.9, "weight_decay": 5e-4}
    network = published()
    assert accuracy(network) > 90
    fine_tune(network, torch.optim.SGD(network.parameters(), **options), 3)
    expected = accuracy(network)
    network = published()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fine_tune(network, RMSGD(network.named_parameters(), start="measured", **options), 3)
    assert accuracy(network) > expected - 1
    network = published()
    optimizer = RMSGD(network.named_parameters(), **options)
    with pytest.warns(genpredict.errors.GenpredictWarning, match='give start="measured"'):
        fine_tune(network, optimizer, 1)
    assert np.median(list(optimizer.learning_rates().values())) > 100 * LR
