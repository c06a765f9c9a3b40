"""Scoring in memory: what goes in, what comes out, and what a bad checkpoint does to the others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
import torch
import xarray as xr
from torch import Tensor, nn

from genpredict import measuring, schema, scoring
from genpredict.checkpoints import Checkpoint, Item
from genpredict.errors import CheckpointError, GenpredictError
from genpredict.measuring import measure_checkpoints, read_items
from genpredict.row_checks import Row
from genpredict.scoring import Options, score

NAMES = {
    "stable_rank_p1": ("stable_rank", 1),
    "stable_rank_p2": ("stable_rank", 2),
    "quality_p1": ("quality", 1),
    "quality_p2": ("quality", 2),
}


def weights(
    *shapes: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """Make a state dict of weights that are half signal, half noise."""
    rng = torch.Generator().manual_seed(seed)
    made = {}
    for number, shape in enumerate(shapes):
        rows, columns = shape[0], int(np.prod(shape[1:]))
        signal = torch.randn(rows, 2, generator=rng) @ torch.randn(2, columns, generator=rng)
        noise = torch.randn(rows, columns, generator=rng)
        made[f"layer{number}.weight"] = (signal + noise / 2).reshape(shape).to(dtype) / 10
    return made


def network(seed: int = 0, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Make two convolutions and a classifier."""
    return weights((12, 3, 3, 3), (16, 12, 3, 3), (10, 16), seed=seed, dtype=dtype)


class Net(nn.Module):
    """A module with tensors that are no layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 4)


def same_numbers(a: xr.Dataset, b: xr.Dataset) -> None:
    """Assert that two Datasets agree bit for bit in every measure, by layer."""
    for name in (*schema.LAYER_MEASURES, *schema.LAYER_LABELS):
        np.testing.assert_array_equal(a[name].values, b[name].values, err_msg=name)


# --- against the oracle --------------------------------------------------------------------------


def assert_against_reference(
    one: xr.Dataset, layers: Mapping[str, Tensor], *, rel: float, **options: Any
) -> None:
    """Compare all numbers of one checkpoint with the oracle's."""
    entries = reference.score([(k, w.double().numpy()) for k, w in layers.items()], **options)
    names = list(dict.fromkeys(entry.layer for entry in entries))
    assert [name for name in one["layer_name"].values.tolist() if name] == names
    assert int(one["rank"].notnull().sum()) == len(entries)
    for entry in entries:
        at = one.isel(layer=names.index(entry.layer)).sel(unfolding=entry.unfolding)
        assert at["layer_kind"] == entry.kind
        assert at["rank"] == entry.low_rank.rank
        assert at["null_directions"] == entry.low_rank.null_directions
        assert at["dead_output_channels"] == entry.dead_output_channels
        assert at["dead_input_channels"] == entry.dead_input_channels
        floor = 1e-14 * entry.sigma[0] ** 2 / entry.m
        expected = pytest.approx(entry.low_rank.noise_variance, rel=rel, abs=floor)
        assert float(at["noise_variance"]) == expected
        for factorization in schema.FACTORIZATIONS:
            for key, value in entry.measures(factorization).items():
                name, p = NAMES.get(key, (key, None))
                found = at[name].sel(factorization=factorization)
                found = found if p is None else found.sel(p=p)
                assert float(found) == pytest.approx(value, rel=rel, abs=1e-13), (entry, key)


@pytest.mark.parametrize(("estimator", "rel"), [("global", 1e-8), ("reference", 1e-6)])
def test_every_number_against_reference(estimator: str, rel: float) -> None:
    """Convolutions of all ranks of tensor, depthwise, 1x1, linear, 1 row, dead channels."""
    dead = weights((12, 8, 3, 3), seed=2)["layer0.weight"]
    dead[3] = 0
    dead[:, 5] *= 1e-4
    layers = {
        **weights(
            (12, 3, 3, 3), (16, 12, 1, 1), (8, 1, 3, 3), (8, 6, 5), (4, 3, 2, 3, 2), (10, 16)
        ),
        "one_input.weight": weights((5, 1), (7, 2), seed=3)["layer1.weight"],
        "dead.weight": dead,
    }
    scores = score(layers, estimator=estimator)
    assert scores.attrs["estimator"] == estimator
    assert_against_reference(scores.isel(checkpoint=0), layers, rel=rel, estimator=estimator)


def test_tolerances_against_reference() -> None:
    """Both tolerances reach the engine, and are written down."""
    layers = weights((12, 8, 3, 3), seed=2)
    layers["layer0.weight"][3] *= 0.05
    for tolerances in ({"dead_tolerance": 0.0, "null_tolerance": 0.0}, {"dead_tolerance": 0.2}):
        scores = score(layers, **tolerances)
        assert_against_reference(scores.isel(checkpoint=0), layers, rel=1e-8, **tolerances)
        assert scores.attrs.items() >= tolerances.items()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_stored_precision_is_only_how_weights_are_stored(dtype: torch.dtype) -> None:
    """Weights of 2 and 8 bytes score as the same numbers in float64 do, bit for bit."""
    stored = network(dtype=dtype)
    same_numbers(score(stored), score({k: w.double() for k, w in stored.items()}))


def test_half_precision_against_reference() -> None:
    """Nothing is computed in half precision."""
    stored = network(dtype=torch.float16)
    assert_against_reference(score(stored).isel(checkpoint=0), stored, rel=1e-8)


def test_single_precision_error_on_published_networks(shared: Path) -> None:
    """Of dtype="float32" against float64: ranks equal, Q within 2e-6, measures within 1e-3.

    Measured on the 14 checkpoints: Q 4e-7, quality 3e-4 relative, noise variance 5e-4 relative.
    """
    source = shared / "data" / "checkpoints" / "akamaster"
    double, single = score(source), score(source, dtype="float32")
    assert (double.attrs["dtype"], single.attrs["dtype"]) == ("float64", "float32")
    for name in ("rank", "null_directions", "dead_output_channels", "dead_input_channels"):
        np.testing.assert_array_equal(single[name], double[name])
    np.testing.assert_allclose(single["Q"], double["Q"], rtol=2e-6)
    np.testing.assert_allclose(single["Q_adjusted"], double["Q_adjusted"], rtol=2e-6)
    for name in ("stable_rank", "quality", "effective_rank", "spectral_entropy", "noise_variance"):
        np.testing.assert_allclose(single[name], double[name], rtol=1e-3, atol=1e-12)
    np.testing.assert_allclose(single["condition_number"], double["condition_number"], atol=1e-3)
    for name in ("spectral_norm", "frobenius_norm"):
        np.testing.assert_allclose(single[name], double[name], rtol=5e-6, atol=1e-12)


# --- what can be scored --------------------------------------------------------------------------


def test_a_module_scores_as_its_state_dict() -> None:
    """A Module alone, its state dict alone, and both in a mapping."""
    net = Net()
    alone = score(net)
    assert alone["checkpoint"].values.tolist() == ["0"]
    assert alone["layer_name"].values.tolist() == [["conv.weight", "fc.weight"]]
    assert alone["num_parameters"] == sum(p.numel() for p in net.parameters())
    same_numbers(alone, score(net.state_dict()))
    both = score({"module": net, "weights": net.state_dict()})
    assert both["checkpoint"].values.tolist() == ["module", "weights"]
    for name in both["checkpoint"].values:
        same_numbers(alone, both.sel(checkpoint=[name]))


def test_networks_in_a_sequence_are_numbered() -> None:
    """The ids are "0", "1", …, and the order is kept."""
    found = score([network(0), network(1), Net()])
    assert found["checkpoint"].values.tolist() == ["0", "1", "2"]
    assert found["num_layers"].values.tolist() == [3, 3, 2]


def test_files_score_as_what_is_in_them(tmp_path: Path) -> None:
    """A file, a folder, a list of files: ids are file names, numbers are the networks'."""
    for seed in range(3):
        torch.save(network(seed), tmp_path / f"n{seed}.pt")
    at_hand = score([network(seed) for seed in range(3)])
    paths = sorted(tmp_path.iterdir())
    for sources in (tmp_path, str(tmp_path), paths, [str(path) for path in paths]):
        found = score(sources)
        assert found["checkpoint"].values.tolist() == ["n0.pt", "n1.pt", "n2.pt"]
        same_numbers(found, at_hand)
    assert score(paths[1])["source"].item() == str(paths[1])


def test_files_and_networks_mixed(tmp_path: Path) -> None:
    """Both kinds in one list are all there, under names that differ."""
    torch.save(network(0), tmp_path / "n0.pt")
    found = score([tmp_path / "n0.pt", network(1), Net()])
    assert set(found["checkpoint"].values.tolist()) == {"n0.pt", "1", "2"}
    assert (found["status"] == "done").all()
    same_numbers(found.sel(checkpoint=["n0.pt"]), score(network(0)).reindex(layer=found["layer"]))


def test_order_of_a_mixed_list_is_kept(tmp_path: Path) -> None:
    """Rows come in the order of the sources, whatever their kinds."""
    torch.save(network(0), tmp_path / "n0.pt")
    found = score([network(1), tmp_path / "n0.pt", Net()])
    assert found["checkpoint"].values.tolist() == ["0", "n0.pt", "2"]


def test_ids_of_a_mixed_list_differ(tmp_path: Path) -> None:
    """Files of one name in two folders take their folders' names, wherever in the list they are."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        torch.save(network(0), tmp_path / folder / "n.pt")
    found = score([tmp_path / "one" / "n.pt", network(1), tmp_path / "two" / "n.pt"])
    assert found["checkpoint"].values.tolist() == ["one/n.pt", "1", "two/n.pt"]


def test_a_path_in_a_mapping_is_refused(tmp_path: Path) -> None:
    """Its name would be ignored; the error says which it is and what to do."""
    torch.save(network(0), tmp_path / "n.pt")
    text = "sources: a mapping names networks at hand, but 'mine' is a path; give paths in a list"
    with pytest.raises(GenpredictError, match=text):
        score({"net": network(1), "mine": tmp_path / "n.pt"})  # type: ignore[dict-item]


def test_manifest_in_memory(tmp_path: Path) -> None:
    """Metadata and targets of files come from the manifest; the gap follows."""
    torch.save(network(0), tmp_path / "n0.pt")
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,network,train_accuracy,test_accuracy,tag\nn0.pt,net,99.5,90,x\n")
    found = score(tmp_path / "n0.pt", manifest=manifest)
    assert found["generalization_gap"].item() == 9.5
    assert (found["network"].item(), found["tag"].item()) == ("net", "x")


def test_attrs_hold_every_choice_and_the_version() -> None:
    """Estimator, dtype, device, patterns, tolerances, and who made it (docs/design.md 4)."""
    attrs = score(network(), exclude=["fc*"], device="cpu").attrs
    assert attrs["exclude"] == ["fc*"]
    assert attrs["include"] == []
    assert attrs["device"] == "cpu"
    assert "genpredict_version" in attrs


# --- checkpoints that fail -----------------------------------------------------------------------


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_not_finite_weights_fail_their_checkpoint_alone(value: float, dtype: torch.dtype) -> None:
    """The message names the layer; equal shapes in the same batch are not touched."""
    bad = network(1, dtype)
    bad["layer1.weight"][3, 2, 1, 1] = value
    found = score({"a": network(0), "bad": bad, "b": network(2)})
    assert found["status"].values.tolist() == ["done", "failed", "done"]
    error = found["error"].sel(checkpoint="bad").item()
    assert error.startswith("bad: layer layer1.weight holds NaN or infinite weights")
    assert error.endswith("; the training diverged or the file is damaged")
    numbers = found.sel(checkpoint="bad")[[*schema.LAYER_MEASURES, *schema.NETWORK_MEASURES]]
    assert all(numbers[name].isnull().all() for name in numbers)
    same_numbers(found.sel(checkpoint=["a", "b"]), score({"a": network(0), "b": network(2)}))


def test_several_layers_that_are_not_finite_are_counted() -> None:
    """The message names the first and counts the others."""
    bad = {name: weight * torch.nan for name, weight in network().items()}
    error = score(bad)["error"].item()
    assert "layer layer0.weight holds NaN or infinite weights" in error
    assert "(and 2 more layers)" in error


@pytest.mark.parametrize(
    ("dtype", "stored", "size"),
    [("float32", torch.float32, 1e30), ("float64", torch.float64, 1e200)],
)
def test_weights_too_large_to_square_fail_or_score_but_end_no_run(
    dtype: str, stored: torch.dtype, size: float
) -> None:
    """A network that has diverged, but not to infinity yet; the others go on."""
    huge = {name: weight * size for name, weight in network(1, stored).items()}
    found = score({"a": network(0), "huge": huge, "b": network(2)}, dtype=dtype)
    one = found.sel(checkpoint="huge")
    if one["status"].item() == "failed":
        assert "layer layer0.weight" in one["error"].item()
    else:
        expected = score(network(1, stored), dtype=dtype).isel(checkpoint=0)
        np.testing.assert_allclose(one["Q"], expected["Q"], rtol=1e-5)
    assert found["status"].sel(checkpoint=["a", "b"]).values.tolist() == ["done", "done"]


def test_a_network_without_layers_fails() -> None:
    """The message counts its tensors and says where to look."""
    found = score({"norm": nn.BatchNorm2d(4), "good": Net()})
    assert found["status"].values.tolist() == ["failed", "done"]
    assert found["error"].values[0] == (
        "norm: none of its 5 tensors is a layer; see why with `genpredict show --layers`, and "
        "take others in with --include"
    )


def test_something_that_is_no_network_fails() -> None:
    """The message names its type and what would do."""
    found = score({"odd": 5, "empty": {}, "good": Net()})  # type: ignore[dict-item]
    errors = found["error"].values.tolist()
    assert errors[0] == "odd: cannot score a int; give a path, a Module or a state dict"
    assert errors[1] == "empty: cannot score a dict; give a path, a Module or a state dict"
    assert errors[2] == ""


def test_a_file_that_cannot_be_read_fails_alone(tmp_path: Path) -> None:
    """The row names the file; the others go on."""
    torch.save(network(), tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(b"no checkpoint")
    found = score(tmp_path)
    assert found["status"].values.tolist() == ["done", "failed"]
    assert found["error"].values[1].startswith(f"{tmp_path / 'b.pt'}: ")


@pytest.mark.parametrize("sources", [[], {}])
def test_nothing_to_score_is_an_error(sources: Any) -> None:
    with pytest.raises(GenpredictError, match="sources: nothing to score in them"):
        score(sources)


def test_a_missing_path_is_an_error(tmp_path: Path) -> None:
    """Before any work: a typing error is no failed checkpoint."""
    with pytest.raises(GenpredictError, match=r"gone\.pt: no such file or folder; check the path"):
        score([tmp_path / "gone.pt"])


def test_an_archive_that_cannot_be_opened_is_a_failed_row(tmp_path: Path) -> None:
    """Its id leads the row; what was read before stays."""

    def reader(item_id: str, path: Path) -> Any:
        yield Checkpoint(f"{item_id}/1", str(path), {}, network)
        raise CheckpointError(path, "ends early")

    item = Item("archive", tmp_path / "x", 1, False, reader, {"dataset": "cifar10"})
    first, second = read_items([item])
    assert first.id == "archive/1"
    assert isinstance(second, Row)
    assert (second.id, second.error) == ("archive", f"{tmp_path / 'x'}: ends early")
    assert second.metadata == {"dataset": "cifar10"}


# --- zero, one, many -----------------------------------------------------------------------------


def test_all_zero_weights_by_hand() -> None:
    """Rank 0, stable rank 0, condition number 1, quality 0, raw and low-rank; Q is 0."""
    found = score({"conv.weight": torch.zeros(8, 4, 3, 3), "fc.weight": torch.zeros(5, 8)})
    there = found["rank"].notnull()
    expected = {"rank": 0, "noise_variance": 0, "stable_rank": 0, "quality": 0}
    expected |= {"condition_number": 1, "effective_rank": 0, "spectral_entropy": 0}
    expected |= {"spectral_norm": 0, "frobenius_norm": 0}
    for name, value in expected.items():
        assert (found[name] == value).where(there, True).all(), name
    assert (found["Q"] == 0).all()
    assert found["num_rank_zero"] == 2


def test_entries_are_where_unfoldings_are() -> None:
    """NaN means only that there is no such entry: depthwise in_channel, linear in_channel."""
    found = score(weights((8, 4, 3, 3), (8, 1, 3, 3), (5, 8)))
    there = [[True, True], [False, True], [False, True]]
    for name, variable in schema.LAYER_MEASURES.items():
        if "unfolding" in variable.dims:
            inner = found[name].notnull().values[0].reshape(3, 2, -1)
            np.testing.assert_array_equal(
                inner, np.broadcast_to(np.array(there)[..., None], inner.shape)
            )
        else:
            assert found[name].notnull().all()


@pytest.mark.parametrize("size", [1, 2000, 1 << 40])
def test_numbers_do_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Bit for bit: one checkpoint at a time, some, all at once; a failed one among them."""
    bad = network(9)
    bad["layer0.weight"][0] = torch.nan
    nets: dict[str, Any] = {f"n{seed}": network(seed) for seed in range(4)}
    nets |= {
        "deep": weights(*[(8, 8, 3, 3)] * 9),
        "bad": bad,
        "norm": nn.BatchNorm1d(3),
        "m": Net(),
    }
    expected = score(nets)
    monkeypatch.setattr(scoring, "BATCH_WEIGHTS", size)
    xr.testing.assert_identical(score(nets), expected)


def test_memory_is_bounded_by_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints are loaded as they are reached, and a batch ends once it is full."""
    monkeypatch.setattr(measuring, "BATCH_WEIGHTS", 1)
    loaded: list[str] = []

    def load(name: str) -> dict[str, Tensor]:
        loaded.append(name)
        return network()

    checkpoints = [Checkpoint(n, n, {}, lambda n=n: load(n)) for n in "abc"]  # type: ignore[misc]
    parts = measure_checkpoints(checkpoints, Options())
    assert next(parts)["checkpoint"].values.tolist() == ["a"]
    assert loaded == ["a"]
    assert [part["checkpoint"].item() for part in parts] == ["b", "c"]


def test_networks_of_different_depth_are_padded() -> None:
    """The layer axis is that of the deepest; the padding holds no numbers and no names."""
    found = score({"shallow": Net(), "deep": weights(*[(8, 8, 3, 3)] * 9)})
    assert found.sizes["layer"] == 9
    assert found["layer"].values.tolist() == list(range(9))
    padding = found.sel(checkpoint="shallow").isel(layer=slice(2, None))
    assert (padding["layer_name"] == "").all()
    assert padding["quality"].isnull().all()
    assert found["num_layers"].values.tolist() == [2, 9]


# --- options -------------------------------------------------------------------------------------


def test_include_and_exclude_by_name() -> None:
    """Only what matches, and not what is excluded; the rest has the same numbers as ever."""
    layers = network()
    everything = score(layers)
    included = score(layers, include=["layer[01]*"])
    assert included["layer_name"].values.tolist() == [["layer0.weight", "layer1.weight"]]
    same_numbers(included, everything.isel(layer=slice(2)))
    excluded = score(layers, exclude=["layer0*"])
    assert excluded["layer_name"].values.tolist() == [["layer1.weight", "layer2.weight"]]
    both = score(layers, include=["layer[01]*"], exclude=["*0.weight"])
    assert both["layer_name"].values.tolist() == [["layer1.weight"]]


def test_patterns_that_leave_nothing_fail_the_checkpoint() -> None:
    found = score({"net": network()}, include=["nothing*"])
    assert found["error"].item().startswith("net: none of its 3 tensors is a layer")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"estimator": "local"},
            r"estimator must be one of \('global', 'reference'\), got 'local'",
        ),
        ({"dtype": "float16"}, r"dtype must be one of \('float64', 'float32'\), got 'float16'"),
        ({"dead_tolerance": 1}, r"dead_tolerance must lie in \[0, 1\), got 1"),
        ({"null_tolerance": -0.1}, r"null_tolerance must lie in \[0, 1\), got -0.1"),
        ({"dead_tolerance": float("nan")}, r"dead_tolerance must lie in \[0, 1\), got nan"),
        ({"device": "abacus"}, r"device 'abacus' is not available here; use --device cpu or auto"),
        pytest.param(
            {"device": "cuda"},
            r"device 'cuda' is not available here; use --device cpu or auto",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here"),
        ),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], text: str) -> None:
    """Before any work; the error names the option, the rule and the value."""
    with pytest.raises(GenpredictError, match=text):
        score(network(), **options)


def test_one_pattern_needs_no_list() -> None:
    """A text is one pattern, not its letters."""
    net = {"a.weight": torch.randn(4, 5), "b.weight": torch.randn(4, 5)}
    assert score(net, exclude="a.weight", device="cpu")["layer_name"].values.tolist() == [
        ["b.weight"]
    ]


def test_a_manifest_without_paths_is_refused() -> None:
    """A manifest describes files; beside networks at hand it is a mistake."""
    with pytest.raises(GenpredictError, match="manifest: describes files"):
        score({"net": {"a.weight": torch.randn(4, 5)}}, manifest="m.csv")
