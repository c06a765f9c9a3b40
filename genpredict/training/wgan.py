"""What a run of a Wasserstein GAN is made of: a critic and a generator, an optimizer each.

References
----------
.. [1] M. Arjovsky, S. Chintala, L. Bottou, "Wasserstein Generative Adversarial Networks", ICML
   2017, Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from genpredict.datasets import load_dataset
from genpredict.datasets.normalization import MAX_PIXEL
from genpredict.errors import GenpredictError
from genpredict.networks.wgan import LATENT, SIDE_MULTIPLE, Critic, Generator
from genpredict.schema import Variable
from genpredict.training.epochs import EpochMeans, cut
from genpredict.training.frechet import frechet_distance
from genpredict.training.operations import count_operations
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

# Algorithm 1 of [1]_: bound on the critic's weights, its steps for one of the generator.
_BOUND, _CRITIC_STEPS = 0.01, 5
#: Images made to evaluate the critic with.
_MADE = 500


class Pair(nn.Module):
    """Critic and generator as one network, so that a checkpoint holds both."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.critic = Critic(channels, side)
        self.generator = Generator(channels, side)


@dataclass(kw_only=True)
class WganMaterials(TrainingState):
    """Critic and generator (`network.critic`, `network.generator`), their optimizers, images.

    Attributes
    ----------
    optimizer : Optimizer
        Of the critic.
    generator_optimizer : Optimizer
    images, held_out : Tensor, shape (N, channels, side, side), float32
        To train on and to evaluate on, in [-1, 1].
    """

    variables: ClassVar[Mapping[str, Variable]] = {
        "generator_loss": Variable(("epoch",), "generator loss while training"),
        "train_frechet_distance": Variable(
            ("epoch",), "Fréchet distance of made images from those trained on"
        ),
        "test_frechet_distance": Variable(
            ("epoch",), "Fréchet distance of made images from test images"
        ),
    }

    network: Pair
    generator_optimizer: Optimizer
    images: Tensor
    held_out: Tensor

    @property
    def num_train(self) -> int:
        """Number of images to train on."""
        return len(self.images)

    def part_sizes(self) -> dict[str, int]:
        """Return the number of images of each part that an evaluation looks at, at most 500."""
        return {
            "train": min(_MADE, len(self.images)),
            "test": min(_MADE, len(self.held_out)),
        }

    def operations(self) -> float:
        """Return the floating point operations of making an image, and judging it and another."""
        judging = count_operations(self.network.critic, self.images.shape[1:])
        return 2 * judging + count_operations(self.network.generator, (LATENT,))

    def optimizers(self) -> list[Optimizer]:
        """List the critic's optimizer and the generator's."""
        return [self.optimizer, self.generator_optimizer]

    def train_epoch(self, batch_size: int, watcher: Watcher) -> EpochMeans:
        """Show every image to the critic once; after five of its steps the generator takes one."""
        self.network.train()
        batches = cut(torch.randperm(len(self.images), generator=self.shuffle), batch_size)
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        taken = 0
        for step, batch in enumerate(batches, start=1):
            sums[0] += self._critic_step(self.images[batch.to(self.device)])
            if step % _CRITIC_STEPS == 0 or step == len(batches):
                sums[1] += self._generator_step(len(batch))
                taken += 1
            watcher.stepped(step=step, steps=len(batches))
        critic, generator = sums.tolist()
        return EpochMeans(
            float("nan"), critic / len(batches), {"generator_loss": generator / taken}
        )

    def evaluate(self, counts: Mapping[str, int] | None = None) -> dict[str, float]:
        """Return critic's loss and Fréchet distance, of images trained on and of others.

        A loss is the critic's own opinion, and does not compare between runs; the distance does.
        """
        numbers = {}
        for part, images in (("train", self.images), ("test", self.held_out)):
            real = images[: _MADE if counts is None else counts[part]]
            loss, made = self._critic_loss(real)
            numbers[f"{part}_loss"] = loss
            numbers[f"{part}_frechet_distance"] = frechet_distance(made, real)
        return numbers

    def _critic_step(self, real: Tensor) -> Tensor:
        """Let the critic tell real from made: it lowers E f(made) − E f(real), Eq. 3 of [1]_."""
        with torch.no_grad():
            made = self._make(len(real))

        def loss() -> Tensor:
            scores: Tensor = self.network.critic(torch.cat([made, real]))
            return scores[: len(made)].mean() - scores[len(made) :].mean()

        taken = _step(self.optimizer, loss)
        with torch.no_grad():
            for parameter in self.network.critic.parameters():
                parameter.clamp_(-_BOUND, _BOUND)
        return taken

    def _generator_step(self, count: int) -> Tensor:
        """Let the generator please the critic: it lowers −E f(made)."""
        noise = self._noise(count)
        taken = _step(
            self.generator_optimizer,
            lambda: -self.network.critic(self.network.generator(noise)).mean(),
        )
        return taken

    def _critic_loss(self, real: Tensor) -> tuple[float, Tensor]:
        """Return the critic's loss and the images, as many as real ones, that it is about."""
        mode = self.network.training
        self.network.eval()
        noise = torch.Generator(self.device).manual_seed(self.seed)
        latent = torch.randn(len(real), LATENT, generator=noise, device=self.device)
        with torch.inference_mode():
            made = self.network.generator(latent)
            loss = self.network.critic(made).mean() - self.network.critic(real).mean()
        self.network.train(mode)
        return float(loss), made

    def _make(self, count: int) -> Tensor:
        images: Tensor = self.network.generator(self._noise(count))
        return images

    def _noise(self, count: int) -> Tensor:
        return torch.randn(count, LATENT, generator=self.draws, device=self.device)


def _step(optimizer: Optimizer, evaluate: Callable[[], Tensor]) -> Tensor:
    """Take a step of an optimizer; return the loss before it."""
    first: list[Tensor] = []

    def closure(backward: bool = True) -> Tensor:
        if backward:
            optimizer.zero_grad()
        with torch.set_grad_enabled(backward):
            loss = evaluate()
        if backward:
            torch.autograd.backward(loss)
        if not first:
            first.append(loss.detach())
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]  # torch says float, means a Tensor
    return first[0]


def prepare_wgan(settings: Settings) -> WganMaterials:
    """Load the images, build critic, generator and their optimizers.

    Raises
    ------
    GenpredictError
        When the images are not there, their sides do not halve twice, or some are to be held out.
    """
    if settings.num_validation is not None:
        raise GenpredictError("num_validation: a GAN is not chosen on images that are held out")
    device = find_device(settings.device)
    split = load_dataset(
        settings.dataset,
        folder=settings.data_folder,
        image_size=settings.image_size,
        limit=settings.num_train,
        num_test=settings.num_test,
    )
    channels, side = _channels_and_side(split.train_images)
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(settings.seed)  # torch.manual_seed: GPUs' as well
        network = Pair(channels, side)
        initial = torch.get_rng_state()
    network.to(device)
    optimizers = []
    for part in (network.critic, network.generator):
        optimizer = build_optimizer(settings.optimizer, part, **settings.hyperparameters)
        keep_first_rates(optimizer)
        optimizers.append(optimizer)
    return WganMaterials(
        network=network,
        optimizer=optimizers[0],
        generator_optimizer=optimizers[1],
        device=device,
        images=_centred(split.train_images).to(device),
        held_out=_centred(split.test_images).to(device),
        draws=stream(settings.seed, DRAWS, device),
        shuffle=stream(settings.seed, ORDER, torch.device("cpu")),
        initial=initial,
        seed=settings.seed,
    )


def _channels_and_side(images: Tensor) -> tuple[int, int]:
    """Return the number of channels and the side of square images that halve twice."""
    _, channels, height, side = images.shape
    if height != side or side % SIDE_MULTIPLE:
        raise GenpredictError(
            f"image_size: wgan needs square images whose side is a multiple of {SIDE_MULTIPLE}, "
            f"not {height} × {side}; give an image_size"
        )
    return channels, side


def _centred(images: Tensor) -> Tensor:
    """Bring pixels to [-1, 1]."""
    scale = 1 if images.is_floating_point() else MAX_PIXEL
    return 2 * images.float() / scale - 1
