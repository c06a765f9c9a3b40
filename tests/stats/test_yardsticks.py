"""Yardsticks: published numbers of other programs, and loops over the printed formulas."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations, permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from genpredict import (
    conditional_mutual_information,
    granulated_kendall,
    robust_sign_error,
)
from genpredict.errors import GenpredictError
from genpredict.stats.yardsticks.sign_error import noise_weights

GOLDEN = Path(__file__).parents[3] / "shared" / "golden" / "yardsticks.json"
HYPERPARAMETERS = ["depth", "width", "lr"]


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    """Read numbers printed by other programs."""
    if not GOLDEN.exists():
        pytest.skip("the shared golden numbers are not here")
    loaded: dict[str, Any] = json.loads(GOLDEN.read_text())
    return loaded


def scores_from(columns: dict[str, Sequence[Any]], measures: Sequence[str]) -> xr.Dataset:
    """Make scores of columns: measures as variables, the rest as coordinates."""
    count = len(next(iter(columns.values())))
    arrays = {
        name: ("checkpoint", np.array(values, dtype=object if isinstance(values[0], str) else None))
        for name, values in columns.items()
    }
    coords = {name: array for name, array in arrays.items() if name not in measures}
    coords["checkpoint"] = [f"net{i}" for i in range(count)]
    return xr.Dataset({name: arrays[name] for name in measures}, coords=coords)


def rows_of(example: dict[str, Any]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in example["rows"]] for name in example["rows"][0]}


def test_granulated_against_golden(golden: dict[str, Any]) -> None:
    """τ, ψ of each hyperparameter and Ψ of the printed formula; K with all its conditions."""
    example = golden["granulated_kendall_psi"]["example_1_2x2x2_no_ties"]
    columns = rows_of(example)
    scores = scores_from(columns, ["measure"])
    table = granulated_kendall(scores, ["measure"], ["gap"], HYPERPARAMETERS).squeeze("target")
    table = table.sel(measure="measure")
    expected = example["paper_definition_tau_a"]
    assert float(table["tau"]) == pytest.approx(expected["tau"])
    assert float(table["Psi"]) == pytest.approx(expected["Psi"])
    for name, psi in expected["psi"].items():
        assert float(table["psi"].sel(hyperparameter=name)) == pytest.approx(psi)
    assert table["cells"].values.tolist() == [4, 4, 4]
    information = conditional_mutual_information(scores, ["measure"], ["gap"], HYPERPARAMETERS)
    information = information.sel(measure="measure", target="gap")
    by = example["mbe_eval_K_min_over_|S|<=2"]
    assert float(information["K"]) == pytest.approx(by["K"])
    for row in by["detail"]:
        cell = information.sel(conditioning=row["conditioning"])
        assert float(cell["normalized"]) == pytest.approx(row["normalized_cmi"])
        assert float(cell["information"]) == pytest.approx(row["conditional_mutual_information"])
        assert float(cell["entropy"]) == pytest.approx(row["target_conditional_entropy"])


def test_pgdl_against_golden(golden: dict[str, Any]) -> None:
    """The competition's program: every pair of hyperparameters, negatives, the gap itself."""
    example = golden["pgdl_conditional_mutual_information"]["example_1_2x2x2_no_ties"]
    columns = rows_of(example)
    gap = np.array(columns["train_acc"]) - np.array(columns["test_acc"])
    measure = np.array(columns["measure"])
    columns |= {"generalization_gap": gap.tolist(), "negated": (-measure).tolist()}
    columns |= {"exact": gap.tolist(), "wrong": (-gap).tolist(), "constant": [1.0] * len(gap)}
    names = ["measure", "negated", "exact", "wrong", "constant"]
    scores = scores_from(columns, names)
    asked: dict[str, Any] = {"hyperparameters": HYPERPARAMETERS, "form": "pgdl"}
    table = conditional_mutual_information(scores, names, ["generalization_gap"], **asked)
    table = table.squeeze("target")
    expected = {
        "measure": "score",
        "negated": "score_of_negated_measure",
        "exact": "score_of_measure=gap",
        "wrong": "score_of_measure=-gap",
        "constant": "score_of_constant",
    }
    for name, key in expected.items():
        assert float(table["K"].sel(measure=name)) == pytest.approx(example[key], abs=1e-9)
    for pair, numbers in example["pairs"].items():
        if pair in table["conditioning"].values:
            cell = table.sel(measure="measure", conditioning=pair)
            assert float(cell["information"]) == pytest.approx(
                numbers["mean_mi_bits"] * math.log(2)
            )
            assert float(cell["normalized"]) == pytest.approx(numbers["normalised"])


def test_sign_error_against_golden(golden: dict[str, Any]) -> None:
    """Mean, 90th percentile and maximum, with and without the filter, for both least sizes."""
    part = golden["robust_sign_error"]
    weights = part["hoeffding_weight_n10000_before_minus_half"]
    rises = np.array([float(rise) for rise in weights])
    expected = np.maximum(np.array(list(weights.values())) - 0.5, 0)
    np.testing.assert_allclose(noise_weights(rises, 10_000), expected, atol=1e-12)
    example = part["example_1_2x2_four_seeds"]
    columns = {key.replace("hp.", ""): values for key, values in rows_of(example).items()}
    columns["generalization_gap"] = [100 * gap for gap in columns.pop("gen.gap")]
    names = ["complexity.m1", "complexity.m2"]
    scores = scores_from(columns, names)
    for filtered, results in example["result"].items():
        for least, summary in results["summary_by_min_ess"].items():
            table = robust_sign_error(
                scores,
                names,
                ["generalization_gap"],
                ["lr", "model_depth"],
                least_effective=float(least),
                filter_noise=filtered == "filter_noise",
            ).squeeze("target")
            for name in names:
                cell = table.sel(measure=name)
                for key, variable in SUMMARY.items():
                    assert float(cell[variable]) == pytest.approx(summary[name][key])


SUMMARY = {"mean": "mean", "max": "maximum", "p90": "percentile_90"}


def random_grid(seed: int, *, ties: bool) -> xr.Dataset:
    """Make a grid with missing cells and repeated seeds; values that look alike are not equal."""
    rng = np.random.default_rng(seed)
    rows = [
        (a, b, c, seed)
        for a, b, c in product([1, 11, 111], [0.1, 0.01], ["1", "11"])
        for seed in range(int(rng.integers(0, 4)))
    ]
    a, b, c, seeds = (list(column) for column in zip(*rows, strict=True))
    draw = (
        (lambda: rng.integers(0, 4, len(rows)) / 50)
        if ties
        else (lambda: rng.normal(size=len(rows)) / 20)
    )
    columns = {"depth": a, "lr": b, "width": c, "seed": seeds, "good": draw(), "gap": draw()}
    return scores_from({k: list(v) for k, v in columns.items()}, ["good"])


def sign(value: float) -> int:
    return int(value > 0) - int(value < 0)


def tau_of(x: Sequence[float], y: Sequence[float]) -> float:
    pairs = list(permutations(range(len(x)), 2))
    return sum(sign(x[i] - x[j]) * sign(y[i] - y[j]) for i, j in pairs) / len(pairs)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_granulated_against_loops(seed: int, ties: bool) -> None:
    """Cell by cell, pair by pair."""
    scores = random_grid(seed, ties=ties)
    table = granulated_kendall(scores, ["good"], ["gap"], HYPERPARAMETERS).isel(measure=0, target=0)
    x, y = scores["good"].values, scores["gap"].values
    psi = []
    for name in HYPERPARAMETERS:
        others = [scores[other].values for other in HYPERPARAMETERS if other != name]
        cells: dict[Any, list[int]] = defaultdict(list)
        for i, key in enumerate(zip(*others, strict=True)):
            cells[key].append(i)
        taus = [tau_of(x[rows], y[rows]) for rows in cells.values() if len(rows) > 1]
        psi.append(np.mean(taus))
        assert int(table["cells"].sel(hyperparameter=name)) == len(taus)
        assert float(table["psi"].sel(hyperparameter=name)) == pytest.approx(psi[-1])
    assert float(table["Psi"]) == pytest.approx(np.mean(psi))
    assert float(table["tau"]) == pytest.approx(tau_of(x, y))


def entropy(counts: Sequence[int]) -> float:
    total = sum(counts)
    return -sum(c / total * math.log(c / total) for c in counts if c)


def by_loops(scores: xr.Dataset, chosen: Sequence[str]) -> tuple[float, float]:
    """Return information and entropy given the chosen hyperparameters, pair by pair."""
    x, y = scores["good"].values, scores["gap"].values
    cells: dict[Any, dict[tuple[int, int], int]] = defaultdict(lambda: defaultdict(int))
    for i, j in permutations(range(len(x)), 2):
        key = tuple((scores[h].values[i], scores[h].values[j]) for h in chosen)
        cells[key][sign(x[i] - x[j]), sign(y[i] - y[j])] += 1
    total = sum(sum(cell.values()) for cell in cells.values())
    information = of_target = 0.0
    for cell in cells.values():
        share = sum(cell.values()) / total
        sums = [
            [sum(n for pair, n in cell.items() if pair[k] == s) for s in (-1, 0, 1)] for k in (0, 1)
        ]
        information += share * (entropy(sums[0]) + entropy(sums[1]) - entropy(list(cell.values())))
        of_target += share * entropy(sums[1])
    return information, of_target


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_information_against_loops(seed: int, ties: bool) -> None:
    """Every set of at most two hyperparameters; a measure and its negative have one K."""
    scores = random_grid(seed, ties=ties)
    scores["bad"] = -scores["good"]
    table = conditional_mutual_information(scores, ["good", "bad"], ["gap"], HYPERPARAMETERS)
    table = table.isel(target=0)
    ratios = []
    for chosen in [c for size in (0, 1, 2) for c in combinations(HYPERPARAMETERS, size)]:
        information, of_target = by_loops(scores, chosen)
        cell = table.sel(measure="good", conditioning=",".join(chosen) or "none")
        assert float(cell["information"]) == pytest.approx(information, abs=1e-12)
        assert float(cell["entropy"]) == pytest.approx(of_target)
        ratios.append(information / of_target)
    assert float(table["K"].sel(measure="good")) == pytest.approx(min(ratios))
    np.testing.assert_allclose(table["K"].sel(measure="bad"), table["K"].sel(measure="good"))


@pytest.mark.parametrize("ties", [False, True])
def test_sign_error_against_loops(ties: bool) -> None:
    """Every directed pair of settings that differ in one hyperparameter, all seeds with all."""
    scores = random_grid(1, ties=ties)
    asked: dict[str, Any] = {"hyperparameters": HYPERPARAMETERS, "least_effective": 3}
    table = robust_sign_error(scores, ["good"], ["gap"], **asked).isel(measure=0, target=0)
    settings: dict[Any, list[int]] = defaultdict(list)
    for i, key in enumerate(zip(*(scores[h].values for h in HYPERPARAMETERS), strict=True)):
        settings[key].append(i)
    x, y, losses = scores["good"].values, scores["gap"].values, []
    for one, other in permutations(settings, 2):
        if sum(a != b for a, b in zip(one, other, strict=True)) != 1:
            continue
        pairs = list(product(settings[one], settings[other]))
        w = [
            max(0, max(0, 1 - 2 * math.exp(-5000 * (y[i] - y[j]) ** 2)) ** 2 - 0.5)
            for i, j in pairs
        ]
        if sum(w) ** 2 < 3 * sum(v * v for v in w) or not sum(w):
            continue
        wrong = [(1 - sign(x[i] - x[j]) * sign(y[i] - y[j])) / 2 for i, j in pairs]
        losses.append(sum(a * b for a, b in zip(w, wrong, strict=True)) / sum(w))
    assert int(table["environments"]) == len(losses) > 0
    assert float(table["mean"]) == pytest.approx(np.mean(losses))
    assert float(table["maximum"]) == pytest.approx(max(losses))
    assert float(table["percentile_90"]) == pytest.approx(np.percentile(losses, 90))


def test_hyperparameters_are_found_among_what_differs() -> None:
    """Settings known by name; what another one decides is no axis of its own."""
    scores = random_grid(2, ties=False)
    renamed = scores.rename(lr="learning_rate", width="optimizer", depth="network")
    renamed = renamed.assign_coords(
        schedule=(
            "checkpoint",
            np.array(["s" + v for v in renamed["optimizer"].values], dtype=object),
        )
    )
    table = granulated_kendall(renamed, ["good"], ["gap"])
    assert set(table["hyperparameter"].values) == {"network", "optimizer", "learning_rate"}


@pytest.mark.parametrize(
    ("hyperparameters", "text"),
    [
        (["good"], "hyperparameters: 'good' is measured, not set"),
        (["test_accuracy"], "hyperparameters: 'test_accuracy' is measured, not set"),
        (["dept"], "hyperparameters: 'dept' is no coordinate along checkpoint; there are"),
        (None, "hyperparameters: no setting of these networks differs"),
    ],
)
def test_what_yardsticks_refuse(hyperparameters: Any, text: str) -> None:
    """The error names the parameter and the remedy."""
    scores = random_grid(0, ties=False)
    scores = scores.assign_coords(test_accuracy=scores["gap"])
    for yardstick in (granulated_kendall, robust_sign_error, conditional_mutual_information):
        with pytest.raises(GenpredictError, match=text):
            yardstick(scores, ["good"], ["gap"], hyperparameters)


def test_options_that_are_refused() -> None:
    """An unknown form, one hyperparameter for pgdl, no samples."""
    scores = random_grid(0, ties=False)
    with pytest.raises(GenpredictError, match="form must be one of"):
        conditional_mutual_information(scores, ["good"], ["gap"], ["lr"], form="paper")  # type: ignore[arg-type]
    with pytest.raises(GenpredictError, match="form 'pgdl' takes two or more"):
        conditional_mutual_information(scores, ["good"], ["gap"], ["lr"], form="pgdl")
    with pytest.raises(GenpredictError, match="test_samples must be at least 1"):
        robust_sign_error(scores, ["good"], ["gap"], ["lr"], test_samples=0)
