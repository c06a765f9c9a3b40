"""A sweep's plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from genpredict.errors import GenpredictError
from genpredict.training.grid import read_plan, spell_out

PLAN = """
[settings]
recipe = "digits"
epochs = 2

[grid]
optimizer = ["sgd", "adam"]
seed = [0, 1, 2]

[hyperparameters.sgd]
lr = [0.1, 0.01]
momentum = 0.5
"""


def test_every_combination_is_a_run(tmp_path: Path) -> None:
    """A hyperparameter's list is an axis for its optimizer alone: 2·3 runs of SGD, 3 of Adam."""
    path = tmp_path / "sweep.toml"
    path.write_text(PLAN, encoding="utf-8")
    runs = read_plan(path)
    assert len({run.id for run in runs}) == len(runs) == 9
    sgd = [run for run in runs if run.optimizer == "sgd"]
    assert {(run.hyperparameters["lr"], run.seed) for run in sgd} == {
        (lr, seed) for lr in (0.1, 0.01) for seed in (0, 1, 2)
    }
    assert {run.hyperparameters["momentum"] for run in sgd} == {0.5}
    assert {run.epochs for run in runs} == {2}


def test_equal_runs_are_one() -> None:
    """A value that stands twice is trained once."""
    assert len(spell_out({"grid": {"seed": [0, 0, 1]}})) == 2


@pytest.mark.parametrize(
    ("table", "match"),
    [
        ({"gird": {}}, r"gird: .*known tables: settings, with one value each; grid, with a list"),
        ({"grid": {"seed": 3}}, r"grid\.seed: Input should be a valid list, not 3"),
        ({"grid": {"seed": []}}, r"grid\.seed: List should have at least 1 item"),
        ({"grid": {"optimizer": [[1]]}}, r"optimizer: must be one name, not \[1\]"),
        (
            {"settings": {"optimizer": ["sgd", "adam"]}},
            r"^settings\.optimizer: must be a number, .* or a text, not \['sgd', 'adam'\] \(",
        ),
        (
            {"settings": {"hyperparameters": {"lr": 0.1}}},
            r"^settings\.hyperparameters: must be .*, not \{'lr': 0.1\} .*hyperparameters\.OPT",
        ),
        (
            {"hyperparameters": {"sgd": {"lr": []}}},
            r"^hyperparameters\.sgd\.lr: must be .*not \[\]",
        ),
        ({"grid": {"sead": [3]}}, "sead: no such setting"),
        ({"settings": {"seed": 1}, "grid": {"seed": [1]}}, "seed: stands in settings and in grid"),
        ({"hyperparameters": {"adam": {"lr": 1}}}, r"hyperparameters\.adam: no run has this"),
    ],
)
def test_nonsense_is_refused_before_training(table: dict[str, Any], match: str) -> None:
    """All runs are checked before the first begins."""
    with pytest.raises(GenpredictError, match=match):
        spell_out(table)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    """Missing or malformed, the message names it."""
    path = tmp_path / "sweep.toml"
    with pytest.raises(GenpredictError, match=r"sweep\.toml: no readable TOML file"):
        read_plan(path)
    path.write_text("[grid", encoding="utf-8")
    with pytest.raises(GenpredictError, match=r"sweep\.toml: no readable TOML file"):
        read_plan(path)
