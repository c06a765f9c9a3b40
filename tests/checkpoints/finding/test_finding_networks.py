"""Several networks in one file: ids, choice, manifests; what files say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import genpredict
from genpredict import open_checkpoints
from genpredict.errors import GenpredictError

WEIGHTS = {"0.weight": torch.randn(4, 3), "1.weight": torch.randn(2, 4)}


def copies(count: int = 1) -> list[dict[str, torch.Tensor]]:
    return [{n: tensor.clone() + 1 for n, tensor in WEIGHTS.items()} for _ in range(count)]


@pytest.fixture
def gan(tmp_path: Path) -> Path:
    generator, discriminator, average = copies(3)
    saved = {"G": generator, "D": discriminator, "G_ema": average, "epoch": 7, "best_acc": 0.9}
    torch.save(saved, tmp_path / "gan.pt")
    return tmp_path / "gan.pt"


def ids(source: Path | str, **options: str) -> list[str]:
    return [item.id for item in open_checkpoints(source, **options).items]


def test_several_networks_are_a_checkpoint_each(gan: Path) -> None:
    assert ids(gan) == ids(gan.parent) == ["gan.pt#G", "gan.pt#D"]
    scores = genpredict.score(gan)
    assert scores["checkpoint"].values.tolist() == ["gan.pt#G", "gan.pt#D"]
    assert scores["status"].values.tolist() == ["done", "done"]


def test_a_network_is_chosen_by_name_even_one_that_is_put_aside(gan: Path) -> None:
    for name in ("D", "G_ema"):
        assert ids(gan, network=name) == ids(f"{gan}#{name}") == [f"gan.pt#{name}"]
    scores = genpredict.score(gan, network="E")
    assert "holds no network 'E'; its networks are: G, D" in scores["error"].item()


def test_a_manifest_names_networks(gan: Path) -> None:
    (gan.parent / "m.csv").write_text("path,seed\ngan.pt#D,2\ngan.pt#G,1\n")
    sources = open_checkpoints(gan, manifest=gan.parent / "m.csv")
    assert [dict(checkpoint.metadata) for checkpoint in sources] == [{"seed": 1}, {"seed": 2}]
    assert sources.warnings == []


def test_accuracies_in_a_file_are_targets_only_where_asked_for(gan: Path) -> None:
    assert "test_accuracy" not in genpredict.score(gan).variables
    said = [dict(c.metadata) for c in open_checkpoints(gan, targets_from_file=True)]
    assert said == [{"epoch": 7.0, "test_accuracy": 90.0}] * 2
    (gan.parent / "m.csv").write_text("path,test_accuracy\ngan.pt#G,80\n")
    both = open_checkpoints(gan, manifest=gan.parent / "m.csv", targets_from_file=True)
    assert next(iter(both)).metadata["test_accuracy"] == 80


def test_what_holds_no_network_is_passed_over_in_folders_and_fails_alone(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "net.pt")
    optimizer = {"state": {0: {"exp_avg": torch.ones(2, 2)}}, "param_groups": [{"lr": 0.1}]}
    torch.save(optimizer, tmp_path / "opt.pt")
    torch.save(torch.randn(9, 5), tmp_path / "features.pt")
    (tmp_path / "notes.xyz").write_bytes(b"something else")
    sources = open_checkpoints(tmp_path)
    assert [item.id for item in sources.items] == ["net.pt"]
    assert "2 files hold no network, passed over: features.pt" in sources.warnings[0]
    assert "1 files of unknown kind passed over (1 .xyz)" in sources.warnings[1]
    scores = genpredict.score(tmp_path / "opt.pt")
    assert "holds the state of an optimizer and no network" in scores["error"].item()
    with pytest.raises(GenpredictError, match="unknown kind of file"):
        open_checkpoints(tmp_path / "notes.xyz")


def test_model_parallel_shards_and_unzipped_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "llama").mkdir()
    for rank in range(2):
        torch.save(WEIGHTS, tmp_path / "llama" / f"consolidated.0{rank}.pth")
    scores = genpredict.score(tmp_path / "llama")
    assert scores.sizes["checkpoint"] == 1
    assert "one model-parallel shard of several" in scores["error"].item()
    (tmp_path / "x" / "data").mkdir(parents=True)
    (tmp_path / "x" / "data.pkl").write_bytes(b"\x80\x02}.")
    (tmp_path / "x" / "version").write_text("3")
    assert "unzipped file of torch.save" in genpredict.score(tmp_path / "x")["error"].item()
