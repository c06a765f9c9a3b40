"""Settings: filled up by recipes, checked, named."""

from __future__ import annotations

from pathlib import Path

import pytest

from genpredict.checkpoints.finding.runs import RUN_FILE
from genpredict.errors import GenpredictError
from genpredict.training.run_folder import Run
from genpredict.training.schedules import rate_factor
from genpredict.training.settings import NO_PART_OF_RESULT, complete, read_settings


def test_what_is_given_goes_before_recipe_and_recipe_before_defaults() -> None:
    """Three sources, in that order, for fields and hyperparameters alike."""
    nats = complete({"recipe": "nats", "batch_size": 64})
    assert (nats.batch_size, nats.epochs, nats.schedule) == (64, 12, "cosine")
    assert nats.hyperparameters["nesterov"] is True
    other = complete({"recipe": "nats", "hyperparameters": {"lr": 0.2}})
    assert other.hyperparameters["lr"] == 0.2
    assert other.hyperparameters["momentum"] == 0.9


def test_the_recipe_goes_by_the_data_set() -> None:
    """The digits have their own; everything else follows the paper."""
    assert complete({}).recipe == "digits"
    assert complete({"dataset": "cifar10"}).recipe == "paper"
    assert complete({"dataset": "cifar10"}).batch_size == 128


def test_step_decay_is_for_all_but_rmsgd_and_line_search() -> None:
    """The paper lowers every rival's rate by half every 25 epochs, RMSGD's never."""
    schedules = {
        name: complete({"recipe": "paper", "optimizer": name}).schedule
        for name in ("sgd", "adam", "rmsgd")
    }
    assert schedules == {"sgd": "step", "adam": "step", "rmsgd": "constant"}
    assert complete({"optimizer": "rmsgd", "schedule": "step"}).schedule == "step"


def test_id_is_the_same_only_for_the_same_result() -> None:
    """Where a run is computed changes nothing; everything else makes it another run."""
    base = {"optimizer": "sgd", "seed": 3}
    first = complete(base)
    assert first.id.startswith("digits_cnn-digits-sgd-s3-")
    elsewhere = {"device": "cpu", "data_folder": "x", "threads": 1}
    assert set(elsewhere) == set(NO_PART_OF_RESULT)
    assert complete(base | elsewhere).id == first.id
    others = [{"epochs": 7}, {"hyperparameters": {"lr": 0.2}}, {"batch_size": 5}, {"flip": True}]
    assert len({complete(base | other).id for other in others} | {first.id}) == 5


def test_id_is_a_plain_folder_name_for_any_network() -> None:
    """Colons, bars and tildes of architecture strings do not get into file names."""
    cell = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    for network in ("sss:8:8:8:8:8", f"tss:{cell}"):
        name = complete({"network": network}).id
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.")


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"recipe": "secret"}, "recipe: there is none called 'secret'; known recipes: paper, nats"),
        ({"epochs": 0}, "epochs: Input should be greater than or equal to 1, not 0"),
        ({"epochs": "many"}, "epochs: .*not 'many'"),
        ({"step_factor": 0}, "step_factor: .*greater than 0"),
        ({"label_noise": float("nan")}, "label_noise: .*finite"),
        ({"schedule": "linear"}, "schedule: .*'constant', 'step' or 'cosine'"),
        ({"epoch": 3}, "epoch: no such setting; known settings: recipe, network"),
        ({"optimizer": "lion"}, "lion"),
        ({"optimizer": "sgd", "hyperparameters": {"lrr": 1}}, "lrr"),
    ],
)
def test_nonsense_is_refused(given: dict[str, object], match: str) -> None:
    """The message names the setting, the rule and the value."""
    with pytest.raises(GenpredictError, match=match):
        complete(given)


def test_settings_survive_their_file(tmp_path: Path) -> None:
    """What stands beside the results is what was asked for, types included."""
    settings = complete({"optimizer": "adam", "checkpoint_epochs": (1, 2), "num_train": 100})
    run = Run(tmp_path / settings.id)
    run.begin(settings)
    assert run.settings == settings


def test_damaged_settings_file_is_named(tmp_path: Path) -> None:
    """With what to do about it."""
    path = tmp_path / RUN_FILE
    path.write_text("epochs = [", encoding="utf-8")
    with pytest.raises(GenpredictError, match=r"config\.toml: no settings of a run .*delete"):
        read_settings(path)


def test_schedules_against_their_formulas() -> None:
    """NATS-Bench's cosine starts at 1, and the last epoch is not yet 0."""
    cosine = complete({"recipe": "nats"})
    factors = [rate_factor(cosine, epoch) for epoch in range(12)]
    assert factors[0] == 1
    assert factors[6] == pytest.approx(0.5)
    assert factors[11] == pytest.approx(0.017037, abs=1e-6)
    step = complete({"recipe": "paper", "optimizer": "sgd"})
    assert [rate_factor(step, epoch) for epoch in (0, 24, 25, 249)] == [1, 1, 0.5, 0.5**9]
    assert rate_factor(complete({"optimizer": "rmsgd"}), 100) == 1


def test_a_folder_of_images_is_part_of_the_id() -> None:
    """The data set "folder" is another one in another place; cifar10 is the same wherever it is."""
    folders = [complete({"dataset": "folder", "data_folder": name}).id for name in "ab"]
    assert folders[0] != folders[1]
    same = [complete({"dataset": "cifar10", "data_folder": name}).id for name in "ab"]
    assert same[0] == same[1]


def test_messages_call_a_run_by_its_id() -> None:
    """Thirty fields would bury what is said."""
    settings = complete({})
    assert f"{settings}" == settings.id
