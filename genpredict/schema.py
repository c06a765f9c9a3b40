"""Names, units and meanings of every dimension and variable of a scores Dataset.

The vocabulary of genpredict lives here and nowhere else: readers, the store, statistics and
figures take labels and units from these tables (docs/design.md 2 and 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

UNFOLDINGS = ("in_channel", "out_channel")
FACTORIZATIONS = ("raw", "low_rank")
POWERS = (1, 2)
KINDS = ("conv", "linear")


@dataclass(frozen=True)
class Variable:
    """A variable of the Dataset: dimensions, label, unit and fill value."""

    dims: tuple[str, ...]
    long_name: str
    units: str = "1"
    dtype: Literal["float64", "str"] = "float64"

    @property
    def attrs(self) -> dict[str, str]:
        """Return the label and unit as xarray attributes."""
        return {"long_name": self.long_name, "units": self.units}


_LAYER = ("checkpoint", "layer")
_ENTRY = (*_LAYER, "unfolding")
_MEASURE = (*_ENTRY, "factorization")

LAYER_LABELS: dict[str, Variable] = {
    "layer_name": Variable(_LAYER, "layer name", "", "str"),
    "layer_kind": Variable(_LAYER, "layer kind: conv or linear", "", "str"),
    "layer_shape": Variable(
        _LAYER, "weight shape, output channels first, e.g. 16x3x3x3", "", "str"
    ),
}
LAYER_MEASURES: dict[str, Variable] = {
    "stable_rank": Variable((*_MEASURE, "p"), "stable rank"),
    "condition_number": Variable(_MEASURE, "condition number"),
    "quality": Variable((*_MEASURE, "p"), "quality", "rad"),
    "effective_rank": Variable(_MEASURE, "effective rank"),
    "spectral_entropy": Variable(_MEASURE, "spectral entropy", "nat"),
    "spectral_norm": Variable(_MEASURE, "spectral norm"),
    "frobenius_norm": Variable(_MEASURE, "Frobenius norm"),
    "rank": Variable(_ENTRY, "low-rank rank (EVBMF)"),
    "noise_variance": Variable(_ENTRY, "noise variance (EVBMF)"),
    "null_directions": Variable(_ENTRY, "null directions set aside"),
    "dead_output_channels": Variable(_LAYER, "dead output channels set aside"),
    "dead_input_channels": Variable(_LAYER, "dead input channels set aside"),
}
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
NETWORK_MEASURES: dict[str, Variable] = {
    "Q": Variable(("checkpoint", "factorization", "p"), "network quality Q", "rad"),
    "Q_adjusted": Variable(
        ("checkpoint", "factorization", "p"), "network quality Q, rank-1 entries as worst", "rad"
    ),
    "num_layers": Variable(("checkpoint",), "number of layers"),
    "num_rank_zero": Variable(("checkpoint",), "number of entries of rank 0"),
    "num_rank_one": Variable(("checkpoint",), "number of entries of rank 1"),
}


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
    known = COORDINATES | EXTRA_COORDINATES | TARGETS
    if name in known:
        return known[name]
    return Variable(("checkpoint",), name.replace("_", " "), "", "float64" if numeric else "str")
