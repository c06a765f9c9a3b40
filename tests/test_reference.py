"""The oracle itself: against the golden file, against theory, against scipy."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
import torch
from scipy.optimize import approx_fprime

SHARED = Path(__file__).parents[2] / "shared"
GOLDEN = SHARED / "golden" / "akamaster.json"
NETWORKS = ("resnet20-12fca82f.th", "resnet56-4bfd9763.th")
ESTIMATORS = ("global", "reference")
NAMES = {
    "s1": "stable_rank_p1",
    "s2": "stable_rank_p2",
    "kappa": "condition_number",
    "q1": "quality_p1",
    "q2": "quality_p2",
}


def layers_of(path: Path) -> list[tuple[str, np.ndarray]]:
    """Weights with two or more dimensions of a published checkpoint, in float64."""
    state = torch.load(path, weights_only=True, map_location="cpu")["state_dict"]
    return [
        (name.removeprefix("module."), value.double().numpy())
        for name, value in state.items()
        if value.ndim >= 2
    ]


@pytest.fixture(scope="module", params=[(net, est) for net in NETWORKS for est in ESTIMATORS])
def scored(request: pytest.FixtureRequest) -> tuple[dict[str, Any], list[reference.Entry]]:
    """The golden values of one network and estimator, and the oracle's entries."""
    if not GOLDEN.exists():
        pytest.skip(f"{GOLDEN} is absent")
    network, estimator = request.param
    golden = json.loads(GOLDEN.read_text())[network][estimator]
    layers = layers_of(SHARED / "data" / "checkpoints" / "akamaster" / network)
    return golden, reference.score(layers, estimator=estimator)


def test_entries_against_golden(scored: tuple[dict[str, Any], list[reference.Entry]]) -> None:
    """Layers, kinds, unfoldings, sides and ranks equal the golden file's exactly, in its order."""
    golden, entries = scored
    expected = [tuple(row[k] for k in ("layer", "kind", "unfolding", "n", "m", "rank"))
                for row in golden["rows"]]  # fmt: skip
    found = [(e.layer, e.kind, e.unfolding, e.n, e.m, e.low_rank.rank) for e in entries]
    assert found == expected


def test_measures_against_golden(scored: tuple[dict[str, Any], list[reference.Entry]]) -> None:
    """Noise variances and raw and low-rank measures equal the golden file's to 1e-10."""
    golden, entries = scored
    for row, entry in zip(golden["rows"], entries, strict=True):
        assert entry.low_rank.noise_variance == pytest.approx(row["sigma2"], rel=1e-10)
        for factorization in ("raw", "low_rank"):
            found = entry.measures(factorization)
            for short, name in NAMES.items():
                expected = pytest.approx(row[factorization][short], rel=1e-10, abs=1e-12)
                assert found[name] == expected, (entry.layer, entry.unfolding, name)


def test_network_quality_against_golden(
    scored: tuple[dict[str, Any], list[reference.Entry]],
) -> None:
    """Q of both factorizations and Q_adjusted equal the golden file's to 1e-11."""
    golden, entries = scored
    found = {}
    for p in (1, 2):
        for factorization in ("low_rank", "raw"):
            key = f"{factorization}_p{p}"
            found[key] = reference.network_quality(entries, factorization=factorization, p=p)
        found[f"adjusted_low_rank_p{p}"] = reference.network_quality(entries, p=p, rank_one="worst")
    assert found == pytest.approx(golden["Q"], rel=1e-11)


@pytest.mark.parametrize(("L", "M"), [(1, 512), (1, 64), (3, 10), (5, 5)])
def test_free_energy_is_continuous_at_breakpoints_against_theory(L: int, M: int) -> None:
    """At x = x_bar a signal and a noise term cost the same, which is what defines tau_bar."""
    alpha = L / M
    lam = np.full(L, M * reference.x_bar(alpha, reference.tau_bar(alpha)))
    as_noise = reference.free_energy_with(1.0, lam, M, 0)
    as_signal = reference.free_energy_with(1.0, lam, M, L)
    assert as_signal == pytest.approx(as_noise, rel=1e-13)


def test_tau_bar_against_theory() -> None:
    """tau_bar is 2.5129 at alpha = 1, where the usual approximation 2.5129 sqrt(alpha) is exact."""
    assert reference.tau_bar(1.0) == pytest.approx(2.5129, abs=1e-4)
    assert reference.tau_bar(0.25) != pytest.approx(2.5129 * 0.5, abs=1e-3)


@pytest.mark.parametrize("signals", [0, 3, 8])
def test_slope_against_scipy(signals: int) -> None:
    """dF/d log s equals scipy's finite difference of F."""
    lam = np.sort(np.random.default_rng(0).gamma(1.0, size=8))[::-1] + 0.2
    s = float(lam.min() / (20 * 12)) if signals else 0.05

    def energy(u: np.ndarray) -> float:
        return float(reference.free_energy_with(math.exp(u[0]), lam, 12, signals))

    numeric = approx_fprime(np.array([math.log(s)]), energy, 1e-7)[0]
    assert reference.free_energy_slope(s, lam, 12, signals) == pytest.approx(numeric, rel=1e-5)


def test_recovered_rank_against_theory() -> None:
    """A planted rank and noise variance, well above the threshold, are recovered."""
    rng = np.random.default_rng(1)
    signal = rng.standard_normal((40, 5)) @ rng.standard_normal((5, 100))
    weight = signal + 0.1 * rng.standard_normal((40, 100))
    found = reference.evbmf(weight, "out_channel")
    assert found.rank == 5
    assert found.noise_variance == pytest.approx(0.01, rel=0.1)


def test_measures_of_small_ranks_against_theory() -> None:
    """Ranks 0 and 1 take the limits of docs/design.md 3.4."""
    nothing = reference.measures(np.zeros(0), 4)
    assert (nothing["stable_rank_p2"], nothing["condition_number"]) == (0.0, 1.0)
    assert (nothing["quality_p2"], nothing["effective_rank"]) == (0.0, 0.0)
    one = reference.measures(np.array([3.0]), 4)
    assert (one["stable_rank_p1"], one["condition_number"]) == (0.25, 0.0)
    assert one["quality_p1"] == math.pi / 2
    assert one["effective_rank"] == 1.0


def test_all_zero_weight_against_theory() -> None:
    """Nothing left: rank 0, noise variance 0, quality 0, raw and low-rank."""
    for entry in reference.score([("w", np.zeros((4, 3, 3, 3)))]):
        assert (entry.low_rank.rank, entry.low_rank.noise_variance) == (0, 0.0)
        assert entry.rank("raw") == 0
        assert entry.measures("raw")["quality_p2"] == 0.0
        assert (entry.dead_output_channels, entry.dead_input_channels) == (4, 3)


def test_depthwise_has_one_unfolding_against_theory() -> None:
    """A depthwise convolution's in_channel unfolding has n = 1 and does not exist."""
    assert reference.unfoldings(np.ones((8, 1, 3, 3))) == ["out_channel"]
    assert reference.unfoldings(np.ones((1, 8))) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, math.sqrt((0 + (math.pi / 2) ** 2 + 1) / 3)),
        ({"empty": "skip"}, math.sqrt(((math.pi / 2) ** 2 + 1) / 2)),
        ({"rank_one": "skip"}, math.sqrt(1 / 2)),
        ({"rank_one": "worst"}, math.sqrt((math.atan(0.25) ** 2 + 1) / 3)),
        ({"aggregation": "mean"}, (math.pi / 2 + 1) / 3),
        ({"aggregation": "geometric_mean"}, 0.0),
        ({"aggregation": "geometric_mean", "empty": "skip"}, math.sqrt(math.pi / 2)),
    ],
)
def test_aggregation_against_theory(options: dict[str, str], expected: float) -> None:
    """The options of 3.5 on three entries of rank 0, 1 and 2, the last of quality 1."""
    ratio = 0.5  # second singular value chosen so that (1 + ratio^2)/n / (1 - ratio) = tan 1
    n = (1 + ratio**2) / (1 - ratio) / math.tan(1)
    spectra = [(np.zeros(0), 4.0), (np.ones(1), 4.0), (np.array([1, ratio]), n)]
    entries = [
        reference.Entry(
            layer="w",
            kind="conv",
            unfolding="out_channel",
            n=size,  # type: ignore[arg-type]
            m=4,
            sigma=np.ones(4),
            low_rank=reference.LowRank(4, 4, np.ones(4), 1.0, d, 0),
            dead_output_channels=0,
            dead_input_channels=0,
        )
        for d, size in spectra
    ]
    assert reference.network_quality(entries, **options) == pytest.approx(expected, rel=1e-12)


def test_oracle_is_independent_against_theory() -> None:
    """The oracle imports nothing of what it judges."""
    source = Path(reference.__file__).read_text()
    assert "import genpredict" not in source
    assert "from genpredict" not in source
