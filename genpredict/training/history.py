"""The history of a run: what every epoch and layer has come to, as a labelled Dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from genpredict.layers import Layer
from genpredict.schema import FACTORIZATIONS, LAYER_MEASURES, POWERS, TARGETS, UNFOLDINGS, Variable
from genpredict.spectral import LayerMeasures

#: Numbers per epoch. "running": over the batches of the epoch as they were trained on, augmented,
#: in training mode; the others over whole sets, not augmented, in evaluation mode.
EPOCH_NUMBERS: dict[str, Variable] = (
    {
        name: Variable(("epoch",), variable.long_name, variable.units)
        for name, variable in TARGETS.items()
    }
    | {
        name: Variable(("epoch",), f"{part} {what}", units)
        for part in ("train", "test", "validation")
        for name, what, units in (
            (f"{part}_top5_accuracy", "top-5 accuracy", "%"),
            (f"{part}_auc", "area under the ROC curve", "1"),
        )
    }
    | {
        f"{part}_count": Variable(("epoch",), f"{part} images or words evaluated")
        for part in ("train", "test", "validation")
    }
    | {
        "running_accuracy": Variable(("epoch",), "train accuracy while training", "%"),
        "running_loss": Variable(("epoch",), "train loss while training", "nat"),
        "seconds": Variable(("epoch",), "seconds of training, this epoch", "s"),
    }
)
RATE = Variable(("epoch", "layer"), "learning rate in this epoch")
#: Measures that are kept.
RECORDED = ("rank", "stable_rank", "condition_number", "quality")


def epoch_dataset(
    epoch: int,
    numbers: Mapping[str, float],
    layers: Sequence[Layer],
    measures: LayerMeasures,
    rates: Sequence[float],
    more: Mapping[str, Variable] | None = None,
) -> xr.Dataset:
    """Label the numbers of one epoch.

    Parameters
    ----------
    epoch : int
        Epochs done; 0 before training.
    numbers : mapping
        By the names of `EPOCH_NUMBERS`; NaN for those not there.
    layers : sequence of Layer
        The layers of the network.
    measures : LayerMeasures
        Of these layers.
    rates : sequence of float
        Learning rate of each layer in this epoch.
    more : mapping of str to Variable, optional
        Numbers that this kind of training has beside `EPOCH_NUMBERS`.

    Returns
    -------
    Dataset
        Over epoch (one), layer, unfolding, factorization, p.
    """
    variables: dict[str, Any] = {
        name: (("epoch",), [numbers.get(name, np.nan)], variable.attrs)
        for name, variable in {**EPOCH_NUMBERS, **(more or {})}.items()
    }
    for name in RECORDED:
        variable = LAYER_MEASURES[name]
        numbers_of_layers = getattr(measures, name).cpu().numpy()[np.newaxis]
        variables[name] = (("epoch", *variable.dims[1:]), numbers_of_layers, variable.attrs)
    variables["learning_rate"] = (RATE.dims, np.array([rates], dtype=np.float64), RATE.attrs)
    return xr.Dataset(variables, coords=_coords(epoch, layers))


def join_epochs(history: xr.Dataset | None, latest: xr.Dataset) -> xr.Dataset:
    """Put an epoch behind those before it."""
    if history is None:
        return latest
    for name in latest.data_vars.keys() - history.data_vars.keys():  # an older version's history
        history[name] = xr.full_like(history["epoch"], np.nan, dtype=np.float64)
    return xr.concat(
        [history, latest],
        dim="epoch",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    )


def _coords(epoch: int, layers: Sequence[Layer]) -> dict[str, Any]:
    """Label the dimensions, and say what each layer is."""
    shapes = ["x".join(map(str, layer.weight.shape)) for layer in layers]
    return {
        "epoch": ("epoch", [epoch], {"long_name": "epochs done", "units": "epoch"}),
        "layer": ("layer", np.arange(len(layers)), {"long_name": "depth"}),
        "layer_name": ("layer", [layer.name for layer in layers]),
        "layer_kind": ("layer", [layer.kind for layer in layers]),
        "layer_shape": ("layer", shapes),
        "unfolding": ("unfolding", list(UNFOLDINGS)),
        "factorization": ("factorization", list(FACTORIZATIONS)),
        "p": ("p", list(POWERS)),
    }
