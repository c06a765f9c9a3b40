"""Write NATS-Bench archives in full form, with nats_bench's own classes and random weights.

The networks have the tensors of the real ones, by name, shape and order; the numbers in them and
the learning curves are random.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nats_bench.api_utils import ArchResults, ResultsCount, pickle_save
from torch import Tensor

CLASSES = {"cifar10": 10, "cifar10-valid": 10, "cifar100": 100, "ImageNet16-120": 120}
SPLITS = {
    "cifar10": ("ori-test",),
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}
SIZE_GENOTYPE = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)
_WIDTHS = (8, 16, 24, 32, 40, 48, 56, 64)

StateDict = OrderedDict[str, Tensor]


def size_architecture(index: int) -> str:
    """Return the size-space architecture of an index: five base-8 digits that choose widths."""
    digits = [index // 8**power % 8 for power in range(4, -1, -1)]
    return ":".join(str(_WIDTHS[digit]) for digit in digits)


def write_size_space_archive(
    folder: Path,
    index: int,
    *,
    epochs: Sequence[int] = (12,),
    datasets: Sequence[str] = ("cifar10",),
    seeds: Sequence[int] = (777,),
    rng: np.random.Generator,
) -> dict[str, ArchResults]:
    """Write one architecture of the size space; see `write_archive`."""
    architecture = size_architecture(index)
    config = {
        "name": "infer.shape.tiny",
        "channels": architecture,
        "arch_str": architecture,
        "genotype": SIZE_GENOTYPE,
    }
    return write_archive(
        folder, index, architecture, config, epochs=epochs, datasets=datasets, seeds=seeds, rng=rng
    )


def write_topology_space_archive(
    folder: Path,
    index: int,
    architecture: str,
    *,
    epochs: Sequence[int] = (12,),
    datasets: Sequence[str] = ("cifar10",),
    seeds: Sequence[int] = (777,),
    num_cells: int = 5,
    rng: np.random.Generator,
) -> dict[str, ArchResults]:
    """Write one architecture of the topology space; see `write_archive`."""
    config = {"channel": 16, "num_cells": num_cells, "arch_str": architecture}
    return write_archive(
        folder, index, architecture, config, epochs=epochs, datasets=datasets, seeds=seeds, rng=rng
    )


def write_archive(
    folder: Path,
    index: int,
    architecture: str,
    config: dict[str, Any],
    *,
    epochs: Sequence[int],
    datasets: Sequence[str],
    seeds: Sequence[int],
    rng: np.random.Generator,
) -> dict[str, ArchResults]:
    """Write ``<folder>/<index>.pickle.pbz2`` and return what went in, by budget.

    As in the real archives, networks trained for one epoch come without weights.
    """
    by_budget = make_archive(index, architecture, config, epochs, datasets, seeds, rng)
    states = OrderedDict((budget, results.state_dict()) for budget, results in by_budget.items())
    pickle_save(states, str(folder / f"{index:06d}.pickle"))
    return by_budget


def make_archive(
    index: int,
    architecture: str,
    config: dict[str, Any],
    epochs: Sequence[int],
    datasets: Sequence[str],
    seeds: Sequence[int],
    rng: np.random.Generator,
) -> dict[str, ArchResults]:
    """Make the results of one architecture by budget ("01", "12", …)."""
    by_budget = OrderedDict()
    for budget in epochs:
        results = ArchResults(index, architecture)
        for dataset in datasets:
            for seed in seeds:
                results.update(dataset, seed, make_result(config, budget, dataset, seed, rng))
        by_budget[f"{budget:02d}"] = results
    return by_budget


def make_result(
    config: dict[str, Any], budget: int, dataset: str, seed: int, rng: np.random.Generator
) -> ResultsCount:
    """Make the results of one training run."""
    weights = random_weights(config, CLASSES[dataset], rng)
    count = sum(t.numel() for n, t in weights.items() if "running" not in n and "num_b" not in n)
    steps = range(budget)
    result = ResultsCount(
        dataset,
        weights if budget > 1 else None,
        {step: float(rng.uniform(20, 100)) for step in steps},
        {step: float(rng.uniform(0, 3)) for step in steps},
        np.float64(count / 1e6),
        float(rng.uniform(1, 200)),
        {**config, "class_num": CLASSES[dataset]},
        f"{seed:04d}",
        budget,
        [np.float64(rng.uniform(0.01, 0.02))],
    )
    keys = [f"{split}@{step}" for split in SPLITS[dataset] for step in steps]
    accuracies = {key: float(rng.uniform(20, 100)) for key in keys}
    losses = {key: float(rng.uniform(0, 3)) for key in keys}
    result.update_eval(accuracies, losses, dict.fromkeys(keys, 1.0))
    return result


def random_weights(config: dict[str, Any], classes: int, rng: np.random.Generator) -> StateDict:
    """Make a state dict with the names, shapes and order of the real network."""
    weights: StateDict = OrderedDict()
    for name, shape in _shapes(config, classes):
        values = torch.from_numpy(rng.normal(0, 0.1, shape).astype(np.float32))
        weights[name] = values if shape else torch.tensor(1)
    return weights


def _shapes(config: dict[str, Any], classes: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield names and shapes of either space."""
    if "channels" in config:
        widths = [int(width) for width in config["channels"].split(":")]
        genotype, cells = config["genotype"], widths
    else:
        size, count = config["channel"], config["num_cells"]
        genotype = config["arch_str"]
        cells = [size] * count + [2 * size] * (count + 1) + [4 * size] * (count + 1)
        widths = [size, *cells]
    yield from _convolution("stem.0", widths[0], 3, 3)
    yield from _normalization("stem.1", widths[0])
    before = widths[0]
    for number, width in enumerate(cells):
        is_reduction = number in (1, 3) if "channels" in config else width != before
        cell = _reduction if is_reduction else _cell
        yield from cell(f"cells.{number}", width, before, genotype)
        before = width
    yield from _normalization("lastact.0", before)
    yield "classifier.weight", (classes, before)
    yield "classifier.bias", (classes,)


def _convolution(
    name: str, outputs: int, inputs: int, kernel: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (outputs, inputs, kernel, kernel)


def _normalization(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for leaf in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{leaf}", (width,)
    yield f"{name}.num_batches_tracked", ()


def _reduction(
    name: str, width: int, before: int, genotype: str
) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _convolution(f"{name}.conv_a.op.1", width, before, 3)
    yield from _normalization(f"{name}.conv_a.op.2", width)
    yield from _convolution(f"{name}.conv_b.op.1", width, width, 3)
    yield from _normalization(f"{name}.conv_b.op.2", width)
    yield from _convolution(f"{name}.downsample.1", width, before, 1)


def _cell(
    name: str, width: int, before: int, genotype: str
) -> Iterator[tuple[str, tuple[int, ...]]]:
    edges = [edge for node in genotype.split("+") for edge in node.strip("|").split("|")]
    for number, edge in enumerate(edges):
        operation, _, source = edge.partition("~")
        inputs = before if source == "0" else width
        if operation.startswith("nor_conv"):
            kernel = int(operation[-1])
            yield from _convolution(f"{name}.layers.{number}.op.1", width, inputs, kernel)
            yield from _normalization(f"{name}.layers.{number}.op.2", width)
        elif operation == "skip_connect" and inputs != width:  # then it is a 1×1 convolution
            yield from _convolution(f"{name}.layers.{number}.conv", width, inputs, 1)
            yield from _normalization(f"{name}.layers.{number}.bn", width)
