"""Measures that need the network, its start or images: in scores, stores and the command."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import save_file
from torch import nn

import genpredict
from genpredict.cli import run as run_command
from genpredict.errors import GenpredictError
from genpredict.jobs.merge import merge_stores
from genpredict.network_measures import margins
from genpredict.network_measures.path_norm import log_path_norm
from genpredict.networks import build_network
from genpredict.options import Options
from genpredict.probing import load_examples
from genpredict.schema import EXTRA_NETWORK_MEASURES

QUICK = ("margins", "gradients", "average_sharpness")


def digits_network(seed: int = 0) -> nn.Module:
    """Build the digits network with running statistics of its own."""
    torch.manual_seed(seed)
    network = build_network("digits_cnn")
    network(torch.randn(16, 1, 8, 8))
    return network.eval()


def saved(folder: Path, count: int = 2, **columns: list[Any]) -> Path:
    """Save networks and a manifest that names them; return the manifest."""
    folder.mkdir(parents=True)
    lines = ["path,network,dataset"]
    for seed in range(count):
        save_file(digits_network(seed).state_dict(), folder / f"n{seed}.safetensors")
        lines.append(f"n{seed}.safetensors,digits_cnn,digits")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines))
    return manifest


def test_a_module_at_hand_against_kernels() -> None:
    """The numbers are those of the kernels on the module and the same images."""
    network = digits_network()
    scores = genpredict.score(
        {"net": network}, measures=["network", *QUICK], data="digits", num_images=100
    ).isel(checkpoint=0)
    images = load_examples("digits", None, 100, "cpu")
    gamma = margins.margin(network, images)
    log_path = log_path_norm(network, (1, 8, 8))
    expected = {
        "log_path_norm": log_path,
        "path_norm": math.exp(log_path),
        "margin": gamma,
        "margin_over_path_norm": gamma / math.exp(log_path / 2),
        "margin_over_frobenius_norms": gamma / math.exp(scores["log_prod_frobenius_norm"] / 2),
        "margin_over_spectral_norms": gamma / math.exp(scores["log_prod_spectral_norm"] / 2),
        "margin_over_param_norm": gamma / math.sqrt(scores["param_norm"]),
    }
    for name, value in expected.items():
        assert float(scores[name]) == pytest.approx(value, rel=1e-9), name
        assert scores[name].attrs == EXTRA_NETWORK_MEASURES[name].attrs
    loss = nn.functional.cross_entropy(network(images.inputs), images.labels)
    assert float(scores["cross_entropy"]) == pytest.approx(float(loss.detach()), rel=1e-5)
    assert (scores.attrs["data"], scores.attrs["num_images"]) == ("digits", 100)


def test_the_images_are_the_same_and_stratified() -> None:
    """That many training images, every class among them."""
    images = load_examples("digits", None, 50, "cpu")
    assert images.inputs.shape == (50, 1, 8, 8)
    assert set(images.labels.tolist()) == set(range(10))


def test_the_command_against_python(tmp_path: Path) -> None:
    """The store that the command makes holds what `score` returns."""
    manifest = saved(tmp_path / "nets", 1)
    store = tmp_path / "s.zarr"
    words = ["score", str(manifest.parent), "--manifest", str(manifest), "-o", str(store)]
    words += ["--data", "digits", "--num-images", "100", "--measures", "margins,gradients"]
    assert run_command(words) == 0
    scores = genpredict.open_scores(store)
    again = genpredict.score(
        manifest.parent, manifest=manifest, measures=["margins", "gradients"], data="digits",
        num_images=100,
    )  # fmt: skip
    for name in (*names_in("margins"), *names_in("gradients")):
        assert np.isfinite(scores[name]).all(), name
        np.testing.assert_allclose(scores[name], again[name], rtol=1e-4, err_msg=name)


def names_in(group: str) -> list[str]:
    """List the measures of a group."""
    return [name for name, row in EXTRA_NETWORK_MEASURES.items() if row.group == group]


def test_a_data_set_alone_takes_every_measure_that_needs_one() -> None:
    """Where none is asked for; else those alone."""
    groups = ("margins", "sharpness", "hessian", "gradients")
    needing = {name for group in groups for name in names_in(group)}
    assert {row.name for row in Options.measuring("network", data="digits").probes} == {
        *needing, *names_in("network"),
    }  # fmt: skip
    assert [row.name for row in Options.measuring("margin", data="digits").probes] == ["margin"]


def test_measures_are_added_by_merge(tmp_path: Path) -> None:
    """A store without them and one with them make a store with both."""
    manifest = saved(tmp_path / "nets")
    paths = [tmp_path / f"{name}.zarr" for name in ("plain", "more", "merged")]
    given: dict[str, Any] = {"manifest": manifest}
    genpredict.score(manifest.parent, output=paths[0], **given)
    more = {"measures": ("network", "margin"), "data": "digits", "num_images": 30}
    scores = genpredict.score(manifest.parent, output=paths[1], **given, **more)
    merge_stores(paths[:2], paths[2])
    merged = genpredict.open_scores(paths[2])
    for name in ("path_norm", "margin"):
        np.testing.assert_array_equal(merged[name], scores[name])
    assert merged.attrs["data"] == "digits"


def distances(scores: xr.Dataset) -> list[float]:
    """Return both distances of the first checkpoint."""
    names = ("distance_from_initialization", "spectral_distance_from_initialization")
    return [float(scores[name][0]) for name in names]


def test_distances_of_a_run_against_loop(tmp_path: Path) -> None:
    """Of a run, from the weights it kept; of other files, from those that --initial names."""
    run = genpredict.train(tmp_path / "runs", epochs=1, num_train=60, batch_size=30, threads=1)
    from safetensors.torch import load_file

    end, start = load_file(run.checkpoints[-1]), load_file(run.path / "initial.safetensors")
    steps = [
        (end[name].double() - start[name].double()).flatten(1).numpy()
        for name in end
        if end[name].ndim > 1
    ]
    expected = [
        math.sqrt(sum(np.linalg.norm(step) ** 2 for step in steps)),
        math.sqrt(sum(np.linalg.norm(step, 2) ** 2 for step in steps)),
    ]
    of_run = genpredict.score(tmp_path / "runs", measures="initialization")
    assert distances(of_run) == pytest.approx(expected, rel=1e-9)
    save_file(end, tmp_path / "end.safetensors")
    named = genpredict.score(
        tmp_path / "end.safetensors",
        measures="initialization",
        initial=run.path / "initial.safetensors",
    )
    assert distances(named) == pytest.approx(expected, rel=1e-9)


def test_what_is_not_known_is_nan_and_said(tmp_path: Path) -> None:
    """No name, another network, no initial weights, other images: one warning a reason."""
    saved(tmp_path / "nets")
    with pytest.warns(UserWarning, match=r"path_norm unknown of n0\.safetensors and 1 more: which"):
        scores = genpredict.score(tmp_path / "nets", measures=["path_norm"])
    assert scores["path_norm"].isnull().all()
    assert (scores["status"] == "done").all()
    with pytest.warns(UserWarning, match="initial weights are not known"):
        genpredict.score(tmp_path / "nets" / "n0.safetensors", measures="initialization")
    colour = {"net": build_network("sss:8:8:8:8:8").eval()}
    with pytest.warns(UserWarning, match=r"takes inputs of shape \(3, 8, 8\), the data set has"):
        genpredict.score(colour, measures="margin", data="digits", num_images=20)
    with pytest.warns(UserWarning, match="two batches of 50 images or more, there are 99; ask for"):
        genpredict.score(digits_network(), measures="gradients", data="digits", num_images=99)
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,network\nn0.safetensors,resnet20\n")
    with pytest.warns(UserWarning, match="weights are of another network of that name"):
        genpredict.score(
            tmp_path / "nets" / "n0.safetensors", manifest=manifest, measures="path_norm"
        )


def test_data_are_checked_at_the_door(tmp_path: Path) -> None:
    """A measure that needs images, without any; a data set that is not there; no images."""
    with pytest.raises(GenpredictError, match="margin needs images; name a data set"):
        Options.measuring("margin")
    with pytest.raises(GenpredictError, match="num_images must be at least 1, got 0"):
        Options.measuring("margin", data="digits", num_images=0)
    with pytest.raises(GenpredictError, match="cifar10"):
        genpredict.score(
            {"net": digits_network()}, measures="margin", data="cifar10", data_folder=tmp_path
        )
