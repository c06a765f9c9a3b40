"""Network measures: every option against the oracle, and by hand on tiny Datasets."""

from __future__ import annotations

import itertools
import math
from typing import Any, get_args

import numpy as np
import pytest
import reference
import torch
import xarray as xr
from torch import nn

from genpredict import schema
from genpredict.aggregation import Aggregation, Empty, RankOne, aggregate, aggregate_entries
from genpredict.network_columns import with_network_measures
from genpredict.scoring import score

HALF_PI = math.pi / 2
Layers = dict[str, torch.Tensor]


def low_rank(shape: tuple[int, ...], rank: int, noise: float, seed: int) -> torch.Tensor:
    """Make a weight whose out_channel unfolding is of a rank, with noise."""
    rng = torch.Generator().manual_seed(seed)
    columns = math.prod(shape[1:])
    left = torch.randn(shape[0], rank, generator=rng, dtype=torch.float64)
    right = torch.randn(rank, columns, generator=rng, dtype=torch.float64)
    added = noise * torch.randn(shape[0], columns, generator=rng, dtype=torch.float64)
    return (left @ right + added).reshape(shape)


def networks() -> dict[str, Layers]:
    """Make networks with entries of rank 0, 1 and more, with and without convolutions."""
    return {
        "both": {
            "a.weight": low_rank((12, 3, 3, 3), 3, 0.5, 0),
            "b.weight": low_rank((16, 12, 3, 3), 1, 0.2, 1),
            "c.weight": low_rank((16, 16, 1, 1), 0, 1.0, 2),
            "d.weight": low_rank((24, 16, 3, 3), 4, 0.5, 3),
            "zero.weight": torch.zeros(8, 8, 3, 3, dtype=torch.float64),
            "fc.weight": low_rank((10, 24), 2, 0.1, 4),
        },
        "linear": {
            "fc1.weight": low_rank((32, 64), 5, 0.3, 5),
            "fc2.weight": low_rank((10, 32), 1, 0.1, 6),
        },
    }


@pytest.fixture(scope="module")
def scored() -> tuple[xr.Dataset, dict[str, list[reference.Entry]]]:
    """Give networks as measured by genpredict, and by the oracle."""
    nets = networks()
    entries = {
        name: reference.score([(key, w.numpy()) for key, w in layers.items()])
        for name, layers in nets.items()
    }
    return score(nets), entries


OPTIONS = list(
    itertools.product(
        get_args(Aggregation),
        get_args(Empty),
        get_args(RankOne),
        (("conv",), ("conv", "linear")),
        (None, *schema.UNFOLDINGS),
    )
)


def test_the_networks_have_entries_of_every_rank(
    scored: tuple[xr.Dataset, dict[str, list[reference.Entry]]],
) -> None:
    """Else the comparisons below would say little."""
    ranks = {entry.low_rank.rank for entries in scored[1].values() for entry in entries}
    assert {0, 1} < ranks


@pytest.mark.parametrize(("aggregation", "empty", "rank_one", "kinds", "unfolding"), OPTIONS)
def test_every_choice_against_reference(
    scored: tuple[xr.Dataset, dict[str, list[reference.Entry]]],
    aggregation: Aggregation,
    empty: Empty,
    rank_one: RankOne,
    kinds: tuple[str, ...],
    unfolding: str | None,
) -> None:
    """All combinations of options, raw and low-rank, p of 1 and 2."""
    options: dict[str, Any] = {
        "aggregation": aggregation,
        "empty": empty,
        "rank_one": rank_one,
        "kinds": kinds,
        "unfolding": unfolding,
    }
    scores, networks_entries = scored
    found = aggregate(scores, **options)
    assert found.dims == ("checkpoint", "factorization", "p")
    for name, entries in networks_entries.items():
        for factorization, p in itertools.product(schema.FACTORIZATIONS, schema.POWERS):
            expected = reference.network_quality(
                entries, factorization=factorization, p=p, **options
            )
            value = float(found.sel(checkpoint=name, factorization=factorization, p=p))
            assert value == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)


def test_choices_are_in_the_attrs() -> None:
    """A number carries the choices that made it (docs/design.md 1)."""
    choices: dict[str, Any] = {
        "aggregation": "mean",
        "empty": "skip",
        "rank_one": "worst",
        "unfolding": "in_channel",
    }
    found = aggregate(tiny(("conv", 2, 0.5)), kinds=("conv", "linear"), **choices)
    assert found.attrs.items() >= choices.items()
    assert found.attrs["kinds"] == ["conv", "linear"]
    assert found.attrs["units"] == "rad"
    assert aggregate(tiny(("conv", 2, 0.5))).attrs["unfolding"] == "both"


def tiny(*layers: tuple[str, float, float], stable_rank: float = 0.3) -> xr.Dataset:
    """Make one network of layers (kind, rank, quality), both unfoldings alike.

    A rank of 2 or more tells nothing but that; NaN is no layer.
    """
    measures = {}
    for name, variable in schema.LAYER_MEASURES.items():
        inner = variable.dims[2:]
        values = {"rank": 1, "quality": 2}.get(name)
        numbers = [
            layer[values]
            if values
            else stable_rank
            if name == "stable_rank"
            else float(layer[1] > 0)
            for layer in layers
        ]
        shape = (1, len(layers), *[2] * len(inner))
        full = np.broadcast_to(np.reshape(numbers, (1, -1, *[1] * len(inner))), shape)
        measures[name] = (variable.dims, np.array(full, dtype=float))
    kinds = np.array([[kind for kind, _, _ in layers]], dtype=object)
    coords = {
        "checkpoint": ["net"],
        "unfolding": list(schema.UNFOLDINGS),
        "factorization": list(schema.FACTORIZATIONS),
        "p": list(schema.POWERS),
    }
    labels = {
        "layer_kind": (("checkpoint", "layer"), kinds),
        "layer_name": (("checkpoint", "layer"), kinds),
        "status": ("checkpoint", ["done"]),
    }
    return xr.Dataset({**measures, **labels}, coords=coords)


def low(scores: xr.Dataset, **options: Any) -> float:
    """Return the low-rank aggregate at p = 2."""
    return float(aggregate(scores, **options).sel(factorization="low_rank", p=2).item())


def test_root_mean_square_by_hand() -> None:
    """The paper's Eq. 5 on the qualities 0.3 and 0.4."""
    assert low(tiny(("conv", 2, 0.3), ("conv", 2, 0.4))) == pytest.approx(math.sqrt(0.125))


def test_mean_and_geometric_mean_by_hand() -> None:
    """Of the qualities 0.2 and 0.8; a zero makes the geometric mean zero."""
    net = tiny(("conv", 2, 0.2), ("conv", 2, 0.8))
    assert low(net, aggregation="mean") == pytest.approx(0.5)
    assert low(net, aggregation="geometric_mean") == pytest.approx(0.4)
    with_zero = tiny(("conv", 0, 0.0), ("conv", 2, 0.8))
    assert low(with_zero, aggregation="geometric_mean") == 0


def test_rank_zero_by_hand() -> None:
    """Counts as 0, or leaves norm and count."""
    net = tiny(("conv", 0, 0.0), ("conv", 2, 0.4))
    assert low(net) == pytest.approx(0.4 / math.sqrt(2))
    assert low(net, empty="skip") == pytest.approx(0.4)


def test_rank_one_by_hand() -> None:
    """Counts as π/2, as arctan(stable rank), or leaves norm and count."""
    net = tiny(("conv", 1, HALF_PI), ("conv", 2, 0.4))
    expected = {"limit": HALF_PI, "worst": math.atan(0.3)}
    for rank_one, quality in expected.items():
        root_mean_square = math.sqrt((quality**2 + 0.16) / 2)
        assert low(net, rank_one=rank_one) == pytest.approx(root_mean_square)
    assert low(net, rank_one="skip") == pytest.approx(0.4)


def test_rank_one_leaves_the_raw_spectrum_alone() -> None:
    """The choices on ranks are about each spectrum's own: a raw one has two values or none."""
    net = tiny(("conv", 1, HALF_PI), ("conv", 2, 0.4))
    for rank_one in get_args(RankOne):
        raw = aggregate(net, rank_one=rank_one).sel(factorization="raw", p=2)
        assert float(raw.item()) == pytest.approx(math.sqrt((HALF_PI**2 + 0.16) / 2))


def test_nothing_left_is_nan() -> None:
    """Not 0: a network of which no entry counts has no Q."""
    assert math.isnan(low(tiny(("conv", 0, 0.0)), empty="skip"))
    assert math.isnan(low(tiny(("conv", 1, HALF_PI)), rank_one="skip"))


@pytest.mark.parametrize("aggregation", get_args(Aggregation))
def test_no_entries_at_all_are_nan(aggregation: Aggregation) -> None:
    """Also of an array without any layer, and without a warning."""
    assert np.isnan(aggregate_entries(np.full((2, 3, 2), np.nan), aggregation=aggregation)).all()
    assert np.isnan(aggregate_entries(np.zeros((2, 0, 2)), aggregation=aggregation)).all()


def test_kinds_by_hand() -> None:
    """Convolutions alone; both kinds; all layers of a network without convolutions."""
    net = tiny(("conv", 2, 0.3), ("linear", 2, 0.4))
    assert low(net) == pytest.approx(0.3)
    assert low(net, kinds=("linear",)) == pytest.approx(0.4)
    assert low(net, kinds=("conv", "linear")) == pytest.approx(math.sqrt(0.125))
    assert low(tiny(("linear", 2, 0.3), ("linear", 2, 0.4))) == pytest.approx(math.sqrt(0.125))


def test_one_unfolding_by_hand() -> None:
    """The other one leaves norm and count."""
    net = tiny(("conv", 2, 0.3))
    net["quality"][{"unfolding": 0}] = 0.1
    assert low(net, unfolding="in_channel") == pytest.approx(0.1)
    assert low(net, unfolding="out_channel") == pytest.approx(0.3)
    assert low(net) == pytest.approx(math.sqrt(0.05))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"aggregation": "max"}, r"aggregation must be one of \('l2', .*\), got 'max'"),
        ({"empty": "drop"}, r"empty must be one of \('zero', 'skip'\), got 'drop'"),
        ({"rank_one": "best"}, r"rank_one must be one of \('limit', .*\), got 'best'"),
        ({"unfolding": "rows"}, r"unfolding must be one of \('in_channel', .*\), got 'rows'"),
    ],
)
def test_unknown_choices_are_refused(options: dict[str, str], text: str) -> None:
    """The error names the option, what there is, and the value."""
    with pytest.raises(ValueError, match=text):
        aggregate(tiny(("conv", 2, 0.3)), **options)  # type: ignore[arg-type]


def test_counts_beside_q_against_reference(
    scored: tuple[xr.Dataset, dict[str, list[reference.Entry]]],
) -> None:
    """Layers of any kind; ranks 0 and 1 among the entries that Q counts."""
    scores, networks_entries = scored
    for name, entries in networks_entries.items():
        counted = [e for e in entries if e.kind == "conv"] or entries
        ranks = [entry.low_rank.rank for entry in counted]
        one = scores.sel(checkpoint=name)
        assert one["num_layers"] == len(networks()[name])
        assert one["num_rank_zero"] == ranks.count(0)
        assert one["num_rank_one"] == ranks.count(1)


def test_network_measures_come_first_and_are_labelled_against_schema() -> None:
    """Q, then Q_adjusted and the counts, with long_name, units and the choices made."""
    found = with_network_measures(tiny(("conv", 1, HALF_PI), ("conv", 2, 0.4)))
    names = list(schema.NETWORK_MEASURES)
    assert list(found.data_vars)[: len(names)] == names
    for name, variable in schema.NETWORK_MEASURES.items():
        assert found[name].dims == variable.dims
        assert found[name].attrs.items() >= variable.attrs.items()
    assert found["Q"].attrs["rank_one"] == "limit"
    assert found["Q_adjusted"].attrs["rank_one"] == "worst"
    xr.testing.assert_equal(
        found["Q_adjusted"], aggregate(found, rank_one="worst").rename("Q_adjusted")
    )


def test_failed_checkpoints_are_nan() -> None:
    """In every network measure, counts included."""
    net = tiny(("conv", 2, 0.3)).assign(status=("checkpoint", ["failed"]))
    for name in schema.LAYER_MEASURES:
        net[name][:] = np.nan
    found = with_network_measures(net)
    for name in schema.NETWORK_MEASURES:
        assert found[name].isnull().all()


def test_generalization_gap_follows_from_the_accuracies() -> None:
    """Train minus test, in percentage points; a gap that is given stays; NaN where neither is."""
    net = xr.concat([tiny(("conv", 2, 0.3))] * 3, "checkpoint").assign_coords(
        checkpoint=["a", "b", "c"],
        train_accuracy=("checkpoint", [99.0, 98.0, np.nan]),
        test_accuracy=("checkpoint", [90.0, 91.0, 92.0]),
    )
    found = with_network_measures(net)["generalization_gap"]
    np.testing.assert_array_equal(found, [9, 7, np.nan])
    assert found.attrs == schema.TARGETS["generalization_gap"].attrs
    given = net.assign_coords(generalization_gap=("checkpoint", [np.nan, 5.0, 1.0]))
    np.testing.assert_array_equal(with_network_measures(given)["generalization_gap"], [9, 5, 1])
    assert "generalization_gap" not in with_network_measures(tiny(("conv", 2, 0.3))).variables


@pytest.mark.parametrize("kinds", ["conv", (), ("convolution",)])
def test_kinds_that_do_not_exist_are_refused(kinds: object) -> None:
    """A misspelt kind does not silently count all layers."""
    scores = score({"net": {"conv.weight": torch.randn(4, 4, 3, 3)}}, device="cpu")
    with pytest.raises(ValueError, match="kinds must be a sequence of some of"):
        aggregate(scores, kinds=kinds)  # type: ignore[arg-type]


def test_any_layer_measure_against_numpy() -> None:
    """Mean, sum and weights by parameters of measures of entries, of layers and of spectra."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.Conv2d(8, 16, 3), nn.Linear(16, 9)]
    scores = score({"net": nn.Sequential(*layers)}, measures="weightwatcher")
    sizes = np.array([8 * 27, 16 * 72])
    alpha = scores["ww_alpha"].values[0, :2]
    hill = scores["hill_alpha"].values[0, :2]
    both = np.repeat(sizes[:, None], 2, axis=1)
    stable = scores["stable_rank"].sel(factorization="raw", p=2).values[0, :2]
    weighted = {"aggregation": "mean", "weights": "parameters"}
    for measure, options, expected in (
        ("ww_alpha", {"aggregation": "mean"}, alpha.mean()),
        ("ww_alpha", {"aggregation": "sum"}, alpha.sum()),
        ("ww_alpha", weighted, np.average(alpha, weights=sizes)),
        ("hill_alpha", weighted, np.average(hill, weights=both)),
        ("hill_alpha", {"aggregation": "sum", "unfolding": "in_channel"}, hill[:, 0].sum()),
        ("stable_rank", {"aggregation": "geometric_mean"}, np.exp(np.log(stable).mean())),
    ):
        result = aggregate(scores, measure=measure, **options).isel(checkpoint=0)
        if "factorization" in result.dims:
            result = result.sel(factorization="raw", p=2)
        assert float(result) == pytest.approx(expected, rel=1e-12), (measure, options)
    everything = aggregate(scores, measure="ww_alpha", aggregation="sum", kinds=("conv", "linear"))
    assert everything.item() == pytest.approx(float(scores["ww_alpha"].sum()))
    assert everything.attrs["long_name"] == "sum of WeightWatcher's power-law exponent α"


@pytest.mark.parametrize("measure", ["alpha", "layer_name", "Q"])
def test_what_is_no_layer_measure_is_refused(measure: str) -> None:
    """A measure that the scores lack, a label, a network measure."""
    scores = score({"net": nn.Conv2d(3, 8, 3)})
    with pytest.raises(ValueError, match=f"a number of every layer here, got '{measure}'"):
        aggregate(scores, measure=measure)
