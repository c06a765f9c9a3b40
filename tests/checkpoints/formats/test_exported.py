"""Copies of five networks, written by the exporters of torch and Keras, against the originals."""

from __future__ import annotations

import re
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from originals import NETWORKS
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

import genpredict
from genpredict.checkpoints.formats.registry import read_file
from genpredict.layers import sort_tensors

ARCHIVE = Path(__file__).parent / "exported" / "copies.zip"
NAMES = zipfile.ZipFile(ARCHIVE).namelist()
COPIES = [name for name in NAMES if ".safetensors" not in name and ".folded" not in name]
IN_TORCH = (
    (re.compile(r"lstm_(l\d)\.lstm_cell\.(weight_..)_l0"), r"lstm.\2_\1"),
    (re.compile(r"attention\.(q)uery\.weight"), r"attention.in_proj_weight[\1]"),
    (re.compile(r"attention\.(k)ey\.weight"), r"attention.in_proj_weight[\1]"),
    (re.compile(r"attention\.(v)alue\.weight"), r"attention.in_proj_weight[\1]"),
    (re.compile(r"attention\.attention_output"), "attention.out_proj"),
    (re.compile(r"-"), "."),
)
"""What layers of Keras are called in the original."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    unpacked = tmp_path_factory.mktemp("exported")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(unpacked)
    return unpacked


def original(folder: Path, network: str) -> nn.Module:
    """Return the network that the copies were made from."""
    module = NETWORKS[network]()
    module.load_state_dict(load_file(folder / f"{network}.safetensors"))
    return module


@cache
def scores_of(folder: Path, network: str) -> xr.Dataset:
    return genpredict.score(original(folder, network))


def by_layer(scores: xr.Dataset, names: list[str]) -> xr.Dataset:
    """Return all that is measured of a network's layers, in an order of names in torch."""
    row = scores.isel(checkpoint=0)
    here = []
    for name in row["layer_name"].values.tolist():
        for pattern, replacement in IN_TORCH:
            name = pattern.sub(replacement, name)
        here.append(name)
    assert sorted(here) == sorted(names)
    return row.isel(layer=[here.index(name) for name in names])


@pytest.mark.parametrize("copy", COPIES)
def test_copies_measure_alike_layer_for_layer_against_torch(folder: Path, copy: str) -> None:
    """Names, kinds, shapes and every measure of every layer, to 1e-12; and the networks'."""
    expected = scores_of(folder, copy.partition(".")[0])
    names = expected["layer_name"].values[0].tolist()
    scores = genpredict.score(folder / copy)
    assert scores["status"].item() == "done", scores["error"].item()
    mine, theirs = by_layer(scores, names), expected.isel(checkpoint=0)
    for variable in expected.data_vars:
        if variable in ("layer_name", "error"):
            continue
        if theirs[variable].dtype.kind == "f":
            np.testing.assert_allclose(
                mine[variable].values, theirs[variable].values, rtol=1e-12, atol=1e-14,
                err_msg=str(variable),
            )  # fmt: skip
        else:
            assert np.array_equal(mine[variable].values, theirs[variable].values), variable
    lstm_of_keras = copy in ("lstm.keras", "lstm.h5", "lstm.weights.h5")
    second_biases = 2 * 20 if lstm_of_keras else 0  # the sum of torch's two stands for both
    assert scores["num_parameters"].item() + second_biases == expected["num_parameters"].item()


@pytest.mark.parametrize("copy", [name for name in COPIES if "pt" in name or "onnx" in name])
def test_layers_of_exported_networks_are_called_as_in_torch(folder: Path, copy: str) -> None:
    """In the order of depth too; where an exporter has renamed a weight, its module says it."""
    network = copy.partition(".")[0]
    expected = [layer.name for layer in sort_tensors(original(folder, network).state_dict()).layers]
    assert [layer.name for layer in sort_tensors(read_file(folder / copy)).layers] == expected


@pytest.mark.parametrize("network", list(NETWORKS))
def test_layers_of_keras_stand_in_the_order_of_its_configuration(
    folder: Path, network: str
) -> None:
    """Not in the alphabet's: first the stem, last the classifier; parts of attention as in torch.

    Keras lists a branch that two ways lead to where it is built, so a shortcut's convolution may
    stand before the one that it passes by.
    """
    names = [layer.name for layer in sort_tensors(read_file(folder / f"{network}.keras")).layers]
    module = original(folder, network)
    expected = [layer.name for layer in sort_tensors(module.state_dict()).layers]
    renamed = []
    for name in names:
        for pattern, replacement in IN_TORCH:
            name = pattern.sub(replacement, name)
        renamed.append(name)
    moved = [abs(expected.index(name) - place) for place, name in enumerate(renamed)]
    assert max(moved) <= (2 if network in ("resnet18", "mobilenetv2") else 0), renamed


def test_folded_normalizations_are_told(folder: Path) -> None:
    """The exporter's default: other weights under the same names; those are measured, and said."""
    tensors = read_file(folder / "resnet18.folded.onnx")
    assert "folded batch normalizations" in " ".join(tensors.notes)  # type: ignore[attr-defined]
    module = original(folder, "resnet18").eval()
    conv, norm = module.get_submodule("conv1"), module.get_submodule("bn1")
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    folded, _ = fuse_conv_bn_weights(
        conv.weight, None, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )  # type: ignore[arg-type]
    torch.testing.assert_close(tensors["conv1.weight"], folded.detach(), rtol=1e-6, atol=1e-7)
    with pytest.warns(UserWarning, match="folded batch normalizations"):
        genpredict.score(folder / "resnet18.folded.onnx")


@pytest.mark.parametrize("copy", [name for name in COPIES if "onnx" in name])
def test_faithful_exports_are_not_accused_of_folding(folder: Path, copy: str) -> None:
    assert not read_file(folder / copy).notes  # type: ignore[attr-defined]
