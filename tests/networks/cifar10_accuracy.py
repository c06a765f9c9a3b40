"""CIFAR-10's test images as tensors, and the accuracy of a network on them."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn


def read_test_images(shared: Path) -> tuple[Tensor, Tensor]:
    """Return images, shape (10000, 3, 32, 32), in [0, 1], and labels, shape (10000,)."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="reads the images from parquet")
    image = pytest.importorskip("PIL.Image", reason="decodes the images")
    table = parquet.read_table(shared / "data/cifar10/test-00000-of-00001.parquet")
    blobs = [one["bytes"] for one in table["img"].to_pylist()]
    pixels = np.stack([np.asarray(image.open(BytesIO(blob))) for blob in blobs])
    images = torch.from_numpy(pixels.transpose(0, 3, 1, 2) / np.float32(255))
    return images, torch.tensor(table["label"].to_pylist())


def accuracy_on_cifar10(
    network: nn.Module,
    shared: Path,
    *,
    mean: Sequence[float],
    std: Sequence[float],
) -> float:
    """Return the accuracy in percent on the images, normalized channel by channel."""
    images, labels = read_test_images(shared)
    scaled = (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    with torch.no_grad():
        logits = torch.cat([network.eval()(batch) for batch in scaled.split(500)])
    return 100 * (logits.argmax(-1) == labels).double().mean().item()
