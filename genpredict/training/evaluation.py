"""Accuracies and losses of a network on labelled images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genpredict.datasets import Normalization

#: Images a forward pass: on a GPU, and on a CPU, whose caches larger batches overflow (by half).
BATCH, CPU_BATCH = 500, 128


@dataclass(frozen=True)
class Evaluation:
    """How well a network does.

    Attributes
    ----------
    accuracy : float
        Percent; the share of labels that are right where an image has several.
    top5_accuracy : float
        Percent of images whose label is among the five likeliest; NaN with several labels.
    loss : float
        Mean cross entropy, nat.
    auc : float
        Area under the receiver operating characteristic, 0 to 1, the mean over labels; NaN where
        an image has one label.
    """

    accuracy: float
    top5_accuracy: float
    loss: float
    auc: float = float("nan")


def cross_entropy(logits: Tensor, labels: Tensor, *, reduction: str = "mean") -> Tensor:
    """Return the cross entropy (nat), of one label an image or of several.

    Parameters
    ----------
    logits : Tensor, shape (N, C)
    labels : Tensor, shape (N,) int64, or (N, C) float
        The class, or 0 and 1 for each of C labels; the loss is then binary, a mean over labels.
    reduction : {"mean", "sum"}
        Over images.

    Returns
    -------
    Tensor, shape ()
    """
    if labels.ndim == 1:
        return nn.functional.cross_entropy(logits, labels, reduction=reduction)
    loss = nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(1)
    return loss.mean() if reduction == "mean" else loss.sum()


def count_right(logits: Tensor, labels: Tensor) -> Tensor:
    """Return how many images (each counting its share of right labels) are right, shape ()."""
    if labels.ndim == 1:
        return (logits.argmax(1) == labels).sum()
    return ((logits > 0) == (labels > 0.5)).double().mean(1).sum()


def evaluate(
    network: nn.Module, images: Tensor, labels: Tensor, normalization: Normalization
) -> Evaluation:
    """Evaluate a network, in evaluation mode, which is then put back.

    Parameters
    ----------
    network : nn.Module
        Maps images of shape (N, channels, height, width) to logits, shape (N, C).
    images, labels : Tensor
        As of `ImageSplit`, on the network's device.
    normalization : Normalization
        Applied to each batch.

    Returns
    -------
    Evaluation
    """
    mode = network.training
    batch = CPU_BATCH if labels.device.type == "cpu" else BATCH
    network.eval()
    sums = torch.zeros(3, dtype=torch.float64, device=labels.device)
    scores: list[Tensor] = []
    with torch.inference_mode():
        for first in range(0, len(images), batch):
            truth = labels[first : first + batch]
            inputs = normalization(images[first : first + batch])
            inputs = inputs.contiguous(memory_format=torch.channels_last)
            logits = network(inputs)
            sums[0] += count_right(logits, truth)
            sums[1] += _in_top5(logits, truth)
            sums[2] += cross_entropy(logits, truth, reduction="sum")
            if labels.ndim == 2:
                scores.append(logits)
    network.train(mode)
    right, top5, loss = (sums / len(images)).tolist()
    auc = area_under_curve(torch.cat(scores), labels) if scores else float("nan")
    return Evaluation(100 * right, 100 * top5, loss, auc)


def area_under_curve(scores: Tensor, labels: Tensor) -> float:
    """Return the area under the receiver operating characteristic, the mean over labels.

    Of each label the chance that an image that has it scores above one that has it not, ties
    counting half (Mann & Whitney's U). Labels that all images have, or none, do not count.

    Parameters
    ----------
    scores : Tensor, shape (N, C)
    labels : Tensor, shape (N, C)
        0 and 1.

    Returns
    -------
    float
        NaN where no label counts.

    Examples
    --------
    >>> labels = torch.tensor([[0], [1], [0], [1]])
    >>> area_under_curve(torch.tensor([[0.1], [0.4], [0.4], [0.9]]), labels)
    0.875
    """
    areas = []
    for score, label in zip(scores.double().T, labels.T, strict=True):
        has_label = label > 0.5
        positive, negative = score[has_label], score[~has_label].sort().values
        if not len(positive) or not len(negative):
            continue
        below = torch.searchsorted(negative, positive, right=False).double()
        not_above = torch.searchsorted(negative, positive, right=True).double()
        areas.append(((below + not_above) / 2 / len(negative)).mean())
    return float(torch.stack(areas).mean()) if areas else float("nan")


def _in_top5(logits: Tensor, labels: Tensor) -> Tensor | float:
    if labels.ndim != 1:
        return float("nan")
    best = logits.topk(min(5, logits.shape[1]), dim=1).indices
    return (best == labels.unsqueeze(1)).sum()
