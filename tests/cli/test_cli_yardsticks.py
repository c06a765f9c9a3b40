"""`genpredict yardsticks`: the table on the terminal and as a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import genpredict
from genpredict import granulated_kendall, open_scores
from genpredict.cli.app import run

SWEEP = Path(genpredict.__file__).parents[1] / "data" / "results" / "digits-sweep.zarr"


def test_yardsticks_against_the_functions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ψ of every hyperparameter and Ψ as granulated_kendall has them; names are whole."""
    monkeypatch.setenv("COLUMNS", "140")
    output = tmp_path / "yardsticks.csv"
    asked = ["--targets", "test_accuracy", "--hyperparameters", "network,optimizer"]
    assert run(["yardsticks", str(SWEEP), *asked, "-o", str(output)]) == 0
    written = pd.read_csv(output).set_index("measure")
    table = granulated_kendall(
        open_scores(SWEEP), None, "test_accuracy", ["network", "optimizer"]
    ).squeeze("target")
    for name in ("network", "optimizer"):
        psi = table["psi"].sel(hyperparameter=name)
        np.testing.assert_allclose(written[f"psi_{name}"], psi)
    np.testing.assert_allclose(written["Psi"], table["Psi"])
    assert written.index.tolist() == table["measure"].values.tolist()
    printed = capsys.readouterr().out
    assert "Q_adjusted_low_rank_p2" in printed
    assert "hyperparameters: network, optimizer" in printed


def test_yardsticks_refuse_what_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 and the remedy."""
    assert run(["yardsticks", str(SWEEP), "--hyperparameters", "test_accuracy"]) == 1
    assert "'test_accuracy' is measured, not set" in capsys.readouterr().err
