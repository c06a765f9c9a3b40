"""What measures of whole networks are taken of: a module, its start, labelled inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn

from genpredict.network_measures.labelled_batches import LabelledInputs
from genpredict.network_measures.margins import margin


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
    find_initial : callable
        Returns the weights before training, like `weights`; raises `UnknownError`.
    side : int
        Height and width of its inputs where no images are at hand.
    examples : LabelledInputs, optional
        None where no data set was named.
    """

    weights: Mapping[str, Tensor]
    build: Callable[[], nn.Module]
    find_initial: Callable[[], Mapping[str, Tensor]]
    side: int = 32
    examples: LabelledInputs | None = None

    @cached_property
    def network(self) -> nn.Module:
        """The module, built at its first use."""
        return self.build()

    @cached_property
    def initial(self) -> Mapping[str, Tensor]:
        """The weights before training, looked for at their first use."""
        return self.find_initial()

    @cached_property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input: (features,) where the first weight is a matrix, else channels first.

        Raises
        ------
        UnknownError
            When the network has no weight with inputs.
        """
        shapes = [parameter.shape for parameter in self.network.parameters() if parameter.ndim > 1]
        if not shapes:
            raise UnknownError("has no layer that says what inputs it takes")
        sides = (self.side,) * (len(shapes[0]) - 2)
        if self.examples is not None:
            sides = tuple(self.examples.inputs.shape[2:])[: len(sides)]
        return (int(shapes[0][1]), *sides)

    @cached_property
    def margin(self) -> float:
        """The 10th percentile of its output margin; raises `UnknownError`."""
        return margin(self.network, self.labelled)

    @property
    def labelled(self) -> LabelledInputs:
        """The labelled inputs.

        Raises
        ------
        UnknownError
            When no data set was named, or its images do not fit the network.
        """
        if self.examples is None:
            raise UnknownError("it needs images; name a data set with --data")
        shape = tuple(self.examples.inputs.shape[1:])
        if shape != self.input_shape:
            raise UnknownError(
                f"the network takes inputs of shape {self.input_shape}, the data set has {shape}"
            )
        return self.examples
