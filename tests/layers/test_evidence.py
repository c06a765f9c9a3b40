"""What a weight is, told by what stands beside it; each kind as people save it."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import genpredict
from genpredict.layers import module_types, select_layers, sort_tensors


def tensors(**shapes: tuple[int, ...]) -> dict[str, Tensor]:
    """Return random tensors; __ in a name stands for a dot."""
    torch.manual_seed(0)
    return {name.replace("__", "."): torch.randn(shape) for name, shape in shapes.items()}


def taken(state: dict[str, Tensor]) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(x.name, x.kind, tuple(x.weight.shape)) for x in select_layers(state)[0]]


@pytest.mark.parametrize("name", ["embed", "time_embed", "tok", "class_embed", "lut"])
def test_a_weight_with_a_bias_is_no_table(name: str) -> None:
    state = {f"{name}.weight": torch.randn(6, 4), f"{name}.bias": torch.randn(6)}
    assert taken(state) == [(f"{name}.weight", "linear", (6, 4))]
    del state[f"{name}.bias"]
    assert taken(state) == []


@pytest.mark.parametrize("shape", [(16, 26, 26), (7, 10)])
def test_weight_and_bias_of_one_shape_are_a_normalization(shape: tuple[int, ...]) -> None:
    chosen = sort_tensors(tensors(ln__weight=shape, ln__bias=shape))
    assert chosen.layers == []
    assert chosen.num_parameters == 2 * math.prod(shape)
    assert "normalization" in chosen.left_out[0].reason


def test_a_bias_tells_transposed_convolutions_against_torch() -> None:
    """Whatever the name; grouped ones too."""
    for module in (nn.ConvTranspose2d(6, 4, 3), nn.ConvTranspose2d(6, 4, 3, groups=2)):
        (layer,) = select_layers(module.state_dict(prefix="up."))[0]
        assert torch.equal(layer.weight, module.weight.detach().transpose(0, 1))
    plain = nn.Conv2d(6, 4, 3)
    (layer,) = select_layers(plain.state_dict(prefix="deconv."))[0]
    assert layer.weight.shape == (4, 6, 3, 3)


def test_a_normalization_after_it_tells_a_transposed_convolution() -> None:
    net = nn.Sequential(
        nn.ConvTranspose2d(6, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 3, bias=False),
        nn.BatchNorm2d(5),
    )  # fmt: skip
    assert [shape for _, _, shape in taken(net.state_dict())] == [(4, 6, 3, 3), (5, 4, 3, 3)]


def test_a_bias_tells_matrices_stored_input_first() -> None:
    assert taken(tensors(h__weight=(8, 24), h__bias=(24,))) == [("h.weight", "linear", (24, 8))]


def test_stacks_of_matrices_are_a_layer_each() -> None:
    experts = tensors(mlp__experts__weight=(3, 8, 4), mlp__router__weight=(3, 4))
    assert [name for name, _, _ in taken(experts)] == [
        "mlp.experts.weight[0]", "mlp.experts.weight[1]", "mlp.experts.weight[2]",
        "mlp.router.weight",
    ]  # fmt: skip
    relations = tensors(c__weight=(3, 8, 4), c__bias=(4,))
    assert [(kind, shape) for _, kind, shape in taken(relations)] == [("linear", (4, 8))] * 3
    assert [kind for _, kind, _ in taken(tensors(c__weight=(6, 8, 3), c__bias=(6,)))] == ["conv"]


def test_a_leading_one_is_dropped() -> None:
    assert taken(tensors(conv__weight=(1, 6, 4, 3, 3)))[0][2] == (6, 4, 3, 3)
    assert taken(tensors(conv__weight=(1, 6, 3, 3, 3)))[0][2] == (1, 6, 3, 3, 3)


@pytest.mark.parametrize(
    ("live", "copy"),
    [
        ("online_network", "target_network"), ("q_net", "q_net_target"), ("model", "ema_net"),
        ("model", "teacher"), ("online_model", "ema_model"), ("model", "average_model.module"),
        ("encoder_q", "encoder_k"), ("query_encoder", "key_encoder"),
        ("base_encoder", "momentum_encoder"), ("policy", "policy_old"),
        ("critic", "critic_target"), ("modules_to_save", "original_module"),
    ],
)  # fmt: skip
def test_copies_beside_what_they_follow_are_left_out(live: str, copy: str) -> None:
    """Neither layers nor parameters, and said to be copies."""
    state = {f"{front}.{leaf}": torch.randn(s) for front in (live, copy)
             for leaf, s in {"0.weight": (6, 4), "1.weight": (3, 6)}.items()}  # fmt: skip
    chosen = sort_tensors(state)
    assert [layer.name for layer in chosen.layers] == [f"{live}.0.weight", f"{live}.1.weight"]
    assert chosen.num_parameters == 42
    assert all("of" in left.reason or "follows" in left.reason for left in chosen.left_out)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("src_proj", "tgt_proj"), ("student", "teacher"), ("proj_q", "proj_k"),
        ("attn.query", "attn.key"), ("q", "k"), ("encoder", "decoder"),
        ("generator", "discriminator"),
    ],
)  # fmt: skip
def test_what_only_looks_like_a_copy(one: str, other: str) -> None:
    state = {f"{name}.weight": torch.randn(6, 4) for name in (one, other)}
    assert len(taken(state)) == 2


def test_fixed_filters_and_masks_are_not_trained() -> None:
    """Blurs, windows of Fourier transforms, causal masks: no layers, no parameters."""
    samples = torch.arange(32).double()
    window = torch.hann_window(32).double()
    phase = 2 * math.pi * torch.arange(17).double()[:, None] * samples / 32
    state = {
        "conv.weight": torch.randn(4, 3, 3, 3),
        "blur.weight": torch.ones(4, 1, 3, 3) / 9,
        "real.weight": (window * phase.cos()).float()[:, None],
        "imag.weight": (-window * phase.sin()).float()[:, None],
        "attn.bias": torch.ones(8, 8).tril()[None, None],
        "depthwise.weight": torch.randn(4, 1, 3, 3),
        "first.weight": torch.randn(17, 1, 32),
    }
    chosen = sort_tensors(state)
    assert [x.name for x in chosen.layers] == ["conv.weight", "depthwise.weight", "first.weight"]
    assert chosen.num_parameters == 108 + 36 + 17 * 32


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
def test_factors_of_recurrent_weights_are_merged_then_split_against_torch() -> None:
    module = nn.utils.weight_norm(nn.LSTM(3, 5), "weight_hh_l0")
    layers = select_layers(module.state_dict())[0]
    assert [x.name for x in layers][-4:] == [f"weight_hh_l0[{gate}]" for gate in "ifgo"]
    together = torch.cat([layer.weight for layer in layers[-4:]])
    torch.testing.assert_close(together, module.weight_hh_l0.detach())


@pytest.mark.parametrize(
    "ending", ["weight_orig", "weight_bar", "parametrizations.weight.original"]
)
def test_a_factor_alone_counts_as_the_weight(ending: str) -> None:
    assert taken({f"fc.{ending}": torch.randn(4, 3)}) == [("fc.weight", "linear", (4, 3))]


def test_a_raw_recurrent_weight_replaces_its_dropped_out_copy() -> None:
    state = tensors(
        rnn__weight_hh_l0_raw=(20, 5), rnn__module__weight_ih_l0=(20, 3),
        rnn__module__weight_hh_l0=(20, 5),
    )  # fmt: skip
    assert len(taken(state)) == 8
    assert sort_tensors(state).num_parameters == 160


def test_quantized_networks_fail_or_warn() -> None:
    """Eight entries of four bits in an int32: fewer than half measured is no score."""
    packed = {"q.qweight": torch.zeros(4, 32, dtype=torch.int32), "q.scales": torch.ones(2, 32)}
    head = {"head.weight": torch.randn(50, 32)}
    with pytest.warns(UserWarning, match=r"1,024 of 2,624 entries .* are quantized"):
        scores = genpredict.score({"part": packed | head})
    assert scores["status"].item() == "done"
    small = genpredict.score({"most": packed | {"head.weight": torch.randn(5, 32)}})
    assert small["status"].item() == "failed"
    assert "quantized: only 160 of 1,184 entries" in small["error"].item()


class Mixed(nn.Module):
    """A network whose names tell nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.tok = nn.Embedding(9, 4)
        self.words = nn.Embedding(9, 4)
        self.up = nn.ConvTranspose2d(4, 4, 3)
        self.embed = nn.Linear(4, 5, bias=False)
        self.norm = nn.LayerNorm((3, 4), bias=False)
        self.mix = nn.Bilinear(3, 4, 5)
        self.register_buffer("kernel", torch.randn(3, 3))


def test_a_module_says_of_which_class_its_tensors_are() -> None:
    """The state dict alone cannot say it; the reasons say that the class decided."""
    module = Mixed()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = genpredict.score({"module": module})
    names = [name for name in scores["layer_name"].values[0].tolist() if name]
    assert names == ["up.weight", "embed.weight", "mix.weight"]
    own = sum(parameter.numel() for parameter in module.parameters())
    assert scores["num_parameters"].item() == own
    reasons = {
        x.name: x.reason for x in select_layers(module.state_dict(), types=module_types(module))[1]
    }
    assert "its module is an Embedding" in reasons["words.weight"]
    assert "its module is a LayerNorm" in reasons["norm.weight"]
    assert "a buffer of its module" in reasons["kernel"]


def test_module_and_state_dict_agree_where_names_and_biases_suffice() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ConvTranspose2d(8, 4, 2),
                        nn.Flatten(), nn.LSTM(8, 5), nn.Linear(8, 5))  # fmt: skip
    scores = genpredict.score({"module": net, "state": net.state_dict()})
    assert scores["layer_name"].values[0].tolist() == scores["layer_name"].values[1].tolist()
    for name in ("Q", "num_parameters", "stable_rank"):
        first, second = scores[name].values
        np.testing.assert_allclose(first, second, rtol=1e-12)


def test_also_adds_and_include_chooses() -> None:
    state = tensors(fc__weight=(4, 3), pos_embed=(6, 4))
    assert [x.name for x in select_layers(state, also=["pos*"])[0]] == ["fc.weight", "pos_embed"]
    assert [x.name for x in select_layers(state, include=["pos*"])[0]] == ["pos_embed"]
