"""One run as NATS-Bench records it: the content of its class ResultsCount, as plain data."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from genpredict.checkpoints.finding.runs import HISTORY, read_run_checkpoint
from genpredict.checkpoints.nats.archive_rows import TEST_SPLIT
from genpredict.errors import CheckpointError, GenpredictError
from genpredict.networks import build_network
from genpredict.training.run_folder import Run
from genpredict.training.settings import Settings

if TYPE_CHECKING:
    import xarray as xr

#: NATS-Bench's name of the whole test set.
SPLIT = "ori-test"
#: CIFAR's images, pixels a side.
_SIDE = 32
_MILLION = 1e6
_FINISHED = "finished"


def check_dataset(settings: Settings) -> None:
    """Raise unless NATS-Bench has the run's data set."""
    if settings.dataset not in TEST_SPLIT:
        raise GenpredictError(
            f"dataset: {settings.dataset} is no data set of NATS-Bench, so no archive can hold "
            f"the run; take cifar10 or cifar100"
        )


def result_of_run(run: Run, config: Mapping[str, str | int]) -> dict[str, Any]:
    """Collect what an archive holds of one run.

    Parameters
    ----------
    run : Run
        Trained to its last epoch.
    config : mapping
        What the benchmark records of the architecture; the number of classes is added.

    Returns
    -------
    dict
        By the names of nats_bench's ResultsCount: accuracies in percent, losses in nat, times in
        seconds, each by epoch from 0 on; ``params`` and ``flop`` in millions; weights float32.

    Raises
    ------
    GenpredictError
        When the run is not over, diverged, was stopped by its time budget, or is damaged.

    Notes
    -----
    Train accuracies and losses are the running ones, with augmentation, as in NATS-Bench. A run
    does not record the running top-5 accuracy (None), how long an evaluation takes (NaN) or the
    latency (None); epochs that were evaluated on a part of the test images, or not, are NaN.
    """
    settings, epochs = run.settings, _epochs(run)
    network, classes, channels = _network(run, epochs)
    side = settings.image_size or _SIDE
    numbers = _numbers(run, epochs)
    column = {name: dict(enumerate(numbers[name].values.tolist())) for name in numbers}
    keys = [f"{SPLIT}@{epoch}" for epoch in range(epochs)]
    return {
        "name": settings.dataset,
        "net_state_dict": _weights(network),
        "train_acc1es": column["running_accuracy"],
        "train_acc5es": None,
        "train_losses": column["running_loss"],
        "train_times": column["seconds"],
        "arch_config": {**config, "class_num": classes},
        "params": sum(parameter.numel() for parameter in network.parameters()) / _MILLION,
        "flop": count_operations(network, (channels, side, side)) / _MILLION,
        "seed": f"{settings.seed:04d}",
        "epochs": epochs,
        "latency": None,
        "eval_names": [SPLIT],
        "eval_acc1es": dict(zip(keys, column["test_accuracy"].values(), strict=True)),
        "eval_times": dict.fromkeys(keys, float("nan")),
        "eval_losses": dict(zip(keys, column["test_loss"].values(), strict=True)),
    }


def count_operations(network: nn.Module, shape: tuple[int, int, int]) -> int:
    """Count the multiplications of one image as NATS-Bench does.

    Those of convolutions, and of linear layers together with their biases; nothing else counts.

    Parameters
    ----------
    network : nn.Module
        Is put into evaluation mode.
    shape : tuple of three int
        Channels, height and width of the image.

    Returns
    -------
    int
    """
    counts: list[int] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            counts.append(output[0].numel() * module.weight[0].numel())
        elif isinstance(module, nn.Linear):
            counts.append(module.weight.numel() + output[0].numel())

    handles = [module.register_forward_hook(count) for module in network.modules()]
    with torch.no_grad():
        network.eval()(torch.zeros(1, *shape))
    for handle in handles:
        handle.remove()
    return sum(counts)


def _epochs(run: Run) -> int:
    """Return the epochs of a run; raise unless it did them all."""
    summary, asked = run.summary, run.settings.epochs
    if summary["status"] != _FINISHED:
        raise GenpredictError(
            f"{run.path}: the run has {summary['status']} and has no last weights; an archive "
            f"holds finished runs only"
        )
    done = int(summary["epochs"])
    if done != asked:
        raise GenpredictError(
            f"{run.path}: its time budget ended the run after {done} of {asked} epochs; an archive "
            f"holds whole runs only: train without budget_seconds"
        )
    return done


def _numbers(run: Run, epochs: int) -> xr.Dataset:
    """Return the history of all epochs of training."""
    try:
        numbers = run.history.sel(epoch=np.arange(1, epochs + 1))
    except KeyError as error:
        raise CheckpointError(
            run.path / HISTORY, "lacks epochs of the run; delete its folder and train again"
        ) from error
    if "test_count" in numbers:  # not in an older version's history
        is_part = numbers["test_count"] < numbers["test_count"][-1]
        for name in ("test_accuracy", "test_loss"):
            numbers[name] = numbers[name].where(~is_part)
    return numbers


def _network(run: Run, epochs: int) -> tuple[nn.Module, int, int]:
    """Rebuild the trained network; also return its numbers of classes and of input channels."""
    if not run.checkpoints:
        raise CheckpointError(run.path, "holds no weights; delete the folder and train again")
    (checkpoint,) = read_run_checkpoint(run.id, run.checkpoints[-1])
    try:
        if checkpoint.metadata["epoch"] != epochs:
            raise ValueError(f"of epoch {checkpoint.metadata['epoch']}, not {epochs}")
        tensors = checkpoint.tensors()
        classes, channels = len(tensors["classifier.weight"]), tensors["stem.0.weight"].shape[1]
        name = run.settings.network
        network = build_network(name, num_classes=classes, in_channels=channels)
        network.load_state_dict(tensors)
    except (KeyError, ValueError, RuntimeError) as error:
        detail = str(error).strip().splitlines()[0][:160]
        raise CheckpointError(
            checkpoint.source,
            f"not the last weights of the run ({detail}); delete the run's folder and train again",
        ) from error
    return network, classes, channels


def _weights(network: nn.Module) -> OrderedDict[str, Tensor]:
    """Return the state dict in the order of the network's modules, each tensor by itself."""
    tensors = network.state_dict()
    return OrderedDict((name, tensor.detach().clone()) for name, tensor in tensors.items())
