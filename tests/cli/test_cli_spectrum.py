"""`genpredict figure spectrum`: of files, folders, archives and stores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from genpredict.cli import run
from genpredict.cli.figures.weights import choose_layer, open_network
from genpredict.errors import GenpredictError
from genpredict.spectral import evbmf, singular_values, unfold
from genpredict.store.reading import open_scores

ZOO = Path(__file__).resolve().parents[2] / "data" / "digits-zoo"
ONE = "sgd_lr0.1_wd0.001_noise0_n80_b32_e25_s2.safetensors"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Score the zoo once."""
    path = tmp_path_factory.mktemp("zoo") / "s.zarr"
    manifest = str(ZOO / "manifest.csv")
    assert run(["score", str(ZOO), "--manifest", manifest, "-o", str(path)]) == 0
    return path


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Return a function that runs the command and returns the Axes it saved."""
    import genpredict.figures.saving as saving

    kept: list[Any] = []
    real = saving.save

    def keep(figure: Any, path: Path) -> Path:
        kept.append(figure)
        return real(figure, path)

    monkeypatch.setattr(saving, "save", keep)

    def command(source: Path, *options: str) -> Any:
        output = tmp_path / "new folder" / "f.png"
        output.unlink(missing_ok=True)
        assert run(["figure", "spectrum", str(source), *options, "-o", str(output)]) == 0
        assert output.read_bytes().startswith(b"\x89PNG")
        return kept[-1]

    return command


def check_against_spectral(ax: Any, weight: torch.Tensor, unfolding: str, **options: Any) -> None:
    """Assert that both spectra are those of the weight."""
    raw = singular_values(unfold(weight.double(), unfolding))
    found = evbmf(weight, unfolding, **options)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), raw, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), found.singular_values[: int(found.rank)])


@pytest.mark.parametrize("unfolding", ["in_channel", "out_channel"])
@pytest.mark.parametrize("estimator", ["global", "reference"])
def test_file_layer_and_unfolding_against_spectral(
    drawn: Callable[..., Any], unfolding: str, estimator: str
) -> None:
    """The named layer of a file, with or without the ending .weight."""
    weight = load_file(ZOO / ONE)["features.3.0.weight"]
    for name in ("features.3.0", "features.3.0.weight"):
        options = ("--layer", name, "--unfolding", unfolding, "--estimator", estimator)
        ax = drawn(ZOO / ONE, *options)
        check_against_spectral(ax, weight, unfolding, estimator=estimator)
    title = ax.get_legend().get_title().get_text()
    assert "features.3.0" in title
    assert unfolding in title
    assert ("reference estimator" in title) == (estimator == "reference")


def test_store_finds_the_weights_again_against_spectral(
    store: Path, drawn: Callable[..., Any]
) -> None:
    """A row of a store is drawn from its file; the default is its layer of highest rank."""
    row = open_scores(store).sel(checkpoint=ONE)
    rank = row["rank"].sel(unfolding="out_channel").where(row["layer_kind"] == "conv")
    name = str(row["layer_name"].values[int(np.nanargmax(rank.values))])
    ax = drawn(store, "--checkpoint", "sgd_lr0.1_wd0.001_noise0_n80_b32_e25_s2")
    check_against_spectral(ax, load_file(ZOO / ONE)[name], "out_channel")


def test_folder_takes_a_checkpoint_by_its_id(
    drawn: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of many files the named one; the first, and a note, where none is named."""
    ax = drawn(ZOO, "--checkpoint", ONE, "--layer", "head", "--log")
    check_against_spectral(ax, load_file(ZOO / ONE)["head.weight"], "out_channel")
    assert ax.get_yscale() == "log"
    drawn(ZOO)
    assert "the first of several, see --checkpoint" in capsys.readouterr().err


def test_the_source_column_of_a_manifest_does_not_hide_the_weights(
    tmp_path: Path, drawn: Callable[..., Any]
) -> None:
    """What a manifest says of it stands apart; the weights are found where they were read."""
    folder, store = tmp_path / "runs" / "a", tmp_path / "s.zarr"
    folder.mkdir(parents=True)
    weight = torch.randn(8, 30, generator=torch.Generator().manual_seed(0))
    save_file({"fc.weight": weight}, folder / "x.safetensors")
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,source\na/x.safetensors,github someone/something\n")
    arguments = ["score", str(tmp_path / "runs"), "--manifest", str(manifest), "-o", str(store)]
    assert run(arguments) == 0
    scores = open_scores(store)
    assert scores["manifest_source"].item() == "github someone/something"
    assert scores["source"].item() == str(folder / "x.safetensors")
    check_against_spectral(drawn(store), weight, "out_channel")


def test_archive_rows_have_spectra(shared: Path, drawn: Callable[..., Any]) -> None:
    """A row of a NATS-Bench archive, named by its id."""
    row = "NATS-sss/000011/cifar10/12/777"
    ax = drawn(shared / "data" / "nats-sss-mini", "--checkpoint", row)
    assert "NATS-sss/0" in ax.get_legend().get_title().get_text()


def test_weights_that_changed_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other numbers in the file: a warning; other layers, or no file: an error with a remedy."""
    file, store, output = tmp_path / "x.safetensors", tmp_path / "s.zarr", tmp_path / "f.png"
    rng = torch.Generator().manual_seed(0)
    save_file({"fc.weight": torch.randn(8, 30, generator=rng)}, file)
    assert run(["score", str(file), "-o", str(store)]) == 0
    command = ["figure", "spectrum", str(store), "-o", str(output), "--overwrite"]
    assert run(command) == 0
    assert "warning" not in capsys.readouterr().err
    save_file({"fc.weight": 2 * torch.randn(8, 30, generator=rng)}, file)
    assert run(command) == 0
    assert "what is drawn is the weights of now" in " ".join(capsys.readouterr().err.split())
    save_file({"fc2.weight": torch.randn(8, 30, generator=rng)}, file)
    assert run(command) == 1
    assert "it has changed since, so score it again" in " ".join(capsys.readouterr().err.split())
    file.unlink()
    assert run(command) == 1
    message = " ".join(capsys.readouterr().err.split())
    assert f"the weights of 'x.safetensors' are no longer where they were read ({file}" in message
    assert "genpredict figure spectrum FILE_OR_FOLDER --checkpoint x.safetensors" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--checkpoint", "nope"], "--checkpoint: 'nope' fits none of the checkpoints"),
        (["--checkpoint", "sgd"], r"--checkpoint: 'sgd' fits \d+ of the checkpoints"),
        (["--layer", "nope"], "--layer: 'nope' is no layer of .*; name one of features.0.0.weight"),
        (["--layer", "head", "--unfolding", "in_channel"], "--unfolding: head.weight of shape"),
    ],
)
def test_mistakes_name_the_option(store: Path, options: list[str], message: str) -> None:
    """Of a folder and of a store alike."""
    given = dict(zip(options[::2], options[1::2], strict=True))
    for source in (ZOO, store):
        with pytest.raises(GenpredictError, match=message):
            choose_layer(
                open_network(source, given.get("--checkpoint"), None),
                given.get("--layer"),
                given.get("--unfolding"),
            )
