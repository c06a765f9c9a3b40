"""Measures that look at a network's loss or outputs on labelled inputs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genpredict.network_measures import hessian
from genpredict.network_measures.distances import distances_from_initialization
from genpredict.network_measures.gradient_noise import gradient_signal_to_noise
from genpredict.network_measures.hessian import hessian_largest_eigenvalue, hessian_trace
from genpredict.network_measures.labelled_batches import BATCH, LabelledInputs, mean_loss
from genpredict.network_measures.margins import margin, output_margins
from genpredict.network_measures.sharpness import average_sharpness, worst_sharpness


def small_network(seed: int = 0) -> nn.Module:
    """Build a network of 67 parameters, in evaluation mode."""
    torch.manual_seed(seed)
    layers = [nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.BatchNorm1d(5, affine=False)]
    return nn.Sequential(*layers, nn.Linear(5, 3, bias=False)).double().eval()


def examples(count: int = 300) -> LabelledInputs:
    """Draw inputs of three classes, more than fit one batch."""
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    return LabelledInputs(inputs, torch.randint(3, (count,), generator=generator))


def dense_hessian(network: nn.Module, data: LabelledInputs) -> Tensor:
    """Differentiate twice, entry by entry."""
    names = [name for name, _ in network.named_parameters()]
    shapes = [p.shape for p in network.parameters()]
    flat = torch.cat([p.detach().flatten() for p in network.parameters()])

    def loss(vector: Tensor) -> Tensor:
        parts = vector.split([shape.numel() for shape in shapes])
        state = {n: p.view(s) for n, p, s in zip(names, parts, shapes, strict=True)}
        logits = torch.func.functional_call(network, state, (data.inputs,))
        return nn.functional.cross_entropy(logits, data.labels)

    hessian: Tensor = torch.autograd.functional.hessian(loss, flat)
    return hessian


def test_hessian_against_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace and largest eigenvalue equal the dense Hessian's; random vectors come near."""
    network, data = small_network(), examples()
    dense = dense_hessian(network, data)
    assert hessian_trace(network, data) == pytest.approx(float(dense.trace()), rel=1e-10)
    largest = float(torch.linalg.eigvalsh(dense)[-1])
    assert hessian_largest_eigenvalue(network, data) == pytest.approx(largest, rel=1e-4)
    monkeypatch.setattr(hessian, "EXACT", 0)
    estimate = hessian_trace(network, data, probes=60, seed=1)
    off_diagonal = dense - dense.diag().diag()
    deviation = math.sqrt(2 * float(off_diagonal.square().sum()) / 60)
    assert abs(estimate - float(dense.trace())) < 4 * deviation


def test_margins_against_loop() -> None:
    """The 10th percentile of what the right class has over the best other."""
    network, data = small_network(), examples()
    logits = network(data.inputs).detach().numpy()
    expected = [
        row[label] - max(row[other] for other in range(3) if other != label)
        for row, label in zip(logits, data.labels.tolist(), strict=True)
    ]
    np.testing.assert_allclose(output_margins(network, data), expected, rtol=1e-12)
    assert margin(network, data) == pytest.approx(np.percentile(expected, 10), rel=1e-12)


def test_cross_entropy_against_torch() -> None:
    """Batches add up to the mean over all inputs."""
    network, data = small_network(), examples(BATCH + 7)
    whole = nn.functional.cross_entropy(network(data.inputs), data.labels).detach()
    assert float(mean_loss(network, data)) == pytest.approx(float(whole), rel=1e-12)


def test_average_sharpness_against_loop() -> None:
    """The mean rise of the loss over draws, each weight moved in proportion to itself."""
    network, data = small_network(), examples()
    start = float(mean_loss(network, data))
    generator = torch.Generator().manual_seed(3)
    rises = []
    for _ in range(4):
        moved = small_network()
        with torch.no_grad():
            for parameter in moved.parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter += 0.3 * parameter.abs() * noise
        rises.append(float(mean_loss(moved, data)) - start)
    result = average_sharpness(network, data, radius=0.3, draws=4, seed=3)
    assert result == pytest.approx(np.mean(rises), rel=1e-9)


def test_worst_sharpness_against_linear_theory() -> None:
    """Of a loss that is nearly linear over the box it is ρ·Σ|w·g|; never less than random draws."""
    network, data = small_network(), examples()
    parameters = list(network.parameters())
    loss = nn.functional.cross_entropy(network(data.inputs), data.labels)
    gradient = torch.autograd.grad(loss, parameters)
    slope = sum(
        float((p * g).detach().abs().sum()) for p, g in zip(parameters, gradient, strict=True)
    )
    tiny = worst_sharpness(network, data, radius=1e-6)
    assert tiny == pytest.approx(1e-6 * slope, rel=1e-3)
    generator = torch.Generator().manual_seed(4)
    highest = 0.0
    for _ in range(50):
        corner = small_network()
        with torch.no_grad():
            for parameter in corner.parameters():
                signs = 2.0 * torch.randint(2, parameter.shape, generator=generator) - 1
                parameter += 0.2 * parameter.abs() * signs
        highest = max(highest, float(mean_loss(corner, data)))
    assert worst_sharpness(network, data, radius=0.2) > highest - float(loss.detach())


def test_gradient_noise_against_loop() -> None:
    """‖ḡ‖² over the trace of the sample covariance of batches' gradients."""
    network, data = small_network(), examples(290)
    rows = []
    for first in range(0, 250, 50):
        part = slice(first, first + 50)
        loss = nn.functional.cross_entropy(network(data.inputs[part]), data.labels[part])
        gradient = torch.autograd.grad(loss, list(network.parameters()))
        rows.append(torch.cat([g.flatten() for g in gradient]).numpy())
    expected = np.square(np.mean(rows, 0)).sum() / np.var(rows, 0, ddof=1).sum()
    assert gradient_signal_to_noise(network, data) == pytest.approx(expected, rel=1e-10)
    assert math.isnan(gradient_signal_to_noise(network, examples(60)))


def test_networks_are_left_as_they_were() -> None:
    """No measure changes a weight or leaves a gradient behind."""
    network, data = small_network(), examples(100)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    average_sharpness(network, data, draws=2)
    worst_sharpness(network, data, steps=3)
    hessian_trace(network, data)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_distances_against_loop() -> None:
    """√Σ‖W − W₀‖² over layers, by Frobenius and by spectral norms of flattened weights."""
    rng = np.random.default_rng(0)
    shapes = [(4, 3, 3, 3), (5, 4), (6, 1, 3, 3), (1, 5)]
    start = [rng.standard_normal(shape) for shape in shapes]
    end = [rng.standard_normal(shape) for shape in shapes]
    steps = [(b - a).reshape(len(a), -1) for a, b in zip(start, end, strict=True)]
    expected = (
        math.sqrt(sum(np.linalg.norm(step) ** 2 for step in steps)),
        math.sqrt(sum(np.linalg.norm(step, 2) ** 2 for step in steps)),
    )
    as_tensors = ([torch.from_numpy(w) for w in weights] for weights in (end, start))
    assert distances_from_initialization(*as_tensors) == pytest.approx(expected, rel=1e-10)
