"""What the name of a thing in a checkpoint says about its part in the training."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

Role = Literal["network", "average", "copy", "teacher", "optimizer", "extra"]

WRAPPERS = (
    "state_dict", "model_state_dict", "model", "state_dict_network", "net_state_dict", "net",
    "network", "network_state_dict", "model_state", "module", "weights", "weight", "params",
    "model_dict", "parameters", "model_weights",
)  # fmt: skip
"""Keys that mean "the network": what lies below one of them belongs together. In the order in
which one is taken where the same network stands under several."""

_WORDS: dict[Role, frozenset[str]] = {
    "optimizer": frozenset(
        (
            "optimizer", "optimizers", "optim", "optims", "opt", "adam", "adamw", "sgd", "rmsprop",
            "scheduler", "schedulers", "sched", "scaler", "scalers", "amp", "gradscaler",
        )
    ),
    "extra": frozenset(
        (
            "loop", "loops", "callback", "callbacks", "hyper", "hparams", "rng", "random", "seed",
            "args", "arguments", "config", "cfg", "conf", "opts", "options", "settings", "meta",
            "metadata", "criterion", "criteria", "crit", "loss", "losses", "history", "log", "logs",
            "metrics", "buffer", "replay", "memory", "data", "dataset", "sampler", "loader",
            "vocab", "tokenizer", "transforms", "normalizer", "statistics", "stats", "fitness",
        )
    ),
    "average": frozenset(
        ("ema", "swa", "averaged", "average", "avg", "shadow", "polyak", "emas", "ewa")
    ),
    "copy": frozenset(("target", "targ", "tgt", "targets", "momentum", "slow", "old", "frozen")),
    "teacher": frozenset(("teacher",)),
}  # fmt: skip
_PIECES = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def words(name: str) -> tuple[str, ...]:
    """Split a name into lower-case words.

    Examples
    --------
    >>> words("modelEMA_state-dict"), words("large_model"), words("netG")
    (('model', 'ema', 'state', 'dict'), ('large', 'model'), ('net', 'g'))
    """
    return _words(name[:200])


@lru_cache(maxsize=2**14)
def _words(name: str) -> tuple[str, ...]:
    return tuple(piece.lower() for piece in _PIECES.findall(name))


def role_of(name: str) -> Role:
    """Return the part that a thing of this name plays.

    Examples
    --------
    >>> role_of("optimizer_state_dict"), role_of("target_network"), role_of("G_ema")
    ('optimizer', 'copy', 'average')
    >>> role_of("large_model"), role_of("generator"), role_of("optical_flow")
    ('network', 'network', 'network')
    """
    return _role(name[:200])


@lru_cache(maxsize=2**14)
def _role(name: str) -> Role:
    parts = _words(name)
    for role, known in _WORDS.items():
        if not known.isdisjoint(parts):
            return role
    return "network"
