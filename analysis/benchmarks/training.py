"""Throughput of the training loop against a plain torch loop, on the CPU.

    python analysis/benchmarks/training.py

Both train the same network on the same images with torch's SGD, in the same batches; the plain
loop is what one writes by hand: index, normalize, zero_grad, forward, backward, step. Epochs of
the two alternate, so that both see the same machine; the ratio is plain time / ours, at least
0.95 asked for. Evaluation and measures are no part of either.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import cyclopts
import torch
from torch import nn

from genpredict.training import Watcher, complete
from genpredict.training.epochs import train_epoch
from genpredict.training.materials import Materials, prepare

CASES = {
    "digits_cnn, digits, batch 64": {"network": "digits_cnn", "dataset": "digits"},
    "resnet20, 2,048 images of 32 × 32, batch 128": {"network": "resnet20", "batch_size": 128},
    "sss:8:8:8:8:8, 2,048 images of 32 × 32, batch 256": {
        "network": "sss:8:8:8:8:8",
        "batch_size": 256,
    },
}
PAUSE = 0.3  # seconds; OpenMP's threads spin for a while after a call


def materials_of(case: dict[str, object]) -> tuple[Materials, int]:
    """Return network, optimizer and images; noise where the images are not the digits."""
    settings = complete({"recipe": "digits", "optimizer": "sgd", **case})
    if "dataset" in case:
        return prepare(settings), settings.batch_size
    digits = prepare(complete({"recipe": "digits", "optimizer": "sgd", "network": "digits_cnn"}))
    rng = torch.Generator().manual_seed(0)
    split = replace(
        digits.split,
        train_images=torch.randint(0, 256, (2048, 3, 32, 32), dtype=torch.uint8, generator=rng),
        train_labels=torch.randint(0, 10, (2048,), generator=rng),
    )
    return with_network(digits, split, str(case["network"])), settings.batch_size


def with_network(digits: Materials, split: object, network_name: str) -> Materials:
    """Exchange network and images."""
    from genpredict.networks import build_network
    from genpredict.training.optimizers import build_optimizer

    network = build_network(network_name).to(memory_format=torch.channels_last)
    return replace(digits, network=network, optimizer=build_optimizer("sgd", network), split=split)


def plain_epoch(materials: Materials, batch_size: int) -> None:
    """Train for an epoch as one does by hand."""
    split, network, optimizer = materials.split, materials.network, materials.optimizer
    network.train()
    for batch in torch.randperm(len(split.train_labels)).split(batch_size):
        optimizer.zero_grad()
        logits = network(split.normalization(split.train_images[batch]))
        nn.functional.cross_entropy(logits, split.train_labels[batch]).backward()
        optimizer.step()


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    time.sleep(PAUSE)
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(*, rounds: int = 9, threads: int = 2) -> None:
    """Print seconds an epoch and the ratio for every case."""
    torch.set_num_threads(threads)
    print(f"torch {torch.__version__}, {threads} threads, median of {rounds} epochs each")
    for name, case in CASES.items():
        materials, batch_size = materials_of(case)
        plain_run = partial(plain_epoch, materials, batch_size)
        our_run = partial(train_epoch, materials, batch_size, Watcher())
        pairs = [(seconds(plain_run), seconds(our_run)) for _ in range(rounds + 1)][1:]
        ratio = statistics.median(plain / ours for plain, ours in pairs)
        plain, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{name}: plain {plain:.3f} s, genpredict {ours:.3f} s, ratio {ratio:.2f}")


if __name__ == "__main__":
    cyclopts.run(main)
