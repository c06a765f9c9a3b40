"""Slow oracle of Algorithm 1 (docs/design.md 3.7) in numpy, one layer and one matrix at a time.

It shares no code with genpredict: EVBMF is that of `reference`, whose weights, velocities, rates
and stable ranks are plain arrays and numbers, and whose table of owners is written by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import reference
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass
class Options:
    """Hyperparameters of one group."""

    lr: float = 0.03
    beta: float = 0.98
    zeta: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    nesterov: bool = False
    hold: bool = True
    p: int = 1


@dataclass
class Algorithm1:
    """Weights that descend by Algorithm 1.

    ``owners`` says of every parameter whose rate it takes; those that own themselves are layers.
    ``parts`` says into how many equal blocks of rows a weight falls (the gates of an LSTM).
    """

    weights: dict[str, Array]
    owners: Mapping[str, str]
    options: Mapping[str, Options]
    parts: Mapping[str, int] = field(default_factory=dict)
    estimator: str = "global"

    def __post_init__(self) -> None:
        self.rates = {name: self.options[name].lr for name in self.weights}
        self.velocities = {name: np.zeros_like(w) for name, w in self.weights.items()}
        self.stable_ranks = dict.fromkeys(self.layers, 0.0)
        self.signals = dict.fromkeys(self.layers, False)

    @property
    def layers(self) -> list[str]:
        return [name for name, owner in self.owners.items() if name == owner]

    def step(self, gradients: Mapping[str, Array]) -> None:
        """Take v <- alpha v - eta g, w <- w + v; with Nesterov w <- w + alpha v - eta g."""
        for name, gradient in gradients.items():
            option = self.options[name]
            g = gradient + option.weight_decay * self.weights[name]
            v = option.momentum * self.velocities[name] - self.rates[name] * g
            ahead = option.momentum * v - self.rates[name] * g
            self.velocities[name] = v
            self.weights[name] = self.weights[name] + (ahead if option.nesterov else v)

    def stable_rank(self, name: str) -> float:
        """Mean over the parts of a weight and their unfoldings of the low-rank stable rank."""
        blocks = np.split(self.weights[name], self.parts.get(name, 1))
        return float(np.mean([self._of_block(name, block) for block in blocks]))

    def _of_block(self, name: str, block: Array) -> float:
        found = []
        for unfolding in reference.unfoldings(block):
            entry = reference.entry_of(name, block, unfolding, estimator=self.estimator)
            d = entry.low_rank.d
            power = self.options[name].p
            found.append(float(((d / d[0]) ** power).sum()) / entry.n if len(d) else 0.0)
        return float(np.mean(found))

    def epoch_step(self) -> None:
        """eta(t) = max(beta eta(t-1) + zeta (s(t) - s(t-1)), 0); held at lr until s > 0."""
        for name in self.layers:
            option = self.options[name]
            s, last = self.stable_rank(name), self.stable_ranks[name]
            self.stable_ranks[name] = s
            self.signals[name] |= s > 0
            if option.hold and not self.signals[name]:
                continue
            self.rates[name] = max(option.beta * self.rates[name] + option.zeta * (s - last), 0.0)
        for name, owner in self.owners.items():
            ratio = self.options[name].lr / self.options[owner].lr
            self.rates[name] = self.rates[owner] * ratio
