"""The store: what lies in it, who may open it, and that no crash at any moment harms it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
import zarr
import zarr.storage._local as zarr_local
from nats_archives import write_size_space_archive

import genpredict
from genpredict import measuring, schema
from genpredict.checkpoints import open_checkpoints
from genpredict.errors import StoreError
from genpredict.jobs import score_job, units
from genpredict.jobs.score_job import Outcome, score_into
from genpredict.row_checks import Row
from genpredict.rows import to_dataset
from genpredict.scoring import Options, score
from genpredict.store.reading import check_store, open_rows, open_scores, reading
from genpredict.store.writing import Writer, lock_of, open_writer

SETTINGS = {"device": "cpu"}


class KilledError(BaseException):
    """The process is gone: nothing may catch this."""


def save_networks(folder: Path, count: int = 5, *, first: int = 0) -> Path:
    """Write files of small networks whose depths differ."""
    folder.mkdir(exist_ok=True)
    for number in range(first, first + count):
        rng = torch.Generator().manual_seed(number)
        net = {"conv0.weight": torch.randn(6, 3, 3, 3, generator=rng)}
        for layer in range(number % 3):
            net[f"conv{layer + 1}.weight"] = torch.randn(6, 6, 3, 3, generator=rng)
        net["fc.weight"] = torch.randn(4, 6, generator=rng)
        net["fc.bias"] = torch.randn(4, generator=rng)
        torch.save(net, folder / f"n{number:03d}.pt")
    return folder


def save_archives(folder: Path, *indices: int) -> Path:
    """Write NATS-Bench archives of two rows each."""
    folder.mkdir(exist_ok=True)
    for index in indices:
        rng = np.random.default_rng(index)
        write_size_space_archive(folder, index, seeds=(777, 888), rng=rng)
    return folder


def run(path: Path, source: Path, **options: Any) -> Outcome:
    """Score a folder into a store, in small units and chunks, in this process."""
    manifest = source / "m.csv" if (source / "m.csv").exists() else None
    sources = open_checkpoints(source, manifest=manifest)
    options = {"workers": 1, "chunk_size": 2, "attrs": {"command": "test"}} | options
    choices = Options(**options.pop("choices", SETTINGS))
    return score_into(path, sources, choices, **options)


@pytest.fixture(autouse=True)
def _small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make units of two files, written at once, so that a few networks are many units."""
    monkeypatch.setattr(units, "UNIT_ITEMS", 2)
    monkeypatch.setattr(score_job, "WRITE_CHUNKS", 1)


def contents(path: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a store."""
    return {str(f.relative_to(path)): f.read_bytes() for f in path.rglob("*") if f.is_file()}


def assert_same_bytes(path: Path, other: Path) -> None:
    """Assert that two stores are the same files with the same bytes."""
    one, two = contents(path), contents(other)
    assert sorted(one) == sorted(two)
    assert [name for name in one if one[name] != two[name]] == []
    assert not lock_of(path).exists()


# --- what lies in it -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with five networks, a bad file, a manifest and their store."""
    folder = tmp_path_factory.mktemp("made")
    source = save_networks(folder / "nets")
    (source / "bad.pt").write_bytes(b"no checkpoint")
    rows = [f"n{n:03d}.pt,net{n},{90 + n},{80 + n / 2},s{n},{n * 0.5}" for n in range(4)]
    header = "path,network,train_accuracy,test_accuracy,schedule,dropout"
    (source / "m.csv").write_text("\n".join([header, *rows, ""]))
    run(folder / "s.zarr", source)
    return folder


@pytest.fixture
def opened(made: Path) -> xr.Dataset:
    """Give the store as open_scores opens it."""
    return open_scores(made / "s.zarr")


def test_store_against_scores_in_memory(made: Path, opened: xr.Dataset) -> None:
    """What ``score`` gives in memory is what ``open_scores`` gives from disk."""
    with pytest.warns(UserWarning, match="no row for bad.pt"):
        memory = score(made / "nets", manifest=made / "nets" / "m.csv", device="cpu")
    assert set(memory.variables) == set(opened.variables)
    assert set(memory.coords) == set(opened.coords)
    xr.testing.assert_equal(opened.load(), memory[list(opened.data_vars)])


def test_dimensions_and_variables_against_schema(opened: xr.Dataset) -> None:
    """Named dims, long_name and units of every variable; Q first among them."""
    assert list(opened.data_vars)[:2] == ["Q", "Q_adjusted"]
    tables = [schema.NETWORK_MEASURES, schema.LAYER_MEASURES, schema.LAYER_LABELS, schema.STATE]
    for name, variable in {k: v for table in tables for k, v in table.items()}.items():
        assert opened[name].dims == variable.dims, name
        assert opened[name].attrs.items() >= variable.attrs.items(), name
    for name in opened.coords:
        if name not in opened.dims:
            known = schema.coordinate(str(name), numeric=opened[name].dtype.kind in "if")
            assert opened[name].dims == ("checkpoint",), name
            assert opened[name].attrs == known.attrs, name
    assert opened.sizes == {
        "checkpoint": 6, "layer": 4, "unfolding": 2, "factorization": 2, "p": 2,
    }  # fmt: skip
    assert opened["p"].dtype.kind == "i"


def test_every_variable_has_a_long_name_and_units(opened: xr.Dataset) -> None:
    """The labels of the axes apart (docs/design.md 4)."""
    for name, variable in opened.variables.items():
        if name not in opened.dims:
            assert {"long_name", "units"} <= set(variable.attrs), name


def test_coordinates_and_targets(opened: xr.Dataset) -> None:
    """The known ones are always there; a manifest's own come with it, NaN and "" where blank."""
    assert set(schema.COORDINATES) <= set(opened.coords)
    assert opened["network"].values.tolist() == ["", "net0", "net1", "net2", "net3", ""]
    assert opened["schedule"].values.tolist() == ["", "s0", "s1", "s2", "s3", ""]
    np.testing.assert_array_equal(opened["dropout"], [np.nan, 0, 0.5, 1, 1.5, np.nan])
    gap = opened["generalization_gap"]
    np.testing.assert_array_equal(gap, [np.nan, 10, 10.5, 11, 11.5, np.nan])


def test_nan_only_where_there_is_no_entry(opened: xr.Dataset) -> None:
    """Of a done checkpoint: numbers where a layer is (out_channel always), NaN elsewhere."""
    there = opened["layer_name"] != ""
    done = opened["status"] == "done"
    for name, variable in schema.LAYER_MEASURES.items():
        values = opened[name]
        if "unfolding" in variable.dims:
            values = values.sel(unfolding="out_channel")
        assert (values.notnull() == (there & done)).all(), name
    conv = opened["layer_kind"] == "conv"
    assert (opened["rank"].sel(unfolding="in_channel").notnull() == conv).all()


def test_attrs_say_how_it_was_made(opened: xr.Dataset) -> None:
    """Version, estimator, dtype, device, tolerances and the command (docs/design.md 4)."""
    attrs = opened.attrs
    assert attrs["genpredict_version"] == genpredict.__version__
    expected = {"estimator": "global", "dtype": "float64", "device": "cpu", "command": "test"}
    assert attrs.items() >= expected.items()
    assert (attrs["dead_tolerance"], attrs["null_tolerance"]) == (0.03, 0.01)


def test_whole_numbers_are_integers(opened: xr.Dataset) -> None:
    """Counts read as counts; a column with a gap stays floating."""
    assert opened["seed"].dtype.kind == "f"
    assert opened["num_layers"].max() == 4


def test_plain_xarray_opens_it(made: Path) -> None:
    """Without genpredict: the same dims, coordinates, labels and numbers; Zarr v3."""
    raw = xr.open_zarr(made / "s.zarr", consolidated=False)
    scores = open_scores(made / "s.zarr")
    assert set(schema.COORDINATES) <= set(raw.coords)
    assert {"train_accuracy", "schedule", "dropout"} <= set(raw.coords)
    tables = [schema.NETWORK_MEASURES, schema.LAYER_MEASURES, schema.LAYER_LABELS, schema.STATE]
    for name in (name for table in tables for name in table):
        np.testing.assert_array_equal(raw[name].values, scores[name].values, err_msg=name)
        assert raw[name].attrs.items() >= schema.__dict__.get(name, {}).items()
    assert zarr.open_group(made / "s.zarr", mode="r").metadata.zarr_format == 3


def test_chunks_are_as_asked_for(made: Path, tmp_path: Path) -> None:
    """Checkpoints to a chunk: 2 here, 256 by default; thousands where there are no layers."""
    for path, size in ((made / "s.zarr", 2), (tmp_path / "d.zarr", 256)):
        if size == 256:
            score_into(path, open_checkpoints(made / "nets"), Options(device="cpu"), workers=1)
        group = zarr.open_group(path, mode="r")
        for name in ("quality", "rank", "dead_input_channels", "layer_name"):
            assert group[name].chunks[0] == size  # type: ignore[union-attr]
        for name in ("Q", "status", "error", "checkpoint", "epoch"):
            assert group[name].chunks[0] == 8192  # type: ignore[union-attr]


@pytest.mark.parametrize("depths", [(1, 70), (70, 1), (3, 64), (65, 66)])
def test_the_layer_axis_grows(tmp_path: Path, depths: tuple[int, int]) -> None:
    """Shallow first or deep first, beyond a chunk of 64 layers: numbers equal those in memory."""
    nets = {}
    for name, depth in zip("ab", depths, strict=True):
        rng = torch.Generator().manual_seed(depth)
        net = {f"l{n:02d}.weight": torch.randn(4, 3, 3, generator=rng) for n in range(depth)}
        torch.save(net, tmp_path / f"{name}.pt")
        nets[f"{name}.pt"] = net
    path = tmp_path / "s.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "UNIT_ITEMS", 1)
        run(path, tmp_path, chunk_size=1)
    stored, memory = open_scores(path), score(nets, device="cpu")
    assert stored.sizes["layer"] == max(depths)
    for name in (*schema.LAYER_MEASURES, *schema.LAYER_LABELS, "Q"):
        np.testing.assert_array_equal(stored[name].values, memory[name].values, err_msg=name)


def test_more_checkpoints_are_added(tmp_path: Path) -> None:
    """A store goes on with files that came later; the old rows stay where they are."""
    source, path = save_networks(tmp_path / "nets", 3), tmp_path / "s.zarr"
    run(path, source)
    before = open_scores(path).load()
    save_networks(source, 4, first=3)
    outcome = run(path, source)
    assert (outcome.done, outcome.failed, outcome.pending) == (7, 0, 0)
    after = open_scores(path)
    assert after["checkpoint"].values.tolist() == [f"n{n:03d}.pt" for n in range(7)]
    xr.testing.assert_equal(after.isel(checkpoint=slice(3))["Q"], before["Q"])
    memory = score(source, device="cpu")
    np.testing.assert_array_equal(after["quality"], memory["quality"])


def test_a_column_that_comes_later_is_added(tmp_path: Path) -> None:
    """The rows before it hold NaN or "" there."""
    source, path = save_networks(tmp_path / "nets", 2), tmp_path / "s.zarr"
    run(path, source)
    save_networks(source, 1, first=2)
    (source / "m.csv").write_text("path,tag,batch\nn002.pt,x,8\n")
    run(path, source)
    scores = open_scores(path)
    assert scores["tag"].values.tolist() == ["", "", "x"]
    np.testing.assert_array_equal(scores["batch"], [np.nan, np.nan, 8])


def test_no_row_at_all(tmp_path: Path) -> None:
    """A store of which nothing is known yet opens."""
    with open_writer(tmp_path / "s.zarr", Options(**SETTINGS).attrs()) as writer:
        assert writer.status == {}
    scores = open_scores(tmp_path / "s.zarr")
    assert scores.sizes["checkpoint"] == 0
    assert scores["Q"].shape == (0, 2, 2)


def test_pending_rows_show_as_such(tmp_path: Path) -> None:
    """Allotted, not measured: status pending, measures NaN, no error."""
    with open_writer(tmp_path / "s.zarr", Options(**SETTINGS).attrs()) as writer:
        writer.allot(["a", "b", "a"])
        writer.allot(["b", "c"])
        assert writer.status == dict.fromkeys("abc", "pending")
    scores = open_scores(tmp_path / "s.zarr")
    assert scores["checkpoint"].values.tolist() == ["a", "b", "c"]
    assert scores["status"].values.tolist() == ["pending"] * 3
    assert scores["num_layers"].isnull().all()


def test_ids_and_texts_of_any_language(tmp_path: Path) -> None:
    """Names with spaces, umlauts, brackets and line breaks come back as they were."""
    texts = ["ä b/ñ.pt", "数", "a[b]", "line\nbreak", "x" * 5000]
    rows = [Row(text, text, {"network": text}, error=text) for text in texts]
    none = {
        name: np.zeros((0, *[2] * (len(variable.dims) - 2)))
        for name, variable in schema.LAYER_MEASURES.items()
    }
    with open_writer(tmp_path / "s.zarr", Options(**SETTINGS).attrs()) as writer:
        writer.write(to_dataset(rows, none))
        assert dict(writer.failures()) == dict(zip(texts, texts, strict=True))
    scores = open_scores(tmp_path / "s.zarr")
    for name in ("checkpoint", "source", "network", "error"):
        assert scores[name].values.tolist() == texts


def test_a_manifest_with_some_gaps(tmp_path: Path) -> None:
    """A gap that is given stays, one that is blank follows from the accuracies."""
    source = save_networks(tmp_path / "nets", 2)
    (source / "m.csv").write_text(
        "path,train_accuracy,test_accuracy,generalization_gap\nn000.pt,99,90,\nn001.pt,98,90,7.5\n"
    )
    run(tmp_path / "s.zarr", source)
    assert open_scores(tmp_path / "s.zarr")["generalization_gap"].values.tolist() == [9, 7.5]


def test_huge_whole_numbers_stay_floats(tmp_path: Path) -> None:
    """1e300 is whole, but no 64-bit integer."""
    source = save_networks(tmp_path / "nets", 1)
    (source / "m.csv").write_text("path,big\nn000.pt,1e300\n")
    run(tmp_path / "s.zarr", source)
    assert open_scores(tmp_path / "s.zarr")["big"].values.tolist() == [1e300]


# --- what is refused -----------------------------------------------------------------------------


def test_a_missing_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"s\.zarr: no such scores store; make one with `genpred"):
        open_scores(tmp_path / "s.zarr")


def make_foreign(path: Path, kind: str) -> None:
    """Make something that is no scores store."""
    if kind == "folder":
        path.mkdir()
        (path / "thesis.tex").write_text("years of work")
    elif kind == "file":
        path.write_text("years of work")
    else:
        xr.Dataset({"x": ("t", [1.0])}).to_zarr(path, consolidated=False)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", ["folder", "file", "zarr"])
def test_something_else_is_refused_and_left_alone(
    tmp_path: Path, kind: str, overwrite: bool
) -> None:
    """A foreign folder, file or Zarr group; also with overwrite, which must delete nothing."""
    path = tmp_path / "other"
    make_foreign(path, kind)
    before = contents(path) if path.is_dir() else path.read_bytes()
    text = "other: (not a scores store of|a Zarr group, but not a scores store of) genpredict"
    with pytest.raises(StoreError, match=text):
        run(path, save_networks(tmp_path / "nets", 1), overwrite=overwrite)
    with pytest.raises(StoreError, match=text):
        open_scores(path)
    assert (contents(path) if path.is_dir() else path.read_bytes()) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["nets", "other"]


def test_another_layout_is_refused(tmp_path: Path) -> None:
    """The error names both versions and the remedy; overwrite starts anew."""
    source, path = save_networks(tmp_path / "nets", 1), tmp_path / "s.zarr"
    run(path, source)
    attrs = zarr.open_group(path, mode="r+").attrs
    attrs["genpredict_format"] = 99
    attrs["genpredict_version"] = "7.0"
    text = r"made by genpredict 7\.0 in layout 99, this is .* with layout 1; score again into ano"
    for action in (lambda: open_scores(path), lambda: run(path, source)):
        with pytest.raises(StoreError, match=text):
            action()
    assert check_store(path, any_format=True)["genpredict_format"] == 99
    run(path, source, overwrite=True)
    assert open_scores(path).attrs["genpredict_format"] == 1


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("estimator", "reference"),
        ("dtype", "float32"),
        ("include", ("conv*",)),
        ("exclude", ("fc*",)),
        ("dead_tolerance", 0.0),
        ("null_tolerance", 0.02),
    ],
)
def test_other_choices_are_refused(tmp_path: Path, name: str, other: object) -> None:
    """One store holds numbers of one kind; the error names the choice, both values, the remedy."""
    source, path = save_networks(tmp_path / "nets", 1), tmp_path / "s.zarr"
    run(path, source)
    before = contents(path)
    choices = {**SETTINGS, name: other}
    text = rf"s\.zarr: made with {name}=.*, asked for .*; choose another store with -o, or --overw"
    with pytest.raises(StoreError, match=text):
        run(path, source, choices=choices)
    assert contents(path) == before
    run(path, source, choices=choices, overwrite=True)
    stored = open_scores(path).attrs[name]
    assert stored == (list(other) if isinstance(other, tuple) else other)


def test_texts_where_numbers_were_make_all_of_them_texts(tmp_path: Path) -> None:
    """A second manifest that calls a column otherwise ends no job."""
    source, path = save_networks(tmp_path / "nets", 2), tmp_path / "s.zarr"
    (source / "m.csv").write_text("path,tag\nn000.pt,1\nn001.pt,2\n")
    run(path, source)
    other = save_networks(tmp_path / "more", 1, first=7)
    (other / "m.csv").write_text("path,tag\nn007.pt,seven\n")
    run(path, other)
    scores = open_scores(path)
    assert scores["status"].values.tolist() == ["done", "done", "done"]
    assert scores["tag"].values.tolist() == ["1", "2", "seven"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """A file where the parent folder should be; the error says what to do."""
    (tmp_path / "file").write_text("")
    text = r"s\.zarr: cannot write: Not a directory; .* mend the cause, then run the"
    with pytest.raises(StoreError, match=text):
        run(tmp_path / "file" / "s.zarr", save_networks(tmp_path / "nets", 1))


# --- no harm from crashes ------------------------------------------------------------------------


def test_two_runs_leave_the_same_bytes(tmp_path: Path) -> None:
    """No clock, no random name, no order of completion is in a store."""
    source = save_networks(tmp_path / "nets")
    run(tmp_path / "a.zarr", source)
    time.sleep(0.01)
    run(tmp_path / "b.zarr", source)
    assert_same_bytes(tmp_path / "a.zarr", tmp_path / "b.zarr")


def test_a_finished_run_repeated_changes_nothing(tmp_path: Path) -> None:
    """Nothing is measured again and no file of a row is written again."""
    source, path = save_networks(tmp_path / "nets"), tmp_path / "s.zarr"
    run(path, source)
    before = contents(path)
    times = {name: (path / name).stat().st_mtime_ns for name in before}
    assert run(path, source).new == 0
    assert contents(path) == before
    axes = {f"{axis}/c/0" for axis in ("unfolding", "factorization", "p")}  # rewritten as they are
    changed = {name for name in before if times[name] != (path / name).stat().st_mtime_ns}
    assert changed <= axes


def mixed_sources(folder: Path) -> Path:
    """Write files (one of them bad), and archives (one of them bad)."""
    save_networks(folder, 4)
    (folder / "bad.pt").write_bytes(b"no checkpoint")
    save_archives(folder / "nats", 3, 77)
    (folder / "nats" / "000077.pickle.pbz2").write_bytes(b"no archive")
    (folder / "m.csv").write_text("path,tag,test_accuracy\nn000.pt,a,50\nn003.pt,b,60\n")
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Give sources of all kinds and the store that an undisturbed run makes of them."""
    folder = tmp_path_factory.mktemp("undisturbed")
    source = mixed_sources(folder / "sources")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "UNIT_ITEMS", 2)
        outcome = run(folder / "s.zarr", source)
    assert (outcome.done, outcome.failed, outcome.pending) == (6, 2, 0)
    return source, folder / "s.zarr"


@pytest.mark.parametrize("after", [1, 3])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_interrupted_between_units_then_resumed(
    undisturbed: tuple[Path, Path], tmp_path: Path, after: int, error: type[BaseException]
) -> None:
    """Stopped after some units, also by Ctrl-C: the same command finishes, to the same bytes."""
    source, expected = undisturbed
    path, calls = tmp_path / "s.zarr", 0

    def stop(*_: int) -> None:
        nonlocal calls
        calls += 1
        if calls == after:
            raise error

    with pytest.raises(error):
        run(path, source, progress=stop)
    assert not lock_of(path).exists()
    run(path, source)
    assert_same_bytes(path, expected)


@pytest.mark.faults
@pytest.mark.parametrize("nth", [1, 2, 11, 29, 30, 31, 70])
def test_killed_between_two_variables_then_resumed(
    undisturbed: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """Measures are written, status is not: the rows are done again, to the same bytes."""
    source, expected = undisturbed
    path, calls, fill = tmp_path / "s.zarr", 0, Writer._fill

    def dying(self: Writer, *arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls >= nth:
            raise KilledError
        fill(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "_fill", dying)
        with pytest.raises(KilledError):
            run(path, source)
    assert_whatever_is_done_is_complete(path, expected)
    run(path, source)
    assert_same_bytes(path, expected)


def assert_whatever_is_done_is_complete(path: Path, expected: Path) -> None:
    """Rows marked done or failed hold what they hold in the undisturbed store."""
    found, whole = open_scores(path).load(), open_scores(expected)
    ready = found["status"] != "pending"
    ids = found["checkpoint"].values[ready.values]
    names = ("quality", "rank", "noise_variance", "layer_name", "error", "source", "network")
    for name in names:
        one, two = found[name].sel(checkpoint=ids), whole[name].sel(checkpoint=ids)
        if "layer" in two.dims:
            two = two.isel(layer=slice(found.sizes["layer"]))
        np.testing.assert_array_equal(one.values, two.values, err_msg=name)


class Disk:
    """The file system under a store: counts the files written, and stops working at one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written, self.last = 0, 1 << 60
        self.error: BaseException = KilledError()
        put = zarr_local._put

        def counting(path: Path, *arguments: Any, **options: Any) -> int:
            self.written += 1
            if self.written > self.last:
                raise self.error
            return put(path, *arguments, **options)

        monkeypatch.setattr(zarr_local, "_put", counting)


@contextmanager
def one_write_at_a_time() -> Iterator[None]:
    """Let Zarr write chunks in their order, so that a test can count them."""
    with zarr.config.set({"async.concurrency": 1}):
        yield


@pytest.fixture(scope="module")
def number_of_files(
    undisturbed: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> int:
    """Count the files that an undisturbed run writes."""
    with pytest.MonkeyPatch.context() as patch, one_write_at_a_time():
        patch.setattr(units, "UNIT_ITEMS", 2)
        disk = Disk(patch)
        run(tmp_path_factory.mktemp("count") / "s.zarr", undisturbed[0])
    return disk.written


@pytest.mark.faults
@pytest.mark.parametrize("moment", [0.0, 0.02, 0.2, 0.3, 0.4, 0.55, 0.7, 0.85, 0.97, 0.995])
def test_killed_at_a_file_then_resumed(
    undisturbed: tuple[Path, Path],
    number_of_files: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: float,
) -> None:
    """Gone before any one file of the store is written, the first included; same bytes."""
    source, expected = undisturbed
    with one_write_at_a_time(), monkeypatch.context() as patch:
        Disk(patch).last = int(moment * number_of_files)
        with pytest.raises(KilledError):
            run(tmp_path / "s.zarr", source)
    run(tmp_path / "s.zarr", source)
    assert_same_bytes(tmp_path / "s.zarr", expected)


@pytest.mark.faults
@pytest.mark.parametrize("files", range(1, 8, 2))
def test_killed_while_the_store_is_made_then_resumed(
    undisturbed: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    """Each of the first files: the group, the axes and their labels."""
    source, expected = undisturbed
    with one_write_at_a_time(), monkeypatch.context() as patch:
        Disk(patch).last = files
        with pytest.raises(KilledError):
            run(tmp_path / "s.zarr", source)
    run(tmp_path / "s.zarr", source)
    scores = open_scores(tmp_path / "s.zarr")
    assert scores["unfolding"].values.tolist() == list(schema.UNFOLDINGS)
    assert_same_bytes(tmp_path / "s.zarr", expected)


@pytest.mark.faults
def test_killed_in_the_middle_of_the_first_file(tmp_path: Path) -> None:
    """A folder that holds nothing but a file half written is as good as empty."""
    source, path = save_networks(tmp_path / "nets", 2), tmp_path / "s.zarr"
    path.mkdir()
    (path / "zarr.0123456789abcdef.partial").write_bytes(b'{"zarr_')
    run(path, source)
    assert open_scores(path)["status"].values.tolist() == ["done", "done"]


def test_files_half_written_are_cleared_away(
    undisturbed: tuple[Path, Path], tmp_path: Path
) -> None:
    """What a killed owner left beside the files it was to replace."""
    source, expected = undisturbed
    path = tmp_path / "s.zarr"
    shutil.copytree(expected, path)
    (path / "quality" / "c" / "0" / "0" / "0" / "0" / "0.0123.partial").write_bytes(b"half")
    (path / "zarr.4567.partial").write_bytes(b"half")
    run(path, source)
    assert_same_bytes(path, expected)


@pytest.mark.faults
def test_killed_while_ids_of_several_chunks_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks are written side by side: the second may be there and the first not."""
    source = save_networks(tmp_path / "nets", 6)
    run(tmp_path / "expected.zarr", source)
    put = zarr_local._put

    def dying(path: Path, *arguments: Any, **options: Any) -> int:
        if path.parts[-3:] == ("checkpoint", "c", "0"):
            time.sleep(0.2)  # the others are done by then
            raise KilledError
        return put(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(zarr_local, "_put", dying)
        with pytest.raises(KilledError):
            run(tmp_path / "s.zarr", source)
    outcome = run(tmp_path / "s.zarr", source)
    assert (outcome.done, outcome.failed, outcome.pending) == (6, 0, 0)
    assert_same_bytes(tmp_path / "s.zarr", tmp_path / "expected.zarr")


@pytest.mark.parametrize("written", [0, 40, 90])
def test_a_full_disk_then_resumed(
    undisturbed: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    """The error names the store, the cause and the remedy; the remedy works, to the same bytes."""
    source, expected = undisturbed
    text = (
        r"s\.zarr: cannot write: No space left on device; everything marked done is complete; "
        r"mend the cause, then run the same command again"
    )
    with one_write_at_a_time(), monkeypatch.context() as patch:
        disk = Disk(patch)
        disk.last, disk.error = written, OSError(28, "No space left on device")
        with pytest.raises(StoreError, match=text):
            run(tmp_path / "s.zarr", source)
    run(tmp_path / "s.zarr", source)
    assert_same_bytes(tmp_path / "s.zarr", expected)


@pytest.mark.faults
def test_overwrite_killed_half_way_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of a store that was being deleted is still known for one."""
    source, path = save_networks(tmp_path / "nets", 2), tmp_path / "s.zarr"
    run(path, source)
    run(tmp_path / "expected.zarr", source)
    rmtree, calls = shutil.rmtree, 0

    def dying(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 3:
            raise KilledError
        rmtree(*arguments)

    entries = [path / "zarr.json", *sorted(entry for entry in path.iterdir() if entry.is_dir())]
    iterdir = Path.iterdir
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", dying)
        patch.setattr(Path, "iterdir", lambda it: iter(entries) if it == path else iterdir(it))
        with pytest.raises(KilledError):
            run(path, source, overwrite=True)
    assert path.exists()
    run(path, source, overwrite=True)
    assert_same_bytes(path, tmp_path / "expected.zarr")


# --- failed rows ---------------------------------------------------------------------------------


def test_failed_rows_stay_failed_until_asked_for(tmp_path: Path) -> None:
    """A rerun leaves them; retry_failed takes them up, and a mended file is done then."""
    source, path = save_networks(tmp_path / "nets", 3), tmp_path / "s.zarr"
    good = (source / "n001.pt").read_bytes()
    (source / "n001.pt").write_bytes(b"no checkpoint")
    first = run(path, source)
    assert (first.done, first.failed) == (2, 1)
    ((name, error),) = first.failures
    assert name == "n001.pt"
    assert error.startswith(f"{source / 'n001.pt'}: ")
    (source / "n001.pt").write_bytes(good)
    again = run(path, source)
    assert (again.new, again.failed, again.failures) == (0, 1, first.failures)
    retried = run(path, source, retry_failed=True)
    assert (retried.done, retried.failed, retried.failures) == (3, 0, ())
    run(tmp_path / "expected.zarr", source)
    assert_same_bytes(path, tmp_path / "expected.zarr")


def test_a_retry_that_fails_again_says_why_now(tmp_path: Path) -> None:
    """The error is that of the latest try."""
    source, path = save_networks(tmp_path / "nets", 1), tmp_path / "s.zarr"
    (source / "n000.pt").write_bytes(b"no checkpoint")
    run(path, source)
    torch.save({"conv.weight": torch.full((4, 3, 3, 3), torch.nan)}, source / "n000.pt")
    outcome = run(path, source, retry_failed=True)
    assert (outcome.done, outcome.failed) == (0, 1)
    assert "layer conv.weight holds NaN" in open_scores(path)["error"].item()


def test_an_archive_mended_takes_over_its_failed_row(tmp_path: Path) -> None:
    """Its row NATS-sss/000077 becomes that of its first network; no failed row is left behind."""
    source, path = save_archives(tmp_path / "nats", 3, 77, 500), tmp_path / "s.zarr"
    good = (source / "000077.pickle.pbz2").read_bytes()
    (source / "000077.pickle.pbz2").write_bytes(good[:1000])
    outcome = run(path, source)
    assert (outcome.done, outcome.failed) == (4, 1)
    (failure,) = outcome.failures
    assert failure[0] == "NATS-sss/000077"
    (source / "000077.pickle.pbz2").write_bytes(good)
    assert run(path, source).new == 0
    outcome = run(path, source, retry_failed=True)
    assert (outcome.done, outcome.failed, outcome.pending) == (6, 0, 0)
    scores = open_scores(path).load()
    ids = [f"NATS-sss/{i:06d}/cifar10/12/{s}" for i in (3, 77, 500) for s in (777, 888)]
    assert sorted(scores["checkpoint"].values.tolist()) == ids
    memory = score(source, device="cpu").sel(checkpoint=scores["checkpoint"])
    np.testing.assert_array_equal(scores["quality"], memory["quality"])
    assert (scores["error"] == "").all()
    assert scores["seed"].sel(checkpoint=ids).values.tolist() == [777, 888] * 3


@pytest.mark.faults
@pytest.mark.parametrize("nth", [1, 10, 28])
def test_killed_while_a_mended_archive_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """The same command again leaves nothing failed and nothing missing."""
    source, path = save_archives(tmp_path / "nats", 3, 77), tmp_path / "s.zarr"
    good = (source / "000077.pickle.pbz2").read_bytes()
    (source / "000077.pickle.pbz2").write_bytes(b"no archive")
    run(path, source)
    (source / "000077.pickle.pbz2").write_bytes(good)
    calls, fill = 0, Writer._fill

    def dying(self: Writer, *arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls >= nth:
            raise KilledError
        fill(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "_fill", dying)
        with pytest.raises(KilledError):
            run(path, source, retry_failed=True)
    outcome = run(path, source, retry_failed=True)
    assert (outcome.done, outcome.failed, outcome.pending) == (4, 0, 0)


def test_rows_of_other_sources_stay_pending(tmp_path: Path) -> None:
    """They are counted, and done once their sources come again."""
    source, path = save_networks(tmp_path / "nets", 4), tmp_path / "s.zarr"

    def stop(*_: int) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        run(path, source, progress=stop)
    outcome = run(path, save_networks(tmp_path / "more", 1, first=9))
    assert (outcome.done, outcome.pending) == (3, 2)
    assert run(path, source).pending == 0


def test_batches_of_a_store_equal_those_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several batches a unit: rows join, whatever their depths."""
    source = save_networks(tmp_path / "nets", 5)
    expected = score(source, device="cpu")
    monkeypatch.setattr(measuring, "BATCH_WEIGHTS", 1)
    run(tmp_path / "s.zarr", source)
    np.testing.assert_array_equal(open_scores(tmp_path / "s.zarr")["quality"], expected["quality"])


def test_metadata_on_disk_are_readable_text(made: Path) -> None:
    """The group's attributes are plain JSON, without times."""
    text = (made / "s.zarr" / "zarr.json").read_text()
    attrs = json.loads(text)["attributes"]
    assert attrs["genpredict_format"] == 1
    assert not any("time" in name or "date" in name for name in attrs)


@pytest.mark.parametrize("chunk", ["quality/c/0/0/0/0/0", "status/c/0", "checkpoint/c/0"])
@pytest.mark.parametrize("damage", [b"", b"noise" * 20])
def test_a_damaged_chunk_is_named_with_the_remedy(
    tmp_path: Path, chunk: str, damage: bytes
) -> None:
    """No traceback of a decoder's; doing what the error says mends the store, to the byte."""
    source, path = save_networks(tmp_path / "nets", 3), tmp_path / "s.zarr"
    run(path, source)
    before = {f: f.read_bytes() for f in path.rglob("*") if f.is_file()}
    (path / chunk).write_bytes(damage)
    said = rf"s\.zarr: {chunk} is damaged \(.*\); delete that file and status/c/0, then run"
    with pytest.raises(StoreError, match=said):
        open_scores(path).load()
    if chunk != "quality/c/0/0/0/0/0":  # what a run reads of a store
        with pytest.raises(StoreError, match=said):
            run(path, source)
    (path / chunk).unlink()
    (path / "status/c/0").unlink(missing_ok=True)
    run(path, source)
    assert {f: f.read_bytes() for f in path.rglob("*") if f.is_file()} == before


def test_damage_shows_when_it_is_looked_at(tmp_path: Path) -> None:
    """What `open_scores` did not need is decoded later, and named then as well."""
    path = tmp_path / "s.zarr"
    run(path, save_networks(tmp_path / "nets", 3))
    (path / "effective_rank/c/0/0/0/0").write_bytes(b"noise" * 20)
    scores = open_scores(path)
    assert scores["Q"].notnull().all()
    with pytest.raises(StoreError, match=r"s\.zarr: effective_rank/c/0/0/0/0 is damaged"):
        scores["effective_rank"].isel(checkpoint=[0]).load()


def test_scores_that_do_not_fit_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Are told before they fill it, where network measures are not stored, as in stores of old."""
    shutil.copytree(Path(__file__).with_name("first_measures.zarr"), tmp_path / "s.zarr")
    monkeypatch.setattr("genpredict.store.reading.os.sysconf", lambda name: 1)
    text = r"s\.zarr: does not fit into memory \(0 GB where .*score again with --overwrite"
    with pytest.raises(StoreError, match=text):
        open_scores(tmp_path / "s.zarr")


def test_a_disk_that_fails(tmp_path: Path) -> None:
    """Is no traceback either."""
    text = r"s\.zarr: cannot be read: .*Input/output error; check the disk"
    with pytest.raises(StoreError, match=text), reading(tmp_path / "s.zarr"):
        raise OSError(5, "Input/output error")


def test_lazy_selections_against_xarray(made: Path) -> None:
    """Slices, lists, numbers and points of a variable that loads when it is looked at."""
    path = made / "s.zarr"
    mine = open_rows(path)
    theirs = xr.open_zarr(path, consolidated=False, chunks=None)
    points = {
        "checkpoint": xr.DataArray([0, 2], dims="point"),
        "layer": xr.DataArray([1, 0], dims="point"),
    }
    for at in (
        {"checkpoint": [3, 1]},
        {"checkpoint": slice(1, 4), "layer": 0},
        {"p": 1},
        points,
        {},
    ):
        for name in ("quality", "rank", "layer_name", "status"):
            here = {dim: where for dim, where in at.items() if dim in mine[name].dims}
            if at is points and len(here) < 2:
                continue
            xr.testing.assert_equal(mine[name].isel(here), theirs[name].isel(here))
