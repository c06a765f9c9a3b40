"""The job on real checkpoints and archives, in one process and several, killed and resumed."""

from __future__ import annotations

import json
import math
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
import torch
import xarray as xr
from nats_archives import write_size_space_archive

from genpredict import schema
from genpredict.checkpoints import Item, open_checkpoints
from genpredict.cli import run as run_command
from genpredict.errors import StoreError
from genpredict.jobs import score_job, units
from genpredict.jobs.score_job import Outcome, score_into
from genpredict.jobs.units import cut, measure_unit
from genpredict.scoring import Options
from genpredict.store.reading import open_scores
from genpredict.store.writing import lock_of

SHARED = Path(__file__).resolve().parents[3] / "shared"
CHECKPOINTS = SHARED / "data" / "checkpoints"
MINI = SHARED / "data" / "nats-sss-mini"
SIMPLE = SHARED / "data" / "nats-simple"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not on this machine")
ESTIMATORS = {"global": 1e-8, "reference": 1e-6}  # and how near golden values are met
GOLDEN_NAMES = {"s": "stable_rank", "q": "quality"}


def run(path: Path, source: Path, **options: Any) -> Outcome:
    """Score a source into a store on the CPU."""
    options = {"workers": 1, "attrs": {"command": "test"}} | options
    nats = {name: options.pop(name) for name in ("nats_epochs", "indices") if name in options}
    return score_into(path, open_checkpoints(source, **nats), Options(device="cpu"), **options)


def save_networks(folder: Path, count: int) -> Path:
    """Write files of small networks."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        rng = torch.Generator().manual_seed(number)
        net = {"conv.weight": torch.randn(8, 3, 3, 3, generator=rng)}
        net |= {"fc.weight": torch.randn(5, 8, generator=rng)}
        torch.save(net, folder / f"n{number:03d}.pt")
    return folder


def contents(path: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a store."""
    return {str(f.relative_to(path)): f.read_bytes() for f in path.rglob("*") if f.is_file()}


# --- published networks --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Score the 14 published checkpoints by the command line, with both estimators."""
    if not CHECKPOINTS.is_dir():
        pytest.skip(f"{CHECKPOINTS} is not on this machine")
    folder = tmp_path_factory.mktemp("published")
    manifest = str(CHECKPOINTS / "manifest.csv")
    for estimator in ESTIMATORS:
        path = str(folder / f"{estimator}.zarr")
        command = ["score", str(CHECKPOINTS), "--manifest", manifest, "-o", path]
        assert run_command([*command, "--estimator", estimator]) == 0
    return {estimator: folder / f"{estimator}.zarr" for estimator in ESTIMATORS}


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    """Give the values of the independent slow program."""
    loaded: dict[str, Any] = json.loads((SHARED / "golden" / "akamaster.json").read_text())
    return loaded


def open_plainly(path: Path) -> xr.Dataset:
    """Open a store without genpredict."""
    return xr.open_zarr(path, consolidated=False)


NETWORKS = ("resnet20-12fca82f.th", "resnet56-4bfd9763.th")


@pytest.mark.parametrize("opener", [open_scores, open_plainly], ids=["open_scores", "xarray"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("network", NETWORKS)
def test_every_layer_against_golden(
    stores: dict[str, Path],
    golden: dict[str, Any],
    network: str,
    estimator: str,
    opener: Callable[[Path], xr.Dataset],
) -> None:
    """Ranks equal; measures to 1e-8 (global) or 1e-6 (reference); noise variances to 1e-8."""
    one = opener(stores[estimator]).load().sel(checkpoint=f"akamaster/{network}")
    rows = golden[network][estimator]["rows"]
    assert int(one["rank"].notnull().sum()) == len(rows)
    names = list(dict.fromkeys(row["layer"] for row in rows))
    assert one["layer_name"].values.tolist()[: len(names)] == names
    for row in rows:
        at = one.isel(layer=names.index(row["layer"])).sel(unfolding=row["unfolding"])
        assert at["layer_kind"].item() == row["kind"]
        assert at["rank"].item() == row["rank"]
        scale = at["spectral_norm"].sel(factorization="raw").item() ** 2 / row["m"]
        assert_close(at["noise_variance"].item(), row["sigma2"], 1e-8, 1e-14 * scale)
        for factorization in schema.FACTORIZATIONS:
            spectrum = at.sel(factorization=factorization)
            expected = row[factorization]
            tolerance = ESTIMATORS[estimator]
            assert_close(spectrum["condition_number"].item(), expected["kappa"], tolerance)
            for short, name in GOLDEN_NAMES.items():
                for p in schema.POWERS:
                    found = spectrum[name].sel(p=p).item()
                    assert_close(found, expected[f"{short}{p}"], tolerance)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("network", NETWORKS)
def test_network_quality_against_golden(
    stores: dict[str, Path], golden: dict[str, Any], network: str, estimator: str
) -> None:
    """Q raw and low-rank, and Q_adjusted, at p of 1 and 2."""
    one = open_scores(stores[estimator]).sel(checkpoint=f"akamaster/{network}")
    expected = golden[network][estimator]["Q"]
    assert len(expected) == 6
    for p in schema.POWERS:
        for factorization in schema.FACTORIZATIONS:
            found = one["Q"].sel(factorization=factorization, p=p).item()
            assert_close(found, expected[f"{factorization}_p{p}"], ESTIMATORS[estimator])
        adjusted = one["Q_adjusted"].sel(factorization="low_rank", p=p).item()
        assert_close(adjusted, expected[f"adjusted_low_rank_p{p}"], ESTIMATORS[estimator])


def assert_close(found: float, expected: float, rel: float, floor: float = 1e-13) -> None:
    """Assert nearness; golden values are printed to 14 digits."""
    assert abs(found - expected) <= rel * abs(expected) + floor, (found, expected)


def test_all_fourteen_with_what_the_manifest_says(stores: dict[str, Path]) -> None:
    """Every file is done; ids, accuracies in percent, gap, and columns of the manifest's own."""
    scores = open_scores(stores["global"])
    assert scores["status"].values.tolist() == ["done"] * 14
    ids = [f.relative_to(CHECKPOINTS).as_posix() for f in CHECKPOINTS.rglob("*.*th")]
    assert sorted(scores["checkpoint"].values.tolist()) == sorted(ids)
    one = scores.sel(checkpoint="akamaster/resnet20-12fca82f.th")
    assert (one["network"].item(), one["dataset"].item()) == ("resnet20", "cifar10")
    assert (one["optimizer"].item(), one["epoch"].item()) == ("sgd", 200)
    assert (one["train_accuracy"].item(), one["test_accuracy"].item()) == (99.792, 91.73)
    assert one["generalization_gap"].item() == pytest.approx(8.062)
    assert one["schedule"].item() == "step 100,150 x0.1"
    assert one["num_parameters"].item() == 269722
    assert scores.attrs["command"].startswith("genpredict ")


@pytest.mark.parametrize(
    "file",
    [pytest.param(file, id=file.name) for file in sorted(CHECKPOINTS.rglob("*.*th"))],
)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_published_network_against_reference(
    stores: dict[str, Path], estimator: str, file: Path
) -> None:
    """Each of the 14: every number of every layer, Q and Q_adjusted, against the slow oracle."""
    one = open_scores(stores[estimator]).load()
    one = one.sel(checkpoint=file.relative_to(CHECKPOINTS).as_posix())
    loaded = torch.load(file, weights_only=True, map_location="cpu")
    state = loaded.get("state_dict", loaded)
    layers = [(k.removeprefix("module."), w.double().numpy()) for k, w in state.items()]
    entries = reference.score([(k, w) for k, w in layers if w.ndim >= 2], estimator=estimator)
    assert_network_against_reference(one, entries, ESTIMATORS[estimator])


def assert_network_against_reference(
    one: xr.Dataset, entries: list[reference.Entry], rel: float
) -> None:
    """Compare all numbers of a checkpoint with the oracle's."""
    names = list(dict.fromkeys(entry.layer for entry in entries))
    assert [name for name in one["layer_name"].values.tolist() if name] == names
    assert int(one["rank"].notnull().sum()) == len(entries)
    for entry in entries:
        at = one.isel(layer=names.index(entry.layer)).sel(unfolding=entry.unfolding)
        assert at["rank"].item() == entry.low_rank.rank
        floor = 1e-14 * entry.sigma[0] ** 2 / entry.m
        assert_close(at["noise_variance"].item(), entry.low_rank.noise_variance, 1e-8, floor)
        for factorization in schema.FACTORIZATIONS:
            for key, expected in entry.measures(factorization).items():
                name, _, p = key.partition("_p")
                found = at[name].sel(factorization=factorization)
                assert_close((found.sel(p=int(p)) if p else found).item(), expected, rel)
    for factorization in schema.FACTORIZATIONS:
        for p in schema.POWERS:
            at = one.sel(factorization=factorization, p=p)
            for name, rank_one in (("Q", "limit"), ("Q_adjusted", "worst")):
                expected = reference.network_quality(
                    entries, factorization=factorization, p=p, rank_one=rank_one
                )
                assert_close(at[name].item(), expected, rel)


# --- NATS-Bench archives -------------------------------------------------------------------------


@needs_shared
def test_size_space_archives_against_their_readme(tmp_path: Path) -> None:
    """Names, accuracies, 22 to 24 convolutions and a classifier, numbers of parameters."""
    assert run_command(["score", str(MINI), "-o", str(tmp_path / "s.zarr")]) == 0
    scores = open_scores(tmp_path / "s.zarr").load()
    lines = [
        line.strip("| ").split(" | ") for line in (MINI / "README.md").read_text().splitlines()
    ]
    table = [cells for cells in lines if cells[0].isdigit()]
    assert len(table) == 10
    assert scores.sizes["checkpoint"] == 10
    for index, architecture, parameters, train, test, _ in table:
        one = scores.sel(checkpoint=f"NATS-sss/{int(index):06d}/cifar10/12/777")
        assert one["status"].item() == "done"
        assert one["network"].item() == architecture
        assert one["num_parameters"].item() == int(parameters)
        assert one["train_accuracy"].item() == pytest.approx(float(train), abs=0.0051)
        assert one["test_accuracy"].item() == pytest.approx(float(test), abs=0.0051)
        gap = float(train) - float(test)
        assert one["generalization_gap"].item() == pytest.approx(gap, abs=0.011)
        assert (one["dataset"].item(), one["epoch"].item(), one["seed"].item()) == (
            "cifar10", 12, 777,
        )  # fmt: skip
        kinds = one["layer_kind"].values.tolist()
        assert 22 <= kinds.count("conv") <= 24
        assert kinds.count("linear") == 1
        assert one["num_layers"].item() == kinds.count("conv") + 1
        assert one["source"].item().endswith(f"{int(index):06d}.pickle.pbz2")


@needs_shared
def test_size_space_archive_against_reference(tmp_path: Path) -> None:
    """Every number of a network with entries of rank 0, rank 1 and more."""
    run(tmp_path / "s.zarr", MINI, indices="11")
    one = open_scores(tmp_path / "s.zarr").load().isel(checkpoint=0)
    (checkpoint,) = open_checkpoints(MINI, indices="11")
    weights = {k: w for k, w in checkpoint.tensors().items() if w.ndim >= 2}
    entries = reference.score([(k, w.double().numpy()) for k, w in weights.items()])
    assert {0, 1} < {entry.low_rank.rank for entry in entries}
    assert_network_against_reference(one, entries, 1e-8)


@needs_shared
@pytest.mark.parametrize("space", ["sss", "tss"])
def test_simple_archives_name_the_full_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], space: str
) -> None:
    """Without weights there is nothing to score: exit code 1, and again on a rerun."""
    (source,) = SIMPLE.glob(f"NATS-{space}-*")
    full = {"sss": "NATS-sss-v1_0-50262-full", "tss": "NATS-tss-v1_0-3ffb9-full"}[space]
    for _ in range(2):
        assert run_command(["score", str(source), "-o", str(tmp_path / "s.zarr")]) == 1
        err = said(capsys)
        text = f"holds results but no weights (a -simple archive); fetch the {full} archive"
        assert err.count(text) == 3
        assert f"failed: NATS-{space}/000011: {source / '000011.pickle.pbz2'}: " in err
    scores = open_scores(tmp_path / "s.zarr")
    assert scores["checkpoint"].values.tolist() == [
        f"NATS-{space}/{index:06d}" for index in (0, 11, 284)
    ]
    assert scores["status"].values.tolist() == ["failed"] * 3


def save_archive(folder: Path, index: int, **options: Any) -> None:
    """Write an archive with random weights."""
    folder.mkdir(exist_ok=True)
    write_size_space_archive(folder, index, rng=np.random.default_rng(index), **options)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["--nats-epochs", "12"], ["--nats-epochs", "12,90"]),
        (["--nats-epochs", "12"], []),
        (["--nats-datasets", "cifar10"], ["--nats-datasets", "cifar100"]),
    ],
)
def test_another_selection_of_archives_is_not_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], first: list[str], second: list[str]
) -> None:
    """A store of epoch 12 is not taken for complete where epoch 90 is asked for: refused."""
    save_archive(tmp_path / "nats", 3, epochs=(12, 90), datasets=("cifar10", "cifar100"))
    command = ["score", str(tmp_path / "nats"), "-o", str(tmp_path / "s.zarr")]
    assert run_command([*command, *first]) == 0
    assert run_command([*command, *first]) == 0
    assert run_command([*command, *second]) == 1
    text = "choose another store with -o, or --overwrite this one"
    assert re.search(rf"made with nats_(epochs|datasets)=.*, asked for .*; {text}", said(capsys))
    assert run_command([*command, *second, "--overwrite"]) == 0


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was said on stderr."""
    return capsys.readouterr().err


def test_archives_without_rows_to_score_are_no_error(tmp_path: Path) -> None:
    """Networks trained for one epoch have no weights: nothing to do, nothing failed."""
    save_archive(tmp_path / "nats", 3, epochs=(1, 12))
    assert run(tmp_path / "s.zarr", tmp_path / "nats", nats_epochs=1) == Outcome(0, 0, 0, 0)
    assert run(tmp_path / "t.zarr", tmp_path / "nats").done == 1


def single_file(folder: Path, *indices: int) -> Path:
    """Write the form in which one file holds all architectures."""
    from nats_archives import SIZE_GENOTYPE, make_archive, size_architecture
    from nats_bench.api_utils import pickle_save

    infos = {}
    for index in indices:
        name = size_architecture(index)
        config = {"name": "infer.shape.tiny", "channels": name, "arch_str": name}
        config |= {"genotype": SIZE_GENOTYPE}
        made = make_archive(
            index, name, config, (12,), ("cifar10",), (777,), np.random.default_rng(index)
        )
        infos[index] = {budget: result.state_dict() for budget, result in made.items()}
    architectures = [size_architecture(index) for index in indices]
    whole = {"meta_archs": architectures, "arch2infos": infos, "evaluated_indexes": set(indices)}
    folder.mkdir()
    pickle_save(whole, str(folder / "NATS-sss-v1_0-50262.pickle"))
    return folder


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated:UserWarning")
def test_the_single_file_of_a_space_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rerun knows that all its rows are done, and does not decode it again."""
    source = single_file(tmp_path / "nats", 3, 77)
    assert run(tmp_path / "s.zarr", source).done == 2
    begun: list[str] = []
    monkeypatch.setattr(score_job, "measure_unit", lambda unit, options: begun.append(str(unit)))
    outcome = run(tmp_path / "s.zarr", source)
    assert (outcome.done, outcome.new, begun) == (2, 0, [])


# --- units ---------------------------------------------------------------------------------------


def item(name: str, size: int) -> Item:
    return Item(name, Path(name), size, True, lambda *_: iter(()))


def test_units_end_at_a_size_or_a_number() -> None:
    """32 MiB or 64 files, in order, nothing lost; the same whatever is done already."""
    small = [item(f"s{n}", 1000) for n in range(130)]
    assert [len(unit.items) for unit in cut(small)] == [64, 64, 2]
    large = [item(f"l{n}", 20 << 20) for n in range(5)]
    assert [len(unit.items) for unit in cut(large)] == [2, 2, 1]
    huge = [item("h", 1 << 34), item("i", 1)]
    assert [len(unit.items) for unit in cut(huge)] == [1, 1]
    assert [one for unit in cut(small) for one in unit.items] == small
    assert list(cut([])) == []
    assert [len(unit.items) for unit in cut(small, one_by_one=True)] == [1] * len(small)


def test_a_unit_names_its_files() -> None:
    """As errors about a dead worker show it."""
    (unit,) = cut([item("a", 1), item("b", 1), item("c", 1)])
    assert str(unit) == "a … c"
    assert str(next(cut([item("a", 1)]))) == "a"


def test_a_unit_without_rows_is_nothing(tmp_path: Path) -> None:
    """None, not an empty Dataset."""
    (unit,) = cut([item("a", 1)])
    assert measure_unit(unit, options=Options(device="cpu")) is None


def test_progress_counts_files_and_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each unit: files done, also those of earlier runs; rows done and failed now."""
    monkeypatch.setattr(units, "UNIT_ITEMS", 2)
    source = save_networks(tmp_path / "nets", 5)
    (source / "n002.pt").write_bytes(b"no checkpoint")
    told: list[tuple[int, int, int]] = []

    def stop_after_two(*numbers: int) -> None:
        told.append(numbers)  # type: ignore[arg-type]
        if len(told) == 2:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        run(tmp_path / "s.zarr", source, progress=stop_after_two)
    assert told == [(2, 2, 0), (4, 3, 1)]
    told.clear()
    run(tmp_path / "s.zarr", source, progress=lambda *numbers: told.append(numbers))
    assert told == [(5, 1, 0)]


def test_results_are_written_before_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk that fills slowly does not keep its rows in memory for hours."""
    monkeypatch.setattr(units, "UNIT_ITEMS", 1)
    monkeypatch.setattr(score_job, "WRITE_EVERY", 0.0)
    source, path = save_networks(tmp_path / "nets", 3), tmp_path / "s.zarr"
    done: list[int] = []

    def look(*_: int) -> None:
        done.append(int((open_scores(path)["status"] == "done").sum()))

    run(path, source, progress=look)
    assert done == [1, 2, 3]


# --- several processes ---------------------------------------------------------------------------


def test_two_processes_against_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files, archives and failures: the same bytes."""
    monkeypatch.setattr(units, "UNIT_ITEMS", 2)
    source = save_networks(tmp_path / "nets", 9)
    (source / "n004.pt").write_bytes(b"no checkpoint")
    save_archive(source / "nats", 3, seeds=(777, 888))
    save_archive(source / "nats", 77)
    one = run(tmp_path / "one.zarr", source, chunk_size=4)
    two = run(tmp_path / "two.zarr", source, chunk_size=4, workers=2)
    assert one == two
    assert contents(tmp_path / "one.zarr") == contents(tmp_path / "two.zarr")


def test_processes_are_worth_it_for_much_data_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default: this process below 256 MB or on a GPU, else one a core; a number is obeyed."""
    monkeypatch.setattr(score_job, "available_cores", lambda: 7)
    small, large = list(cut([item("a", 1000)])), list(cut([item("b", 1 << 29)]))
    cpu = Options(device="cpu")
    assert score_job.number_of_workers(small, cpu, None) == 1
    assert score_job.number_of_workers(large, cpu, None) == 7
    assert score_job.number_of_workers(large, Options(device="meta"), None) == 1
    assert score_job.number_of_workers(small, cpu, 3) == 3


KILLABLE = """
import sys
from pathlib import Path
from genpredict.jobs import score_job, units
from genpredict.checkpoints import open_checkpoints
from genpredict.scoring import Options
from genpredict.store.writing import Writer

if __name__ == "__main__":
    units.UNIT_ITEMS = 2
    fill = Writer._fill
    def telling(self, *arguments):
        sys.stdin.readline()
        fill(self, *arguments)
    Writer._fill = telling
    print("ready", flush=True)
    score_job.score_into(
        Path(sys.argv[1]), open_checkpoints(sys.argv[2]), Options(device="cpu"), workers=1,
        chunk_size=2, attrs={"command": "test"},
    )
"""


def open_if_whole(path: Path) -> xr.Dataset | None:
    """Open a store whose writer was killed; None where it grew at that moment, and says so."""
    try:
        return open_scores(path)
    except StoreError as error:
        if "interrupted or damaged; run the command that made it again" in str(error):
            return None
        raise


@pytest.mark.faults
def test_killed_for_good_then_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL at random moments, one after the other: in the end the undisturbed store's bytes."""
    monkeypatch.setattr(units, "UNIT_ITEMS", 2)
    source = save_networks(tmp_path / "nets", 8)
    (source / "n004.pt").write_bytes(b"no checkpoint")
    save_archive(source / "nats", 3, seeds=(777, 888))
    save_archive(source / "nats", 77)
    run(tmp_path / "expected.zarr", source, chunk_size=2)
    (tmp_path / "killable.py").write_text(KILLABLE)
    command = [sys.executable, str(tmp_path / "killable.py")]
    path, rng = tmp_path / "s.zarr", random.Random(0)
    for _ in range(4):
        with subprocess.Popen(
            [*command, str(path), str(source)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.stdin.write("\n" * rng.randrange(1, 40))  # it may write so many variables
            process.stdin.flush()
            time.sleep(rng.uniform(0.05, 0.4))
            process.kill()
        assert process.returncode == -9
        if (path / "status").exists():
            open_if_whole(path)
    run(path, source, chunk_size=2)
    assert not lock_of(path).exists()
    assert contents(path) == contents(tmp_path / "expected.zarr")


def test_a_store_needs_its_sources_no_more(tmp_path: Path) -> None:
    """It opens when they have gone."""
    source = save_networks(tmp_path / "nets", 2)
    run(tmp_path / "s.zarr", source)
    shutil.rmtree(source)
    assert math.isfinite(open_scores(tmp_path / "s.zarr")["Q"].sum().item())


def test_an_unreadable_file_is_a_failed_row(tmp_path: Path) -> None:
    """Gone, or a folder of that name, between listing and reading: not a broken store."""
    source = save_networks(tmp_path / "nets", 3)
    sources = open_checkpoints(source)
    (source / "n001.pt").unlink()
    (source / "n002.pt").unlink()
    (source / "n002.pt").mkdir()
    outcome = score_into(tmp_path / "s.zarr", sources, Options(device="cpu"), workers=1)
    assert (outcome.done, outcome.failed) == (1, 2)
    assert dict(outcome.failures).keys() == {"n001.pt", "n002.pt"}
