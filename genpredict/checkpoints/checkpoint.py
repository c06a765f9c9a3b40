"""One network at one moment: a reference whose weights load on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Metadata = Mapping[str, str | float | int]


@dataclass(frozen=True)
class Checkpoint:
    """One network at one moment, with what is known about it.

    Parameters
    ----------
    id : str
        Unique name within one run of `open_checkpoints`: the path relative to the source folder,
        or ``NATS-sss/<index>/<dataset>/<epoch>/<seed>``.
    source : str
        The file it was read from.
    metadata : mapping
        Coordinates and targets by the names of `genpredict.schema`: ``network``, ``dataset``,
        ``epoch``, ``seed``, ``train_accuracy`` (percent), …; whatever a manifest adds.
        A thing that is not known is left out, never NaN or "".
    loader : callable
        Returns the tensors by name, in file order.
    module : nn.Module, optional
        The network itself, where it was handed over from Python.

    Notes
    -----
    Nothing is kept: `tensors` reads the file anew at each call, so a sequence of a hundred
    thousand checkpoints costs no memory.
    """

    id: str
    source: str
    metadata: Metadata = field(default_factory=dict)
    loader: Callable[[], Mapping[str, Any]] = field(default=dict, repr=False, compare=False)
    module: Any = field(default=None, repr=False, compare=False)

    def tensors(self) -> Mapping[str, Any]:
        """Load the tensors by name, on the CPU, in the order of the file.

        Raises
        ------
        CheckpointError
            When the file is missing, truncated, of another format or not safe to load.
        """
        return self.loader()
