"""Fused query, key and value in ONNX graphs, told by what becomes of the product."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from genpredict.checkpoints.formats.registry import read_file
from genpredict.layers import sort_tensors

WIDTH = 12


def node(
    operator: str, inputs: str, outputs: str, name: str = "/attn/x", **facts: object
) -> NodeProto:
    return helper.make_node(operator, inputs.split(), outputs.split(), name=name, **facts)


def numbers(name: str, *values: int) -> TensorProto:
    array = np.array(values if len(values) != 1 else values[0])
    return numpy_helper.from_array(array.reshape(-1) if "shape" in name else array, name)


PRODUCT = [node("MatMul", "x val_0", "m", "/attn/MatMul"), node("Add", "m b", "p")]
SCORES = [
    node("Transpose", "k", "kt", perm=[0, 1, 3, 2]), node("MatMul", "q kt", "s"),
    node("Mul", "s scale", "t"), node("Softmax", "t", "a"), node("MatMul", "a v", "y"),
]  # fmt: skip
GATHERS = [node("Gather", f"g i{n}", part, axis=0) for n, part in enumerate("qkv")]
INDICES = [numbers(f"i{n}", n) for n in range(3)]
SHAPE_OF_TORCH = [
    node("Shape", "p", "dims"), node("Slice", "dims zero two", "front"),
    node("Slice", "dims three four", "rest"), node("Unsqueeze", "width zero_shape", "size"),
    node("Concat", "three_shape size", "inner", axis=0),
    node("Concat", "front inner rest", "shape", axis=0),
]  # fmt: skip
TORCH = [
    node("Reshape", "p shape", "r"), node("Unsqueeze", "r zero_shape", "u"),
    node("Transpose", "u", "w", perm=[3, 1, 2, 0, 4]), node("Squeeze", "w last_shape", "g"),
]  # fmt: skip
GATED = [
    node("Split", "p", "r z n", axis=-1), node("Sigmoid", "z", "z1"), node("Tanh", "n", "n1"),
    node("Mul", "z1 n1", "h"), node("Softmax", "h", "y"),
]  # fmt: skip
FUSED: dict[str, tuple[list[NodeProto], list[TensorProto]]] = {
    "torch, shape known": (
        [*TORCH, *GATHERS], [numbers("shape", 2, 5, 3, WIDTH), *INDICES],
    ),
    "torch, shape computed": ([*SHAPE_OF_TORCH, *TORCH, *GATHERS], INDICES),
    "blocks of heads, gathered": (
        [node("Reshape", "p shape", "r"), node("Transpose", "r", "g", perm=[2, 0, 3, 1, 4]),
         *GATHERS],
        [numbers("shape", 2, -1, 3, 3, 4), *INDICES],
    ),
    "thirds of the last axis": ([node("Split", "p", "q k v", axis=-1)], []),
    "blocks of heads, split": (
        [node("Reshape", "p shape", "r"), node("Split", "r", "q k v", axis=-3)],
        [numbers("shape", 2, 5, 3, 3, 4)],
    ),
}  # fmt: skip
WHOLE: dict[str, tuple[list[NodeProto], list[TensorProto]]] = {
    "heads before parts": (
        [node("Reshape", "p shape", "r"), node("Transpose", "r", "w", perm=[0, 2, 1, 3]),
         node("Split", "w", "q k v", axis=-1)],
        [numbers("shape", 2, 5, 3, WIDTH)],
    ),
    "three heads before three parts": (
        [node("Reshape", "p shape", "r"), node("Transpose", "r", "g", perm=[3, 0, 2, 1, 4]),
         *GATHERS],
        [numbers("shape", 2, 5, 3, 3, 4), *INDICES],
    ),
    "taken whole": ([node("Identity", "p", "q"), node("Neg", "p", "k"), node("Neg", "p", "v")], []),
}  # fmt: skip


def written(path: Path, nodes: list[NodeProto], constants: list[TensorProto]) -> Path:
    weight = numpy_helper.from_array(
        np.random.default_rng(0).standard_normal((WIDTH, 3 * WIDTH)).astype("f4"), "val_0"
    )
    shapes = [
        numbers("zero_shape", 0), numbers("last_shape", -2), numbers("three_shape", 3),
        numbers("zero", 0), numbers("two", 2), numbers("three", 3), numbers("four", 4),
    ]  # fmt: skip
    bias = numpy_helper.from_array(np.ones(3 * WIDTH, "f4"), "b")
    graph = helper.make_graph(
        [*PRODUCT, *nodes, *SCORES], "g", [], [], [weight, bias, *constants, *shapes]
    )
    onnx.save(helper.make_model(graph), path)
    return path


@pytest.mark.parametrize("form", FUSED)
def test_blocks_of_one_product_are_layers(tmp_path: Path, form: str) -> None:
    """A third of the outputs each, as the state dict's reader takes in_proj_weight apart."""
    path = written(tmp_path / "n.onnx", *FUSED[form])
    layers = sort_tensors(read_file(path)).layers
    assert [layer.name for layer in layers] == [f"attn.in_proj_weight[{part}]" for part in "qkv"]
    weight = np.random.default_rng(0).standard_normal((WIDTH, 3 * WIDTH)).astype("f4").T
    for layer, block in zip(layers, np.split(weight, 3), strict=True):
        np.testing.assert_array_equal(layer.weight.numpy(), block)


@pytest.mark.parametrize("form", WHOLE)
def test_parts_that_alternate_between_heads_stay_whole(tmp_path: Path, form: str) -> None:
    layers = sort_tensors(read_file(written(tmp_path / "n.onnx", *WHOLE[form]))).layers
    assert [(layer.name, tuple(layer.weight.shape)) for layer in layers] == [
        ("attn.weight", (3 * WIDTH, WIDTH))
    ]


def test_gates_are_no_attention(tmp_path: Path) -> None:
    """Three parts of one product, and a softmax behind them, but no product of two."""
    path = written(tmp_path / "n.onnx", GATED, [])
    assert [layer.name for layer in sort_tensors(read_file(path)).layers] == ["attn.weight"]
