"""WeightWatcher's measures against WeightWatcher."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import genpredict
from genpredict.layers import select_layers
from genpredict.networks import build_network
from genpredict.spectral.power_law import CPU_BLOCK
from genpredict.spectral.weightwatcher import (
    WeightWatcherMeasures,
    has_measures,
    weightwatcher_measures,
)

FITTED = ("alpha", "alpha_weighted", "log_alpha_norm", "xmin", "D")
TOLERANCE = {"rel": 1e-8, "abs": 1e-8}


def analyze(network: nn.Module) -> pd.DataFrame:
    """Let WeightWatcher measure a network, and be quiet."""
    weightwatcher = pytest.importorskip("weightwatcher", reason="a peer, for comparison alone")
    logging.getLogger("weightwatcher").setLevel(logging.CRITICAL)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        details: pd.DataFrame = weightwatcher.WeightWatcher(model=network).analyze()
    return details.set_index("longname")


def measured(weights: Tensor) -> dict[str, Tensor]:
    """Measure layers of one shape."""
    return weightwatcher_measures(weights)._asdict()


def ours(network: nn.Module) -> dict[str, dict[str, float]]:
    """Measure the weights of a network one by one; the layers without any measure left out."""
    layers = {}
    for name, weight in network.named_parameters():
        if weight.ndim >= 2:
            measures = measured(weight.detach()[None])
            if not measures["num_evals"].isnan():
                layers[name.removesuffix(".weight")] = {k: float(v) for k, v in measures.items()}
    return layers


def check(network: nn.Module) -> None:
    """Compare every measure of every layer; where its fit failed (−1), ours is NaN."""
    theirs, mine = analyze(network), ours(network)
    assert set(mine) == set(theirs.index)
    for layer, row in theirs.iterrows():
        for name in WeightWatcherMeasures._fields:
            if name in FITTED and row["alpha"] == -1:
                assert np.isnan(mine[layer][name])
            else:
                expected = float(row[name])
                assert mine[layer][name] == pytest.approx(expected, **TOLERANCE), (layer, name)


def carrying(weights: dict[str, Tensor]) -> nn.ModuleDict:
    """Make modules that hold these weights."""
    modules = nn.ModuleDict()
    for name, weight in weights.items():
        outputs, inputs, *kernel = weight.shape
        module = (
            nn.Conv2d(inputs, outputs, tuple(kernel), bias=False)  # type: ignore[arg-type]
            if kernel
            else nn.Linear(inputs, outputs, bias=False)
        )
        module.weight.data = weight.clone()
        modules[name.replace(".", "_")] = module
    return modules


def test_small_layers_against_weightwatcher() -> None:
    """Linear layers of 6 to 21 values, with the rule for fewer than 20, and an MLP's."""
    torch.manual_seed(0)
    check(nn.Sequential(*[nn.Linear(n, 40) for n in range(6, 22)], nn.Linear(300, 64)))


def test_convolutions_against_weightwatcher() -> None:
    """Kernels of several sizes, depthwise and pointwise ones among them."""
    torch.manual_seed(1)
    kernels = [nn.Conv2d(n, 4, 3) for n in range(1, 9)]
    odd = [nn.Conv2d(1, 8, 5), nn.Conv2d(3, 6, 2), nn.Conv2d(24, 40, 1)]
    check(nn.Sequential(*kernels, *odd, nn.Conv2d(16, 16, 3, groups=16)))


def test_damaged_layers_against_weightwatcher() -> None:
    """Dead channels, low rank, and all values below its threshold, where its fit fails."""
    torch.manual_seed(2)
    dead = torch.randn(16, 12, 3, 3)
    dead[3:6] = 0
    low_rank = torch.randn(30, 4) @ torch.randn(4, 40)
    check(
        carrying(
            {"dead": dead, "tiny": 1e-6 * torch.randn(20, 30), "large": 1e3 * torch.randn(20, 30)}
        )
    )
    measures = measured(low_rank[None])
    assert all(measures[name].isnan() for name in FITTED)  # 4 values make no fit


def test_digits_network_against_weightwatcher() -> None:
    """The digits network as it is initialized."""
    torch.manual_seed(3)
    check(build_network("digits_cnn"))


def published(path: Path) -> nn.ModuleDict:
    tensors = next(iter(genpredict.open_checkpoints(path))).tensors()
    return carrying({layer.name: layer.weight for layer in select_layers(tensors)[0]})


def test_published_resnet_against_weightwatcher(shared: Path) -> None:
    """A published ResNet-20."""
    check(published(next((shared / "data/checkpoints/akamaster").glob("resnet20*"))))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet32", "resnet56"])
def test_published_resnets_against_weightwatcher(shared: Path, name: str) -> None:
    """The larger published ResNets."""
    check(published(next((shared / "data/checkpoints/akamaster").glob(f"{name}*"))))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "vgg16"])
def test_large_networks_against_weightwatcher(name: str) -> None:
    """Networks whose layers pool thousands of eigenvalues."""
    torch.manual_seed(4)
    check(build_network(name))


def test_vector_convolutions_against_theory() -> None:
    """A 1-D convolution, which the package leaves out, is a set of kernel positions too."""
    torch.manual_seed(5)
    weight = torch.randn(12, 10, 3)
    vector, flat = (measured(w[None]) for w in (weight, weight.unsqueeze(-1)))
    assert vector == flat


def test_limits_against_theory() -> None:
    """Fewer than 8 eigenvalues, more than 15,000 or a side above 50,000: NaN throughout."""
    assert [has_measures(s) for s in [(7, 9), (8, 9), (2, 3, 2, 2), (1668, 1668, 3, 3)]] == [
        *(False, True, True, False)
    ]
    assert not has_measures((8, 50_001))
    assert all(value.isnan() for value in weightwatcher_measures(torch.ones(1, 7, 90)))


@pytest.mark.parametrize(
    "weights",
    [
        pytest.param(torch.zeros(16, 20), id="zeros"),
        pytest.param(torch.ones(16, 20), id="rank one"),
        pytest.param(torch.eye(16), id="all equal"),
        pytest.param(1e-30 * torch.rand(16, 20), id="tiny"),
        pytest.param(torch.diag(torch.tensor([2.0] * 3 + [1e-4] * 13)), id="few above threshold"),
    ],
)
def test_degenerate_weights_against_theory(weights: Tensor) -> None:
    """A fit that cannot be made is NaN, quietly; what needs no fit has its value."""
    measures = measured(weights[None])
    assert all(measures[name].isnan() for name in FITTED)
    total = weights.double().square().sum()
    assert measures["num_evals"] == 16
    expected = total.log10() if total > 0 else torch.tensor(torch.nan, dtype=torch.float64)
    torch.testing.assert_close(measures["log_norm"][0], expected, equal_nan=True)


def test_scaling_against_theory() -> None:
    """Weights times c, all eigenvalues above the threshold: the tail is the same."""
    torch.manual_seed(6)
    weights = torch.randn(1, 24, 30, 3, 3, dtype=torch.float64)
    before, after = measured(weights), measured(1e3 * weights)
    for name in ("alpha", "D", "stable_rank", "entropy"):
        torch.testing.assert_close(after[name], before[name], rtol=1e-9, atol=0)
    torch.testing.assert_close(after["log_norm"], before["log_norm"] + 6)


def test_batches_against_single_layers() -> None:
    """A batch gives the bits of its layers one by one, also where blocks are cut."""
    torch.manual_seed(7)
    weights = torch.randn(40, 8, 6, 3, 3)
    weights[5, 2] = 0
    assert CPU_BLOCK < 40 * 54**2
    together = measured(weights)
    for row in (0, 5, 39):
        single = measured(weights[row : row + 1])
        for name, value in single.items():
            assert value.numpy().tobytes() == together[name][row].numpy().tobytes(), name
