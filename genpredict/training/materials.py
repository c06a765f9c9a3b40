"""What a run is made of: network, optimizer, images, and every source of randomness."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from genpredict.datasets import Augmentation, ImageSplit, load_dataset
from genpredict.errors import GenpredictError
from genpredict.networks import build_network
from genpredict.training.optimizers import build_optimizer
from genpredict.training.settings import Settings

# One seed, several streams: each is this far from the next.
_DRAWS, _ORDER = 1, 2


@dataclass
class Materials:
    """Network, optimizer, images and generators of one run, all on its device.

    Attributes
    ----------
    network : nn.Module
    optimizer : Optimizer
    split : ImageSplit
    augmentation : Augmentation
    draws : torch.Generator
        Draws of the augmentation, on the device.
    shuffle : torch.Generator
        Order of images, on the CPU, the same on every device.
    initial : Tensor
        State of torch's own generator, from which dropout draws, after the network was built.
    seed : int
        Of the run.
    """

    network: nn.Module
    optimizer: Optimizer
    split: ImageSplit
    augmentation: Augmentation
    draws: torch.Generator
    shuffle: torch.Generator
    initial: Tensor
    seed: int

    @property
    def device(self) -> torch.device:
        """Where everything is."""
        return self.split.train_images.device

    def order(self) -> Tensor:
        """Draw an order of the training images, shape (N,), on the device."""
        count = len(self.split.train_labels)
        return torch.randperm(count, generator=self.shuffle).to(self.device)

    def rates(self) -> dict[str, float]:
        """Return the learning rate of every parameter by its name."""
        if hasattr(self.optimizer, "learning_rates"):
            rates: dict[str, float] = self.optimizer.learning_rates()
            return rates
        rate_of = {
            id(p): group["lr"] for group in self.optimizer.param_groups for p in group["params"]
        }
        named = self.network.named_parameters(remove_duplicate=False)
        return {name: float(rate_of[id(parameter)]) for name, parameter in named}

    def has_finite_weights(self) -> bool:
        """Return whether no weight is NaN or infinite; waits for the device once."""
        sums = torch.stack([parameter.detach().sum() for parameter in self.network.parameters()])
        return bool(sums.isfinite().all())

    @contextmanager
    def randomness(self) -> Iterator[None]:
        """Let torch's own generators be the run's for the time of a block, then as they were."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.set_rng_state(self.initial)
            if devices:
                with torch.cuda.device(self.device):
                    torch.cuda.manual_seed(self.seed)
            yield

    def state(self) -> dict[str, Any]:
        """Return everything that changes in training."""
        state: dict[str, Any] = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "draws": self.draws.get_state(),
            "shuffle": self.shuffle.get_state(),
            "torch": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device)
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` returned."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.draws.set_state(state["draws"])
        self.shuffle.set_state(state["shuffle"])
        torch.set_rng_state(state["torch"])
        if "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], self.device)


def prepare(settings: Settings) -> Materials:
    """Load the images, build network and optimizer.

    Raises
    ------
    GenpredictError
        When a name is unknown, the images are not there, or the network cannot take them.
    """
    device = _device(settings.device)
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
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])
    return Materials(
        network,
        optimizer,
        split,
        Augmentation(
            flip=settings.flip,
            crop_padding=settings.crop_padding,
            cutout_holes=settings.cutout_holes,
            cutout_length=settings.cutout_length,
            cutout_fill=split.normalization.mean,  # 0 once normalized, as DeVries & Taylor do
        ),
        _generator(settings.seed, _DRAWS, device),
        _generator(settings.seed, _ORDER, torch.device("cpu")),
        initial,
        settings.seed,
    )


def _load(settings: Settings) -> ImageSplit:
    """Load the images, with label noise and a choice of training images where asked for."""
    return load_dataset(
        settings.dataset,
        folder=settings.data_folder,
        image_size=settings.image_size,
        annotations=settings.annotations,
        limit=settings.num_train,
        label_noise=settings.label_noise,
        noise_seed=settings.seed,
    )


def _on(split: ImageSplit, device: torch.device) -> ImageSplit:
    """Move the images to a device."""
    return replace(
        split,
        train_images=split.train_images.to(device),
        train_labels=split.train_labels.to(device),
        test_images=split.test_images.to(device),
        test_labels=split.test_labels.to(device),
    )


def _generator(seed: int, stream: int, device: torch.device) -> torch.Generator:
    """Return a generator of its own for one stream of a seed."""
    mixed = (seed * 0x9E3779B97F4A7C15 + stream * 0xBF58476D1CE4E5B9) % 2**63  # as splitmix64 does
    return torch.Generator(device).manual_seed(mixed)


def _device(name: str) -> torch.device:
    """Find a device by name; "auto" is a GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise GenpredictError(f"device: {name!r} is none; try auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise GenpredictError("device: there is no CUDA here; use --device cpu")
    return device
