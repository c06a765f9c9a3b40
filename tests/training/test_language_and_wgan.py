"""The language model and the Wasserstein GAN: they learn, go on bit for bit, and are scored."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from broken_runs import Interrupter, assert_same_result
from torch import nn

import genpredict
from genpredict.datasets.text import (
    load_text,
    made_up_lines,
    made_up_perplexity,
    unigram_perplexity,
)
from genpredict.errors import GenpredictError
from genpredict.networks.lstm_language import LSTMLanguage
from genpredict.training import complete, train
from genpredict.training.language import prepare_language, side_by_side

LANGUAGE: dict[str, Any] = {
    "recipe": "ptb", "network": "lstm:1:16:32", "epochs": 3, "threads": 1,
}  # fmt: skip
GAN: dict[str, Any] = {"recipe": "wgan", "epochs": 3, "num_train": 320, "threads": 1}


@pytest.mark.parametrize("optimizer", ["rmsgd", "adam"])
def test_a_language_model_beats_counting_words(tmp_path: Path, optimizer: str) -> None:
    """Its perplexity on the test text ends below the unigram model's; loss is its logarithm."""
    rate = {"lr": 0.01} if optimizer == "adam" else {}
    run = train(tmp_path, **LANGUAGE, optimizer=optimizer, hyperparameters=rate)
    history = run.history
    assert history["test_perplexity"][0] == pytest.approx(len(load_text().words), rel=0.1)
    assert history["test_perplexity"][-1] < unigram_perplexity(load_text()) / 3
    np.testing.assert_allclose(np.log(history["test_perplexity"]), history["test_loss"])
    assert run.summary["running_accuracy"] > 20


@pytest.mark.parametrize("settings", [LANGUAGE, GAN], ids=["language", "gan"])
@pytest.mark.parametrize("optimizer", ["rmsgd", "sam"])
def test_broken_off_they_go_on_bit_for_bit(
    tmp_path: Path, settings: dict[str, Any], optimizer: str
) -> None:
    """In the middle of the second epoch, with dropout, memory, noise and both optimizers."""
    given = {**settings, "epochs": 2, "optimizer": optimizer}
    whole = train(tmp_path / "whole", **given)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", watcher=Interrupter(1, 4), **given)
    assert_same_result(train(tmp_path / "broken", **given), whole)


def test_the_critic_learns_to_tell(tmp_path: Path) -> None:
    """Its loss, E f(made) − E f(real), falls; the history has the layers of both networks."""
    run = train(tmp_path, **{**GAN, "epochs": 8, "num_train": 1000}, optimizer="rmsgd")
    loss = run.history["running_loss"].values
    assert loss[-1] < loss[2] < 0
    assert run.history["test_loss"][-1] < run.history["test_loss"][1]
    names = run.history["layer_name"].values.tolist()
    assert {name.partition(".")[0] for name in names} == {"critic", "generator"}
    assert np.isfinite(run.history["generator_loss"][1:]).all()
    assert (run.history["learning_rate"] == 0.03).all()  # no layer has a signal yet: hold


def test_both_are_scored(tmp_path: Path) -> None:
    """LSTM layers gate by gate, without the look-up table; critic and generator side by side."""
    train(tmp_path, **{**LANGUAGE, "epochs": 1})
    train(tmp_path, **{**GAN, "epochs": 1})
    scores = genpredict.score(tmp_path)
    assert scores["status"].values.tolist() == ["done", "done"]
    rows = [scores.isel(checkpoint=index) for index in range(2)]
    layers = [set(row["layer_name"].values) for row in rows]
    names, others = sorted(layers, key=lambda some: "critic.conv1.weight" in some)
    assert {"lstm.weight_ih_l0[i]", "lstm.weight_hh_l0[o]", "decoder.weight"} <= names
    assert "embedding.weight" not in names
    assert {"generator.conv1.weight", "critic.conv1.weight"} <= others


def test_the_model_against_its_equations() -> None:
    """Logits of a sequence in pieces, memory handed on, are those of the whole."""
    torch.manual_seed(0)
    network = LSTMLanguage(11, layers=2, embedding=5, hidden=7).eval()
    words = torch.randint(0, 11, (9, 3))
    whole, _ = network(words)
    first, memory = network(words[:4])
    second, _ = network(words[4:], memory)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    assert whole.shape == (9, 3, 11)


def test_gradients_are_clipped() -> None:
    """To the recipe's norm of .25 over all parameters."""
    materials = prepare_language(complete({**LANGUAGE, "optimizer": "sgd"}))
    columns = side_by_side(materials.text.train, 4)
    nn.init.normal_(materials.network.decoder.weight)  # type: ignore[union-attr, arg-type]
    materials._step(columns[:9], columns[1:10], None)
    norms = [one.grad.norm() for one in materials.network.parameters() if one.grad is not None]
    assert torch.stack(norms).norm() <= 0.2501


def test_perplexity_of_the_grammar_against_counting() -> None:
    """Of so many sentences that their frequencies tell their chances.

    What frequencies give is below the truth: of rare sentences those that came are counted alone.
    """
    lines = made_up_lines(100_000, seed=5)
    frequencies = np.array([*Counter(lines).values()]) / len(lines)
    entropy = -(frequencies * np.log(frequencies)).sum()
    length = np.mean([len(line.split()) + 1 for line in lines])
    assert 0.95 * made_up_perplexity() < np.exp(entropy / length) < made_up_perplexity()


def test_texts_from_a_file_and_a_folder(tmp_path: Path) -> None:
    """One file is cut by lines; of three each is a part; words not trained on are unknown."""
    lines = made_up_lines(100)
    (tmp_path / "one.txt").write_text("\n".join(lines), encoding="utf-8")
    cut = load_text(tmp_path / "one.txt")
    folder = tmp_path / "three"
    folder.mkdir()
    for part, some in (("train", lines[:80]), ("valid", lines[80:90]), ("test", lines[90:])):
        (folder / f"ptb.{part}.txt").write_text("\n".join(some), encoding="utf-8")
    three = load_text(folder)
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(cut, part), getattr(three, part))
    (folder / "ptb.test.txt").write_text("zebra zebra", encoding="utf-8")
    unseen = load_text(folder)
    assert [unseen.words[number] for number in unseen.test] == ["<unk>", "<unk>", "<eos>"]


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    """Files that are missing, networks and settings of images, images that do not halve."""
    with pytest.raises(GenpredictError, match=r"for train there is none"):
        load_text(tmp_path)
    with pytest.raises(GenpredictError, match=r"nowhere\.txt: no text file"):
        load_text(tmp_path / "nowhere.txt")
    with pytest.raises(GenpredictError, match=r"^network: the data set text needs lstm:LAYERS"):
        train(tmp_path, recipe="ptb", network="resnet20")
    with pytest.raises(GenpredictError, match=r"^num_validation: is for images"):
        train(tmp_path, **LANGUAGE, num_validation=5)
    with pytest.raises(GenpredictError, match=r"^image_size: wgan needs square images"):
        train(tmp_path, **GAN, image_size=9)


def test_a_lost_gan_is_a_diverged_run(tmp_path: Path) -> None:
    """With an absurd rate it ends as any network does, instead of with a traceback."""
    run = train(tmp_path, **GAN, optimizer="sgd", hyperparameters={"lr": 1e30})
    assert run.summary["status"] == "diverged"


def test_a_gan_holds_no_images_out(tmp_path: Path) -> None:
    """It is said, like other options that a recipe has no use for."""
    with pytest.raises(GenpredictError, match=r"^num_validation: a GAN is not chosen"):
        train(tmp_path, **GAN, num_validation=10)
