"""The optimizers of pytorch-optimizer, with our options, against their papers' equations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from tiny_training import tiny_batches, tiny_network, train_steps
from torch import nn

from genpredict.training.optimizers import build_optimizer
from genpredict.training.optimizers.peers import in_memory_order

B1, B2, DECAY = 0.9, 0.999, 5e-4
STEPS = 6
Array = np.ndarray[Any, np.dtype[np.float64]]


def adabelief(w: Array, gradients: list[Array]) -> Iterator[Array]:
    """Yield the weights of Zhuang et al., Algorithm 2, weight decay in the gradient."""
    m, s, eps = np.zeros_like(w), np.zeros_like(w), 1e-8
    for t, gradient in enumerate(gradients, start=1):
        g = gradient + DECAY * w
        m = B1 * m + (1 - B1) * g
        s = B2 * s + (1 - B2) * (g - m) ** 2 + eps
        w = w - 1e-3 * m / (1 - B1**t) / (np.sqrt(s / (1 - B2**t)) + eps)
        yield w


def adabound(w: Array, gradients: list[Array]) -> Iterator[Array]:
    """Yield the weights of Luo et al., with Adam's corrections as in their code."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, gradient in enumerate(gradients, start=1):
        g = gradient + DECAY * w
        m = B1 * m + (1 - B1) * g
        v = B2 * v + (1 - B2) * g**2
        rate = 0.01 * np.sqrt(1 - B2**t) / (1 - B1**t) / (np.sqrt(v) + 1e-8)
        low, high = 0.1 * (1 - 1 / (1e-3 * t + 1)), 0.1 * (1 + 1 / (1e-3 * t))
        w = w - np.clip(rate, low, high) * m
        yield w


def projected(w: Array, g: Array, p: Array) -> tuple[Array, float]:
    """Take the radial part out of an update (Heo et al., Eq. 11), by channels or by the layer."""
    for rows in (w.reshape(len(w), -1), w.reshape(1, -1)):
        gradient, update = g.reshape(rows.shape), p.reshape(rows.shape)
        norms = np.linalg.norm(rows, axis=1)
        cosine = np.abs((rows * gradient).sum(1)) / norms / np.linalg.norm(gradient, axis=1)
        if cosine.max() < 0.1 / np.sqrt(rows.shape[1]):
            unit = rows / norms[:, None]
            return (update - unit * (unit * update).sum(1, keepdims=True)).reshape(w.shape), 0.1
    return p, 1.0


def adamp(w: Array, gradients: list[Array]) -> Iterator[Array]:
    """Yield the weights of Heo et al., Algorithm 3."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, start=1):
        m = B1 * m + (1 - B1) * g
        v = B2 * v + (1 - B2) * g**2
        p = m / (1 - B1**t) / (np.sqrt(v / (1 - B2**t)))
        q, ratio = projected(w, g, p)
        w = w * (1 - 0.01 * DECAY * ratio) - 0.01 * q
        yield w


def sgdp(w: Array, gradients: list[Array]) -> Iterator[Array]:
    """Yield the weights of Heo et al., Algorithm 2; decay divided by 1 − α as in their code."""
    v = np.zeros_like(w)
    for g in gradients:
        v = 0.9 * v + g
        q, ratio = projected(w, g, v)
        w = w * (1 - 0.1 * DECAY * ratio / (1 - 0.9)) - 0.1 * q
        yield w


def weights_after(name: str, start: torch.Tensor, gradients: list[torch.Tensor]) -> Iterator[Array]:
    """Yield the weights of one parameter whose gradients are given."""
    layer = nn.ParameterList([nn.Parameter(start.clone(memory_format=torch.preserve_format))])
    optimizer = build_optimizer(name, layer)
    for gradient in gradients:

        def closure(backward: bool = True, gradient: torch.Tensor = gradient) -> torch.Tensor:
            layer[0].grad = gradient.clone()
            return torch.zeros(())

        optimizer.step(closure)
        yield layer[0].detach().numpy().copy()


@pytest.mark.parametrize("oracle", [adabelief, adabound, adamp, sgdp])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("radial", [0.0, 1.0])
def test_weights_against_equations(
    oracle: Callable[..., Iterator[Array]], layout: torch.memory_format, radial: float
) -> None:
    """Six steps in float64, in both layouts; gradients with and without a radial part."""
    generator = torch.Generator().manual_seed(5)
    options: dict[str, Any] = {"generator": generator, "dtype": torch.float64}
    start = torch.randn(5, 4, 3, 3, **options).contiguous(memory_format=layout)
    gradients = [torch.randn(5, 4, 3, 3, **options) for _ in range(STEPS)]
    axes = (1, 2, 3)
    across = (start * start).sum(axes, keepdim=True)
    gradients = [
        g - (g * start).sum(axes, keepdim=True) / across * start + radial * start for g in gradients
    ]
    expected = oracle(start.numpy(), [g.numpy() for g in gradients])
    for mine, theirs in zip(
        weights_after(oracle.__name__, start, gradients), expected, strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["adamp", "sgdp"])
def test_channels_last_trains_as_the_usual_layout_does(name: str) -> None:
    """The package flattens by view, which fails there; ours gives the same weights."""
    layouts = torch.channels_last, torch.contiguous_format
    networks = [tiny_network(dropout=0.0, layout=layout).double() for layout in layouts]
    batches = [(images.double(), labels) for images, labels in tiny_batches(8)]
    for network in networks:
        train_steps(network, build_optimizer(name, network), batches)
    assert not networks[0][4].weight.is_contiguous()
    for last, first in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        torch.testing.assert_close(last, first)


def test_memory_order_returns_views() -> None:
    """Changes in place reach the tensors given; gradients laid out otherwise are copied."""
    weight = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    gradient, scalar = torch.randn(4, 3, 2, 2), torch.zeros(())
    (w, s), (g, _), (m, _) = in_memory_order([weight, scalar], [gradient, scalar], [weight, scalar])
    assert w.is_contiguous()
    assert w.data_ptr() == weight.data_ptr() == m.data_ptr()
    assert s is not None
    assert torch.equal(g, gradient.permute(0, 2, 3, 1))
    assert g.is_contiguous()


def test_adabound_takes_up_the_bounds_of_its_state() -> None:
    """They follow lr over the first lr, also in an optimizer that was built with another."""
    first = build_optimizer("adabound", tiny_network(), lr=0.01)
    second = build_optimizer("adabound", tiny_network(), lr=0.5)
    second.load_state_dict(first.state_dict())
    assert second.base_lrs == [0.01]  # type: ignore[attr-defined]
