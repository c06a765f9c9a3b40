"""What a run of a language model is made of: texts side by side, read a few words at a time."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from genpredict.datasets.text import TextSplit, load_text
from genpredict.errors import GenpredictError
from genpredict.networks.lstm_language import LSTMLanguage, Memory
from genpredict.schema import Variable
from genpredict.training.epochs import EpochMeans
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

_NAME = re.compile(r"lstm:([1-3]):([1-9]\d*):([1-9]\d*)")
#: Texts side by side where a model is evaluated.
_COLUMNS = 10
_PARTS = ("train", "validation", "test")


@dataclass(kw_only=True)
class LanguageMaterials(TrainingState):
    """Network, optimizer and texts of one run.

    Attributes
    ----------
    text : TextSplit
    sequence_length : int
        Words that gradients go back through.
    clip_norm : float, optional
        Greatest norm of the gradients.
    """

    variables: ClassVar[Mapping[str, Variable]] = {
        f"{part}_perplexity": Variable(("epoch",), f"{part} perplexity") for part in _PARTS
    }
    unit: ClassVar[str] = "words"
    least_sample: ClassVar[int] = 2000

    text: TextSplit
    sequence_length: int
    clip_norm: float | None

    @property
    def num_train(self) -> int:
        """Number of words to train on."""
        return len(self.text.train)

    def part_sizes(self) -> dict[str, int]:
        """Return the number of words of each text."""
        return {part: len(getattr(self.text, part)) for part in _PARTS}

    def operations(self) -> float:
        """Return two floating point operations a weight, those of the look-up table apart."""
        named = self.network.named_parameters()
        return 2.0 * sum(one.numel() for name, one in named if not name.startswith("embedding."))

    def train_epoch(self, batch_size: int, watcher: Watcher) -> EpochMeans:
        """Read the training text once, `batch_size` parts of it side by side."""
        self.network.train()
        columns = side_by_side(self.text.train, batch_size)
        pieces = list(_pieces(columns, self.sequence_length))
        memory: Memory | None = None
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        for step, (words, following) in enumerate(pieces, start=1):
            loss, logits, memory = self._step(words, following, memory)
            sums[0] += (logits.argmax(-1) == following).sum()
            sums[1] += loss * following.numel()
            watcher.stepped(step=step, steps=len(pieces))
        right, loss_sum = (sums / (columns.numel() - columns.shape[1])).tolist()
        return EpochMeans(100 * right, loss_sum)

    def _step(
        self, words: Tensor, following: Tensor, memory: Memory | None
    ) -> tuple[Tensor, Tensor, Memory]:
        """Take a step of the optimizer; return loss, logits and memory before it."""
        first: list[tuple[Tensor, Tensor, Memory]] = []

        def closure(backward: bool = True) -> Tensor:
            if backward:
                self.optimizer.zero_grad()
            with torch.set_grad_enabled(backward):
                logits, (hidden, cell) = self.network(words, memory)
                loss = nn.functional.cross_entropy(logits.flatten(0, 1), following.flatten())
            if backward:
                torch.autograd.backward(loss)
                if self.clip_norm is not None:
                    nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
            if not first:
                first.append((loss.detach(), logits.detach(), (hidden.detach(), cell.detach())))
            return loss

        self.optimizer.step(closure)  # type: ignore[arg-type]  # torch says float, means a Tensor
        return first[0]

    def evaluate(self, counts: Mapping[str, int] | None = None) -> dict[str, float]:
        """Return the loss (nat a word) and the perplexity on each text, or its beginning."""
        numbers = {}
        for part in _PARTS:
            text = getattr(self.text, part)
            loss = self._loss(text if counts is None else text[: counts[part]])
            numbers[f"{part}_loss"] = loss
            numbers[f"{part}_perplexity"] = math.exp(min(loss, 700.0))
        return numbers

    def _loss(self, text: Tensor) -> float:
        mode = self.network.training
        self.network.eval()
        columns = side_by_side(text, _COLUMNS)
        memory: Memory | None = None
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        with torch.inference_mode():
            for words, following in _pieces(columns, self.sequence_length):
                logits, memory = self.network(words, memory)
                total += nn.functional.cross_entropy(
                    logits.flatten(0, 1), following.flatten(), reduction="sum"
                )
        self.network.train(mode)
        return float(total / (columns.numel() - columns.shape[1]))


def side_by_side(text: Tensor, columns: int) -> Tensor:
    """Cut a text into parts of one length and lay them side by side.

    Fewer columns where the text is short; what is left over at the end is left out.

    Examples
    --------
    >>> side_by_side(torch.arange(7), 2)
    tensor([[0, 3],
            [1, 4],
            [2, 5]])
    """
    columns = min(columns, len(text) // 2)
    length = len(text) // columns
    return text[: length * columns].view(columns, length).T.contiguous()


def _pieces(columns: Tensor, length: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield words and those that follow them, some rows at a time."""
    for first in range(0, len(columns) - 1, length):
        last = min(first + length, len(columns) - 1)
        yield columns[first:last], columns[first + 1 : last + 1]


def prepare_language(settings: Settings) -> LanguageMaterials:
    """Read the texts, build network and optimizer.

    Raises
    ------
    GenpredictError
        When the network is no ``lstm:LAYERS:EMBEDDING:HIDDEN``, the texts are not there, or a
        setting is for images alone.
    """
    name = _NAME.fullmatch(settings.network)
    if name is None:
        raise GenpredictError(
            f"network: the data set text needs lstm:LAYERS:EMBEDDING:HIDDEN with 1 to 3 layers, "
            f"such as lstm:1:64:128, not {settings.network!r}"
        )
    for option in ("num_train", "num_test", "num_validation"):
        if getattr(settings, option) is not None:
            raise GenpredictError(f"{option}: is for images; a text has its own three parts")
    device = find_device(settings.device)
    text = load_text(settings.data_folder)
    layers, embedding, hidden = map(int, name.groups())
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(settings.seed)  # torch.manual_seed: GPUs' as well
        network = LSTMLanguage(len(text.words), layers=layers, embedding=embedding, hidden=hidden)
        initial = torch.get_rng_state()
    network.to(device)
    optimizer = build_optimizer(settings.optimizer, network, **settings.hyperparameters)
    keep_first_rates(optimizer)
    train, validation, test = (getattr(text, part).to(device) for part in _PARTS)
    return LanguageMaterials(
        network=network,
        optimizer=optimizer,
        device=device,
        text=TextSplit(train, validation, test, text.words),
        sequence_length=settings.sequence_length,
        clip_norm=settings.clip_norm,
        draws=stream(settings.seed, DRAWS, device),
        shuffle=stream(settings.seed, ORDER, torch.device("cpu")),
        initial=initial,
        seed=settings.seed,
    )
