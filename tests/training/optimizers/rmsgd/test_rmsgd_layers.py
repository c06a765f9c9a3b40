"""Which parameters RMSGD measures, and whose rate the others take."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from genpredict.layers import select_layers
from genpredict.networks import build_network
from genpredict.training.optimizers import RMSGD
from genpredict.training.optimizers.rmsgd.layers import named_layers, unnamed_layers


def owners(network: nn.Module) -> dict[str, str | None]:
    """Name for every parameter the one whose rate it takes."""
    parameters = dict(network.named_parameters())
    names = list(parameters)
    found = named_layers(parameters, linear=True)
    return {
        name: None if source is None else names[source]
        for name, source in zip(names, found.sources, strict=True)
    }


def layer_names(network: nn.Module) -> list[str]:
    """Name what is measured."""
    return [layer.name for layer in RMSGD(network.named_parameters()).layers()]


@pytest.mark.parametrize("name", ["resnet18", "digits_cnn", "sss:8:16:24:32:40"])
def test_layers_against_scoring(name: str) -> None:
    """With names, what is measured is what `genpredict score` takes, in the same order."""
    network = build_network(name)
    layers, _ = select_layers(network.state_dict())
    found = RMSGD(network.named_parameters()).layers()
    assert [layer.name for layer in found] == [layer.name for layer in layers]
    for one, other in zip(found, layers, strict=True):
        assert torch.equal(one.weight, other.weight)


def test_norms_and_biases_against_design() -> None:
    """A bias belongs to its module's weight, a norm to the weight before it, wherever it lies."""
    network = nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(3),
            first=nn.Conv2d(3, 8, 3),
            middle=nn.Sequential(nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, bias=False)),
            last=nn.GroupNorm(2, 8),
            head=nn.Linear(8, 4),
        )
    )
    assert owners(network) == {
        "norm.weight": "first.weight",
        "norm.bias": "first.weight",
        "first.weight": "first.weight",
        "first.bias": "first.weight",
        "middle.0.weight": "first.weight",
        "middle.0.bias": "first.weight",
        "middle.1.weight": "middle.1.weight",
        "last.weight": "middle.1.weight",
        "last.bias": "middle.1.weight",
        "head.weight": "head.weight",
        "head.bias": "head.weight",
    }


def test_bias_of_a_module_in_another_order_against_design() -> None:
    """The module decides before the order: a bias registered before its weight is still its."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(6))
            self.scale = nn.Parameter(torch.ones(6))
            self.weight = nn.Parameter(torch.randn(6, 5))

    network = nn.Sequential(nn.Linear(5, 5), Scaled())
    found = owners(network)
    assert found["1.bias"] == found["1.scale"] == "1.weight"


def test_recurrent_layers_against_torch() -> None:
    """LSTM by 4 gates, GRU by 3, RNN whole; a bias belongs to the weight of its name."""
    network = nn.ModuleDict(
        {"a": nn.LSTM(5, 4, num_layers=2), "b": nn.GRU(5, 4), "c": nn.RNN(5, 4)}
    )
    names = layer_names(network)
    assert names[:8] == [f"a.weight_{w}_l0[{g}]" for w in ("ih", "hh") for g in "ifgo"]
    assert names[16:22] == [f"b.weight_{w}_l0[{g}]" for w in ("ih", "hh") for g in "rzn"]
    assert names[22:] == ["c.weight_ih_l0", "c.weight_hh_l0"]
    found = owners(network)
    assert found["a.bias_hh_l1"] == "a.weight_hh_l1"
    assert found["b.bias_ih_l0"] == "b.weight_ih_l0"


def test_recurrent_cells_against_torch() -> None:
    """Cells have gates too."""
    assert layer_names(nn.GRUCell(5, 4))[:3] == ["weight_ih[r]", "weight_ih[z]", "weight_ih[n]"]


def test_attention_against_torch() -> None:
    """A fused projection is measured as q, k and v and has one rate; its bias takes that."""
    network = nn.MultiheadAttention(8, 2)
    assert layer_names(network)[:3] == [f"in_proj_weight[{part}]" for part in "qkv"]
    found = owners(network)
    assert found["in_proj_bias"] == "in_proj_weight"
    assert found["out_proj.bias"] == "out_proj.weight"


def test_embeddings_against_scoring() -> None:
    """A look-up table is no layer; at the front it takes the rate of the first weight."""
    network = nn.Sequential(OrderedDict(embedding=nn.Embedding(9, 5), head=nn.Linear(5, 4)))
    assert layer_names(network) == ["head.weight"]
    assert owners(network)["embedding.weight"] == "head.weight"


def test_transposed_convolution_against_theory() -> None:
    """Its rate does not depend on which axis is called output: s is the mean over both."""
    torch.manual_seed(0)
    signal = torch.randn(10, 1, 1, 1) * torch.randn(1, 6, 3, 3)
    rates = []
    for weight in (signal, signal.transpose(0, 1)):
        noise = torch.randn(10, 6, 3, 3, generator=torch.Generator().manual_seed(1)) / 5
        noise = noise if weight is signal else noise.transpose(0, 1)
        optimizer = RMSGD([("upconv.weight", nn.Parameter((weight + noise).contiguous()))])
        optimizer.epoch_step()
        rates.append(optimizer.learning_rates()["upconv.weight"])
    assert rates[0] > 0.03
    assert rates[0] == pytest.approx(rates[1], rel=1e-9)


@pytest.mark.parametrize("new", [True, False])
def test_weight_norm_against_scoring(new: bool) -> None:
    """Direction and length are measured as the weight they make, and both take its rate."""
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, 3)
    if new:
        network = nn.Sequential(parametrizations.weight_norm(conv))
        main, length = (f"0.parametrizations.weight.original{n}" for n in (1, 0))
    else:
        with pytest.warns(FutureWarning, match="weight_norm"):
            network = nn.Sequential(nn.utils.weight_norm(conv))
        main, length = "0.weight_v", "0.weight_g"
    (layer,) = RMSGD(network.named_parameters()).layers()
    assert layer.name == "0.weight"
    torch.testing.assert_close(layer.weight, network[0].weight.detach())
    assert owners(network) == {"0.bias": main, length: main, main: main}


def test_spectral_norm_and_pruning_against_theory() -> None:
    """The raw weight is measured: dividing it by a number changes no stable rank."""
    network = nn.Sequential(parametrizations.spectral_norm(nn.Linear(6, 5)), nn.Linear(5, 4))
    prune.l1_unstructured(network[1], "weight", amount=2)
    assert layer_names(network) == ["0.weight", "1.weight"]
    found = owners(network)
    assert found["0.bias"] == "0.parametrizations.weight.original"
    assert found["1.bias"] == "1.weight_orig"


def test_frozen_weights_are_not_measured() -> None:
    """Their biases take the rate of the weight before."""
    network = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4))
    network[1].weight.requires_grad_(False)
    assert layer_names(network) == ["0.weight"]
    assert owners(network)["1.bias"] == "0.weight"


def test_convolutions_alone() -> None:
    """`linear=False` measures no matrix; a head takes the rate of the convolution before it."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 4))
    parameters = dict(network.named_parameters())
    found = named_layers(parameters, linear=False)
    assert [layer.name for layer in found.layers] == ["0.weight"]
    assert found.sources == [0, 0, 0, 0]
    found = unnamed_layers(list(parameters), list(parameters.values()), linear=False)
    assert (found.owners, found.sources) == ([0], [0, 0, 0, 0])


def test_unnamed_parameters_go_by_shape() -> None:
    """Every parameter of two dimensions with an unfolding is a layer; the order decides."""
    network = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 5), nn.Linear(5, 1), nn.Linear(1, 2))
    optimizer = RMSGD(network.parameters())
    assert [layer.name for layer in optimizer.layers()] == ["group0.param2[5x6]"]
    found = unnamed_layers([""] * 8, list(network.parameters()), linear=True)
    assert found.sources == [2] * 8
