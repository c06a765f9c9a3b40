"""What a run on images is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from genpredict.datasets import Augmentation, ImageSplit, load_dataset
from genpredict.datasets.images import class_of, stratified_order
from genpredict.datasets.streaming import FileImages, centred, pick
from genpredict.networks import build_network
from genpredict.training.epochs import EpochMeans, train_epoch
from genpredict.training.evaluation import Evaluation, evaluate
from genpredict.training.operations import count_operations
from genpredict.training.optimizers import build_optimizer
from genpredict.training.settings import Settings
from genpredict.training.thinning import SAMPLE_SEED
from genpredict.training.training_state import (
    DRAWS,
    ORDER,
    TrainingState,
    find_device,
    keep_first_rates,
    stream,
)
from genpredict.training.watching import Watcher

#: Of images in files decoding is most of the work, in training as in evaluation.
_STREAM_COST = 1.0


@dataclass(kw_only=True)
class Materials(TrainingState):
    """Network, optimizer, images and generators of one run, all on its device.

    Attributes
    ----------
    split : ImageSplit
    augmentation : Augmentation
    clip_norm : float, optional
        Greatest norm of the gradients.
    samples : dict of str to Tensor
        Orders in which evaluations in between look at each part, once they have.
    """

    split: ImageSplit
    augmentation: Augmentation
    clip_norm: float | None = None
    samples: dict[str, Tensor] = field(default_factory=dict)

    @property
    def num_train(self) -> int:
        """Number of images to train on."""
        return len(self.split.train_labels)

    def part_sizes(self) -> dict[str, int]:
        """Return the number of training, test and, if there are any, validation images."""
        return {part: len(labels) for part, (_, labels) in self._parts().items()}

    def operations(self) -> float:
        """Return the floating point operations of a forward pass of one image."""
        return count_operations(self.network, self.split.train_images.shape[1:])

    def order(self) -> Tensor:
        """Draw an order of the training images, shape (N,), on the device."""
        return torch.randperm(self.num_train, generator=self.shuffle).to(self.device)

    def train_epoch(self, batch_size: int, watcher: Watcher) -> EpochMeans:
        """Train on every image once."""
        return train_epoch(self, batch_size, watcher)

    def evaluate(self, counts: Mapping[str, int] | None = None) -> dict[str, float]:
        """Evaluate on the training, the test and, if there are any, the validation images."""
        numbers: dict[str, float] = {}
        for part, (images, labels) in self._parts().items():
            count = len(labels) if counts is None else counts[part]
            if count < len(labels):
                places = self._sample(part, labels)[:count].to(labels.device)
                images, labels = pick(images, places), labels[places]
            normalization = self.split.normalization
            numbers |= _named(part, evaluate(self.network, images, labels, normalization))
        numbers["generalization_gap"] = numbers["train_accuracy"] - numbers["test_accuracy"]
        return numbers

    def _parts(self) -> dict[str, tuple[Any, Tensor]]:
        """Return images, as an evaluation looks at them, and labels of each part."""
        split = self.split
        parts: dict[str, tuple[Any, Tensor]] = {
            "train": (centred(split.train_images), split.train_labels),
            "test": (split.test_images, split.test_labels),
        }
        if split.validation_images is not None and split.validation_labels is not None:
            parts["validation"] = (split.validation_images, split.validation_labels)
        return parts

    def _sample(self, part: str, labels: Tensor) -> Tensor:
        """Return an order of a part's images in which the first ones are stratified."""
        if part not in self.samples:
            self.samples[part] = stratified_order(class_of(labels.cpu()), seed=SAMPLE_SEED)
        return self.samples[part]


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
        step_cost=_STREAM_COST if isinstance(images, FileImages) else Materials.step_cost,
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
