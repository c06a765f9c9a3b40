"""One pass over the training images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from genpredict.training.evaluation import count_right, cross_entropy

if TYPE_CHECKING:
    from genpredict.training.materials import Materials
    from genpredict.training.watching import Watcher


@dataclass(frozen=True)
class EpochMeans:
    """How an epoch went, over its batches as they were trained on.

    Attributes
    ----------
    accuracy : float
        Percent.
    loss : float
        Mean cross entropy, nat.
    more : mapping of str to float
        Other numbers of the kind of training, by the names of its `variables`.
    """

    accuracy: float
    loss: float
    more: Mapping[str, float] = field(default_factory=dict)


def train_epoch(materials: Materials, batch_size: int, watcher: Watcher) -> EpochMeans:
    """Train on every training image once.

    Parameters
    ----------
    materials : Materials
        Network, optimizer, images, random generators.
    batch_size : int
        Images a step; the last step has what is left, and a single image left over goes with
        those before it, since batch norm needs two.
    watcher : Watcher
        Told of every step.

    Returns
    -------
    EpochMeans
        Read from the device once, at the end: no step waits for it.
    """
    split = materials.split
    batches = cut(materials.order(), batch_size)
    sums = torch.zeros(2, dtype=torch.float64, device=split.train_images.device)
    materials.network.train()
    for step, batch in enumerate(batches, start=1):
        images = materials.augmentation(split.train_images[batch], materials.draws)
        images = split.normalization(images).contiguous(memory_format=torch.channels_last)
        labels = split.train_labels[batch]
        loss, logits = take_step(materials, images, labels)
        sums[0] += count_right(logits, labels)
        sums[1] += loss * len(labels)
        watcher.stepped(step=step, steps=len(batches))
    right, loss_sum = (sums / len(split.train_labels)).tolist()
    return EpochMeans(100 * right, loss_sum)


def take_step(materials: Materials, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Take one step of the optimizer on a batch.

    Parameters
    ----------
    materials : Materials
    images : Tensor, shape (B, channels, height, width)
        Normalized.
    labels : Tensor, shape (B,) or (B, C)

    Returns
    -------
    tuple of (Tensor, shape ()) and (Tensor, shape (B, C))
        Loss (nat) and logits before the step, however often the optimizer evaluates the batch.
    """
    network, optimizer = materials.network, materials.optimizer
    first: list[tuple[Tensor, Tensor]] = []

    def closure(backward: bool = True) -> Tensor:
        if backward:
            optimizer.zero_grad()
        with torch.set_grad_enabled(backward):
            logits = network(images)
            loss = cross_entropy(logits, labels)
        if backward:
            torch.autograd.backward(loss)
            if materials.clip_norm is not None:
                nn.utils.clip_grad_norm_(network.parameters(), materials.clip_norm)
        if not first:
            first.append((loss.detach(), logits.detach()))
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]  # torch says float, and means a Tensor
    return first[0]


def cut(order: Tensor, batch_size: int) -> list[Tensor]:
    """Cut an order of images into batches; a last one of a single image joins the one before.

    Examples
    --------
    >>> [len(batch) for batch in cut(torch.arange(9), 4)]
    [4, 5]
    """
    batches = list(torch.split(order, batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
