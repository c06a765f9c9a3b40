"""The command line: exit codes, what is said where, and that every option does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import zarr

import genpredict
from genpredict import cli
from genpredict.cli import console, run
from genpredict.store.reading import open_scores

COMMAND = [sys.executable, "-c", "from genpredict.cli import main; main()"]
OPTIONS = {
    "score": (
        *("--output", "-o", "--manifest", "--nats-epochs", "--nats-datasets", "--indices"),
        *("--measures", "--estimator", "--device", "--dtype", "--workers", "--chunk-size"),
        *("--shard", "--engine", "--scheduler", "--task-timeout"),
        *("--include", "--exclude", "--also", "--network", "--targets-from-file"),
        *("--data", "--data-folder", "--num-images", "--initial"),
        *("--overwrite", "--retry-failed"),
    ),
    "show": (
        *("--layers", "--json", "--output", "-o", "--include", "--exclude", "--also"),
        *("--network", "--overwrite"),
    ),
}


def save_networks(folder: Path, count: int = 3) -> Path:
    """Write files of small networks."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        rng = torch.Generator().manual_seed(number)
        net = {"conv.weight": torch.randn(8, 3, 3, 3, generator=rng)}
        net |= {"fc.weight": torch.randn(5, 8, generator=rng), "fc.bias": torch.zeros(5)}
        torch.save(net, folder / f"n{number}.pt")
    return folder


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    """Give a folder of three networks."""
    return save_networks(tmp_path / "nets")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Give the path of a store to be made."""
    return tmp_path / "s.zarr"


# --- exit codes ----------------------------------------------------------------------------------


def test_all_done_is_0(nets: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And again on a rerun; the last word is on stderr, names the store and what to do next."""
    for _ in range(2):
        assert run(["score", str(nets), "-o", str(store)]) == 0
        out, err = capsys.readouterr()
        assert out == ""
        assert f"{store}: 3 done, 0 failed, 0 pending; look at it with `genpredict show" in err
        assert "failed:" not in err


def test_some_failed_is_3(nets: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And again 3 on a rerun with nothing left to do; 0 once the file is mended and retried."""
    good = (nets / "n1.pt").read_bytes()
    (nets / "n1.pt").write_bytes(b"no checkpoint")
    for _ in range(2):
        assert run(["score", str(nets), "-o", str(store)]) == 3
        err = capsys.readouterr().err
        assert f"failed: n1.pt: {nets / 'n1.pt'}: " in err
        assert "2 done, 1 failed, 0 pending" in err
    (nets / "n1.pt").write_bytes(good)
    assert run(["score", str(nets), "-o", str(store)]) == 3
    assert run(["score", str(nets), "-o", str(store), "--retry-failed"]) == 0


def test_every_one_failed_is_1(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Again on a rerun; the first ten reasons are listed and the others counted."""
    for number in range(12):
        (tmp_path / f"bad{number:02d}.pt").write_bytes(b"no checkpoint")
    for _ in range(2):
        assert run(["score", str(tmp_path), "-o", str(store)]) == 1
        err = capsys.readouterr().err
        assert err.count("failed: bad") == console.MOST_WARNINGS
        assert f"… and 2 more; see them all with `genpredict show {store}`" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["score"],
        ["score", "nets"],
        ["bogus"],
        ["score", "nets", "-o", "s.zarr", "--estimator", "best"],
        ["score", "nets", "-o", "s.zarr", "--dtype", "float16"],
        ["score", "nets", "-o", "s.zarr", "--workers", "0"],
        ["score", "nets", "-o", "s.zarr", "--workers", "many"],
        ["score", "nets", "-o", "s.zarr", "--chunk-size", "0"],
        ["score", "nets", "-o", "s.zarr", "--nats-epochs", "twelve"],
        ["score", "nets", "-o", "s.zarr", "--unknown"],
        ["show"],
        ["show", "a", "b"],
    ],
)
def test_usage_errors_are_2(
    tmp_path: Path,
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Said on stderr; nothing is written."""
    save_networks(tmp_path / "nets", 1)
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Error" in err
    assert [entry.name for entry in tmp_path.iterdir()] == ["nets"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["score", "gone", "-o", "s.zarr"], r"gone: no such file or folder; check the path"),
        (["score", "nets", "-o", "s.zarr", "--manifest", "m.csv"], r"m\.csv: no such manifest; ch"),
        (
            ["score", "nets", "-o", "s.zarr", "--device", "abacus"],
            r"device 'abacus' is not availab",
        ),
        (["score", "nets", "-o", "s.zarr", "--nats-epochs", "12"], r"no NATS-Bench archive in the"),
        (
            ["score", "nets", "-o", "s.zarr", "--nats-epochs", "13"],
            r"nats_epochs: 13 is no trainin",
        ),
        (["score", "nets", "-o", "s.zarr", "--nats-datasets", "mnist"], r"'mnist' is no data set"),
        (["score", "nets", "-o", "nets"], r"nets: not a scores store of genpredict"),
        (["score", "nets", "-o", "nets", "--overwrite"], r"nets: not a scores store of genpredict"),
        (["score", "nets", "-o", "nets/n0.pt/s.zarr"], r"cannot write: Not a directory"),
        (["show", "gone"], r"gone: no such file or folder; check the path"),
        (["show", "nets", "-o", "no/such/folder/t.csv"], r"no/such/folder"),
    ],
)
def test_failures_are_1(
    tmp_path: Path,
    arguments: list[str],
    text: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line on stderr that names the file or option, no traceback; no file is harmed."""
    save_networks(tmp_path / "nets", 1)
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 1
    err = capsys.readouterr().err
    assert re.search(rf"genpredict: error: .*{text}", err)
    assert "Traceback" not in err
    assert [entry.name for entry in (tmp_path / "nets").iterdir()] == ["n0.pt"]
    assert not (tmp_path / "s.zarr").exists()


def test_ctrl_c_is_130(
    nets: Path,
    store: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No traceback; what is done is kept."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("genpredict.jobs.score_job.measure_unit", interrupt)
        assert run(["score", str(nets), "-o", str(store)]) == 130
    assert "genpredict: interrupted" in capsys.readouterr().err
    assert run(["score", str(nets), "-o", str(store)]) == 0


def test_a_store_made_otherwise_is_1(
    nets: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the choice and the remedy; --overwrite is one."""
    command = ["score", str(nets), "-o", str(store)]
    assert run(command) == 0
    assert run([*command, "--estimator", "reference"]) == 1
    said = f"{store}: made with estimator='global', asked for 'reference'; choose another store"
    assert said in capsys.readouterr().err
    assert run([*command, "--estimator", "reference", "--overwrite"]) == 0
    assert open_scores(store).attrs["estimator"] == "reference"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["score", "nets", "-o", "s.zarr"], 0),
        (["score", "mixed", "-o", "m.zarr"], 3),
        (["score", "gone", "-o", "g.zarr"], 1),
        (["score"], 2),
    ],
)
def test_exit_codes_of_the_process(tmp_path: Path, arguments: list[str], code: int) -> None:
    """What `run` returns is what the process exits with."""
    save_networks(tmp_path / "nets", 1)
    (save_networks(tmp_path / "mixed", 2) / "n1.pt").write_bytes(b"no checkpoint")
    done = subprocess.run([*COMMAND, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == code
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    if code in (0, 3):
        command = open_scores(tmp_path / arguments[-1]).attrs["command"]
        assert command == " ".join(["genpredict", *arguments])


# --- help ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", OPTIONS)
def test_help_shows_every_option_and_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each option with a text of its own, and a command line to copy."""
    assert run([command, "--help"]) == 0
    said = capsys.readouterr().out
    for option in OPTIONS[command]:
        assert re.search(rf"(^|\W){option}\b", said), option
    assert not re.search(r"--no-|--empty-", said)
    without_usage = "".join(line for line in said.splitlines() if "Usage:" not in line)
    assert re.search(rf"genpredict {command} \S+", without_usage), "no example"


def test_help_of_all_shows_the_commands_and_a_first_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["--help"]) == 0
    said = capsys.readouterr().out
    for text in ("score", "show", "genpredict score checkpoints/ -o scores.zarr"):
        assert text in said


@pytest.mark.parametrize("command", OPTIONS)
def test_every_option_of_a_command_is_listed_here(command: str) -> None:
    """None is added without being listed above, and so tested."""
    collection = cli.app[command].assemble_argument_collection(
        default_parameter=cli.app.default_parameter
    )
    names = {name for argument in collection for name in argument.names}
    assert {name for name in names if name.startswith("-")} == set(OPTIONS[command])


@pytest.mark.parametrize("option", ["--no-overwrite", "--empty-nats-epochs", "--no-retry-failed"])
def test_no_option_has_a_negative(nets: Path, store: Path, option: str) -> None:
    """What is not in the help is a usage error."""
    assert run(["score", str(nets), "-o", str(store), option]) == 2


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == genpredict.__version__


# --- options -------------------------------------------------------------------------------------


def test_options_reach_the_store(nets: Path, store: Path) -> None:
    """Estimator, dtype, device, patterns (repeated), chunk size."""
    options = "--estimator reference --dtype float32 --device cpu --chunk-size 7"
    patterns = ["--include", "conv*", "--include", "fc.w*", "--exclude", "conv*"]
    assert run(["score", str(nets), "-o", str(store), *options.split(), *patterns]) == 0
    scores = open_scores(store)
    expected = {"estimator": "reference", "dtype": "float32", "device": "cpu", "chunk_size": 7}
    assert scores.attrs.items() >= expected.items()
    assert scores.attrs["include"] == ["conv*", "fc.w*"]
    assert scores.attrs["exclude"] == ["conv*"]
    assert scores["layer_name"].values.tolist() == [["fc.weight"]] * 3
    assert zarr.open_group(store, mode="r")["rank"].chunks[0] == 7  # type: ignore[union-attr]


def test_several_sources_and_a_manifest(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files and folders in one command; what manifest and files lack of each other is said."""
    one, two = save_networks(tmp_path / "one", 2), save_networks(tmp_path / "two", 1)
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,test_accuracy\none/n0.pt,90\ngone.pt,10\n")
    command = ["score", str(one), str(two / "n0.pt"), "-o", str(store), "--manifest", str(manifest)]
    assert run(command) == 0
    err = capsys.readouterr().err
    assert f"warning: {manifest}: no checkpoint for line 3 (gone.pt)" in err
    assert f"warning: {manifest}: no row for " in err
    scores = open_scores(store)
    assert sorted(scores["checkpoint"].values) == ["n1.pt", "one/n0.pt", "two/n0.pt"]
    assert scores["test_accuracy"].sel(checkpoint="one/n0.pt").item() == 90


def test_nats_options_are_lists(tmp_path: Path, store: Path) -> None:
    """--nats-epochs 12,90 and --nats-datasets a,b select, separated by commas."""
    import numpy as np
    from nats_archives import write_size_space_archive

    datasets = ("cifar10", "cifar100")
    for index in (3, 4):
        rng = np.random.default_rng(index)
        write_size_space_archive(tmp_path, index, epochs=(12, 90), datasets=datasets, rng=rng)
    command = ["score", str(tmp_path), "-o", str(store), "--overwrite"]
    chosen = ["--nats-epochs", "90", "--nats-datasets", "cifar100,cifar10", "--indices", "4"]
    assert run([*command, *chosen]) == 0
    ids = open_scores(store)["checkpoint"].values.tolist()
    assert ids == [f"NATS-sss/000004/{name}/90/777" for name in datasets]
    assert run([*command, "--nats-epochs", "12,90", "--nats-datasets", "cifar10"]) == 0
    assert open_scores(store)["epoch"].values.tolist() == [12, 90] * 2


def test_rows_of_other_sources_are_mentioned(
    tmp_path: Path, nets: Path, store: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Pending rows that this command cannot do."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("genpredict.jobs.score_job.measure_unit", interrupt)
        run(["score", str(nets), "-o", str(store)])
    other = save_networks(tmp_path / "other", 1)
    (other / "n0.pt").rename(other / "another.pt")
    assert run(["score", str(other), "-o", str(store)]) == 0
    err = capsys.readouterr().err
    assert "warning: 3 pending checkpoints are not among these sources" in err


def test_names_in_brackets_are_shown_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Folders called [red] or [/] are no markup for the terminal."""
    folder = save_networks(tmp_path / "[red]a[", 2)
    (folder / "n[bold]1.pt").write_bytes(b"no checkpoint")
    store = tmp_path / "s[dim].zarr"
    assert run(["score", str(folder), "-o", str(store)]) == 3
    err = capsys.readouterr().err
    assert f"{store}: 2 done" in err
    assert f"n[bold]1.pt: {folder / 'n[bold]1.pt'}: " in err


def test_without_a_terminal_progress_is_plain_lines(
    nets: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No bars, no colours in a log file."""
    run(["score", str(nets), "-o", str(store)])
    err = capsys.readouterr().err
    assert re.search(r"^3/3 files, 3 checkpoints done, 0 failed, \d+ s$", err, re.MULTILINE)
    assert "\x1b" not in err


def test_log_lines_are_not_too_many(capsys: pytest.CaptureFixture[str]) -> None:
    """At most one in ten seconds, and one at the end."""
    with console.job_progress(50) as progress:
        for files in range(1, 51):
            progress(files, files, 0)
    assert capsys.readouterr().err.count("\n") == 1


def test_warnings_beyond_ten_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """A manifest of thousands of rows does not flood the terminal."""
    console.warn([f"number {n}" for n in range(25)])
    err = capsys.readouterr().err
    assert err.count("warning: number") == console.MOST_WARNINGS
    assert "warning: … and 15 more like these" in err
