"""Runs written as NATS-Bench archives: read back by nats_bench and by genpredict."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats_bench
import numpy as np
import pytest
import torch
from dataset_files import random_images, write_parquet
from nats_archives import write_size_space_archive
from nats_bench.api_utils import ArchResults, ResultsCount, pickle_load, pickle_save

import genpredict
from genpredict.checkpoints.nats.archive_rows import TEST_SPLIT
from genpredict.cli import run as run_command
from genpredict.errors import GenpredictError
from genpredict.locking import LockedError, locked
from genpredict.networks import build_network
from genpredict.training import Run, complete, export_archive, export_archives, train
from genpredict.training.nats_archives import archive_path
from genpredict.training.nats_results import count_operations, result_of_run
from genpredict.training.nats_spaces import cell_string, find_architecture

NAME, INDEX = "8:8:8:16:32", 11
FILE = f"{INDEX:06d}.pickle.pbz2"
CELL = "|skip_connect~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
OTHER_CELL = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
#: Millions, as NATS-Bench's own files record them for images of 32 or 16 pixels a side.
RECORDED_FLOPS = [
    ("sss:8:8:8:8:8", 10, 32, 4.481114),
    ("sss:8:8:8:16:32", 10, 32, 6.84065),
    ("sss:8:8:8:16:32", 100, 32, 6.84362),
    ("sss:8:8:8:16:32", 120, 16, 1.71404),
    (
        "tss:|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|"
        "+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|",
        10,
        32,
        113.95137,
    ),
    (
        "tss:|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|nor_conv_1x1~1|none~2|",
        120,
        16,
        2.93644,
    ),
]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a CIFAR-10 and a CIFAR-100 of 12 training and 6 test images."""
    folder = tmp_path_factory.mktemp("images")
    for name, label, classes in (("cifar10", "label", 10), ("cifar100", "fine_label", 100)):
        for part, count in (("train", 12), ("test", 6)):
            path = folder / name / f"{part}-00000-of-00001.parquet"
            labels = [index * 7 % classes for index in range(count)]
            names = [f"class {index}" for index in range(classes)]
            write_parquet(path, random_images(count), labels, label_column=label, names=names)
    return folder


def settings_of(images: Path, **changes: Any) -> dict[str, Any]:
    """Return settings of a training that takes a moment."""
    dataset = changes.get("dataset", "cifar10")
    own = {"network": f"sss:{NAME}", "epochs": 2, "batch_size": 6, "seed": 777, "threads": 1}
    return {"recipe": "nats", "data_folder": str(images / dataset), **own, **changes}


@pytest.fixture(scope="module")
def runs(images: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Train with two seeds, on two data sets, for two budgets."""
    folder = tmp_path_factory.mktemp("runs")
    changes: list[dict[str, Any]] = [{}, {"seed": 888}, {"dataset": "cifar100"}, {"epochs": 1}]
    return [train(folder, **settings_of(images, **change)) for change in changes]


@pytest.fixture
def run_copy(runs: list[Run], tmp_path: Path) -> Run:
    """Copy a run, to be spoilt."""
    return Run(shutil.copytree(runs[0].path, tmp_path / "copy" / runs[0].id))


def final_weights(run: Run) -> dict[str, torch.Tensor]:
    """Read the last weights of a run as genpredict does."""
    (checkpoint,) = genpredict.open_checkpoints(run.checkpoints[-1])
    return dict(checkpoint.tensors())


def assert_equal_weights(found: dict[str, torch.Tensor], run: Run) -> None:
    """Names, types and values; in the order of the network's modules."""
    expected = final_weights(run)
    assert list(found) == list(build_network(run.settings.network).state_dict())
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert tensor.dtype == expected[name].dtype
        assert torch.equal(tensor, expected[name])


def results_in(archive: Path) -> Iterator[tuple[str, tuple[str, int], ResultsCount]]:
    """Read an archive by nats_bench's classes."""
    for budget, state in pickle_load(str(archive)).items():
        for key, result in ArchResults.create_from_state_dict(state).all_results.items():
            yield budget, key, result


def assert_same_content(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compare all that two results hold; times that were not taken are NaN in both."""
    assert found.keys() == expected.keys()
    for name in found.keys() - {"net_state_dict"}:
        np.testing.assert_equal(found[name], expected[name])
    weights, others = found["net_state_dict"], expected["net_state_dict"]
    assert (weights is None) == (others is None)
    if weights is not None:
        assert list(weights) == list(others)
        assert all(torch.equal(weights[name], others[name]) for name in others)


def test_numbers_against_nats_bench_api(runs: list[Run], tmp_path: Path) -> None:
    """Its own API opens the folder and returns each epoch's numbers and the weights."""
    assert export_archive(runs, tmp_path / "archives") == tmp_path / "archives" / FILE
    api = nats_bench.create(str(tmp_path / "archives"), "sss", fast_mode=True, verbose=False)
    assert api.query_index_by_arch(NAME) == INDEX
    for run in runs:
        settings, history = run.settings, run.history
        budget = f"{settings.epochs:02d}"
        weights = api.get_net_param(INDEX, settings.dataset, settings.seed, hp=budget)
        assert_equal_weights(weights, run)
        for epoch in range(settings.epochs):
            found = api.get_more_info(
                INDEX, settings.dataset, iepoch=epoch, hp=budget, is_random=settings.seed
            )
            then = history.sel(epoch=epoch + 1)
            test = "test" if settings.dataset == "cifar10" else "valtest"
            assert found["train-accuracy"] == then["running_accuracy"]
            assert found["train-loss"] == then["running_loss"]
            assert found[f"{test}-accuracy"] == then["test_accuracy"]
            assert found[f"{test}-loss"] == then["test_loss"]
            seconds = float(history["seconds"].sel(epoch=slice(1, epoch + 1)).sum())
            assert found["train-all-time"] == pytest.approx(seconds, rel=1e-12)


def test_costs_against_nats_bench_api(runs: list[Run], tmp_path: Path) -> None:
    """Parameters and operations as the benchmark records them; two seeds in its description."""
    export_archive(runs[:2], tmp_path)
    api = nats_bench.create(str(tmp_path), "sss", fast_mode=True, verbose=False)
    costs = api.get_cost_info(INDEX, "cifar10", hp="02")
    assert costs["flops"] == pytest.approx(6.84065, abs=1e-9)
    assert costs["params"] == pytest.approx(0.049202, abs=1e-12)
    assert costs["latency"] is None
    described = api.query_info_str_by_arch(NAME, hp="02")
    mean = np.mean([run.summary["test_accuracy"] for run in runs[:2]])
    assert "FLOP=  6.84 M, Params=0.049 MB, latency=None ms" in described
    assert f"top1 = {mean:.2f}%]" in described
    assert api.get_net_config(INDEX, "cifar10")["channels"] == NAME


def test_numbers_against_the_runs_as_genpredict_reads_both(runs: list[Run], tmp_path: Path) -> None:
    """Checkpoints of the archive have the weights and targets of the runs' own."""
    export_archive(runs, tmp_path / "archives")
    found = {one.id.split("/", 2)[-1]: one for one in genpredict.open_checkpoints(tmp_path)}
    assert len(found) == len(runs)
    for run in runs:
        settings, last = run.settings, run.history.isel(epoch=-1)
        one = found[f"{settings.dataset}/{settings.epochs}/{settings.seed}"]
        assert_equal_weights(dict(one.tensors()), run)
        assert one.metadata["network"] == NAME
        assert one.metadata["architecture_index"] == INDEX
        assert one.metadata["train_accuracy"] == last["running_accuracy"]
        assert one.metadata["train_loss"] == last["running_loss"]
        if TEST_SPLIT[settings.dataset] == "ori-test":
            assert one.metadata["test_accuracy"] == last["test_accuracy"]
            assert one.metadata["test_loss"] == last["test_loss"]


def form(value: Any) -> Any:
    """Describe the types of what nests in an archive, leaving out how many and which."""
    if isinstance(value, dict):
        return "dict", {(type(key), form(inner)) for key, inner in value.items()}
    return float if isinstance(value, float) else type(value)


@pytest.mark.parametrize(
    "real", [f"nats-sss-mini/{FILE}", f"nats-simple/NATS-sss-v1_0-50262-simple/{FILE}"]
)
def test_form_against_archives_at_hand(
    runs: list[Run], tmp_path: Path, shared: Path, real: str
) -> None:
    """The same architecture: equal keys, types, configuration and tensors by name and shape."""
    export_archive(runs[:2], tmp_path)
    own = pickle_load(str(tmp_path / FILE))["02"]
    theirs = pickle_load(str(shared / "data" / real))["12"]
    assert own.keys() == theirs.keys()
    assert (own["arch_index"], own["arch_str"]) == (theirs["arch_index"], theirs["arch_str"])
    assert form(own["dataset_seed"]) == form(theirs["dataset_seed"])
    ours, real_one = (archive["all_results"][("cifar10", 777)] for archive in (own, theirs))
    assert ours.keys() == real_one.keys()
    assert ours["arch_config"] == real_one["arch_config"]
    assert ours["params"] == real_one["params"]
    assert ours["eval_names"] == real_one["eval_names"]
    for name in ours.keys() - {"net_state_dict"}:
        if ours[name] is not None and real_one[name] is not None:
            assert form(ours[name]) == form(real_one[name]), name
    if real_one["net_state_dict"] is not None:
        shapes = [
            [(name, tensor.shape, tensor.dtype) for name, tensor in weights.items()]
            for weights in (ours["net_state_dict"], real_one["net_state_dict"])
        ]
        assert shapes[0] == shapes[1]


def test_names_against_nats_bench_classes(runs: list[Run], tmp_path: Path) -> None:
    """No key is missing that nats_bench's own classes would write, and none is added."""
    export_archive(runs[:1], tmp_path)
    (state,) = pickle_load(str(tmp_path / FILE)).values()
    assert list(state) == list(ArchResults(INDEX, NAME).state_dict())
    (result,) = state["all_results"].values()
    assert result.keys() == ResultsCount(*[None] * 10).state_dict().keys()


@pytest.mark.parametrize(("network", "classes", "side", "flops"), RECORDED_FLOPS)
def test_operations_against_nats_bench_records(
    network: str, classes: int, side: int, flops: float
) -> None:
    """To the last one."""
    built = build_network(network, num_classes=classes)
    assert count_operations(built, (3, side, side)) == round(flops * 1e6)


def test_adding_a_seed_keeps_all_that_is_there(runs: list[Run], tmp_path: Path) -> None:
    """An archive of nats_bench's own making: other budgets, data sets, seeds, weights."""
    write_size_space_archive(
        tmp_path,
        INDEX,
        epochs=(1, 2, 90),
        datasets=("cifar10", "ImageNet16-120"),
        seeds=(111, 999),
        rng=np.random.default_rng(0),
    )
    before = {(budget, key): one for budget, key, one in results_in(tmp_path / FILE)}
    export_archive(runs[:1], tmp_path)
    after = {(budget, key): one for budget, key, one in results_in(tmp_path / FILE)}
    assert after.keys() - before.keys() == {("02", ("cifar10", 777))}
    for place, old in before.items():
        assert_same_content(vars(after[place]), vars(old))
    archive = pickle_load(str(tmp_path / FILE))
    assert list(archive) == ["01", "02", "90"]
    assert archive["02"]["dataset_seed"]["cifar10"] == [111, 777, 999]


def test_one_by_one_equals_all_at_once(runs: list[Run], tmp_path: Path) -> None:
    """And adding a run a second time changes nothing."""
    together = export_archive(runs, tmp_path / "together")
    for run in runs:
        apart = export_archive([run], tmp_path / "apart")
    ours, theirs = list(results_in(apart)), list(results_in(together))
    assert [(budget, key) for budget, key, _ in ours] == [(b, key) for b, key, _ in theirs]
    for (_, _, one), (_, _, other) in zip(ours, theirs, strict=True):
        assert_same_content(vars(one), vars(other))
    before = apart.read_bytes()
    assert export_archive(runs[:1], apart.parent) == apart
    assert apart.read_bytes() == before
    assert sorted(path.name for path in apart.parent.iterdir()) == [FILE, "meta.pickle.pbz2"]


def test_topology_space_against_nats_bench_api(images: Path, tmp_path: Path) -> None:
    """The meta file in the folder tells the index; runs of two spaces go to two folders."""
    archives = tmp_path / "archives"
    archives.mkdir()
    meta = {"meta_archs": [OTHER_CELL, CELL], "total_archs": 2}
    content = {**meta, "arch2infos": None, "evaluated_indexes": set()}
    pickle_save(content, str(archives / "meta.pickle"))
    settings = settings_of(images, network=f"tss:{CELL}", epochs=1, batch_size=12)
    run = train(tmp_path / "runs", **settings)
    (path,) = export_archives([run], archives)
    assert path.name == "000001.pickle.pbz2"
    api = nats_bench.create(str(archives), "tss", fast_mode=True, verbose=False)
    assert_equal_weights(api.get_net_param(1, "cifar10", 777, hp="01"), run)
    info = api.get_more_info(1, "cifar10", hp="01", is_random=777)
    assert info["test-accuracy"] == run.summary["test_accuracy"]
    config = api.get_net_config(1, "cifar10")
    assert (config["C"], config["N"], config["arch_str"]) == (16, 5, CELL)
    (checkpoint,) = genpredict.open_checkpoints(archives)
    assert checkpoint.metadata["search_space"] == "tss"
    assert_equal_weights(dict(checkpoint.tensors()), run)
    with pytest.raises(GenpredictError, match=r"lists no architecture 8:8:8:16:32; give each"):
        archive_path(complete({"recipe": "nats", "network": f"sss:{NAME}"}), archives)


def test_order_of_spaces_against_meta_files(runs: list[Run], tmp_path: Path, shared: Path) -> None:
    """The size space is counted, the topology space read; both as in the real files."""
    export_archive(runs[:1], tmp_path)
    folder = shared / "data" / "nats-simple"
    (size,) = folder.glob("NATS-sss-*")
    (topology,) = folder.glob("NATS-tss-*")
    theirs = pickle_load(str(size / "meta.pickle"))
    assert pickle_load(str(tmp_path / "meta.pickle")) == theirs
    for index in (0, 11, 284):
        (state, *_) = pickle_load(str(topology / f"{index:06d}.pickle")).values()
        assert find_architecture(f"tss:{state['arch_str']}", topology).index == index


def test_cells_are_written_one_way(tmp_path: Path) -> None:
    """However loosely a cell is given."""
    pickle_save({"meta_archs": [CELL]}, str(tmp_path / "meta.pickle"))
    assert find_architecture(f"tss:{CELL.rstrip('|')}", tmp_path).text == CELL
    assert cell_string((("none",),)) == "|none~0|"


def test_runs_of_several_architectures_are_sorted(runs: list[Run], tmp_path: Path) -> None:
    """One archive each; `export_archive` alone refuses them."""
    (tmp_path / "copy").mkdir()
    other = Run(shutil.copytree(runs[0].path, tmp_path / "copy" / "other"))
    config = other.path / "config.toml"
    config.write_text(config.read_text().replace(NAME, "8:8:8:16:8"))
    with pytest.raises(GenpredictError, match=r"other: of architecture 8:8:8:16:8, not 8:8:8:16:3"):
        export_archive([runs[0], other], tmp_path / "archives")
    with pytest.raises(GenpredictError, match="not the last weights of the run"):
        export_archives([runs[0], other], tmp_path / "archives")
    assert [path.name for path in (tmp_path / "archives").glob("0*")] == [FILE]


def test_runs_without_an_end_are_refused(run_copy: Run, tmp_path: Path) -> None:
    """Broken off, diverged, stopped by the clock, without weights."""
    summary = run_copy.path / "summary.json"
    last = json.loads(summary.read_text())
    summary.write_text(json.dumps(last | {"status": "diverged"}))
    with pytest.raises(GenpredictError, match="the run has diverged and has no last weights"):
        export_archive([run_copy], tmp_path)
    summary.write_text(json.dumps(last | {"epochs": 1}))
    with pytest.raises(GenpredictError, match="ended the run after 1 of 2 epochs"):
        export_archive([run_copy], tmp_path)
    summary.unlink()
    with pytest.raises(GenpredictError, match="the run is not over; train with the same settings"):
        export_archive([run_copy], tmp_path)
    summary.write_text(json.dumps(last))
    for path in run_copy.checkpoints:
        path.unlink()
    with pytest.raises(GenpredictError, match="holds no weights; delete the folder"):
        export_archive([run_copy], tmp_path)
    assert not list(tmp_path.glob("*.pbz2"))


def test_a_run_whose_history_lacks_epochs_is_refused(run_copy: Run, tmp_path: Path) -> None:
    """The archive would have holes."""
    run_copy.write_history(run_copy.history.isel(epoch=[0, 1]))
    with pytest.raises(GenpredictError, match=r"history\.nc: lacks epochs of the run; delete its"):
        export_archive([run_copy], tmp_path / "archives")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"network": "resnet18"}, "network: resnet18 is of no search space of NATS-Bench"),
        ({"network": "sss:5:5:5:5:5"}, "sss:5:5:5:5:5 is not in the size space"),
        ({"network": f"tss:{CELL}"}, "meta.pickle.pbz2: not there, and nothing else tells the in"),
        ({"dataset": "digits"}, "dataset: digits is no data set of NATS-Bench"),
    ],
)
def test_what_no_archive_can_hold_is_named(
    tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    """By its setting."""
    with pytest.raises(GenpredictError, match=message):
        archive_path(complete({"recipe": "nats", **given}), tmp_path)


def test_no_runs_are_refused(tmp_path: Path) -> None:
    """There is nothing to name a file by."""
    with pytest.raises(GenpredictError, match="runs: there must be at least one"):
        export_archive([], tmp_path)


def test_another_run_in_the_same_place_is_refused(
    runs: list[Run], run_copy: Run, tmp_path: Path
) -> None:
    """Equal epochs, data set and seed, but another course."""
    path = export_archive(runs[:1], tmp_path / "archives")
    before = path.read_bytes()
    history = run_copy.history
    history["running_loss"] += 1
    run_copy.write_history(history)
    with pytest.raises(GenpredictError, match="another run with 2 epochs, cifar10 and seed 777"):
        export_archive([run_copy], path.parent)
    assert path.read_bytes() == before


def test_an_archive_of_another_architecture_is_left_alone(runs: list[Run], tmp_path: Path) -> None:
    """So are a damaged one and a meta file that is none."""
    write_size_space_archive(tmp_path, 5, epochs=(2,), rng=np.random.default_rng(0))
    path = (tmp_path / "000005.pickle.pbz2").rename(tmp_path / FILE)
    before = path.read_bytes()
    with pytest.raises(GenpredictError, match=r"holds architecture 5, 8:8:8:8:48, not 11, 8:8:8"):
        export_archive(runs[:1], tmp_path)
    assert path.read_bytes() == before
    pickle_save({"12": 3}, str(tmp_path / "000011.pickle"))
    with pytest.raises(GenpredictError, match="no NATS-Bench archive of one architecture"):
        export_archive(runs[:1], tmp_path)
    path.write_bytes(before[:1000])
    with pytest.raises(GenpredictError, match="truncated or damaged bz2"):
        export_archive(runs[:1], tmp_path)
    assert path.read_bytes() == before[:1000]
    pickle_save([1], str(tmp_path / "meta.pickle"))
    with pytest.raises(GenpredictError, match="no meta file of NATS-Bench"):
        export_archive(runs[:1], tmp_path)


def test_a_full_disk_leaves_the_archive_as_it_was(
    runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing half-written remains."""
    path = export_archive(runs[:1], tmp_path)
    before = path.read_bytes()

    def fail(content: object, file: Any, protocol: int) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pickle, "dump", fail)
    with pytest.raises(GenpredictError, match=r"000011.pickle.pbz2: cannot be written: .*No space"):
        export_archive(runs[1:2], tmp_path)
    assert path.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == [FILE, "meta.pickle.pbz2"]


def test_one_writer_at_a_time(runs: list[Run], tmp_path: Path) -> None:
    """A second one is told of the first."""
    with (
        locked(tmp_path / f".{FILE}.lock"),
        pytest.raises(LockedError, match="000011"),
    ):
        export_archive(runs[:1], tmp_path)


def test_seeds_have_four_digits(runs: list[Run]) -> None:
    """As NATS-Bench writes them in a result, beside the number in its key."""
    config = find_architecture(f"sss:{NAME}", Path("nowhere")).config
    assert result_of_run(runs[0], config)["seed"] == "0777"


def test_the_command_adds_a_run_and_says_where(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second call trains nothing and changes nothing."""
    archives, runs = tmp_path / "archives", tmp_path / "runs"
    network = ["--network", f"sss:{NAME}", "--data-folder", str(images / "cifar10")]
    quick = ["--epochs", "1", "--batch-size", "12", "--threads", "1"]
    command = ["train", "--recipe", "nats", *network, *quick, "-o", str(runs)]
    for _ in range(2):
        assert run_command([*command, "--nats-archive", str(archives)]) == 0
        said = "".join(capsys.readouterr().err.split())
        assert f"NATSarchive:{archives / FILE}" in said
    (checkpoint,) = genpredict.open_checkpoints(archives)
    (folder,) = [path for path in runs.iterdir() if path.is_dir()]
    assert checkpoint.metadata["test_accuracy"] == Run(folder).summary["test_accuracy"]


def test_the_command_refuses_before_it_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The digits CNN is in no archive."""
    archives, runs = str(tmp_path / "archives"), tmp_path / "runs"
    assert run_command(["train", "-o", str(runs), "--nats-archive", archives]) == 1
    assert "digits is no data set of NATS-Bench" in " ".join(capsys.readouterr().err.split())
    assert not runs.exists()


def test_accuracies_on_a_part_of_the_test_images_are_left_out(run_copy: Run) -> None:
    """NATS-Bench has those of all images alone; an older history, without counts, has all."""
    history = run_copy.history
    history["test_count"][1] = 3
    run_copy.write_history(history)
    result = result_of_run(run_copy, {})
    assert np.isnan(result["eval_acc1es"]["ori-test@0"])
    assert np.isnan(result["eval_losses"]["ori-test@0"])
    assert result["eval_acc1es"]["ori-test@1"] == run_copy.summary["test_accuracy"]
    run_copy.write_history(history.drop_vars("test_count"))
    accuracies = result_of_run(run_copy, {})["eval_acc1es"]
    assert np.isfinite(list(accuracies.values())).all()
