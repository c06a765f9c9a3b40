"""The topology space: NATS-Bench's numbers of parameters, names, a plain loop, cell strings."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from nats_archives import write_topology_space_archive
from torch import Tensor
from torch.nn import functional

from genpredict.checkpoints import open_checkpoints
from genpredict.errors import GenpredictError
from genpredict.networks import build_network
from genpredict.networks.nats_cells import OPERATIONS, parse_cell

#: Architectures 0, 11 and 284 with 10, 100 and 120 classes, as NATS-Bench's own files record them.
RECORDED = {
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|"
    "+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|": (129_306, 135_156, 136_456),
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|": (
        802_426,
        808_276,
        809_576,
    ),
    "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|nor_conv_1x1~1|none~2|": (
        101_306,
        107_156,
        108_456,
    ),
}
ALL_KINDS = (
    "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|"
)


@pytest.mark.parametrize("cell", RECORDED)
def test_number_of_parameters_against_nats_bench(cell: str) -> None:
    """The numbers recorded for three architectures and three data sets."""
    found = tuple(
        sum(p.numel() for p in build_network(f"tss:{cell}", num_classes=classes).parameters())
        for classes in (10, 100, 120)
    )
    assert found == RECORDED[cell]


def test_names_number_all_operations() -> None:
    """Operations without parameters count, so that a name tells the edge."""
    keys = build_network(f"tss:{ALL_KINDS}").state_dict()
    cell = {".".join(key.split(".")[2:4]) for key in keys if key.startswith("cells.0.")}
    assert cell == {"layers.0", "layers.2", "layers.5"}
    assert "cells.5.downsample.1.weight" in keys
    assert "cells.11.conv_a.op.1.weight" in keys
    assert "cells.16.layers.5.op.1.weight" in keys


@pytest.mark.parametrize("cell", [ALL_KINDS, *RECORDED])
def test_weights_of_archives_load(cell: str, tmp_path: Path) -> None:
    """Names, shapes and order of the tensors are those of the archives' networks."""
    write_topology_space_archive(tmp_path, 7, cell, rng=np.random.default_rng(0))
    (checkpoint,) = open_checkpoints(tmp_path)
    theirs = checkpoint.tensors()
    network = build_network(f"tss:{checkpoint.metadata['network']}")
    network.load_state_dict(theirs, strict=True)
    own = network.state_dict()
    assert list(own) == list(theirs)
    assert all(torch.equal(own[name], tensor) for name, tensor in theirs.items())


@pytest.mark.parametrize("cell", [ALL_KINDS, *RECORDED])
def test_logits_against_a_plain_loop(cell: str) -> None:
    """Written down once more by functions alone, edge by edge from the cell string."""
    torch.manual_seed(0)
    network = build_network(f"tss:{cell}").double().eval()
    for buffer in network.buffers():
        if buffer.dtype.is_floating_point:
            buffer.copy_(1 + 0.1 * torch.rand_like(buffer))
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        expected = plain_logits(network.state_dict(), cell, images)
        torch.testing.assert_close(network(images), expected, rtol=1e-10, atol=1e-10)


def plain_logits(weights: dict[str, Tensor], cell: str, images: Tensor) -> Tensor:
    """Compute the logits of a topology-space network from its weights."""

    def norm(x: Tensor, name: str) -> Tensor:
        own = [weights[f"{name}.{leaf}"] for leaf in ("running_mean", "running_var")]
        return functional.batch_norm(x, *own, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def unit(x: Tensor, name: str, stride: int = 1) -> Tensor:
        kernel = weights[f"{name}.op.1.weight"]
        x = functional.conv2d(x.relu(), kernel, stride=stride, padding=kernel.shape[-1] // 2)
        return norm(x, f"{name}.op.2")

    edges = re.findall(r"(\w+)~(\d)", cell)
    x = norm(functional.conv2d(images, weights["stem.0.weight"], padding=1), "stem.1")
    for number in range(17):
        name = f"cells.{number}"
        if number in (5, 11):
            beside = functional.avg_pool2d(x, 2)
            beside = functional.conv2d(beside, weights[f"{name}.downsample.1.weight"])
            x = unit(unit(x, f"{name}.conv_a", 2), f"{name}.conv_b") + beside
            continue
        nodes = [x] + [torch.zeros_like(x) for _ in range(3)]
        for index, (operation, source) in enumerate(edges):
            node, before = (1, 2, 2, 3, 3, 3)[index], nodes[int(source)]
            if operation.startswith("nor_conv"):
                nodes[node] = nodes[node] + unit(before, f"{name}.layers.{index}")
            elif operation == "skip_connect":
                nodes[node] = nodes[node] + before
            elif operation == "avg_pool_3x3":
                ones = functional.avg_pool2d(torch.ones_like(before), 3, 1, 1)
                nodes[node] = nodes[node] + functional.avg_pool2d(before, 3, 1, 1) / ones
        x = nodes[3]
    pooled = norm(x, "lastact.0").relu().mean((2, 3))
    return functional.linear(pooled, weights["classifier.weight"], weights["classifier.bias"])


def test_layers_that_lead_nowhere_keep_a_gradient_of_zero() -> None:
    """So that weight decay reaches them as in NATS-Bench."""
    cell = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    network = build_network(f"tss:{cell}")
    network(torch.randn(2, 3, 8, 8)).sum().backward()
    weight = network.get_parameter("cells.0.layers.0.op.1.weight")
    assert weight.grad is not None
    assert not weight.grad.any()


def test_cells_of_every_operation_are_read() -> None:
    for operation in OPERATIONS:
        cell = f"|{operation}~0|+|none~0|{operation}~1|+|none~0|none~1|{operation}~2|"
        assert parse_cell(cell)[0] == (operation,)
        assert parse_cell(cell)[2] == ("none", "none", operation)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("", "must join three nodes"),
        ("|none~0|+|none~0|none~1|", "must join three nodes"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|", "node 3 is .*nodes 0 to 2"),
        ("|none~1|+|none~0|none~1|+|none~0|none~1|none~2|", "node 1 is .*nodes 0 to 0"),
        ("none~0+|none~0|none~1|+|none~0|none~1|none~2|", "node 1 is 'none~0'"),
        ("|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|", "'conv'; known .* avg_pool_3x3"),
    ],
)
def test_cell_strings_of_another_form(cell: str, message: str) -> None:
    with pytest.raises(GenpredictError, match=f"cell: .*{message}"):
        build_network(f"tss:{cell}")
