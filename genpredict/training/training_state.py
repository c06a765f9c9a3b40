"""What every run is made of: a network, its optimizer, and every source of randomness."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from genpredict.errors import GenpredictError
from genpredict.layers import Layer
from genpredict.schema import Variable
from genpredict.spectral import LayerMeasures
from genpredict.training.optimizers.rmsgd import RMSGD

if TYPE_CHECKING:
    from genpredict.training.epochs import EpochMeans
    from genpredict.training.watching import Watcher

# One seed, several streams: each is this far from the next.
DRAWS, ORDER = 1, 2


@dataclass(kw_only=True)
class TrainingState(ABC):
    """Network, optimizer and generators of one run, all on its device.

    Attributes
    ----------
    network : nn.Module
    optimizer : Optimizer
    device : torch.device
    draws : torch.Generator
        Random draws of the data (augmentation), on the device.
    shuffle : torch.Generator
        Order of the data, on the CPU, the same on every device.
    initial : Tensor
        State of torch's own generator, from which dropout draws, after the network was built.
    seed : int
        Of the run.
    """

    #: Numbers of an epoch beside `history.EPOCH_NUMBERS`.
    variables: ClassVar[Mapping[str, Variable]] = {}
    #: What is trained on, as a message calls it.
    unit: ClassVar[str] = "images"
    #: What a step costs an image, in forward passes: measured 3.3 to 4.2 on convolutional networks.
    step_cost: float = 3.0
    #: Images of a part below which its accuracy tells little: one standard error is 2 points.
    least_sample: ClassVar[int] = 500

    network: nn.Module
    optimizer: Optimizer
    device: torch.device
    draws: torch.Generator
    shuffle: torch.Generator
    initial: Tensor
    seed: int

    @property
    @abstractmethod
    def num_train(self) -> int:
        """Number of images, words or others to train on."""

    @abstractmethod
    def part_sizes(self) -> dict[str, int]:
        """Return the number of them that an evaluation looks at, by part: train, test, …."""

    @abstractmethod
    def operations(self) -> float:
        """Return the floating point operations of a forward pass of one of them."""

    @abstractmethod
    def train_epoch(self, batch_size: int, watcher: Watcher) -> EpochMeans:
        """Train on everything once."""

    @abstractmethod
    def evaluate(self, counts: Mapping[str, int] | None = None) -> dict[str, float]:
        """Return accuracies, losses and others, by the names of the history.

        Parameters
        ----------
        counts : mapping of str to int, optional
            How many of each part to look at, always the same ones; None looks at all.
        """

    def optimizers(self) -> list[Optimizer]:
        """List the optimizers."""
        return [self.optimizer]

    def rates(self) -> dict[str, float]:
        """Return the learning rate of every parameter by its name."""
        rate_of: dict[int, float] = {}
        for optimizer in self.optimizers():
            parameters = [one for group in optimizer.param_groups for one in group["params"]]
            if hasattr(optimizer, "learning_rates"):  # in the order of the parameters
                rates = list(optimizer.learning_rates().values())
            else:
                rates = [group["lr"] for group in optimizer.param_groups for _ in group["params"]]
            rate_of |= {id(one): float(rate) for one, rate in zip(parameters, rates, strict=True)}
        named = self.network.named_parameters(remove_duplicate=False)
        return {name: rate_of[id(parameter)] for name, parameter in named}

    def multiply_rates(self, factor: float) -> None:
        """Set every group's learning rate to its first one times a schedule's factor."""
        for optimizer in self.optimizers():
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor

    def epoch_step(self) -> tuple[list[Layer], LayerMeasures] | None:
        """Let optimizers that measure do so; return what is measured as `score` measures it."""
        shared = None
        for optimizer in self.optimizers():
            if isinstance(optimizer, RMSGD):
                measures = optimizer.epoch_step()
                first = optimizer.param_groups[0]
                if first["estimator"] == "global" and first["dtype"] == torch.float64:
                    shared = optimizer.layers(), measures
            elif hasattr(optimizer, "epoch_step"):  # another package's
                optimizer.epoch_step()
        return shared if len(self.optimizers()) == 1 else None

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
            "draws": self.draws.get_state(),
            "shuffle": self.shuffle.get_state(),
            "torch": torch.get_rng_state(),
        }
        for index, optimizer in enumerate(self.optimizers()):
            state[_optimizer_key(index)] = optimizer.state_dict()
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device)
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` returned."""
        self.network.load_state_dict(state["network"])
        for index, optimizer in enumerate(self.optimizers()):
            optimizer.load_state_dict(state[_optimizer_key(index)])
        self.draws.set_state(state["draws"])
        self.shuffle.set_state(state["shuffle"])
        torch.set_rng_state(state["torch"])
        if "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], self.device)


def _optimizer_key(index: int) -> str:
    """Return the name of an optimizer's state; of the first the one it always had."""
    return f"optimizer{index}" if index else "optimizer"


def keep_first_rates(optimizer: Optimizer) -> None:
    """Remember the learning rates that schedules multiply."""
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])


def stream(seed: int, number: int, device: torch.device) -> torch.Generator:
    """Return a generator of its own for one stream of a seed."""
    mixed = (seed * 0x9E3779B97F4A7C15 + number * 0xBF58476D1CE4E5B9) % 2**63  # as splitmix64 does
    return torch.Generator(device).manual_seed(mixed)


def find_device(name: str) -> torch.device:
    """Find a device by name; "auto" is a GPU where there is one.

    Raises
    ------
    GenpredictError
        If there is none of that name.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise GenpredictError(f"device: {name!r} is none; try auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise GenpredictError("device: there is no CUDA here; use --device cpu")
    return device
