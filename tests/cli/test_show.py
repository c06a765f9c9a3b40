"""`genpredict show`: tables of stores and of checkpoints, for the terminal and as CSV."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from genpredict import schema
from genpredict.checkpoints import Checkpoint
from genpredict.cli import run, show
from genpredict.cli.show import failure_lines, layer_table, network_table
from genpredict.cli.show_files import tensor_table
from genpredict.scoring import score
from genpredict.store.reading import open_scores


def network(seed: int, width: int = 8) -> dict[str, torch.Tensor]:
    """Make a small network with tensors that are no layers."""
    rng = torch.Generator().manual_seed(seed)
    left = torch.randn(width, 2, generator=rng)
    signal = left @ torch.randn(2, 27, generator=rng) + 0.2 * torch.randn(width, 27, generator=rng)
    return {
        "conv.weight": signal.reshape(width, 3, 3, 3),
        "norm.weight": torch.ones(width),
        "fc.weight": torch.randn(5, width, generator=rng),
        "steps": torch.tensor(3),
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with networks, bad files, a manifest and their store."""
    folder = tmp_path_factory.mktemp("made")
    nets = folder / "nets"
    nets.mkdir()
    for number in range(4):
        torch.save(network(number), nets / f"n{number}.pt")
    for number in range(5):
        (nets / f"bad{number}.pt").write_bytes(b"no checkpoint")
    torch.save({"w.weight": torch.full((4, 4), torch.nan)}, nets / "diverged.pt")
    manifest = nets / "m.csv"
    manifest.write_text("path,train_accuracy,test_accuracy\nn0.pt,99.5,90.25\nn1.pt,98,91\n")
    command = ["score", str(nets), "--manifest", str(manifest), "-o", str(folder / "s.zarr")]
    assert run(command) == 3
    return folder


@pytest.fixture
def scores(made: Path) -> xr.Dataset:
    return open_scores(made / "s.zarr").load()


def test_a_store_is_summed_up(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts, choices, failures with reasons, checkpoints by Q; on stdout, exit code 0."""
    assert run(["show", str(made / "s.zarr")]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "10 checkpoints (4 done, 6 failed, 0 pending), up to 2 layers" in out
    assert "estimator global, dtype float64, device cpu" in out
    for heading in ("checkpoint", "Q", "Q adjusted", "parameters", "rank 0", "rank 1", "gap"):
        assert heading in out
    assert "9.25" in out
    order = [line.split()[0] for line in out.splitlines() if line.startswith(" n")]
    assert order == network_table(open_scores(made / "s.zarr")).index.tolist()


def test_failures_are_grouped_by_reason(
    made: Path, scores: xr.Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commonest reason first, each with its count and the first names."""
    lines = failure_lines(scores)
    assert len(lines) == 2
    assert lines[0].startswith("failed (5): ")
    assert lines[0].endswith("    bad0.pt, bad1.pt, bad2.pt and 2 more")
    assert lines[1].startswith("failed (1): ")
    assert "diverged.pt: layer w.weight holds NaN or infinite weights" in lines[1]
    assert lines[1].endswith("    diverged.pt")
    run(["show", str(made / "s.zarr")])
    out = capsys.readouterr().out
    assert lines[0] in out
    assert lines[1] in out


def test_reasons_of_archives_with_their_ids_are_grouped() -> None:
    """Also where a path stands within the reason's first words."""
    frame = xr.Dataset(
        {
            "status": ("checkpoint", ["failed", "failed"]),
            "error": ("checkpoint", ["a/1.pbz2: ends early", "b c/2.pbz2: ends early"]),
        },
        coords={"checkpoint": ["x", "y"]},
    )
    assert failure_lines(frame) == ["failed (2): ends early\n    x, y"]


def test_no_failures_no_lines() -> None:
    assert failure_lines(score(network(0))) == []


def test_networks_are_listed_best_first(scores: xr.Dataset) -> None:
    """Q low-rank at p = 2 and what stands beside it, as in the Dataset; failed ones are not."""
    table = network_table(scores)
    assert sorted(table.index) == ["n0.pt", "n1.pt", "n2.pt", "n3.pt"]
    assert table["Q"].is_monotonic_decreasing
    chosen = scores.sel(checkpoint=table.index.tolist(), factorization="low_rank", p=2)
    for name in table.columns:
        np.testing.assert_array_equal(table[name], chosen[name])
    expected = ["Q", "Q_adjusted", "num_parameters", "num_layers", "num_rank_zero", "num_rank_one"]
    expected += ["train_accuracy", "test_accuracy", "generalization_gap"]
    assert table.columns.tolist() == expected


def test_of_many_networks_the_ends_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five from the top and five from the bottom; a CSV file holds all."""
    for number in range(25):
        torch.save(network(number), tmp_path / f"n{number:02d}.pt")
    run(["score", str(tmp_path), "-o", str(tmp_path / "s.zarr")])
    run(["show", str(tmp_path / "s.zarr")])
    out = capsys.readouterr().out
    assert "highest Q (low rank, p = 2)" in out
    assert "lowest Q (low rank, p = 2)" in out
    names = network_table(open_scores(tmp_path / "s.zarr")).index.tolist()
    shown = [line.split()[0] for line in out.splitlines() if line.startswith(" n")]
    assert shown == names[:5] + names[-5:]
    run(["show", str(tmp_path / "s.zarr"), "-o", str(tmp_path / "t.csv")])
    assert f"25 rows written to {tmp_path / 't.csv'}" in capsys.readouterr().out
    assert pd.read_csv(tmp_path / "t.csv")["checkpoint"].tolist() == names


def test_a_csv_of_networks_is_exact(made: Path, scores: xr.Dataset, tmp_path: Path) -> None:
    """Numbers with all their digits."""
    assert run(["show", str(made / "s.zarr"), "-o", str(tmp_path / "t.csv")]) == 0
    read = pd.read_csv(tmp_path / "t.csv", index_col="checkpoint")
    expected = network_table(scores)
    pd.testing.assert_frame_equal(
        read[expected.columns], expected, check_exact=True, check_dtype=False
    )


def test_files_and_json_hold_what_is_known(
    made: Path, scores: xr.Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every coordinate along checkpoint is a column of the CSV file and a field in JSON."""
    run(["show", str(made / "s.zarr"), "-o", str(tmp_path / "t.csv")])
    capsys.readouterr()
    assert run(["show", str(made / "s.zarr"), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    known = {str(n) for n, v in scores.coords.items() if v.dims == ("checkpoint",)}
    assert known <= set(pd.read_csv(tmp_path / "t.csv").columns) == set(rows[0])
    assert {row["source"] for row in rows} == set(
        scores["source"].values[scores["status"] == "done"]
    )


def test_every_entry_is_a_row_of_the_layer_table(scores: xr.Dataset) -> None:
    """Every measure, factorization and power is a column; values as in the Dataset."""
    table = layer_table(scores)
    assert len(table) == int(scores["rank"].notnull().sum()) == 4 * 3
    one = table.loc[("n2.pt", 0, "in_channel")]
    at = scores.sel(checkpoint="n2.pt", layer=0, unfolding="in_channel")
    assert one["layer_name"] == "conv.weight"
    assert one["rank"] == at["rank"]
    for name, variable in schema.LAYER_MEASURES.items():
        for factorization in schema.FACTORIZATIONS:
            for p in schema.POWERS:
                chosen, column = at[name], name
                if "factorization" in variable.dims:
                    chosen, column = (
                        chosen.sel(factorization=factorization),
                        f"{name}_{factorization}",
                    )
                if "p" in variable.dims:
                    chosen, column = chosen.sel(p=p), f"{column}_p{p}"
                assert one[column] == chosen.item(), column


def test_layers_of_a_store_are_shown_and_written(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the terminal a choice of columns; in the CSV file all, one row an entry."""
    assert run(["show", "--layers", str(made / "s.zarr")]) == 0
    out = capsys.readouterr().out
    assert "layers (low rank, p = 2)" in out
    for text in ("conv.weight", "8x3x3x3", "in_channel", "out_channel", "noise variance"):
        assert text in out
    path = tmp_path / "layers.csv"
    assert run(["show", "--layers", str(made / "s.zarr"), "-o", str(path)]) == 0
    assert f"12 rows written to {path}" in capsys.readouterr().out
    read = pd.read_csv(path, index_col=["checkpoint", "layer", "unfolding"])
    assert read.columns.tolist() == layer_table(open_scores(made / "s.zarr")).columns.tolist()


def test_a_long_table_is_cut_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show, "MOST_ROWS", 2)
    torch.save(network(0), tmp_path / "n.pt")
    run(["score", str(tmp_path), "-o", str(tmp_path / "s.zarr")])
    run(["show", "--layers", str(tmp_path / "s.zarr")])
    assert "and 1 more rows; write all of them with -o FILE.csv" in capsys.readouterr().out


def test_a_store_of_failures_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Is shown as such, layers as well."""
    (tmp_path / "bad.pt").write_bytes(b"no checkpoint")
    run(["score", str(tmp_path), "-o", str(tmp_path / "s.zarr")])
    for arguments in (["show"], ["show", "--layers"]):
        assert run([*arguments, str(tmp_path / "s.zarr")]) == 0
        assert "1 checkpoints (0 done, 1 failed, 0 pending)" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["show"], ["show", "--layers"]])
def test_a_file_shows_which_tensors_are_layers(
    made: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """And which are not, and why."""
    assert run([*arguments, str(made / "nets" / "n0.pt")]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "n0.pt: 2 layers, 2 tensors left out" in out
    assert "1-D: a bias, a normalization or a statistic" in out
    assert "a scalar" in out


def test_what_must_be_said_of_a_network_is_shown_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As scoring does: tensors without names, weights of which a part cannot be measured."""
    packed = {"fc.qweight": torch.ones(2, 4, dtype=torch.int32), "head.weight": torch.randn(9, 9)}
    torch.save(packed, tmp_path / "packed.pt")
    torch.save([torch.randn(4, 3), torch.randn(5, 4)], tmp_path / "list.pt")
    assert run(["show", str(tmp_path / "packed.pt")]) == 0
    assert "64 of 145 entries of its weights are quantized" in capsys.readouterr().err
    assert run(["show", str(tmp_path / "list.pt")]) == 0
    assert "its tensors have no names" in capsys.readouterr().err


def test_tensors_of_a_checkpoint() -> None:
    """Layers first, with kind, shape and dtype; then the rest, with reasons."""
    table = tensor_table(Checkpoint("n", "n", {}, lambda: network(0)))
    assert table.values.tolist() == [
        ["conv.weight", "conv", "8x3x3x3", "float32", ""],
        ["fc.weight", "linear", "5x8", "float32", ""],
        ["norm.weight", "", "8", "float32", "1-D: a bias, a normalization or a statistic"],
        ["steps", "", "scalar", "int64", "a scalar"],
    ]


def test_patterns_for_a_file(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--include and --exclude as for score; the table as CSV."""
    path = str(made / "nets" / "n0.pt")
    assert run(["show", path, "--exclude", "fc*", "-o", str(tmp_path / "t.csv")]) == 0
    assert "1 layers, 3 tensors left out" in capsys.readouterr().out
    read = pd.read_csv(tmp_path / "t.csv", index_col="name", keep_default_na=False)
    assert read.loc["fc.weight", "reason"] == "excluded by the pattern fc*"
    assert read.loc["conv.weight", "taken as"] == "conv"
    assert run(["show", path, "--include", "conv*"]) == 0
    assert "matches no include pattern" in capsys.readouterr().out


def test_the_first_checkpoint_of_an_archive(
    shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what the archive says about it."""
    path = shared / "data" / "nats-sss-mini" / "000011.pickle.pbz2"
    assert run(["show", str(path)]) == 0
    out = capsys.readouterr().out
    assert "NATS-sss/000011/cifar10/12/777: 24 layers" in out
    assert "network: 8:8:8:16:32" in out


def test_a_file_that_is_no_checkpoint(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1; the error names the file."""
    path = made / "nets" / "bad0.pt"
    assert run(["show", str(path)]) == 1
    assert f"genpredict: error: {path}: " in capsys.readouterr().err


def test_names_in_brackets_are_shown_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints, layers, patterns, stores and files called [q] or [/x] are no markup."""
    folder = tmp_path / "[bold]nets"
    folder.mkdir()
    torch.save({"attn.qkv.weight": torch.randn(12, 4)}, folder / "n[red]0.pt")
    store, table = tmp_path / "s[dim].zarr", tmp_path / "t[dim].csv"
    arguments = ["score", str(folder), "-o", str(store), "--exclude", "*[/x]*"]
    monkeypatch.setattr("sys.argv", ["genpredict", *arguments])
    assert run(arguments) == 0
    capsys.readouterr()
    assert run(["show", str(store)]) == 0
    out = capsys.readouterr().out
    assert f"{store}: 1 checkpoints" in out
    assert "n[red]0.pt" in out
    assert "*[/x]*" in out
    assert run(["show", "--layers", str(store)]) == 0
    assert "attn.qkv.weight[q]" in capsys.readouterr().out
    assert run(["show", str(store), "-o", str(table)]) == 0
    assert f"1 rows written to {table}" in capsys.readouterr().out
    assert run(["show", str(folder / "n[red]0.pt")]) == 0
    assert "n[red]0.pt: 3 layers" in capsys.readouterr().out


def test_shards_under_way_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """How many units are done, and which command finishes the store."""
    parts = tmp_path / "s.zarr.parts"
    parts.mkdir()
    for name in ("a.npz", "b.failed.npz", "identity.json", "1.lock"):
        (parts / name).write_text("")
    assert run(["show", str(tmp_path / "s.zarr")]) == 1
    said = capsys.readouterr().err
    assert "shards of it are in" in said
    assert "(2 units of work done so far)" in said
    assert "by the same command without --shard" in said


def test_no_store_and_a_store_of_another_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that is a store's is not taken for a checkpoint's; nor is Zarr's version 2."""
    assert run(["show", str(tmp_path / "s.zarr")]) == 1
    assert "s.zarr: no such scores store; make one with" in capsys.readouterr().err
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / ".zgroup").write_text('{"zarr_format": 2}')
    assert run(["show", str(tmp_path / "old")]) == 1
    assert "old: not a scores store of genpredict (Zarr v3)" in capsys.readouterr().err


ESCAPES = "\x1b[2J\x1b]0;title\x07\x9b31m\u202e\r"


def test_escape_sequences_are_shown_not_obeyed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In names of files and tensors, cells of manifests and reasons of failures."""
    nets = tmp_path / "nets"
    nets.mkdir()
    torch.save({f"c{ESCAPES}.weight": torch.randn(4, 4)}, nets / f"a{ESCAPES}:bug:.pt")
    (nets / f"b{ESCAPES}\n.pt").write_bytes(b"no checkpoint")
    (nets / "m.csv").write_text(f'path,network\n"a{ESCAPES}:bug:.pt",n{ESCAPES}\n', newline="")
    store = str(tmp_path / "s.zarr")
    code = run(["score", str(nets), "--manifest", str(nets / "m.csv"), "-o", store])
    assert code == 3
    shown = [["show", store], ["show", store, "--layers"], ["show", str(nets)]]
    shown += [["correlate", store, "--by", "network"], ["show", str(nets / f"b{ESCAPES}\n.pt")]]
    assert [run(arguments) for arguments in shown][:3] == [0, 0, 0]
    captured = capsys.readouterr()
    for text in (captured.out, captured.err):
        assert "\\x1b[2J" in text
        assert not set(text) & set("\x1b\x07\x9b\u202e\r")
    assert ":bug:" in captured.out
