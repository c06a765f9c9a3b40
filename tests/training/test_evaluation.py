"""Accuracies and losses, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, hamming_loss, log_loss, top_k_accuracy_score
from torch import nn

from genpredict.datasets import Normalization
from genpredict.training.evaluation import BATCH, evaluate

COUNT = BATCH + 37  # one whole batch and a part of one


class Logits(nn.Module):
    """Has an image for its logits; a network in training mode would add noise."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Flatten."""
        return nn.functional.dropout(images.flatten(1), 0.5, self.training)


def logits_as_images(classes: int) -> torch.Tensor:
    """Draw logits, as images of one row."""
    return torch.randn(COUNT, 1, 1, classes, generator=torch.Generator().manual_seed(1))


def plain() -> Normalization:
    """A normalization that changes nothing."""
    return Normalization((0.0,), (1.0,))


@pytest.mark.parametrize("classes", [4, 10, 100])
def test_accuracies_and_loss_against_sklearn(classes: int) -> None:
    """Top-1, top-5 (all there are where there are fewer), cross entropy; the mode is put back."""
    images = logits_as_images(classes)
    labels = torch.randint(classes, (COUNT,), generator=torch.Generator().manual_seed(2))
    network = Logits().train()
    found = evaluate(network, images, labels, plain())
    assert network.training
    scores, known = images.flatten(1).double().numpy(), np.arange(classes)
    assert found.accuracy == pytest.approx(100 * accuracy_score(labels, scores.argmax(1)))
    top5 = 1.0 if classes <= 5 else top_k_accuracy_score(labels, scores, k=5, labels=known)
    assert found.top5_accuracy == pytest.approx(100 * top5)
    likely = torch.softmax(images.flatten(1).double(), 1).numpy()
    assert found.loss == pytest.approx(log_loss(labels, likely, labels=known), rel=1e-6)


def test_several_labels_against_sklearn() -> None:
    """The share of right labels; there is no top-5."""
    images = logits_as_images(6)
    labels = torch.randint(2, (COUNT, 6), generator=torch.Generator().manual_seed(3)).float()
    found = evaluate(Logits(), images, labels, plain())
    guesses = images.flatten(1).numpy() > 0
    assert found.accuracy == pytest.approx(100 * (1 - hamming_loss(labels.numpy() > 0, guesses)))
    assert np.isnan(found.top5_accuracy)
    likely = torch.sigmoid(images.flatten(1).double()).numpy()
    losses = [log_loss(labels[:, k], likely[:, k]) for k in range(6)]
    assert found.loss == pytest.approx(np.mean(losses), rel=1e-6)
