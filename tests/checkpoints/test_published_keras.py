"""Ten ResNet-20 that others trained with Keras, read with the manifest beside them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

import genpredict
from genpredict.layers import sort_tensors


def test_ten_networks_against_h5py(shared: Path) -> None:
    """22 layers, 273,066 parameters, accuracies; kernels are h5py's arrays in torch's layout."""
    folder = shared / "data" / "resnet20-optimizers"
    found = genpredict.open_checkpoints(folder, manifest=folder / "manifest.csv")
    checkpoints = list(found)
    assert len(checkpoints) == 10
    for checkpoint in checkpoints:
        assert 50 < float(checkpoint.metadata["test_accuracy"]) < 90
        selection = sort_tensors(checkpoint.tensors())
        assert [layer.kind for layer in selection.layers] == 21 * ["conv"] + ["linear"]
        assert selection.num_parameters == 273_066
        with h5py.File(checkpoint.source) as file:
            kernels: dict[str, np.ndarray] = {}
            weights = file["model_weights"]
            for layer in weights.attrs["layer_names"]:
                for name in weights[layer].attrs["weight_names"]:
                    if b"kernel" in name:
                        kernels[layer.decode()] = weights[layer][name][()]
        assert [layer.name for layer in selection.layers] == [f"{n}.weight" for n in kernels]
        for layer, kernel in zip(selection.layers, kernels.values(), strict=True):
            turned = kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T
            np.testing.assert_array_equal(layer.weight.numpy(), turned)
