"""A network at hand, its saved state dict, and the network saved whole are scored alike."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm
from torch.nn.utils.parametrize import is_parametrized

import genpredict


class Tied(nn.Module):
    """A classifier with the look-up table's weights, before or after it."""

    def __init__(self, *, head_first: bool) -> None:
        super().__init__()
        table, head = nn.Embedding(12, 6), nn.Linear(6, 12, bias=False)
        head.weight = table.weight
        for name, module in [("head", head), ("embed", table)][:: 1 if head_first else -1]:
            self.add_module(name, module)
        self.body = nn.Linear(6, 6)


class TwoOfOne(nn.Module):
    """Two dense layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 4), nn.Linear(6, 4)
        self.second.weight = self.first.weight


class Adapted(nn.Module):
    """A dense layer with LoRA's factors, as modules and as parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.base_layer = nn.Linear(8, 8)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(8, 3, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(3, 8, bias=False)})
        self.lora_embedding_A = nn.Parameter(torch.randn(3, 9))
        self.lora_alpha = nn.Parameter(torch.tensor(2.0))


class Vision(nn.Module):
    """Patches, positions, attention."""

    def __init__(self) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.randn(1, 5, 8))
        self.cls_token = nn.Parameter(torch.randn(1, 1, 8))
        self.patch_embed = nn.Conv2d(3, 8, 4, 4)
        self.block = nn.TransformerEncoderLayer(8, 2, 16)
        self.head = nn.Linear(8, 5)


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, groups=6),
        nn.ConvTranspose2d(6, 4, 2), nn.LayerNorm([4, 5, 5]), nn.Flatten(), nn.Linear(24, 5),
    )  # fmt: skip


def factored(wrap: Callable[..., nn.Module]) -> nn.Module:
    return nn.Sequential(wrap(nn.Conv2d(3, 6, 3)), wrap(nn.Linear(6, 4)), nn.Linear(4, 3))


def old(wrap: Callable[..., nn.Module]) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both are deprecated, and in many files
        return factored(wrap)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "convolutional": convolutional,
    "tied, table first": lambda: Tied(head_first=False),
    "tied, head first": lambda: Tied(head_first=True),
    "two of one": TwoOfOne,
    "weight norm": lambda: factored(parametrizations.weight_norm),
    "spectral norm": lambda: factored(parametrizations.spectral_norm),
    "orthogonal": lambda: nn.Sequential(parametrizations.orthogonal(nn.Linear(6, 4))),
    "old weight norm": lambda: old(weight_norm),
    "old spectral norm": lambda: old(spectral_norm),
    "weight norm of a state": lambda: parametrizations.weight_norm(nn.LSTM(4, 5), "weight_hh_l0"),
    "projected LSTM": lambda: nn.LSTM(4, 6, proj_size=3, bidirectional=True),
    "GRU": lambda: nn.GRU(4, 5, 2),
    "adapted": Adapted,
    "vision": Vision,
    "unequal attention": lambda: nn.MultiheadAttention(8, 2, kdim=6, vdim=7),
    "parallel": lambda: nn.DataParallel(factored(parametrizations.weight_norm)),
    "wrapped twice": lambda: nn.ModuleDict({"model": nn.ModuleDict({"module": Vision()})}),
}


def scored(network: nn.Module, folder: Path) -> dict[str, xr.Dataset]:
    """Score a network in every way in which it can be given."""
    given = {"module": genpredict.score(network), "dict": genpredict.score(network.state_dict())}
    torch.save(network.state_dict(), folder / "state.pt")
    given["file"] = genpredict.score(folder / "state.pt")
    if not any(is_parametrized(module) for module in network.modules()):  # these do not pickle
        torch.save(network, folder / "whole.pt")
        given["whole"] = genpredict.score(folder / "whole.pt")
    return given


@pytest.mark.parametrize("name", NETWORKS)
def test_all_ways_of_giving_a_network_agree(name: str, tmp_path: Path) -> None:
    """Layers, their names and kinds, every measure, the number of parameters: the same bits."""
    torch.manual_seed(0)
    given = scored(NETWORKS[name](), tmp_path)
    module = given.pop("module")
    assert module["status"].item() == "done"
    for way, scores in given.items():
        assert scores["status"].item() == "done", (way, scores["error"].item())
        assert scores["num_parameters"].item() == module["num_parameters"].item(), way
        for variable in module.data_vars:
            np.testing.assert_array_equal(
                scores[variable].values, module[variable].values, err_msg=f"{way}: {variable}"
            )


class Telling(nn.Module):
    """What only the class of a module tells."""

    def __init__(self) -> None:
        super().__init__()
        self.same = nn.ConvTranspose2d(4, 4, 2)
        self.tok = nn.Linear(4, 6, bias=False)
        self.words = nn.Embedding(9, 6)
        self.mix = nn.Bilinear(3, 4, 5)
        self.fc = nn.Linear(6, 6)


def test_classes_of_modules_decide_where_nothing_else_tells(tmp_path: Path) -> None:
    """There, and nowhere else, a state dict is scored otherwise; saved whole it is not."""
    torch.manual_seed(0)
    given = scored(Telling(), tmp_path)

    def layers(way: str) -> dict[str, tuple[str, str]]:
        scores = given[way]
        names, kinds, shapes = (
            scores[variable].values[0].tolist()
            for variable in ("layer_name", "layer_kind", "layer_shape")
        )
        return dict(zip(names, zip(kinds, shapes, strict=True), strict=True))

    assert layers("module") == {
        "same.weight": ("conv", "4x4x2x2"),
        "tok.weight": ("linear", "6x4"),
        "mix.weight": ("linear", "5x12"),
        "fc.weight": ("linear", "6x6"),
    }
    assert layers("whole") == layers("module")
    assert (
        layers("file")
        == layers("dict")
        == {
            "same.weight": ("conv", "4x4x2x2"),
            "words.weight": ("linear", "9x6"),
            "mix.weight": ("conv", "5x3x4"),
            "fc.weight": ("linear", "6x6"),
        }
    )
    turned = [given[way]["stable_rank"].values[0, 0] for way in ("module", "file")]
    np.testing.assert_array_equal(turned[0], turned[1][::-1])  # inputs and outputs change places
    counts = {scores["num_parameters"].item() for scores in given.values()}
    assert len(counts) == 1
