"""Measures that need more than weights: the network itself, its initial weights, images.

Such a measure is taken when a checkpoint is loaded, on a `Subject` that is made here: the module
built by the network's name or handed over, the initial weights of a run, images of a named data
set, the same for every network. Where something is not known the number is NaN, and a warning says
so once a measure and reason.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from genpredict.errors import GenpredictError
from genpredict.extensions import resolve
from genpredict.network_measures.labelled_batches import LabelledInputs
from genpredict.network_measures.subject import Subject, UnknownError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from genpredict.checkpoints import Checkpoint
    from genpredict.layers import Layer
    from genpredict.options import Options
    from genpredict.schema import Probe

#: Side of the images (pixels) of some data sets; others are taken to be like CIFAR's.
SIDES = {"digits": 8, "mnist": 28, "fashion_mnist": 28, "ImageNet16-120": 16}
CIFAR_SIDE = 32


class Prober:
    """Takes the measures of one batch of checkpoints.

    Parameters
    ----------
    rows : sequence of Probe
        What to measure.
    options : Options
        Which images, which initial weights, on which device.

    Raises
    ------
    GenpredictError
        When the data set is not there.
    """

    def __init__(self, rows: Sequence[Probe], options: Options) -> None:
        self.rows, self.options = rows, options
        self._images = self._load_images()  # at the door: no data set fails before any work
        self._unknown: dict[tuple[str, str], list[str]] = {}

    def numbers(
        self, checkpoint: Checkpoint, tensors: Mapping[str, Tensor], layers: Sequence[Layer]
    ) -> dict[str, float]:
        """Measure one checkpoint.

        Parameters
        ----------
        checkpoint : Checkpoint
        tensors : mapping of str to Tensor
            Its tensors, loaded.
        layers : sequence of Layer
            Those that count.

        Returns
        -------
        dict of str to float
            By name; NaN for what cannot be known.
        """
        if not self.rows:
            return {}
        subject = Subject(
            {layer.name: layer.weight for layer in layers},
            partial(self._built, checkpoint, tensors),
            partial(self._initial, checkpoint.source),
            SIDES.get(str(checkpoint.metadata.get("dataset", "")), CIFAR_SIDE),
            self._images,
        )
        return {row.name: self._number(row, subject, checkpoint.id) for row in self.rows}

    def warn(self) -> None:
        """Say, once a measure and reason, of which checkpoints something was not known."""
        for (names, reason), ids in self._unknown.items():
            more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
            warnings.warn(f"{names} unknown of {ids[0]}{more}: {reason}", stacklevel=2)
        self._unknown.clear()

    def _number(self, row: Probe, subject: Subject, checkpoint_id: str) -> float:
        function: Callable[[Subject], float] = resolve(row.function, f"measure {row.name}")
        try:
            return function(subject)
        except UnknownError as error:
            reason = str(error)
        except (
            RuntimeError
        ) as error:  # what torch raises when shapes do not fit, or memory is short
            reason = f"the network fails on such inputs ({str(error).splitlines()[0]:.120})"
        self._unknown.setdefault((row.name, reason), []).append(checkpoint_id)
        return math.nan

    def _built(self, checkpoint: Checkpoint, tensors: Mapping[str, Tensor]) -> nn.Module:
        """Return the network in evaluation mode: a copy of that at hand, or built by its name."""
        from genpredict.networks.rebuilding import rebuild_network

        device = self.options.torch_device()
        if checkpoint.module is not None:
            module: nn.Module = copy.deepcopy(checkpoint.module)
            return module.eval().to(device)
        name = checkpoint.metadata.get("network")
        if not name:
            raise UnknownError(
                "which network it is, is not known; name it in the manifest's column network"
            )
        try:
            return rebuild_network(str(name), tensors).to(device)
        except GenpredictError as error:
            raise UnknownError(str(error)) from error

    def _initial(self, source: str) -> Mapping[str, Tensor]:
        """Return the layers' weights before training."""
        from genpredict.checkpoints import open_checkpoints
        from genpredict.checkpoints.finding.runs import initial_of
        from genpredict.layers import select_layers

        path = Path(self.options.initial) if self.options.initial else initial_of(Path(source))
        if path is None:
            raise UnknownError(
                "its initial weights are not known; runs of `genpredict train` keep them, for "
                "others name a file with --initial"
            )
        tensors = next(iter(open_checkpoints(path))).tensors()
        return {layer.name: layer.weight for layer in select_layers(tensors)[0]}

    def _load_images(self) -> LabelledInputs | None:
        options = self.options
        if not options.data or not self.rows:
            return None
        folder = options.data_folder or None
        return load_examples(options.data, folder, options.num_images, str(options.torch_device()))


@cache
def load_examples(name: str, folder: str | None, count: int, device: str) -> LabelledInputs:
    """Load training images of a data set, the same ones at every call, normalized.

    Parameters
    ----------
    name, folder : str
        As of `datasets.load_dataset`.
    count : int
        That many of its training images, the classes in proportion, drawn with seed 0.
    device : str

    Returns
    -------
    LabelledInputs

    Raises
    ------
    GenpredictError
        When there is no such data set, or an image has several labels.
    """
    from genpredict.datasets import load_dataset

    split = load_dataset(name, folder=folder, limit=count)
    if split.is_multi_label:
        raise GenpredictError(
            f"data: images of {name!r} have several labels, margins and losses here need one each; "
            f"take another data set"
        )
    inputs = split.normalization(split.train_images)
    return LabelledInputs(inputs.to(device), split.train_labels.to(device))
