"""What measures of whole networks are taken of: a module, its start, labelled inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn

from genpredict.network_measures.labelled_batches import LabelledInputs


class UnknownError(Exception):
    """What a measure needs is not known of a network; the message says what, and the remedy."""


@dataclass
class Subject:
    """A network to be measured.

    Parameters
    ----------
    weights : mapping of str to Tensor
        Its layers' weights, shape (n_o, n_i, *kernel), by name.
    build : callable
        Returns the module in evaluation mode; raises `UnknownError` where that cannot be.
    input_shape : tuple of int
        Of one input: (channels, height, width) or (features,).
    find_initial : callable
        Returns the weights before training, like `weights`; raises `UnknownError`.
    examples : LabelledInputs, optional
        None where no data set was named.
    """

    weights: Mapping[str, Tensor]
    build: Callable[[], nn.Module]
    input_shape: tuple[int, ...]
    find_initial: Callable[[], Mapping[str, Tensor]]
    examples: LabelledInputs | None = None

    @cached_property
    def network(self) -> nn.Module:
        """The module, built at its first use."""
        return self.build()

    @cached_property
    def initial(self) -> Mapping[str, Tensor]:
        """The weights before training, looked for at their first use."""
        return self.find_initial()

    @property
    def labelled(self) -> LabelledInputs:
        """The labelled inputs.

        Raises
        ------
        UnknownError
            When no data set was named, or its images do not fit the network.
        """
        if self.examples is None:
            raise UnknownError("needs images; name a data set with --data")
        shape = tuple(self.examples.inputs.shape[1:])
        if shape[0] != self.input_shape[0]:
            raise UnknownError(
                f"takes images of {self.input_shape[0]} channels, the data set's have {shape[0]}"
            )
        return self.examples
