from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quantization import quantized
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from genpredict.layers import count_parameters, select_layers


def names(tensors: Mapping[str, Tensor], **patterns: list[str]) -> list[str]:
    return [layer.name for layer in select_layers(tensors, **patterns)[0]]


def reasons(tensors: Mapping[str, Tensor], **patterns: list[str]) -> dict[str, str]:
    return {left.name: left.reason for left in select_layers(tensors, **patterns)[1]}


def one(name: str, *shape: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    return {name: torch.randn(*shape).to(dtype)}


def test_convolutions_and_linear_layers_in_order() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 5))
    layers, left_out = select_layers(net.state_dict())
    assert [(layer.name, layer.kind) for layer in layers] == [
        ("0.weight", "conv"),
        ("3.weight", "linear"),
    ]
    assert layers[0].weight.shape == (8, 3, 3, 3)
    assert [left.name for left in left_out] == [
        "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked",
        "3.bias",
    ]  # fmt: skip
    assert left_out[1].shape == (8,)
    assert left_out[-2].dtype == "int64"
    assert "1-D" in left_out[0].reason
    assert left_out[-2].reason == "a scalar"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_keep_their_type_and_memory(dtype: torch.dtype) -> None:
    tensors = one("fc.weight", 3, 4, dtype=dtype)
    weight = select_layers(tensors)[0][0].weight
    assert weight.dtype == dtype
    assert weight.data_ptr() == tensors["fc.weight"].data_ptr()


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (torch.ones(3, 4, dtype=torch.int8), "int8: an integer buffer"),
        (torch.ones(3, 4, dtype=torch.bool), "bool: an integer buffer"),
        (torch.ones(3, 4, dtype=torch.complex64), "complex"),
        (torch.ones(3, 4).to(torch.float8_e4m3fn), "quantized (float8_e4m3fn)"),
        (quantized(torch.ones(3, 4)), "quantized (qint8)"),
        (torch.ones(3, 4).to_sparse(), "sparse"),
        (torch.ones(3, 4, device="meta"), "without data"),
        (torch.ones(0, 4), "empty"),
        (torch.ones(1, 4).expand(3, 4), "expanded"),
    ],
)
def test_types_that_are_no_layers(tensor: Tensor, reason: str) -> None:
    """By type and shape, whatever --include says."""
    assert reason in reasons({"fc.weight": tensor})["fc.weight"]
    assert reason in reasons({"fc.weight": tensor}, include=["fc.*"])["fc.weight"]


@pytest.mark.parametrize(
    "name",
    [
        "embed.weight", "transformer.wte.weight", "transformer.wpe.weight", "shared.weight",
        "model.embed_tokens.weight", "tok_embeddings.weight", "token_embedding.weight",
        "bert.embeddings.word_embeddings.weight", "emb.weight", "pos_emb.weight",
        "decoder.embed_positions.weight", "layer.0.SelfAttention.relative_attention_bias.weight",
    ],
)  # fmt: skip
def test_embeddings_are_left_out_unless_included(name: str) -> None:
    tensors = one(name, 10, 4)
    assert "an embedding" in reasons(tensors)[name]
    assert "a matching --include takes it" in reasons(tensors)[name]
    assert names(tensors, include=[name]) == [name]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("patch_embed.proj.weight", (8, 3, 4, 4)),
        ("embeddings.patch_embedding.weight", (8, 3, 4, 4)),
        ("time_embed.0.weight", (8, 4)),
        ("embed_out.weight", (10, 4)),
        ("embeddings.projection.weight", (8, 4)),
        ("member.weight", (8, 4)),
    ],
)
def test_what_only_sounds_like_an_embedding(name: str, shape: tuple[int, ...]) -> None:
    assert names(one(name, *shape)) == [name]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("pos_embed", (1, 17, 8)),
        ("cls_token", (1, 1, 8)),
        ("relative_position_bias_table", (49, 4)),
        ("attn.bias", (1, 1, 4, 4)),
        ("log_scale", (3, 4)),
    ],
)
def test_names_other_than_weight(name: str, shape: tuple[int, ...]) -> None:
    tensors = one(name, *shape)
    assert "not called weight; a matching --include takes it" in reasons(tensors)[name]
    included = reasons(tensors, include=[name]).get(name, "taken")
    assert included in ("taken", "no unfolding has two rows or more")


@pytest.mark.parametrize(
    "name",
    [
        "deconv1.weight", "up.conv_transpose.weight", "upconv3.weight", "conv2d_transpose.weight",
        "ConvTranspose2d_0.weight", "transposed_conv.weight", "block.transpose.weight",
        "deconv_layers.0.weight", "tconv.weight",
    ],
)  # fmt: skip
def test_transposed_convolutions_lead_with_outputs(name: str) -> None:
    tensors = one(name, 6, 4, 3, 3)
    (layer,) = select_layers(tensors)[0]
    assert layer.kind == "conv"
    assert torch.equal(layer.weight, tensors[name].transpose(0, 1))


def test_ordinary_convolutions_stay() -> None:
    for name in ("conv1.weight", "econv.weight", "up_conv.weight", "reconverge.weight"):
        assert select_layers(one(name, 6, 4, 3, 3))[0][0].weight.shape == (6, 4, 3, 3), name


def test_multihead_attention_splits_into_q_k_v() -> None:
    attention = nn.MultiheadAttention(8, 2)
    layers, _ = select_layers(attention.state_dict())
    assert [layer.name for layer in layers] == [
        "in_proj_weight[q]", "in_proj_weight[k]", "in_proj_weight[v]", "out_proj.weight",
    ]  # fmt: skip
    together = torch.cat([layer.weight for layer in layers[:3]])
    assert torch.equal(together, attention.in_proj_weight)


@pytest.mark.parametrize(
    ("name", "shape", "parts"),
    [
        ("attn.qkv.weight", (24, 8), "qkv"),
        ("attn.qkv.weight", (24, 8, 1, 1), "qkv"),
        ("to_qkv.weight", (48, 8), "qkv"),
        ("attn.kv.weight", (16, 8), "kv"),
        ("qkv_proj.weight", (24, 8), "qkv"),
        ("qkv_proj.weight", (12, 8), ""),
        ("Wqkv.weight", (24, 8), "qkv"),
        ("query_key_value.weight", (24, 8), ""),
        ("attn.qkv.weight", (25, 8), ""),
        ("attn.c_attn.weight", (24, 8), "qkv"),
        ("attn.c_attn.weight", (12, 8), ""),
    ],
)
def test_fused_projections(name: str, shape: tuple[int, ...], parts: str) -> None:
    tensors = one(name, *shape)
    expected = [f"{name}[{part}]" for part in parts] or [name]
    assert names(tensors) == expected
    together = torch.cat([layer.weight for layer in select_layers(tensors)[0]])
    assert torch.equal(together, tensors[name])


def test_gpt2_is_stored_input_first() -> None:
    """Conv1D of GPT-2: c_attn splits on columns, and its fellows are turned too."""
    tensors = one("h.0.attn.c_attn.weight", 8, 24)
    tensors |= one("h.0.attn.c_proj.weight", 8, 8) | one("h.0.mlp.c_fc.weight", 8, 32)
    layers, _ = select_layers(tensors)
    query, key, value, out, up = (layer.weight for layer in layers)
    q, k, v = tensors["h.0.attn.c_attn.weight"].split(8, dim=1)
    assert torch.equal(query, q.T)
    assert torch.equal(key, k.T)
    assert torch.equal(value, v.T)
    assert torch.equal(out, tensors["h.0.attn.c_proj.weight"].T)
    assert up.shape == (32, 8)


@pytest.mark.parametrize(
    ("cell", "gates"),
    [(nn.LSTM, "ifgo"), (nn.GRU, "rzn"), (nn.RNN, "")],
    ids=["LSTM", "GRU", "RNN"],
)
def test_recurrent_weights_split_by_gate(cell: type[nn.RNNBase], gates: str) -> None:
    tensors = cell(6, 4, num_layers=2, bidirectional=True).state_dict(prefix="enc.rnn.")
    suffixes = [f"[{gate}]" for gate in gates] or [""]
    stems = [
        f"enc.rnn.weight_{which}_l{depth}{way}"
        for depth in (0, 1)
        for way in ("", "_reverse")
        for which in ("ih", "hh")
    ]
    assert names(tensors) == [stem + suffix for stem in stems for suffix in suffixes]
    first = select_layers(tensors)[0][0].weight
    assert first.shape == (4, 6)
    assert torch.equal(first, tensors["enc.rnn.weight_ih_l0"][:4])


def test_recurrent_cells_and_projections() -> None:
    assert names(nn.LSTMCell(3, 5).state_dict())[:2] == ["weight_ih[i]", "weight_ih[f]"]
    projected = nn.LSTM(6, 8, proj_size=3).state_dict()
    layers = names(projected)
    assert layers[-1] == "weight_hr_l0"
    assert "weight_ih_l0[o]" in layers
    assert "weight_hh_l0[g]" in layers


def test_tied_tensors_count_once() -> None:
    shared = torch.randn(10, 4)
    tensors = {"wte.weight": shared, "fc.weight": torch.randn(4, 4), "lm_head.weight": shared}
    assert names(tensors) == ["fc.weight"]
    assert reasons(tensors)["lm_head.weight"] == "tied: the same entries as wte.weight"
    assert names({"a.weight": shared, "b.weight": shared[:5]}) == ["a.weight", "b.weight"]


def test_moving_averages_beside_weights_are_left_out() -> None:
    both = one("net.fc.weight", 3, 4) | one("model_ema.fc.weight", 3, 4)
    assert names(both) == ["net.fc.weight"]
    assert "moving average" in reasons(both)["model_ema.fc.weight"]
    assert names(one("ema.fc.weight", 3, 4)) == ["ema.fc.weight"]


@pytest.mark.parametrize(
    ("shape", "is_layer"),
    [
        ((1, 5), False),
        ((5, 1), False),
        ((2, 2), True),
        ((8, 1, 3, 3), True),
        ((1, 8, 3, 3), True),
        ((1, 1, 3, 3), False),
        ((8, 1, 1, 1), False),
        ((1, 8, 1), False),
    ],
)
def test_a_layer_has_an_unfolding_with_two_rows(shape: tuple[int, ...], is_layer: bool) -> None:
    tensors = one("m.weight", *shape)
    assert names(tensors) == ["m.weight"] * is_layer
    if not is_layer:
        assert reasons(tensors)["m.weight"] == "no unfolding has two rows or more"


def test_include_and_exclude() -> None:
    tensors = one("a.weight", 3, 4) | one("b.weight", 3, 4) | one("b.table", 3, 4)
    assert names(tensors, include=["b*"]) == ["b.weight", "b.table"]
    assert reasons(tensors, include=["b*"]) == {"a.weight": "matches no include pattern"}
    assert names(tensors, exclude=["b*"]) == ["a.weight"]
    assert reasons(tensors, exclude=["?.weight"])["a.weight"] == "excluded by the pattern ?.weight"
    assert names(tensors, include=["b*"], exclude=["*.table"]) == ["b.weight"]


def test_weight_normalization_is_put_together_against_torch() -> None:
    for dim in (0, 1, None):
        module = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 5, 2), dim=dim)
        (layer,) = select_layers(module.state_dict(prefix="c."))[0]
        assert layer.name == "c.weight"
        torch.testing.assert_close(layer.weight, module.weight.detach())


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
def test_old_weight_normalization_is_put_together_against_torch() -> None:
    module = nn.utils.weight_norm(nn.Linear(3, 5))
    (layer,) = select_layers(module.state_dict())[0]
    assert layer.name == "weight"
    torch.testing.assert_close(layer.weight, module.weight.detach())


def test_spectral_normalization_is_put_together_against_torch() -> None:
    for make in (parametrizations.spectral_norm, nn.utils.spectral_norm):
        module = make(nn.Conv2d(3, 5, 2))
        module.eval()
        with torch.no_grad():
            module(torch.zeros(1, 3, 2, 2))
        (layer,) = select_layers(module.state_dict(prefix="c."))[0]
        assert layer.name == "c.weight"
        torch.testing.assert_close(layer.weight, module.weight.detach())


def test_pruned_weights_are_masked() -> None:
    module = prune.l1_unstructured(nn.Linear(4, 5), "weight", amount=0.5)
    layers, left_out = select_layers(module.state_dict())
    assert torch.equal(layers[0].weight, module.weight.detach())
    assert [left.name for left in left_out] == ["bias"]


def test_parameters_are_counted_once_without_statistics() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 8))
    assert count_parameters(net.state_dict()) == sum(p.numel() for p in net.parameters())
    for make in (parametrizations.spectral_norm, nn.utils.spectral_norm):
        module = make(nn.Conv2d(3, 5, 2))
        assert count_parameters(module.state_dict()) == 65
    pruned = prune.l1_unstructured(nn.Linear(4, 5), "weight", amount=0.5)
    assert count_parameters(pruned.state_dict()) == 25
    shared = torch.randn(10, 4)
    assert count_parameters({"a": shared, "b": shared, "ids": torch.arange(9)}) == 40


@given(
    st.dictionaries(
        st.text("abcdeghikmopqrtuvw._01", max_size=24),
        st.lists(st.integers(0, 4), max_size=4),
        max_size=6,
    )
)
def test_every_tensor_is_a_layer_or_left_out(shapes: dict[str, list[int]]) -> None:
    """No name or shape fails, and nothing is lost."""
    tensors = OrderedDict((name, torch.zeros(shape)) for name, shape in shapes.items())
    layers, left_out = select_layers(tensors)
    seen = {layer.name.partition("[")[0] for layer in layers} | {left.name for left in left_out}
    assert seen == set(tensors)
    assert all(min(layer.weight.shape) >= 1 for layer in layers)
