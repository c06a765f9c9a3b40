"""What a run on images is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from genpredict.datasets import Augmentation, ImageSplit, load_dataset
from genpredict.datasets.streaming import FileImages, centred
from genpredict.networks import build_network
from genpredict.training.epochs import EpochMeans, train_epoch
from genpredict.training.evaluation import Evaluation, evaluate
from genpredict.training.optimizers import build_optimizer
from genpredict.training.settings import Settings
from genpredict.training.training_state import (
    DRAWS,
    ORDER,
    TrainingState,
    find_device,
    keep_first_rates,
    stream,
)
from genpredict.training.watching import Watcher


@dataclass(kw_only=True)
class Materials(TrainingState):
    """Network, optimizer, images and generators of one run, all on its device.

    Attributes
    ----------
    split : ImageSplit
    augmentation : Augmentation
    clip_norm : float, optional
        Greatest norm of the gradients.
    """

    split: ImageSplit
    augmentation: Augmentation
    clip_norm: float | None = None

    @property
    def num_train(self) -> int:
        """Number of images to train on."""
        return len(self.split.train_labels)

    @property
    def num_evaluated(self) -> int:
        """Number of images that one evaluation looks at."""
        held_out = self.split.validation_labels
        extra = 0 if held_out is None else len(held_out)
        return self.num_train + len(self.split.test_labels) + extra

    def order(self) -> Tensor:
        """Draw an order of the training images, shape (N,), on the device."""
        return torch.randperm(self.num_train, generator=self.shuffle).to(self.device)

    def train_epoch(self, batch_size: int, watcher: Watcher) -> EpochMeans:
        """Train on every image once."""
        return train_epoch(self, batch_size, watcher)

    def evaluate(self) -> dict[str, float]:
        """Evaluate on the training, the test and, if there are any, the validation images."""
        split = self.split
        train = self._evaluate(centred(split.train_images), split.train_labels)
        test = self._evaluate(split.test_images, split.test_labels)
        numbers = {
            **_named("train", train),
            **_named("test", test),
            "generalization_gap": train.accuracy - test.accuracy,
        }
        if split.validation_images is not None and split.validation_labels is not None:
            numbers |= _named(
                "validation", self._evaluate(split.validation_images, split.validation_labels)
            )
        return numbers

    def _evaluate(self, images: Tensor, labels: Tensor) -> Evaluation:
        return evaluate(self.network, images, labels, self.split.normalization)


def _named(part: str, evaluation: Evaluation) -> dict[str, float]:
    """Name the numbers of an evaluation as the history does."""
    return {
        f"{part}_accuracy": evaluation.accuracy,
        f"{part}_loss": evaluation.loss,
        f"{part}_top5_accuracy": evaluation.top5_accuracy,
        f"{part}_auc": evaluation.auc,
    }


def prepare(settings: Settings) -> Materials:
    """Load the images, build network and optimizer.

    Raises
    ------
    GenpredictError
        When a name is unknown, the images are not there, or the network cannot take them.
    """
    device = find_device(settings.device)
    split = _on(_load(settings), device)
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(settings.seed)  # torch.manual_seed: GPUs' as well
        network = build_network(
            settings.network,
            num_classes=split.num_classes,
            in_channels=split.train_images.shape[1],
            image_side=split.train_images.shape[-1],
        )
        initial = torch.get_rng_state()
    network.to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster
    optimizer = build_optimizer(settings.optimizer, network, **settings.hyperparameters)
    keep_first_rates(optimizer)
    shuffle = stream(settings.seed, ORDER, torch.device("cpu"))
    images: Any = split.train_images
    if isinstance(images, FileImages):  # random parts resume with the order
        drawing: Any = images.drawing_from(shuffle)
        split = replace(split, train_images=drawing)
    return Materials(
        network=network,
        optimizer=optimizer,
        device=device,
        split=split,
        augmentation=_augmentation(settings, split),
        clip_norm=settings.clip_norm,
        draws=stream(settings.seed, DRAWS, device),
        shuffle=shuffle,
        initial=initial,
        seed=settings.seed,
    )


def _augmentation(settings: Settings, split: ImageSplit) -> Augmentation:
    """Return what is done to training images at random."""
    return Augmentation(
        flip=settings.flip,
        crop_padding=settings.crop_padding,
        cutout_holes=settings.cutout_holes,
        cutout_length=settings.cutout_length,
        cutout_fill=split.normalization.mean,  # 0 once normalized, as DeVries & Taylor do
    )


def _load(settings: Settings) -> ImageSplit:
    """Load the images, with label noise and a choice of training images where asked for."""
    return load_dataset(
        settings.dataset,
        folder=settings.data_folder,
        image_size=settings.image_size,
        annotations=settings.annotations,
        stream=settings.stream,
        limit=settings.num_train,
        num_test=settings.num_test,
        num_validation=settings.num_validation,
        label_noise=settings.label_noise,
        noise_seed=settings.seed,
    )


def _on(split: ImageSplit, device: torch.device) -> ImageSplit:
    """Move the images to a device."""
    held, labels = split.validation_images, split.validation_labels
    return replace(
        split,
        train_images=split.train_images.to(device),
        train_labels=split.train_labels.to(device),
        test_images=split.test_images.to(device),
        test_labels=split.test_labels.to(device),
        validation_images=None if held is None else held.to(device),
        validation_labels=None if labels is None else labels.to(device),
    )
