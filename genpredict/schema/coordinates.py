"""Coordinates along checkpoints, targets among them, and the state of a checkpoint."""

from __future__ import annotations

from genpredict.schema.variables import Variable

STATE: dict[str, Variable] = {
    "status": Variable(("checkpoint",), "state: pending, done or failed", "", "str"),
    "error": Variable(("checkpoint",), "why the checkpoint failed", "", "str"),
}
COORDINATES: dict[str, Variable] = {
    "network": Variable(("checkpoint",), "network", "", "str"),
    "dataset": Variable(("checkpoint",), "data set", "", "str"),
    "optimizer": Variable(("checkpoint",), "optimizer", "", "str"),
    "epoch": Variable(("checkpoint",), "training epochs", "epoch"),
    "seed": Variable(("checkpoint",), "seed"),
    "source": Variable(("checkpoint",), "file the weights were read from", "", "str"),
    "num_parameters": Variable(("checkpoint",), "number of parameters"),
}
#: Coordinates that count something, integers where every checkpoint has them.
INTEGERS = (
    *("epoch", "seed", "num_parameters", "architecture_index"),
    *("num_train", "batch_size", "flip", "crop_padding", "cutout_holes"),
)
# Known where a source gives them; a store holds those that occur.
EXTRA_COORDINATES: dict[str, Variable] = {
    "architecture_index": Variable(("checkpoint",), "architecture index in its search space"),
    "search_space": Variable(("checkpoint",), "search space", "", "str"),
    "flops": Variable(("checkpoint",), "multiply-adds of one forward pass", "MFLOP"),
    "learning_rate": Variable(("checkpoint",), "learning rate"),
    "weight_decay": Variable(("checkpoint",), "weight decay"),
    "label_noise": Variable(("checkpoint",), "share of training labels replaced at random"),
    "run": Variable(("checkpoint",), "training run", "", "str"),
    "recipe": Variable(("checkpoint",), "training recipe", "", "str"),
    "schedule": Variable(("checkpoint",), "learning-rate schedule", "", "str"),
    "num_train": Variable(("checkpoint",), "number of training images"),
    "batch_size": Variable(("checkpoint",), "batch size", "images"),
    "momentum": Variable(("checkpoint",), "momentum"),
    # Of whichever optimizer: RMSGD's gains β and ζ (docs/design.md 3.7), the ρ of SAM.
    "beta": Variable(("checkpoint",), "optimizer's β"),
    "zeta": Variable(("checkpoint",), "optimizer's ζ"),
    "rho": Variable(("checkpoint",), "optimizer's ρ"),
    "flip": Variable(("checkpoint",), "random horizontal flips: 1 with, 0 without"),
    "crop_padding": Variable(("checkpoint",), "padding before random crops", "pixel"),
    "cutout_holes": Variable(("checkpoint",), "squares cut out of each training image"),
    "manifest_source": Variable(("checkpoint",), "source, as the manifest has it", "", "str"),
}
TARGETS: dict[str, Variable] = {
    "train_accuracy": Variable(("checkpoint",), "train accuracy", "%"),
    "test_accuracy": Variable(("checkpoint",), "test accuracy", "%"),
    "validation_accuracy": Variable(("checkpoint",), "validation accuracy", "%"),
    "generalization_gap": Variable(("checkpoint",), "generalization gap", "%-points"),
    "train_loss": Variable(("checkpoint",), "train loss", "nat"),
    "test_loss": Variable(("checkpoint",), "test loss", "nat"),
    "validation_loss": Variable(("checkpoint",), "validation loss", "nat"),
}
#: Every coordinate that has a meaning of its own.
KNOWN = {**COORDINATES, **EXTRA_COORDINATES, **TARGETS}
#: The group of a store that lists the files taken in; no coordinate can have this name.
LEDGER = "files"


def coordinate(name: str, *, numeric: bool) -> Variable:
    """Return the description of a coordinate along `checkpoint`, known or a manifest's own.

    Examples
    --------
    >>> coordinate("test_accuracy", numeric=True).units
    '%'
    >>> coordinate("num_workers", numeric=True).long_name
    'num workers'
    """
    if name in KNOWN:
        return KNOWN[name]
    return Variable(("checkpoint",), name.replace("_", " "), "", "float64" if numeric else "str")
