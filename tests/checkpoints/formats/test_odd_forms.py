"""What other forms hold in odd places: constants, few bits, layers called as attributes."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import genpredict
from genpredict.checkpoints.formats.registry import read_file
from genpredict.errors import CheckpointError
from genpredict.layers import sort_tensors


def test_layers_of_subclassed_keras_models_are_told_by_the_names_that_they_have(
    tmp_path: Path,
) -> None:
    """Groups are called as attributes; the layers' own names, kept beside, say the class."""
    layers: dict[str, tuple[str, list[tuple[int, ...]]]] = {
        "up": ("conv1d_transpose_3", [(2, 6, 7), (6,)]),
        "temporal": ("conv1d", [(3, 8, 5), (5,)]),
        "bn": ("batch_normalization_1", [(5,), (5,), (5,), (5,)]),
        "projection": ("query", [(8, 2, 4), (2, 4)]),
        "fc": ("my own name", [(8, 4), (4,)]),
    }
    with h5py.File(tmp_path / "n.weights.h5", "w") as file:
        for group, (name, shapes) in layers.items():
            for number, shape in enumerate(shapes):
                file[f"{group}/vars/{number}"] = np.full(shape, 0.5 + number)
            file[f"{group}/vars"].attrs["name"] = name
    selection = sort_tensors(read_file(tmp_path / "n.weights.h5"))
    assert {layer.name: tuple(layer.weight.shape) for layer in selection.layers} == {
        "conv1d_transpose_3.weight": (6, 7, 2),
        "conv1d.weight": (5, 8, 3),
        "query.weight": (8, 8),
        "my own name.weight": (4, 8),
    }
    numbers = [number for _, shapes in layers.values() for number in map(np.prod, shapes)]
    assert selection.num_parameters == sum(numbers) - 2 * 5  # without the moving statistics


def test_layers_of_keras_that_note_one_name_are_numbered(tmp_path: Path) -> None:
    """Names stay short, however many layers have one; biases stay beside their weights."""
    with h5py.File(tmp_path / "n.weights.h5", "w") as file:
        for number in range(300):
            variables = file.create_group(f"layers/dense_{number}/vars")
            variables.attrs["name"] = "dense"
            variables["0"] = np.full((2, 3), number)
            if number % 2:
                variables["1"] = np.full(3, number)
    tensors = read_file(tmp_path / "n.weights.h5")
    assert len(tensors) == 450
    assert max(map(len, tensors)) <= len("dense_300.weight")
    for name, tensor in tensors.items():
        if name.endswith("bias"):
            weight = tensors[name.removesuffix("bias") + "weight"]
            assert torch.equal(tensor, weight[:, 0])


def test_constants_of_onnx_are_weights_too(tmp_path: Path) -> None:
    """Some exporters write weights as operators that take nothing."""
    kernel = np.arange(162, dtype="f4").reshape(6, 3, 3, 3)
    nodes = [
        helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(kernel)),
        helper.make_node("Conv", ["x", "w"], ["y"]),
    ]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [], [])), tmp_path / "n.onnx")
    (layer,) = sort_tensors(read_file(tmp_path / "n.onnx")).layers
    np.testing.assert_array_equal(layer.weight.numpy(), kernel)


@pytest.mark.parametrize("operator", ["dequantized", "QLinearConv", "MatMulNBits", "float8"])
def test_quantized_onnx_is_not_scored_by_its_one_float_layer(tmp_path: Path, operator: str) -> None:
    """Weights of eight bits and fewer fail, whatever stands beside them."""
    kernel = np.ones((6, 3, 3, 3), "i1")
    nodes = {
        "dequantized": [
            helper.make_node("DequantizeLinear", ["w", "s", "z"], ["d"]),
            helper.make_node("Conv", ["x", "d"], ["y"]),
        ],
        "float8": [
            helper.make_node("DequantizeLinear", ["w", "s"], ["d"]),
            helper.make_node("Conv", ["x", "d"], ["y"]),
        ],
        "QLinearConv": [helper.make_node("QLinearConv", ["x", "s", "z", "w", "s", "z"], ["y"])],
        "MatMulNBits": [helper.make_node("MatMulNBits", ["x", "w", "s"], ["y"], domain="m.s")],
    }[operator]
    weight = numpy_helper.from_array(kernel, "w")
    if operator == "float8":
        weight.data_type = TensorProto.FLOAT8E4M3FN
    fine = numpy_helper.from_array(np.eye(3, 2, dtype="f4"), "f")
    nodes.append(helper.make_node("MatMul", ["y", "f"], ["o"]))
    graph = helper.make_graph(nodes, "g", [], [], [weight, fine])
    onnx.save(helper.make_model(graph), tmp_path / "n.onnx")
    scores = genpredict.score(tmp_path / "n.onnx")
    assert scores["status"].item() == "failed"
    assert "quantized: only 6 of 168 entries" in scores["error"].item()


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
def test_frozen_programs_say_why_they_are_not_read(tmp_path: Path) -> None:
    scripted = torch.jit.script(nn.Sequential(nn.Conv2d(3, 6, 3)).eval())
    torch.jit.save(torch.jit.freeze(scripted), tmp_path / "n.pt")
    with pytest.raises(CheckpointError, match=r"frozen .* its weights are constants without names"):
        read_file(tmp_path / "n.pt")
