"""The script that trains the bundled zoo, and the zoo it left in data/digits-zoo."""

import importlib.util
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from genpredict import schema
from genpredict.networks import build_network

ROOT = Path(__file__).parents[2]
ZOO = ROOT / "data" / "digits-zoo"
KNOBS = [
    "learning_rate",
    "weight_decay",
    "label_noise",
    "num_train",
    "batch_size",
    "epoch",
]


@pytest.fixture(autouse=True)
def _one_thread():
    """Work as the script does: sums in one order, and fast for so small a network."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def script():
    """Import the script as a module; analysis/ is no package."""
    name = "train_digits_zoo"
    spec = importlib.util.spec_from_file_location(name, ROOT / "analysis" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]


@pytest.fixture(scope="module")
def manifest():
    return pd.read_csv(ZOO / "manifest.csv")


def _tiny(script):
    return replace(script.RUNS[2], num_train=40, epoch=1)


def test_a_run_leaves_weights_and_manifest(script, tmp_path):
    run = _tiny(script)
    script.train_zoo((run,), tmp_path)
    row = pd.read_csv(tmp_path / "manifest.csv").iloc[0]
    weights = load_file(tmp_path / row["path"])
    assert weights.keys() == build_network(row["network"]).state_dict().keys()
    assert row["path"] == f"{run.name}.safetensors"
    assert all(row[knob] == getattr(run, knob) for knob in KNOBS)
    assert (row["dataset"], row["optimizer"], row["momentum"]) == ("digits", "sgd", 0)


def test_columns_are_those_of_the_schema(script, tmp_path):
    """All but the path carry names that the schema knows."""
    script.train_zoo((_tiny(script),), tmp_path)
    columns = set(pd.read_csv(tmp_path / "manifest.csv").columns)
    known = set(schema.COORDINATES | schema.EXTRA_COORDINATES | schema.TARGETS)
    assert columns - known == {"path"}


def test_a_rerun_gives_the_same_bytes(script, tmp_path):
    run = _tiny(script)
    for folder in (tmp_path / "a", tmp_path / "b"):
        script.train_zoo((run,), folder)
    for name in (f"{run.name}.safetensors", "manifest.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_momentum_is_a_column_and_sgd_one_optimizer(script):
    run = replace(_tiny(script), optimizer="sgdm")
    split = script.load_split(run)
    row = script.manifest_row(run, script.train(run, split), split)
    assert (row["optimizer"], row["momentum"]) == ("sgd", 0.9)


def test_design_is_balanced_and_uncorrelated(script):
    table = pd.DataFrame(script.RUNS)
    assert set(Counter(table["optimizer"]).values()) == {4}
    assert (table["label_noise"] == 0).mean() == 0.5
    for knob in ("weight_decay", "num_train", "batch_size", "epoch"):
        assert len(set(Counter(table[knob]).values())) == 1
    correlations = table[KNOBS].corr("spearman").to_numpy() - torch.eye(len(KNOBS)).numpy()
    assert abs(correlations).max() < 0.05
    assert table["seed"].is_unique


def test_zoo_has_a_row_for_every_file_and_a_file_for_every_row(manifest, script):
    files = sorted(path.name for path in ZOO.glob("*.safetensors"))
    assert files == sorted(manifest["path"])
    assert list(manifest["path"]) == [f"{run.name}.safetensors" for run in script.RUNS]
    assert len(files) >= 24


def test_zoo_accuracies_are_what_its_weights_give(manifest, script):
    """Every network, measured again: accuracies to 1e-3 %, losses to 1e-4 nat."""
    for run, (_, row) in zip(script.RUNS, manifest.iterrows(), strict=True):
        network = build_network(row["network"])
        network.load_state_dict(load_file(ZOO / row["path"]))
        measured = script.manifest_row(run, network, script.load_split(run))
        for part in ("train", "test"):
            assert measured[f"{part}_accuracy"] == pytest.approx(row[f"{part}_accuracy"], abs=1e-3)
            assert measured[f"{part}_loss"] == pytest.approx(row[f"{part}_loss"], abs=1e-4)
        assert measured["num_parameters"] == row["num_parameters"]


def test_zoo_is_small_and_its_targets_spread(manifest):
    gap = manifest["train_accuracy"] - manifest["test_accuracy"]
    assert sum(path.stat().st_size for path in ZOO.iterdir()) < 4e6
    assert manifest["test_accuracy"].min() < 40
    assert manifest["test_accuracy"].max() > 99
    assert gap.min() < -5
    assert gap.max() > 50


def test_readme_gives_the_command_and_the_ranges(manifest, script, tmp_path):
    """README.md is what the script writes from the manifest, but for the version of torch."""
    script.write_readme(manifest, tmp_path)
    written, kept = [
        [
            line
            for line in (folder / "README.md").read_text("utf-8").splitlines()
            if "torch" not in line
        ]
        for folder in (tmp_path, ZOO)
    ]
    assert written == kept
    assert "python analysis/train_digits_zoo.py data/digits-zoo" in "\n".join(kept)
