"""Rows of a NATS-Bench archive: which network, and what is recorded of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

TEST_SPLIT = {
    "cifar10": "ori-test",
    "cifar10-valid": "ori-test",
    "cifar100": "x-test",
    "ImageNet16-120": "x-test",
}
UNDIVIDED = "ori-test"
VALIDATION_SPLIT = "x-valid"


@dataclass(slots=True)
class ArchiveRow:
    """One trained network of an archive."""

    epoch: int
    dataset: str
    seed: int
    architecture: str
    index: int
    result: dict[str, Any]


def archive_rows(by_budget: Mapping[str, Mapping[str, Any]]) -> list[ArchiveRow]:
    """List the rows of one architecture, in the order of their ids."""
    rows = [
        _row(budget, dataset, seed, info, result)
        for budget, info in by_budget.items()
        for (dataset, seed), result in info["all_results"].items()
    ]
    rows.sort(key=lambda row: (row.epoch, row.dataset, row.seed))
    for one, other in pairwise(rows):
        if (one.epoch, one.dataset, one.seed) == (other.epoch, other.dataset, other.seed):
            raise ValueError(f"two results of {one.dataset}, {one.epoch} epochs, seed {one.seed}")
    return rows


def _row(
    budget: str, dataset: str, seed: int | str, info: Mapping[str, Any], result: dict[str, Any]
) -> ArchiveRow:
    """Make a row of texts and numbers; anything else raises TypeError or OverflowError."""
    row = ArchiveRow(
        int(budget), dataset, int(seed), info["arch_str"], int(info["arch_index"]), result
    )
    if not (isinstance(dataset, str) and isinstance(row.architecture, str)):
        raise TypeError("a data set or an architecture that is no text")
    if any(abs(number) >= 2**53 for number in (row.epoch, row.seed, row.index)):
        raise OverflowError("a budget, seed or index of no such size")
    return row


def recorded_metrics(row: ArchiveRow) -> dict[str, float]:
    """Collect accuracies (percent), losses and FLOPs (millions) where they are recorded."""
    result, last = row.result, int(row.result["epochs"]) - 1
    accuracies, losses = result.get("eval_acc1es") or {}, result.get("eval_losses") or {}
    splits = {str(key).partition("@")[0] for key in (*accuracies, *losses)}
    split = TEST_SPLIT.get(row.dataset, UNDIVIDED)
    test = f"{split if split in splits else UNDIVIDED}@{last}"
    validation = f"{VALIDATION_SPLIT}@{last}"
    metrics = {
        "train_accuracy": (result.get("train_acc1es") or {}).get(last),
        "train_loss": (result.get("train_losses") or {}).get(last),
        "test_accuracy": accuracies.get(test),
        "test_loss": losses.get(test),
        "validation_accuracy": accuracies.get(validation),
        "validation_loss": losses.get(validation),
        "flops": result.get("flop"),
    }
    return {k: float(v) for k, v in metrics.items() if v is not None and math.isfinite(v)}
