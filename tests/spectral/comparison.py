"""Hold genpredict's numbers for weights against the oracle's entries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import reference
import torch
from reference import Array

from genpredict.schema import FACTORIZATIONS, POWERS, UNFOLDINGS
from genpredict.spectral import LayerMeasures, evbmf, measure_weights

TOLERANCES = pytest.mark.parametrize(
    "tolerances",
    [{}, {"dead_tolerance": 0.0, "null_tolerance": 0.0}],
    ids=["default", "zero"],
)
Tolerances = dict[str, float]


def numbers(
    found: LayerMeasures, layer: int, unfolding: str, factorization: str
) -> dict[str, float]:
    """Measures of one entry under the oracle's names."""
    at = (layer, UNFOLDINGS.index(unfolding), FACTORIZATIONS.index(factorization))
    values = {
        name: float(getattr(found, name)[at])
        for name in (
            "condition_number",
            "effective_rank",
            "spectral_entropy",
            "spectral_norm",
            "frobenius_norm",
        )
    }
    for index, p in enumerate(POWERS):
        for name in ("stable_rank", "quality"):
            values[f"{name}_p{p}"] = float(getattr(found, name)[(*at, index)])
    return values


def assert_entry(
    found: LayerMeasures,
    layer: int,
    slow: reference.Entry,
    *,
    rel: float = 1e-8,
) -> bool:
    """Compare everything known of one (layer, unfolding); False for two minima of one height."""
    where = f"{slow.layer} {slow.unfolding}"
    at = (layer, UNFOLDINGS.index(slow.unfolding))
    assert numbers(found, layer, slow.unfolding, "raw") == pytest.approx(
        slow.measures("raw"), rel=rel, abs=1e-9
    ), where
    assert int(found.dead_output_channels[layer]) == slow.dead_output_channels, where
    assert int(found.dead_input_channels[layer]) == slow.dead_input_channels, where
    low_rank = slow.low_rank
    assert int(found.null_directions[at]) == low_rank.null_directions, where
    s = float(found.noise_variance[at])
    if int(found.rank[at]) != low_rank.rank and ties(s, low_rank):
        return False
    assert int(found.rank[at]) == low_rank.rank, where
    scale = float(low_rank.lam[0]) / low_rank.M if low_rank.L else 0.0
    assert s == pytest.approx(low_rank.noise_variance, rel=rel, abs=1e-14 * scale), where
    expected = pytest.approx(slow.measures("low_rank"), rel=rel, abs=1e-9)
    assert numbers(found, layer, slow.unfolding, "low_rank") == expected, where
    return True


def ties(s: float, slow: reference.LowRank) -> bool:
    """Whether a noise variance has the free energy of the oracle's minimum, to rounding."""
    alpha = slow.L / slow.M
    xbar = reference.x_bar(alpha, reference.tau_bar(alpha))
    one, other = (
        reference.free_energy(v, slow.lam, slow.M, xbar) for v in (s, slow.noise_variance)
    )
    return abs(one - other) < 1e-11 * slow.L


def assert_layers(
    layers: Sequence[tuple[str, Array]],
    *,
    estimator: str = "global",
    rel: float = 1e-8,
    **tolerances: float,
) -> list[reference.Entry]:
    """Compare measure_weights with the oracle on a list of (name, weight)."""
    weights = [torch.from_numpy(weight) for _, weight in layers]
    found = measure_weights(weights, estimator=estimator, **tolerances)  # type: ignore[arg-type]
    entries = reference.score(layers, estimator=estimator, **tolerances)
    place = {name: index for index, (name, _) in enumerate(layers)}
    assert len(place) == len(layers)
    exist = {(place[entry.layer], UNFOLDINGS.index(entry.unfolding)) for entry in entries}
    for layer in range(len(layers)):
        for unfolding in range(len(UNFOLDINGS)):
            missing = bool(found.rank[layer, unfolding].isnan())
            assert missing == ((layer, unfolding) not in exist)
    for entry in entries:
        assert_entry(found, place[entry.layer], entry, rel=rel)
    return entries


def assert_evbmf(
    weight: Array, unfolding: str, *, rel: float = 1e-8, **options: object
) -> reference.LowRank:
    """Compare evbmf of one weight with the oracle: rank, noise variance and d."""
    found = evbmf(torch.from_numpy(weight), unfolding, **options)  # type: ignore[arg-type]
    slow = reference.evbmf(weight, unfolding, **options)  # type: ignore[arg-type]
    n = min(reference.unfold(weight, unfolding).shape)
    if int(found.rank) != slow.rank and ties(float(found.noise_variance), slow):
        return slow
    assert int(found.rank) == slow.rank
    assert found.singular_values.shape == (n,)
    scale = float(slow.lam[0]) / slow.M if slow.L else 0.0
    assert float(found.noise_variance) == pytest.approx(
        slow.noise_variance, rel=rel, abs=1e-14 * scale
    )
    expected = np.concatenate([slow.d, np.zeros(n - slow.rank)])
    atol = 1e-9 * float(slow.d[0]) if slow.rank else 0.0
    np.testing.assert_allclose(found.singular_values, expected, rtol=rel, atol=atol)
    return slow
