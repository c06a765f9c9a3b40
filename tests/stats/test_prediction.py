"""Predictions for groups that a model has not seen, and models kept in files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from sklearn.linear_model import RidgeCV
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import genpredict
from genpredict import (
    apply_predictor,
    cross_validate,
    fit_predictor,
    load_predictor,
    open_scores,
    save_predictor,
)
from genpredict.cli.app import run
from genpredict.errors import GenpredictError
from genpredict.stats.prediction import MODELS
from genpredict.stats.prediction.splits import splits

ROOT = Path(genpredict.__file__).parents[1]
SWEEP = ROOT / "data" / "results" / "digits-sweep.zarr"
ASKED: dict[str, Any] = {"features": ["good", "other"], "leave_out": "network"}


def scores_of(count: int = 60, **coords: Any) -> xr.Dataset:
    """Make six networks of ten settings; `good` tells the target, `other` does not."""
    rng = np.random.default_rng(0)
    good = rng.normal(size=count)
    made = {
        "checkpoint": [f"c{i}" for i in range(count)],
        "network": ("checkpoint", np.array([f"n{i % 6}" for i in range(count)], dtype=object)),
        "learning_rate": ("checkpoint", np.arange(count) // 6 / 10),
        "num_parameters": ("checkpoint", rng.integers(100, 1000, count)),
        "test_accuracy": ("checkpoint", 80 + 5 * good + rng.normal(size=count)),
    }
    variables = {"good": ("checkpoint", good), "other": ("checkpoint", rng.normal(size=count))}
    return xr.Dataset(variables, coords=made | coords)


def test_predictions_against_sklearn() -> None:
    """Each network by a pipeline fitted to the other five; R² and error by sklearn's metrics."""
    scores = scores_of()
    table = cross_validate(scores, "test_accuracy", **ASKED)
    x = np.stack([scores["good"].values, scores["other"].values], axis=1)
    y = scores["test_accuracy"].values
    expected = np.empty(60)
    for network in np.unique(scores["network"].values):
        held = scores["network"].values == network
        pipeline = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-3, 4, 15)))
        expected[held] = pipeline.fit(x[~held], y[~held]).predict(x[held])
    measures = table.sel(features="measures")
    np.testing.assert_allclose(measures["prediction"], expected, rtol=1e-9)
    assert float(measures["r2"]) == pytest.approx(r2_score(y, expected))
    assert float(measures["error"]) == pytest.approx(mean_absolute_error(y, expected))
    assert float(measures["r2_lower"]) < float(measures["r2"]) < float(measures["r2_upper"]) <= 1
    baselines = table.sel(features="baselines")
    assert float(baselines["r2"]) < 0.2 < float(measures["r2"])
    assert float(table["gain_lower"]) > 0
    assert float(table["gain_pvalue"]) < 0.05


@pytest.mark.parametrize("model", MODELS)
def test_every_model_predicts_and_is_kept(model: str, tmp_path: Path) -> None:
    """Better than the mean of all; a file gives the same predictions without running code."""
    scores = scores_of()
    table = cross_validate(scores, "test_accuracy", model=model, **ASKED)
    assert float(table["r2"].sel(features="measures")) > 0.5
    predictor = fit_predictor(scores, "test_accuracy", ["good", "other"], model)
    path = save_predictor(predictor, tmp_path / "model.skops")
    kept = load_predictor(path)
    assert replace(kept, pipeline=None) == replace(predictor, pipeline=None)
    predicted = apply_predictor(kept, scores)
    np.testing.assert_array_equal(
        predicted["prediction"], apply_predictor(predictor, scores)["prediction"]
    )
    assert predicted["outside"].max() == 0


def test_a_missing_feature_is_a_median() -> None:
    """A checkpoint without a value is predicted nevertheless; one without a target is not used."""
    scores = scores_of()
    scores["other"][3] = np.nan
    scores["test_accuracy"][5] = np.nan
    table = cross_validate(scores, "test_accuracy", **ASKED)
    assert table.sizes["checkpoint"] == 59
    assert np.isfinite(table["prediction"]).all()


def leaking(kind: str) -> tuple[xr.Dataset, str]:
    """Make designs in which a held-out group shares runs, settings or clusters with others."""
    count = 60
    setting = np.arange(count) % 12
    text = {
        "network": ("checkpoint", np.array([f"n{s % 3}" for s in setting], dtype=object)),
        "learning_rate": ("checkpoint", (setting // 3) / 10),
    }
    if kind == "epochs of a run":
        runs = np.array([f"r{s}" for s in setting], dtype=object)
        epochs = {"epoch": ("checkpoint", np.arange(count) // 12), "run": ("checkpoint", runs)}
        return scores_of(count, **text, **epochs), "epoch"
    if kind == "seeds of a setting":
        return scores_of(count, **text, seed=("checkpoint", np.arange(count) // 12)), "seed"
    fold = ("checkpoint", np.array([f"f{i % 5}" for i in range(count)], dtype=object))
    return scores_of(count, **text, fold=fold), "fold"


@pytest.mark.parametrize("kind", ["epochs of a run", "seeds of a setting", "random folds"])
def test_what_has_seen_a_group_is_not_trained_on(kind: str) -> None:
    """All others share a run or a setting with the group: there is no honest answer."""
    scores, leave_out = leaking(kind)
    with pytest.raises(GenpredictError, match="a model trained on those has seen it"):
        cross_validate(scores, "test_accuracy", ["good"], leave_out=leave_out)


def test_training_shares_no_run_cluster_or_setting() -> None:
    """Where some do and some do not, the rest is trained on, and nothing else is lost."""
    rng = np.random.default_rng(0)
    places = np.arange(120)
    texts = {
        "run": np.array([f"r{i // 2}" for i in places], dtype=object),
        "lab": np.array([f"l{i // 31}" for i in places], dtype=object),
        "optimizer": rng.choice(["a", "b", "c"], 120).astype(object),
    }
    scores = scores_of(120, **{name: ("checkpoint", text) for name, text in texts.items()})
    scores = scores.drop_vars(["network", "learning_rate"])
    scores = scores.assign_coords(batch_size=("checkpoint", rng.integers(0, 100, 120)))
    settings = list(zip(texts["optimizer"], scores["batch_size"].values, strict=True))
    for group, held, training in splits(scores, "lab", ["run"]):
        assert group == f"lab={texts['lab'][held][0]}"
        seen = {settings[i] for i in np.flatnonzero(held)}
        expected = [
            not held[i] and settings[i] not in seen and texts["run"][i] not in texts["run"][held]
            for i in places
        ]
        np.testing.assert_array_equal(training, expected)
        assert 0 < training.sum() < (~held).sum()


def test_sweep_and_zoo_are_judged_beside_the_baselines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """R², τ and error with intervals, by the command; what it keeps is applied by another."""
    model = tmp_path / "model.skops"
    assert run(["predict", "fit", str(SWEEP), "--leave-out", "optimizer", "-o", str(model)]) == 0
    printed = capsys.readouterr().out
    assert "test_accuracy, ridge, 10 groups by optimizer held out" in printed
    for word in ("measures", "baselines", "R²", "error of the baselines less that of the measures"):
        assert word in printed
    output = tmp_path / "predictions.csv"
    assert run(["predict", "apply", str(SWEEP), "--model", str(model), "-o", str(output)]) == 0
    assert len(output.read_text().splitlines()) == 91
    zoo, store = ROOT / "data" / "digits-zoo", tmp_path / "zoo.zarr"
    manifest = str(zoo / "manifest.csv")
    assert run(["score", str(zoo), "--manifest", manifest, "-o", str(store)]) == 0
    other = str(tmp_path / "zoo.skops")
    assert run(["predict", "fit", str(store), "--model", "gaussian_process", "-o", other]) == 0
    assert "groups by optimizer held out" in capsys.readouterr().out


def test_other_measures_or_definitions_are_refused(tmp_path: Path) -> None:
    """The message says which, and what to do."""
    scores = open_scores(SWEEP)
    predictor = fit_predictor(scores, "test_accuracy")
    for name, value in (("estimator", "reference"), ("definitions", 99), ("dead_tolerance", 0.5)):
        changed = scores.assign_attrs({name: value})
        with pytest.raises(GenpredictError, match=f"other definitions than the model's: .*{name}"):
            apply_predictor(predictor, changed)
    with pytest.raises(GenpredictError, match="these scores lack Q_raw_p1, a feature of the"):
        apply_predictor(predictor, scores.drop_vars("Q"))


def test_files_that_are_no_models(tmp_path: Path) -> None:
    """A text, nothing, another suffix, a type that no model has."""
    text = tmp_path / "text.skops"
    text.write_text("no model")
    with pytest.raises(GenpredictError, match="no model of `genpredict predict fit`"):
        load_predictor(text)
    with pytest.raises(GenpredictError, match="cannot read"):
        load_predictor(tmp_path / "gone.skops")
    predictor = fit_predictor(scores_of(), "test_accuracy", ["good"])
    with pytest.raises(GenpredictError, match=r"a model must end in \.skops"):
        save_predictor(predictor, tmp_path / "model.pkl")
    hostile = replace(predictor, pipeline=np.testing.assert_equal)
    path = save_predictor(hostile, tmp_path / "hostile.skops")
    with pytest.raises(GenpredictError, match="do not trust it"):
        load_predictor(path)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"model": "oracle"}, "model must be one of"),
        ({"features": ["test_accuracy"]}, "features: 'test_accuracy' is a result of training"),
        ({"features": ["Q7"]}, "features: no 'Q7' in these scores"),
        ({"leave_out": "lab"}, "leave_out: 'lab' is no coordinate along checkpoint"),
        ({"leave_out": []}, "leave_out: nothing gives 0 groups"),
    ],
)
def test_what_cross_validate_refuses(options: dict[str, Any], text: str) -> None:
    """The error names the parameter and the remedy."""
    with pytest.raises(GenpredictError, match=text):
        cross_validate(scores_of(), "test_accuracy", **ASKED | options)
