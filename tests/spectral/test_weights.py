"""Whole weights: dead channels, null directions and every layer measure."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import spectral_cases as cases
import torch
from comparison import TOLERANCES, Tolerances, assert_evbmf, assert_layers
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference import Array
from torch import Tensor

from genpredict.spectral import LayerMeasures, LowRank, evbmf, measure_weights, unfoldings

QUICK = settings(max_examples=40, deadline=None, derandomize=True)
NO_TOLERANCES: Tolerances = {"dead_tolerance": 0.0, "null_tolerance": 0.0}
SHAPES = [
    (16, 8, 3, 3),
    (8, 16, 3, 3),
    (32, 3, 5, 5),
    (12, 1, 3, 3),  # depthwise
    (1, 12, 3, 3),
    (2, 2, 1, 1),
    (24, 24, 1, 1),
    (40, 6, 1, 1),  # out_channel has more rows than columns
    (10, 33),
    (33, 10),
    (2, 64),
    (14, 6, 5),  # 1-D convolution
    (6, 10, 2, 3, 2),  # 3-D convolution
]
shapes = st.one_of(
    st.sampled_from(SHAPES),
    st.tuples(st.integers(2, 24), st.integers(2, 24), st.integers(1, 3), st.integers(1, 3)),
)
seeds = st.integers(0, 2**20)


def families_weight(family: str, shape: tuple[int, ...], seed: int) -> Array:
    """Draw a weight whose out_channel unfolding is of a family of matrices."""
    L, M = sorted((shape[0], int(np.prod(shape[1:]))))
    matrix = cases.matrix_of(family, L, M, seed)
    return (matrix if shape[0] == L else matrix.T).reshape(shape)


@TOLERANCES
@QUICK
@given(data=st.lists(st.tuples(shapes, seeds), min_size=1, max_size=3))
def test_layers_against_reference(
    data: list[tuple[tuple[int, ...], int]], tolerances: Tolerances
) -> None:
    """Rank, noise variance, counts of what was set aside and every measure, all shapes mixed."""
    layers = [(str(i), cases.weight_of(shape, seed)) for i, (shape, seed) in enumerate(data)]
    assert_layers(layers, **tolerances)


@TOLERANCES
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape_against_reference(shape: tuple[int, ...], tolerances: Tolerances) -> None:
    """All unfoldings of each kind of layer, alone and through evbmf with its d."""
    weight = cases.weight_of(shape, seed=sum(shape))
    assert_layers([("w", weight)], **tolerances)
    for unfolding in unfoldings(shape):
        assert_evbmf(weight, unfolding, **tolerances)


@TOLERANCES
@pytest.mark.parametrize("family", cases.FAMILIES)
@pytest.mark.parametrize("shape", [(24, 6, 3, 3), (30, 100), (64, 8)], ids=str)
def test_every_family_against_reference(
    family: str, shape: tuple[int, ...], tolerances: Tolerances
) -> None:
    """Weights of every family of matrices, near-dead and rank-deficient ones among them."""
    layers = [(str(seed), families_weight(family, shape, seed)) for seed in range(4)]
    assert_layers(layers, **tolerances)


@pytest.mark.slow
@TOLERANCES
@pytest.mark.parametrize("family", cases.FAMILIES)
@pytest.mark.parametrize("shape", [(512, 512), (256, 64, 3, 3), (128, 512, 1, 1)], ids=str)
def test_large_layers_against_reference(
    family: str, shape: tuple[int, ...], tolerances: Tolerances
) -> None:
    """The same on layers of ordinary networks."""
    assert_layers([("w", families_weight(family, shape, 7))], **tolerances)


@pytest.mark.parametrize("channels", [9, 10])
@pytest.mark.parametrize("axis", [0, 1])
def test_dead_channels_at_the_threshold_against_reference(channels: int, axis: int) -> None:
    """Norms just below and above 0.03 of the median, for odd and even numbers of channels."""
    rng = np.random.default_rng(channels)
    weight = rng.standard_normal((channels, channels, 3, 3))
    weight = np.moveaxis(weight, axis, 0)
    norms = np.sqrt((weight**2).sum((1, 2, 3)))
    for channel, share in enumerate([0.0, 0.02, 0.0299, 0.0301]):
        weight[channel] *= share / norms[channel]
    others = np.arange(1, channels - 3)  # live channels of norms 1, 2, ...: known median
    weight[4:] *= (others / norms[4:])[:, None, None, None]
    live = [0.02, 0.0299, 0.0301, *map(float, others)]
    factor = float(np.median(live))
    weight[1:4] *= factor
    weight = np.ascontiguousarray(np.moveaxis(weight, 0, axis))
    (entry, _) = assert_layers([("w", weight)])
    expected = (3, 0) if axis == 0 else (0, 3)
    assert (entry.dead_output_channels, entry.dead_input_channels) == expected


def test_one_row_left_against_reference() -> None:
    """One live channel: 1 x k, rank 0 and noise variance lambda/M."""
    rng = np.random.default_rng(0)
    weight = 1e-9 * rng.standard_normal((8, 4, 3, 3))
    weight[3] = rng.standard_normal((4, 3, 3))
    weight[:3] = weight[4:] = 0
    (in_channel, out_channel) = assert_layers([("w", weight)])
    assert out_channel.low_rank.L == 1
    assert out_channel.dead_output_channels == 7
    expected = (weight**2).sum() / 36
    found = evbmf(torch.from_numpy(weight), "out_channel")
    assert float(found.noise_variance) == pytest.approx(expected)
    assert in_channel.low_rank.L == 4


def test_columns_cut_below_rows_against_reference() -> None:
    """Dead input channels can leave fewer columns than rows: the sides change places."""
    weight = np.random.default_rng(1).standard_normal((16, 6, 2, 2))
    weight[:, 3:] = 0
    (_, out_channel) = assert_layers([("w", weight)])
    assert (out_channel.low_rank.L, out_channel.low_rank.M) == (12, 16)


@TOLERANCES
def test_small_ranks_against_reference(tolerances: Tolerances) -> None:
    """All-zero weights, a single entry, rank 1, rank 2 of 3, the identity, beside ordinary ones."""
    rng = np.random.default_rng(2)
    single = np.zeros((5, 4, 3, 3))
    single[1, 2, 0, 1] = -3.0
    layers = [
        ("zero", np.zeros((5, 4, 3, 3))),
        ("zero matrix", np.zeros((4, 9))),
        ("single", single),
        ("rank 1 of 2", np.outer([1.0, 2.0], rng.standard_normal(9))),
        ("rank 2 of 3", rng.standard_normal((3, 2)) @ rng.standard_normal((2, 30))),
        ("identity", np.eye(6)),
        ("equal rows", np.kron(np.eye(4), np.ones((1, 5)))),
        ("ordinary", rng.standard_normal((5, 4, 3, 3))),
    ]
    entries = assert_layers(layers, **tolerances)
    zero = entries[0].measures("low_rank")
    assert (zero["stable_rank_p2"], zero["condition_number"], zero["quality_p2"]) == (0, 1, 0)


def all_of(found: LayerMeasures) -> list[Tensor]:
    """Every tensor of LayerMeasures."""
    return [*found.values(), found.finite]


def test_batched_layers_equal_looped_against_theory() -> None:
    """Fifty layers of mixed shapes give at once what they give one by one."""
    rng = np.random.default_rng(3)
    some = [SHAPES[i] for i in rng.integers(0, len(SHAPES), 50)]
    weights = [torch.from_numpy(cases.weight_of(s, i)) for i, s in enumerate(some)]
    together = measure_weights(weights)
    alone = [measure_weights([weight]) for weight in weights]
    for i, one in enumerate(alone):
        for a, b in zip(all_of(together), all_of(one), strict=True):
            torch.testing.assert_close(a[i], b[0], rtol=1e-11, atol=1e-13, equal_nan=True)


def test_batched_evbmf_equals_looped_against_theory() -> None:
    """Leading batch dimensions give what a loop gives."""
    weights = torch.stack(
        [torch.from_numpy(cases.weight_of((12, 6, 3, 3), seed)) for seed in range(12)]
    ).reshape(3, 4, 12, 6, 3, 3)
    for unfolding in ("in_channel", "out_channel"):
        together = evbmf(weights, unfolding, batch_dims=2)
        assert together.rank.shape == (3, 4)
        for i in range(3):
            for j in range(4):
                one = evbmf(weights[i, j], unfolding)
                for a, b in zip(together, one, strict=True):
                    torch.testing.assert_close(a[i, j], b, rtol=1e-11, atol=1e-14)


def assert_same(one: LowRank, other: LowRank, *, scale: float = 1.0, rtol: float = 1e-8) -> None:
    """Rank equal, noise variance times scale squared, d times scale."""
    assert int(one.rank) == int(other.rank)
    r = int(one.rank)
    expected = pytest.approx(scale**2 * float(one.noise_variance), rel=rtol)
    assert float(other.noise_variance) == expected
    torch.testing.assert_close(
        other.singular_values[:r], scale * one.singular_values[:r], rtol=rtol, atol=0
    )


@QUICK
@given(shape=shapes, seed=seeds, power=st.floats(-6, 6))
def test_scale_equivariance_against_theory(shape: tuple[int, ...], seed: int, power: float) -> None:
    """Scaling by c from 1e-6 to 1e6: s by c^2, d and norms by c, all else unchanged."""
    c = 10**power
    weight = torch.from_numpy(cases.weight_of(shape, seed))
    for unfolding in unfoldings(shape):
        assert_same(evbmf(weight, unfolding), evbmf(c * weight, unfolding), scale=c)
    one, other = measure_weights([weight]), measure_weights([c * weight])
    factors = {"noise_variance": c**2, "spectral_norm": c, "frobenius_norm": c}
    for name in (*one, "finite"):
        expected = factors.get(name, 1.0) * getattr(one, name)
        torch.testing.assert_close(
            getattr(other, name), expected, rtol=1e-8, atol=1e-12 * factors.get(name, 1.0),
            equal_nan=True, msg=lambda text, name=name: f"{name}: {text}",
        )  # fmt: skip


@QUICK
@given(shape=shapes, seed=seeds)
def test_channel_permutation_against_theory(shape: tuple[int, ...], seed: int) -> None:
    """Permuting output and input channels changes nothing."""
    rng = np.random.default_rng(seed)
    weight = cases.weight_of(shape, seed)
    mixed = weight[rng.permutation(shape[0])][:, rng.permutation(shape[1])]
    one, other = (measure_weights([torch.from_numpy(w)]) for w in (weight, mixed))
    for a, b in zip(all_of(one), all_of(other), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9, equal_nan=True)


@QUICK
@given(L=st.integers(2, 24), seed=seeds, family=st.sampled_from(cases.FAMILIES))
def test_rotated_rows_against_theory(L: int, seed: int, family: str) -> None:
    """With dead_tolerance=0, rotating the rows changes nothing."""
    rng = np.random.default_rng(seed)
    M = L * int(rng.integers(1, 9))
    matrix = cases.matrix_of(family, L, M, seed)
    rotation, _ = np.linalg.qr(rng.standard_normal((L, L)))
    sigma = reference.singular_values(matrix)
    on_the_threshold = np.abs(sigma / np.median(sigma) - reference.NULL_TOLERANCE) < 1e-6
    assume(not on_the_threshold.any())
    pair = [evbmf(torch.from_numpy(w), dead_tolerance=0.0) for w in (matrix, rotation @ matrix)]
    slow = reference.evbmf(matrix, "out_channel", dead_tolerance=0.0)
    if slow.lam.min() < 1e-9 * slow.lam.max():
        assert int(pair[0].rank) == int(pair[1].rank)  # tiny directions keep few digits
        return
    assert_same(*pair)


@QUICK
@given(shape=shapes, seed=seeds, outputs=st.integers(0, 5), inputs=st.integers(0, 5))
@TOLERANCES
def test_zero_channels_against_theory(
    shape: tuple[int, ...], seed: int, outputs: int, inputs: int, tolerances: Tolerances
) -> None:
    """Exactly zero channels added leave rank, noise variance and d unchanged."""
    weight = cases.weight_of(shape, seed)
    padding = [(0, outputs), (0, inputs), *[(0, 0)] * (len(shape) - 2)]
    padded = np.pad(weight, padding)
    for unfolding in unfoldings(shape):
        one = evbmf(torch.from_numpy(weight), unfolding, **tolerances)
        other = evbmf(torch.from_numpy(padded), unfolding, **tolerances)
        assert_same(one, other)
        assert not other.singular_values[int(other.rank) :].any()


@TOLERANCES
@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    L=st.integers(2, 64),
    power=st.floats(0, 6),
    family=st.sampled_from(cases.FAMILIES),
    seed=seeds,
)
def test_free_energy_against_reference(
    L: int, power: float, family: str, seed: int, tolerances: Tolerances
) -> None:
    """Of the free energy of what is left, no noise variance found by brute force is lower."""
    matrix = cases.matrix_of(family, L, round(L * 2**power), seed)
    found = evbmf(torch.from_numpy(matrix), **tolerances)
    slow = reference.evbmf(matrix, "out_channel", **tolerances)
    assume(slow.L >= 2)
    alpha = slow.L / slow.M
    xbar = reference.x_bar(alpha, reference.tau_bar(alpha))
    ours, best = (
        reference.free_energy(s, slow.lam, slow.M, xbar)
        for s in (float(found.noise_variance), slow.noise_variance)
    )
    assert ours <= best + 1e-9 * slow.L


def test_narrow_inputs_against_theory() -> None:
    """Half and single precision weights are measured as the float64 numbers they are."""
    weight = cases.weight_of((16, 8, 3, 3), 5)
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        narrow = torch.from_numpy(weight).to(dtype)
        found = measure_weights([narrow])
        wide = measure_weights([narrow.double()])
        for a, b in zip(all_of(found), all_of(wide), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
