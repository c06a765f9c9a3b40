from __future__ import annotations

import bz2
import contextlib
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hostile_objects import hostile_objects, legacy_bytes, with_storage, write_pbz2
from nats_archives import (
    CLASSES,
    make_archive,
    size_architecture,
    write_size_space_archive,
    write_topology_space_archive,
)
from nats_bench.api_utils import ArchResults, pickle_save

from genpredict.checkpoints import Checkpoint, open_checkpoints
from genpredict.errors import CheckpointError, GenpredictError
from genpredict.layers import count_parameters, select_layers

TOPOLOGY = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|"
DATASETS = tuple(CLASSES)
TEST = {"cifar10": "ori-test", "cifar10-valid": "ori-test"}

pytestmark = pytest.mark.filterwarnings("ignore:TypedStorage is deprecated:UserWarning")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def check_row(checkpoint: Checkpoint, written: ArchResults, space: str, epoch: int) -> None:
    """Compare a checkpoint with nats_bench's own answers about what was written."""
    data = checkpoint.metadata
    dataset, seed = str(data["dataset"]), int(data["seed"])
    result = written.query(dataset, seed)
    assert checkpoint.id == f"NATS-{space}/{written.arch_index:06d}/{dataset}/{epoch}/{seed}"
    assert data["network"] == written.arch_str
    assert data["architecture_index"] == written.arch_index
    assert data["search_space"] == space
    assert data["epoch"] == epoch
    train, test = result.get_train(), result.get_eval(TEST.get(dataset, "x-test"))
    assert (data["train_accuracy"], data["train_loss"]) == (train["accuracy"], train["loss"])
    assert (data["test_accuracy"], data["test_loss"]) == (test["accuracy"], test["loss"])
    if dataset == "cifar10":
        assert "validation_accuracy" not in data
        assert "validation_loss" not in data
    else:
        valid = result.get_eval("valid")
        assert data["validation_accuracy"] == valid["accuracy"]
        assert data["validation_loss"] == valid["loss"]
    assert data["flops"] == result.flop
    assert data["num_parameters"] == round(result.params * 1e6)
    tensors, weights = checkpoint.tensors(), result.get_net_param()
    assert list(tensors) == list(weights)
    assert all(torch.equal(tensors[name], weights[name]) for name in weights)
    assert all(tensors[name].dtype == weights[name].dtype for name in weights)
    assert count_parameters(tensors) == data["num_parameters"]


@pytest.mark.parametrize("space", ["sss", "tss"])
def test_what_nats_bench_writes_is_read_back(
    tmp_path: Path, rng: np.random.Generator, space: str
) -> None:
    """Both spaces, several budgets, all data sets and seeds, against nats_bench's own classes."""
    options: dict[str, Any] = {"datasets": DATASETS, "seeds": (888, 777), "rng": rng}
    if space == "sss":
        written = write_size_space_archive(tmp_path, 4619, epochs=(1, 12, 90), **options)
        assert written["12"].arch_str == "16:16:8:16:32"
    else:
        written = write_topology_space_archive(
            tmp_path, 15, TOPOLOGY, epochs=(12, 200), num_cells=1, **options
        )
    checkpoints = list(open_checkpoints(tmp_path))
    budgets = [budget for budget in written if budget != "01"]
    assert len(checkpoints) == len(budgets) * 4 * 2
    assert len({checkpoint.id for checkpoint in checkpoints}) == len(checkpoints)
    for checkpoint in checkpoints:
        epoch = int(checkpoint.metadata["epoch"])
        check_row(checkpoint, written[f"{epoch:02d}"], space, epoch)
    order = [(c.metadata["epoch"], c.metadata["dataset"], c.metadata["seed"]) for c in checkpoints]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"nats_epochs": 12}, 6),
        ({"nats_epochs": [12, 90]}, 12),
        ({"nats_datasets": "cifar100"}, 4),
        ({"nats_epochs": (90,), "nats_datasets": ("cifar10", "cifar100")}, 4),
        ({"nats_epochs": 200}, 0),
        ({"nats_epochs": 1}, 0),
    ],
)
def test_epochs_and_datasets_select_rows(
    tmp_path: Path, rng: np.random.Generator, options: dict[str, Any], count: int
) -> None:
    """Budgets that an archive has not are no error; the one-epoch runs come without weights."""
    write_size_space_archive(
        tmp_path, 3, epochs=(1, 12, 90), datasets=DATASETS[:3], seeds=(1, 2), rng=rng
    )
    checkpoints = list(open_checkpoints(tmp_path, **options))
    assert len(checkpoints) == count


def test_indices_select_archives(tmp_path: Path, rng: np.random.Generator) -> None:
    for index in (0, 7, 11):
        write_size_space_archive(tmp_path, index, rng=rng)
    for indices, expected in {
        "0:10": [0, 7],
        "7,11": [7, 11],
        "11": [11],
        "0:20:11": [0, 11],
    }.items():
        items = open_checkpoints(tmp_path, indices=indices).items
        assert [item.id for item in items] == [f"NATS-sss/{index:06d}" for index in expected]
    with pytest.raises(GenpredictError, match="no NATS-Bench archive with such an index"):
        open_checkpoints(tmp_path, indices=5)


def test_unknown_selections_name_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(GenpredictError, match=r"nats_epochs: 13 is no .* take of 1, 12, 90, 200"):
        open_checkpoints(tmp_path, nats_epochs=[12, 13])
    with pytest.raises(GenpredictError, match=r"nats_datasets: 'mnist' .* cifar10, cifar10-valid"):
        open_checkpoints(tmp_path, nats_datasets="mnist")


def test_a_folder_is_recognized_by_what_it_holds(tmp_path: Path, rng: np.random.Generator) -> None:
    """Meta file or none, any folder name, unpadded numbers, in natural order; one file alone."""
    folder = tmp_path / "NATS-tss-anything"
    folder.mkdir()
    for index in (100, 9):
        write_size_space_archive(folder, index, rng=rng)
    (folder / "000009.pickle.pbz2").rename(folder / "9.pickle.pbz2")
    pickle_save({"meta_archs": [], "arch2infos": None}, str(folder / "meta.pickle"))
    ids = ["NATS-sss/000009", "NATS-sss/000100"]
    assert [item.id for item in open_checkpoints(tmp_path).items] == ids
    (lone,) = open_checkpoints(folder / "9.pickle.pbz2").items
    assert (lone.id, lone.rows_known, lone.size) == (
        ids[0],
        False,
        (folder / "9.pickle.pbz2").stat().st_size,
    )


def test_two_folders_of_archives_keep_apart(tmp_path: Path, rng: np.random.Generator) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_size_space_archive(tmp_path / name, 5, rng=rng)
    expected = ["a/NATS-sss/000005", "b/NATS-sss/000005"]
    assert [item.id for item in open_checkpoints(tmp_path).items] == expected
    assert [
        item.id for item in open_checkpoints([tmp_path / "a", tmp_path / "b"]).items
    ] == expected
    assert next(c.id for c in open_checkpoints(tmp_path)) == f"{expected[0]}/cifar10/12/777"


def test_the_single_file_of_a_space(tmp_path: Path, rng: np.random.Generator) -> None:
    infos = OrderedDict()
    written = {}
    for index in (8, 3):
        config = {
            "channels": size_architecture(index),
            "genotype": "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|",
            "arch_str": size_architecture(index),
        }
        results = make_archive(index, config["channels"], config, (12,), ("cifar100",), (9,), rng)
        written[index] = results["12"]
        infos[index] = {budget: r.state_dict() for budget, r in results.items()}
    everything = {"meta_archs": ["8:8:8:8:8"], "arch2infos": infos, "evaluated_indexes": {3, 8}}
    pickle_save(everything, str(tmp_path / "NATS-sss-v1_0-50262.pickle"))
    opened = open_checkpoints(tmp_path)
    assert [item.id for item in opened.items] == ["NATS-sss"]
    checkpoints = list(opened)
    for checkpoint, index in zip(checkpoints, (3, 8), strict=True):
        check_row(checkpoint, written[index], "sss", 12)
    some = list(open_checkpoints(tmp_path / "NATS-sss-v1_0-50262.pickle.pbz2", indices="8"))
    assert [checkpoint.metadata["architecture_index"] for checkpoint in some] == [8]


def test_the_single_file_without_weights(tmp_path: Path, rng: np.random.Generator) -> None:
    config = {"channel": 16, "num_cells": 1, "arch_str": TOPOLOGY}
    results = make_archive(0, TOPOLOGY, config, (12,), ("cifar10",), (1,), rng)
    results["12"].clear_params()
    pickle_save({"arch2infos": {0: {"12": results["12"].state_dict()}}}, str(tmp_path / "x.pickle"))
    with pytest.raises(CheckpointError, match=r"no weights.*NATS-tss-v1_0-3ffb9-full"):
        list(open_checkpoints(tmp_path))


def test_simple_archives_name_the_full_one(tmp_path: Path, rng: np.random.Generator) -> None:
    written = write_size_space_archive(tmp_path, 5, epochs=(1, 12), rng=rng)
    written["12"].clear_params()
    pickle_save(
        {budget: results.state_dict() for budget, results in written.items()},
        str(tmp_path / "000005.pickle"),
    )
    (item,) = open_checkpoints(tmp_path).items
    with pytest.raises(CheckpointError, match=r"no weights \(a -simple.*NATS-sss-v1_0-50262-full"):
        next(item.read())
    assert item.id == "NATS-sss/000005"


def test_a_row_without_weights_fails_alone(tmp_path: Path, rng: np.random.Generator) -> None:
    written = write_size_space_archive(tmp_path, 5, seeds=(1, 2), rng=rng)
    written["12"].query("cifar10", 1).net_state_dict = None
    pickle_save({"12": written["12"].state_dict()}, str(tmp_path / "000005.pickle"))
    first, second = open_checkpoints(tmp_path)
    with pytest.raises(CheckpointError, match=r"^NATS-sss/000005/cifar10/12/1: .*holds no weights"):
        first.tensors()
    assert "num_parameters" not in first.metadata
    assert second.tensors()


def test_figures_that_are_not_recorded_are_left_out(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    written = write_size_space_archive(tmp_path, 5, datasets=("cifar100",), rng=rng)
    result = written["12"].query("cifar100", 777)
    result.flop, result.train_losses[11] = None, float("nan")
    del result.eval_acc1es["x-test@11"]
    pickle_save({"12": written["12"].state_dict()}, str(tmp_path / "000005.pickle"))
    (checkpoint,) = open_checkpoints(tmp_path)
    assert not {"flops", "train_loss", "test_accuracy"} & set(checkpoint.metadata)
    assert "test_loss" in checkpoint.metadata


def test_unreadable_archives_fail_alone(tmp_path: Path, rng: np.random.Generator) -> None:
    """Damage shows when the item is read; its id names the failed row."""
    write_size_space_archive(tmp_path, 1, rng=rng)
    data = (tmp_path / "000001.pickle.pbz2").read_bytes()
    (tmp_path / "000000.pickle.pbz2").write_bytes(data[:1000])
    (tmp_path / "000002.pickle.pbz2").write_bytes(data)
    (tmp_path / "000050.pickle.pbz2").write_bytes(bz2.compress(pickle.dumps({"12": 3})))
    (tmp_path / "000051.pickle.pbz2").write_bytes(bz2.compress(pickle.dumps([])))
    items = {item.id: item for item in open_checkpoints(tmp_path).items}
    for number, message in {0: "damaged bz2", 2: "named 2 but holds architecture 1"}.items():
        with pytest.raises(CheckpointError, match=message):
            list(items[f"NATS-sss/{number:06d}"].read())
    for number in (50, 51):
        with pytest.raises(CheckpointError, match="not a NATS-Bench archive"):
            list(items[f"NATS-sss/{number:06d}"].read())
    assert len(list(items["NATS-sss/000001"].read())) == 1


def test_archives_that_lack_something(tmp_path: Path, rng: np.random.Generator) -> None:
    """Whatever is missing or of the wrong type, the error is a CheckpointError."""
    written = write_size_space_archive(tmp_path, 5, rng=rng)
    for key in ("epochs", "eval_acc1es", "train_losses", "net_state_dict"):
        for value in (None, "x", [1], {11: "x"}):
            state: dict[str, Any] = {"12": written["12"].state_dict()}
            result = dict(state["12"]["all_results"]["cifar10", 777])
            result[key] = value
            state["12"]["all_results"] = {("cifar10", 777): result}
            write_pbz2(tmp_path / "000005.pickle.pbz2", state)
            with contextlib.suppress(CheckpointError):
                ids = [checkpoint.id for checkpoint in open_checkpoints(tmp_path)]
                assert ids == ["NATS-sss/000005/cifar10/12/777"]


def test_only_the_first_epoch_is_warned_of(tmp_path: Path, rng: np.random.Generator) -> None:
    write_size_space_archive(tmp_path, 5, epochs=(1, 12), rng=rng)
    (warning,) = open_checkpoints(tmp_path, nats_epochs=1).warnings
    assert "archives hold no weights after 1 epoch; take 12, 90 or 200" in warning


def test_the_meta_file_alone_is_no_source(tmp_path: Path) -> None:
    pickle_save({"meta_archs": [], "arch2infos": None}, str(tmp_path / "meta.pickle"))
    with pytest.raises(CheckpointError, match=r"a meta file.*pass the folder"):
        list(open_checkpoints(tmp_path / "meta.pickle.pbz2"))
    with pytest.raises(GenpredictError, match="no checkpoints found"):
        open_checkpoints(tmp_path)


def test_hostile_archives_run_nothing(tmp_path: Path, rng: np.random.Generator) -> None:
    """In the archive itself, and in a storage of one row: only that row fails."""
    canary = tmp_path / "canary"
    for trick, thing in hostile_objects(canary).items():
        written = write_size_space_archive(tmp_path, 5, seeds=(1, 2), rng=rng)
        state: dict[str, Any] = {"12": written["12"].state_dict()}
        weights = state["12"]["all_results"]["cifar10", 1]["net_state_dict"]
        weights["stem.0.weight"] = with_storage(legacy_bytes(thing))
        write_pbz2(tmp_path / "000005.pickle.pbz2", state)
        evil, good = open_checkpoints(tmp_path)
        with pytest.raises(CheckpointError, match="damaged or unsafe, nothing was run"):
            evil.tensors()
        assert good.tensors()
        write_pbz2(tmp_path / "000005.pickle.pbz2", {**state, "90": thing})
        with pytest.raises(CheckpointError, match="refused"):
            list(open_checkpoints(tmp_path))
        assert not canary.exists(), trick


def test_items_are_small_and_travel_to_workers(tmp_path: Path, rng: np.random.Generator) -> None:
    write_size_space_archive(tmp_path, 5, rng=rng)
    (item,) = open_checkpoints(tmp_path, indices="0:32768", nats_epochs=12).items
    data = pickle.dumps(item)
    assert len(data) < 600
    assert [c.id for c in pickle.loads(data).read()] == [c.id for c in item.read()]


def test_real_size_space_networks(shared: Path) -> None:
    """The trained archives: counts and accuracies of their README."""
    checkpoints = list(open_checkpoints(shared / "data" / "nats-sss-mini"))
    found = {
        c.metadata["architecture_index"]: (
            c.metadata["network"],
            c.metadata["num_parameters"],
            round(float(c.metadata["train_accuracy"]), 2),
            round(float(c.metadata["test_accuracy"]), 2),
        )
        for c in checkpoints
    }
    lines = (shared / "data" / "nats-sss-mini" / "README.md").read_text().splitlines()
    table = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")][1:]
    assert found == {
        int(index): (network, int(count), float(train), float(test))
        for index, network, count, train, test, _ in table
    }
    for checkpoint in checkpoints:
        layers, _ = select_layers(checkpoint.tensors())
        kinds = [layer.kind for layer in layers]
        assert 22 <= kinds.count("conv") <= 24
        assert kinds[-1] == "linear"
        assert kinds.count("linear") == 1
        assert count_parameters(checkpoint.tensors()) == checkpoint.metadata["num_parameters"]


def test_generated_networks_have_the_tensors_of_real_ones(
    shared: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    real = list(open_checkpoints(shared / "data" / "nats-sss-mini"))
    for checkpoint in real:
        index = int(checkpoint.metadata["architecture_index"])
        write_size_space_archive(tmp_path, index, rng=rng)
    for ours, theirs in zip(open_checkpoints(tmp_path), real, strict=True):
        assert ours.id == theirs.id
        shapes = [[(n, t.shape, t.dtype) for n, t in c.tensors().items()] for c in (ours, theirs)]
        assert shapes[0] == shapes[1]


def test_real_simple_archives_name_the_full_ones(shared: Path) -> None:
    items = open_checkpoints(shared / "data" / "nats-simple").items
    assert [item.id for item in items] == [
        f"NATS-{space}/{index:06d}" for space in ("sss", "tss") for index in (0, 11, 284)
    ]
    for item in items:
        name = "sss-v1_0-50262-full" if "sss" in item.id else "tss-v1_0-3ffb9-full"
        with pytest.raises(CheckpointError, match=f"no weights.*NATS-{name}"):
            list(item.read())


@pytest.mark.parametrize("dataset", ["cifar100", "ImageNet16-120"])
def test_an_undivided_test_set_is_taken_where_there_is_no_other(
    tmp_path: Path, rng: np.random.Generator, dataset: str
) -> None:
    """As in archives of genpredict's own runs; where both are recorded x-test counts."""
    written = write_size_space_archive(tmp_path, 11, datasets=(dataset,), seeds=(777, 888), rng=rng)
    archive = written["12"]
    result = archive.query(dataset, 777)
    for table in (result.eval_acc1es, result.eval_losses):
        for key in [key for key in table if key.startswith("x-test@")]:
            del table[key]
    pickle_save({"12": archive.state_dict()}, str(tmp_path / "000011.pickle"))
    undivided, both = open_checkpoints(tmp_path)
    expected = result.get_eval("ori-test")
    assert undivided.metadata["test_accuracy"] == expected["accuracy"]
    assert undivided.metadata["test_loss"] == expected["loss"]
    divided = archive.query(dataset, 888).get_eval("x-test")
    assert both.metadata["test_accuracy"] == divided["accuracy"]
