"""Measures that are added at run time: of spectra, of weights, of other measures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor, nn

import genpredict
from genpredict import registry, schema
from genpredict.errors import GenpredictError
from genpredict.registry import choose_measures, register_measure, register_network_measure
from genpredict.spectral import measure_weights


@pytest.fixture(autouse=True)
def _only_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a test registers."""
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(registry, "_registered_of_networks", {})


def network() -> nn.Module:
    """A small network with a depthwise layer, which has one unfolding less."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 8, 3), nn.Linear(8, 4)
    )


def register(name: str, function: str = "", **options: Any) -> None:
    """Register a function of this module."""
    text = f"{__name__}:{function or name}"
    register_measure(name, text, long_name=name.replace("_", " "), **options)


def score(*measures: str) -> Any:
    """Scores of the small network with these measures."""
    return genpredict.score({"net": network()}, measures=measures)


def nuclear_norm(singular_values: Tensor) -> Tensor:
    """Sum of singular values."""
    return singular_values.sum(-1)


def schatten_norm(singular_values: Tensor, p: int) -> Tensor:
    """One number a power."""
    return singular_values.pow(p).sum(-1).pow(1 / p)


def twice_quality(quality: Tensor) -> Tensor:
    """Made of a measure with powers."""
    return 2 * quality


def per_direction(nuclear_norm: Tensor, rank: Tensor) -> Tensor:
    """Made of a registered measure and the rank of the spectrum."""
    return nuclear_norm / rank.clamp_min(1)


def aspect(rows: Tensor, columns: Tensor, noise_variance: Tensor, unknown: int = 0) -> Tensor:
    """Of sides and of what the factorization gives; an argument of its own keeps its default."""
    return rows / columns + 0 * noise_variance


def mean_weight(weights: Tensor) -> Tensor:
    """Of weights, one number a layer."""
    return weights.flatten(1).mean(1)


def scaled_mean(mean_weight: Tensor, dead_input_channels: Tensor) -> Tensor:
    """Made of a measure of weights."""
    return 10 * mean_weight + dead_input_channels


def bias_norm(weights: Tensor, biases: Tensor) -> Tensor:
    """Of biases."""
    return biases.norm(dim=1)


def gradient_norm(weights: Tensor) -> Tensor:
    """Of weights, by automatic differentiation: the gradient of ‖W‖²/2 is W."""
    return _norm_of_gradient(weights)


def spectral_gradient_norm(singular_values: Tensor) -> Tensor:
    """The same of spectra."""
    return _norm_of_gradient(singular_values.flatten(0, 1)).unflatten(0, (-1, 2))


def _norm_of_gradient(values: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = values.clone().requires_grad_()
        (gradient,) = torch.autograd.grad((leaf * leaf).sum() / 2, leaf)
    return gradient.flatten(1).norm(dim=1)


def wants_too_much(singular_values: Tensor, flux: Tensor) -> Tensor:
    """Ask for what nobody knows."""
    return singular_values + flux


def wrong_shape(singular_values: Tensor) -> Tensor:
    """Return spectra for numbers."""
    return singular_values


class Both(NamedTuple):
    """Two numbers of one call."""

    total: Tensor
    count: Tensor


CALLS: list[int] = []


def both(singular_values: Tensor) -> Both:
    """Count the calls."""
    CALLS.append(len(singular_values))
    return Both(singular_values.sum(-1), (singular_values > 0).sum(-1))


def test_a_measure_of_spectra_has_a_number_an_entry_against_numpy() -> None:
    """Raw: the sum of singular values of each unfolding; NaN where there is no unfolding."""
    register("nuclear_norm", units="weight")
    scores = score("nuclear_norm")
    variable = scores["nuclear_norm"]
    assert variable.dims == ("checkpoint", "layer", "unfolding", "factorization")
    assert variable.attrs == {"long_name": "nuclear norm", "units": "weight"}
    assert scores.attrs["measures"] == [*schema.LAYER_MEASURES, "nuclear_norm"]
    assert (variable.notnull() == scores["quality"].isel(p=0).notnull()).all()
    weight = network()[2].weight.detach().double().numpy()
    expected = np.linalg.svd(weight.reshape(8, -1), compute_uv=False).sum()
    found = variable.sel(layer=2, unfolding="out_channel", factorization="raw").item()
    assert found == pytest.approx(expected, rel=1e-12)


def test_powers_sides_and_earlier_measures_against_numpy() -> None:
    """A function is called once a power where it takes one; earlier measures have their axes."""
    for name in ("schatten_norm", "twice_quality"):
        register(name, powers=True)
    for name in ("nuclear_norm", "per_direction"):
        register(name)
    register("aspect", spectra="raw")
    scores = score("schatten_norm", "twice_quality", "per_direction", "aspect")
    assert scores["schatten_norm"].dims[-1] == "p"
    np.testing.assert_allclose(scores["schatten_norm"].sel(p=1), scores["nuclear_norm"])
    np.testing.assert_allclose(scores["schatten_norm"].sel(p=2), scores["frobenius_norm"])
    np.testing.assert_array_equal(scores["twice_quality"], 2 * scores["quality"])
    low = {"factorization": "low_rank"}
    np.testing.assert_allclose(
        scores["per_direction"].sel(low),
        scores["nuclear_norm"].sel(low) / scores["rank"].clip(min=1),
    )
    assert scores["aspect"].dims == ("checkpoint", "layer", "unfolding")
    assert scores["aspect"].sel(layer=2, unfolding="in_channel").item() == pytest.approx(6 / 72)


def test_measures_of_weights_against_numpy() -> None:
    """One number a layer, and what is made of it."""
    for name in ("mean_weight", "scaled_mean"):
        register(name)
    scores = score("scaled_mean")
    assert scores["mean_weight"].dims == scores["scaled_mean"].dims == ("checkpoint", "layer")
    layers = [layer for layer in network() if hasattr(layer, "weight")]
    means = [layer.weight.detach().double().numpy().mean() for layer in layers]
    np.testing.assert_allclose(scores["mean_weight"].values[0], means, rtol=1e-9)
    np.testing.assert_allclose(
        scores["scaled_mean"], 10 * scores["mean_weight"] + scores["dead_input_channels"]
    )


def test_measures_of_biases_against_numpy() -> None:
    """NaN where a layer has no bias."""
    register("bias_norm")
    weights = [torch.ones(4, 3), torch.ones(4, 3)]
    found = measure_weights(weights, measures="bias_norm", biases=[None, torch.full((4,), 3.0)])
    np.testing.assert_array_equal(found["bias_norm"], [np.nan, 6.0])


def test_biases_of_a_scored_network_against_torch() -> None:
    """They are those of the modules."""
    register("bias_norm")
    layers = [layer for layer in network() if hasattr(layer, "bias")]
    expected = [float(layer.bias.detach().double().norm()) for layer in layers]
    np.testing.assert_allclose(score("bias_norm")["bias_norm"].values[0], expected, rtol=1e-6)


def test_rows_of_one_function_share_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes a field of the named tuple; the function is called once a slice."""
    rows = [
        schema.Measure(
            ("checkpoint", "layer", "unfolding"),
            field,
            name=f"{field}_of_both",
            function=f"{__name__}:both",
            output=field,
            group="pair",
        )
        for field in Both._fields
    ]
    monkeypatch.setattr(registry, "EXTRA_MEASURES", {row.name: row for row in rows})
    CALLS.clear()
    found = measure_weights([torch.eye(3)], measures=["pair"])
    assert CALLS == [1]
    assert float(found["total_of_both"][0, 1]) == float(found["count_of_both"][0, 1]) == 3


def test_measures_with_dimensions_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """They come with labels, in scores that hold such a measure and in no others."""
    axes = {"side": ("mean", "spread")}
    row = schema.Measure(
        ("checkpoint", "layer", "side"),
        "mean and spread",
        name="mean_and_spread",
        function=f"{__name__}:mean_and_spread",
        group="sides",
    )
    for module in ("genpredict.rows", "genpredict.spectral.calls"):
        monkeypatch.setattr(f"{module}.EXTRA_AXES", axes)
    monkeypatch.setitem(registry.EXTRA_MEASURES, row.name, row)
    monkeypatch.setattr("genpredict.rows.FIXED_SIZES", genpredict.rows.FIXED_SIZES | {"side": 2})
    scores = score("sides")
    assert scores["side"].values.tolist() == ["mean", "spread"]
    assert scores["mean_and_spread"].dims == ("checkpoint", "layer", "side")
    assert "side" not in score().coords


def mean_and_spread(weights: Tensor) -> Tensor:
    """Two numbers a layer."""
    flat = weights.flatten(1)
    return torch.stack([flat.mean(1), flat.std(1)], dim=-1)


def test_what_is_not_asked_for_is_not_there() -> None:
    """Registered measures come by name alone; a group names all of its own."""
    register("nuclear_norm", group="norms")
    register("mean_weight", group="norms")
    assert "nuclear_norm" not in score().variables
    names = [row.name for row in choose_measures(["norms"])]
    assert names[-2:] == ["nuclear_norm", "mean_weight"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: register("quality"), "taken by genpredict"),
        (lambda: register("no name"), "no identifier"),
        (lambda: register("epoch"), "taken"),
        (lambda: register_measure("m", "nowhere", long_name="m"), "module:function"),
        (lambda: register("nuclear_norm", group="default"), "'default' is of genpredict's own"),
        (lambda: score("unheard_of"), "there is no 'unheard_of'"),
    ],
)
def test_what_cannot_be_registered_or_asked_for(call: Any, message: str) -> None:
    """The error names the parameter, the value and the remedy."""
    with pytest.raises(GenpredictError, match=message):
        call()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("not_there", "cannot be imported"),
        ("wants_too_much", "wants an argument 'flux'"),
        ("wrong_shape", r"must return a tensor of shape"),
    ],
)
def test_functions_that_cannot_be_called(function: str, message: str) -> None:
    """The error names the measure and its function, when it is asked for."""
    register("mine", function)
    with pytest.raises(GenpredictError, match=message):
        score("mine")


def test_a_name_means_one_function() -> None:
    """Registered again by the same function it is described anew, by another it is refused."""
    register("nuclear_norm")
    register("nuclear_norm", units="weight")
    assert choose_measures("nuclear_norm")[-1].units == "weight"
    with pytest.raises(GenpredictError, match="registered already"):
        register("nuclear_norm", "mean_weight")


def test_a_measure_builds_on_earlier_ones_alone() -> None:
    """One that comes after it is named."""
    register("per_direction")
    register("nuclear_norm")
    with pytest.raises(GenpredictError, match="asks for nuclear_norm, which comes after it"):
        choose_measures("per_direction")


def names_of(rows: Sequence[schema.Measure]) -> list[str]:
    """Names of rows."""
    return [row.name for row in rows]


def test_every_group_of_the_table_can_be_called() -> None:
    """Each row's function is there and takes what it asks for."""
    table = registry.known_measures()
    groups = {row.group for row in table.values()}
    assert set(names_of(choose_measures(sorted(groups)))) == set(table)


def mean_rank(scores: xr.Dataset) -> xr.DataArray:
    """A network measure of layer measures."""
    return scores["rank"].mean(("layer", "unfolding"))


def no_measure(scores: xr.Dataset) -> float:
    """One number for all checkpoints is none."""
    return float(scores["rank"].mean())


def test_network_measures_are_stored_with_the_rows(tmp_path: Path) -> None:
    """Registered, asked for by name, in scores, in the store, and in its list."""
    text = f"{__name__}:mean_rank"
    register_network_measure("mean_rank", text, long_name="mean rank", group="ranks")
    scores = score("ranks")
    expected = scores["rank"].mean(("layer", "unfolding"))
    np.testing.assert_allclose(scores["mean_rank"], expected)
    assert scores["mean_rank"].attrs == {"long_name": "mean rank", "units": "1"}
    assert scores.attrs["network_measures"] == [*schema.NETWORK_MEASURES, "mean_rank"]
    assert scores.attrs["measures"] == list(schema.LAYER_MEASURES)
    genpredict.write_scores(scores, tmp_path / "s.zarr")
    stored = genpredict.open_scores(tmp_path / "s.zarr")
    np.testing.assert_array_equal(stored["mean_rank"], scores["mean_rank"])
    assert "mean_rank" not in stored.coords
    assert "mean_rank" not in score().variables


def test_a_network_measure_is_a_number_a_checkpoint() -> None:
    """Another result is named, with the function."""
    register_network_measure("no_measure", f"{__name__}:no_measure", long_name="none")
    with pytest.raises(GenpredictError, match="no_measure must return a DataArray over checkpoint"):
        score("no_measure")


@pytest.mark.usefixtures("threads")
def test_a_measure_may_ask_for_gradients() -> None:
    """Of weights and of spectra, of layers that want gradients themselves."""
    register("gradient_norm")
    register("spectral_gradient_norm")
    weights = [module.weight for module in network()]
    found = measure_weights(weights, measures=["gradient_norm", "spectral_gradient_norm"])
    frobenius = [float(weight.detach().double().norm()) for weight in weights]
    assert found["gradient_norm"].tolist() == pytest.approx(frobenius)
    assert found["spectral_gradient_norm"][:, 1, 0].tolist() == pytest.approx(frobenius)
    for values in found.values():
        assert not values.requires_grad
        assert not values.is_inference()
