"""The size space: parameter counts and names of NATS-Bench, and its trained weights at work."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch

from genpredict.checkpoints import open_checkpoints
from genpredict.networks import build_network

COUNTS = {
    "8:8:8:8:8": 11_714,
    "8:8:8:16:32": 49_202,
    "8:8:40:32:40": 144_834,
    "8:16:24:32:40": 115_490,
}
#: Of CIFAR-10's channels, as in NATS-Bench's training.
MEAN = np.array([125.3, 123.0, 113.9]) / 255
STD = np.array([63.0, 62.1, 66.7]) / 255


@pytest.mark.parametrize(("widths", "count"), COUNTS.items())
def test_number_of_parameters(widths: str, count: int) -> None:
    """Networks of the size space have NATS-Bench's numbers of parameters."""
    network = build_network(f"sss:{widths}")
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_state_dicts_of_archives_fit(shared: Path) -> None:
    """Every network of the mini archives loads, name by name."""
    for checkpoint in open_checkpoints(shared / "data/nats-sss-mini"):
        network = build_network(f"sss:{checkpoint.metadata['network']}")
        network.load_state_dict(dict(checkpoint.tensors()), strict=True)


@pytest.mark.slow
def test_trained_weights_reach_their_accuracy(shared: Path) -> None:
    """8:8:8:8:8 with its archive's weights classifies CIFAR-10 as well as the archive says."""
    pytest.importorskip("pyarrow", reason="reads the images of CIFAR-10 from parquet")
    import pandas as pd
    from PIL import Image

    table = pd.read_parquet(shared / "data/cifar10/test-00000-of-00001.parquet")
    images = np.stack([np.asarray(Image.open(BytesIO(one["bytes"]))) for one in table["img"]])
    scaled = torch.from_numpy(((images / 255 - MEAN) / STD).transpose(0, 3, 1, 2)).float()
    labels = torch.from_numpy(table["label"].to_numpy().copy())
    checkpoint = next(iter(open_checkpoints(shared / "data/nats-sss-mini/000000.pickle.pbz2")))
    network = build_network("sss:8:8:8:8:8").eval()
    network.load_state_dict(dict(checkpoint.tensors()))
    with torch.no_grad():
        logits = torch.cat([network(batch) for batch in scaled.split(1000)])
    accuracy = 100 * (logits.argmax(-1) == labels).double().mean().item()
    assert accuracy == pytest.approx(checkpoint.metadata["test_accuracy"], abs=0.05)
