"""What the paper's experiments need: validation, budgets, thinned evaluation, names, choices."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genpredict.cli import run as run_command
from genpredict.datasets import load_dataset
from genpredict.errors import GenpredictError
from genpredict.training import Run, Watcher, best_runs, complete, spell_out, sweep, train
from genpredict.training.evaluation import area_under_curve
from genpredict.training.history import join_epochs
from genpredict.training.optimizers.rmsgd import optimizer as rmsgd_module
from genpredict.training.run_folders import run_of

SMALL: dict[str, Any] = {"num_train": 60, "epochs": 4, "threads": 1, "batch_size": 30}


class Said(Watcher):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def noted(self, text: str) -> None:
        """Keep it."""
        self.texts.append(text)


def test_validation_images_are_held_out_of_training() -> None:
    """Of both kinds of sets: none is trained on, labels are true, the choice is everyone's."""
    whole = load_dataset("digits", limit=260)
    split = load_dataset("digits", limit=200, num_validation=60, label_noise=0.5, noise_seed=3)
    assert split.validation_images is not None
    assert (len(split.train_labels), len(split.validation_labels)) == (200, 60)
    both = torch.cat([split.train_images, split.validation_images]).flatten(1)
    images = whole.train_images.flatten(1).tolist()
    assert sorted(map(tuple, both.tolist())) == sorted(map(tuple, images))
    truth = {
        tuple(image): int(label) for image, label in zip(images, whole.train_labels, strict=True)
    }
    held = split.validation_images.flatten(1).tolist()
    assert [truth[tuple(image)] for image in held] == split.validation_labels.tolist()
    counts = torch.bincount(split.validation_labels, minlength=10)
    assert counts.max() - counts.min() <= 2
    with pytest.raises(GenpredictError, match=r"^num_validation: must be between 1 and "):
        load_dataset("digits", num_validation=1200)


def test_validation_accuracy_is_in_history_and_checkpoint(tmp_path: Path) -> None:
    """And summary; without validation images nowhere."""
    run = train(tmp_path, **SMALL, num_validation=50)
    assert np.isfinite(run.history["validation_accuracy"]).all()
    assert run.summary["validation_accuracy"] == run.history["validation_accuracy"][-1]
    assert "validation_accuracy" not in train(tmp_path, **SMALL).summary


def test_evaluations_as_often_as_asked(tmp_path: Path) -> None:
    """On all images, the last epoch and kept ones always; rates and measures every epoch."""
    watcher = Said()
    run = train(tmp_path, watcher=watcher, **SMALL | {"epochs": 5}, eval_every=3,
                checkpoint_epochs=(1,))  # fmt: skip
    evaluated = np.isfinite(run.history["test_accuracy"]).values
    assert evaluated.tolist() == [True, True, False, True, False, True]
    assert set(run.history["test_count"].values[evaluated]) == {597}
    assert np.isfinite(run.history["learning_rate"]).all()
    assert (run.history["rank"].notnull().any(["unfolding"])).all()
    assert watcher.texts == []


def test_rmsgd_layers_are_measured_once_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The history takes what the optimizer has measured, and holds what it would have itself."""
    counts = {"optimizer": 0, "loop": 0}
    from genpredict.training import loop

    measure = loop.measure_weights

    def counting(who: str) -> Any:
        def count(*given: Any, **options: Any) -> Any:
            counts[who] += 1
            return measure(*given, **options)

        return count

    monkeypatch.setattr(rmsgd_module, "measure_weights", counting("optimizer"))
    monkeypatch.setattr(loop, "measure_weights", counting("loop"))
    shared = train(tmp_path / "shared", **SMALL).history
    assert counts == {"optimizer": 4, "loop": 1}  # once before training
    apart = train(tmp_path / "apart", **SMALL, hyperparameters={"estimator": "reference"}).history
    assert counts == {"optimizer": 8, "loop": 6}
    assert shared["rank"].dims == apart["rank"].dims


def test_beta_goes_with_the_epochs() -> None:
    """As much of a rate is left at the end, whatever their number; the paper's at 250."""
    betas = {
        epochs: complete({"epochs": epochs, "hyperparameters": {"beta": "scaled"}}).hyperparameters
        for epochs in (40, 100, 250)
    }
    assert betas[250]["beta"] == 0.98
    assert round(float(betas[40]["beta"]), 3) == 0.881
    assert float(betas[100]["beta"]) ** 100 == pytest.approx(0.98**250)


def test_names_show_what_differs() -> None:
    """From the recipe, a few settings, then a digest; settings of today leave old digests alone."""
    run = complete({"optimizer": "sgd", "epochs": 7, "flip": True, "hyperparameters": {"lr": 0.05}})
    assert re.fullmatch(r"digits_cnn-digits-sgd-s0-lr0\.05-epochs7-flip-[0-9a-f]{6}", run.id)
    assert complete({"optimizer": "sgd", "seed": 3}).id == "digits_cnn-digits-sgd-s3-68517b"
    assert complete({"num_validation": 5}).digest != complete({}).digest


def test_a_run_of_an_older_name_is_found_again(tmp_path: Path) -> None:
    """Earlier versions left out what differs."""
    settings = complete({**SMALL, "optimizer": "sgd"})
    old = Run(tmp_path / f"{settings.stem}-{settings.digest}")
    old.begin(settings)
    assert run_of(settings, tmp_path) == old
    assert run_of(complete({**SMALL, "seed": 1}), tmp_path).path.name.startswith(
        "digits_cnn-digits-rmsgd-s1-"
    )


PLAN = {
    "settings": {"num_train": 60, "epochs": 2, "batch_size": 30},
    "grid": {"optimizer": ["rmsgd", "sgd"], "seed": [0, 1]},
}


def test_the_budget_is_the_time_of_sgd(tmp_path: Path) -> None:
    """SGD's runs go first, each of the others gets the seconds of its seed's; again is the same."""
    plan = {**PLAN, "settings": {**PLAN["settings"], "budget": "sgd"}}
    outcomes = sweep(plan, tmp_path, workers=1)
    assert [outcome.run.settings.optimizer for outcome in outcomes] == ["rmsgd"] * 2 + ["sgd"] * 2
    for rival, clock in zip(outcomes[:2], outcomes[2:], strict=True):
        assert rival.run.settings.budget_seconds == pytest.approx(
            max(clock.run.summary["seconds"], 0.01), abs=0.005
        )
        assert clock.run.settings.budget_seconds is None
    again = sweep(plan, tmp_path, workers=1)
    assert [one.run for one in again] == [one.run for one in outcomes]
    with pytest.raises(GenpredictError, match=r'"sgd" with the same .* add sgd to the optimizers'):
        sweep({**plan, "grid": {"optimizer": ["rmsgd"]}}, tmp_path)
    with pytest.raises(GenpredictError, match=r"^budget: 'sgd' is for sweeps"):
        train(tmp_path, budget="sgd")


def test_the_choice_is_on_validation_and_never_on_test(tmp_path: Path) -> None:
    """Test accuracies turned upside down change nothing."""
    plan = {
        "settings": {**PLAN["settings"], "num_validation": 50, "epochs": 6},
        "grid": {"optimizer": ["sgd"], "seed": [0, 1]},
        "hyperparameters": {"sgd": {"lr": [0.1, 1e-6]}},
    }
    runs = [outcome.run for outcome in sweep(plan, tmp_path, workers=1)]
    accuracies: dict[float, list[float]] = {0.1: [], 1e-6: []}
    for run in runs:
        lr = run.settings.hyperparameters["lr"]
        accuracies[float(lr)].append(run.summary["validation_accuracy"])
    means = {lr: np.mean(numbers) for lr, numbers in accuracies.items()}
    (choice,) = best_runs(runs)
    assert choice.hyperparameters == {"lr": max(means, key=lambda lr: means[lr])}
    assert choice.validation_accuracy == pytest.approx(max(means.values()))
    assert (choice.runs, choice.candidates) == (2, 2)
    for run in runs:
        path = run.path / "summary.json"
        text = path.read_text(encoding="utf-8")
        text = re.sub(r'"test_accuracy": .*,', '"test_accuracy": 0.0,', text)
        path.write_text(text, encoding="utf-8")
    assert best_runs(runs) == [choice]
    with pytest.raises(GenpredictError, match="has no validation images to choose by"):
        best_runs([train(tmp_path, **SMALL)])


def test_sweep_writes_the_choice_as_tables_for_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """TOML that a plan takes; a plan without validation images is refused before training."""
    plan = tmp_path / "plan.toml"
    text = "[settings]\nnum_train = 60\nepochs = 1\n{}[hyperparameters.rmsgd]\nbeta = [0.5, 0.9]\n"
    plan.write_text(text.format(""), encoding="utf-8")
    command = ["sweep", str(plan), "--workers", "1", "-o", str(tmp_path / "runs"), "--best"]
    assert run_command([*command, str(tmp_path / "best.toml")]) == 1
    assert "--best: chooses on validation images" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    plan.write_text(text.format("num_validation = 50\n"), encoding="utf-8")
    assert run_command([*command, str(tmp_path / "best.toml")]) == 0
    tables = tomllib.loads((tmp_path / "best.toml").read_text(encoding="utf-8"))
    (settings,) = spell_out(tables)
    assert settings.hyperparameters["beta"] in (0.5, 0.9)


def test_area_under_the_curve_against_sklearn() -> None:
    """With ties; labels that all have, or none, are left out."""
    from sklearn.metrics import roc_auc_score

    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 9, (80, 5), generator=generator).double()
    labels = (torch.rand(80, 5, generator=generator) < 0.3).float()
    assert area_under_curve(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    labels[:, 2] = 1.0
    kept = [0, 1, 3, 4]
    expected = roc_auc_score(labels[:, kept], scores[:, kept])
    assert area_under_curve(scores, labels) == pytest.approx(expected)
    assert np.isnan(area_under_curve(scores[:, :1], torch.ones(80, 1)))


def test_runs_of_earlier_versions_stay_readable(tmp_path: Path) -> None:
    """Settings and numbers that came later are missing in their files: defaults, and NaN."""
    run = train(tmp_path, **SMALL)
    added = ("clip_norm", "sequence_length", "stream", "eval_every", "num_validation")
    config = run.path / "config.toml"
    lines = config.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line.partition(" ")[0] not in added]
    assert len(kept) < len(lines)
    config.write_text("\n".join(kept), encoding="utf-8")
    assert run.settings == complete(SMALL)
    history = run.history
    earlier = history.isel(epoch=slice(0, 3)).drop_vars(["validation_accuracy", "test_auc"])
    joined = join_epochs(earlier, history.isel(epoch=[3, 4]))
    assert joined["epoch"].values.tolist() == [0, 1, 2, 3, 4]
    assert np.isnan(joined["validation_accuracy"][:3]).all()
    np.testing.assert_array_equal(joined["test_accuracy"], history["test_accuracy"])
