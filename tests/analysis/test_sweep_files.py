"""The sweep files of the studies: each can be trained as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from genpredict.networks import build_network
from genpredict.training.grid import read_plan
from genpredict.training.preparing import prepare_run

ANALYSIS = Path(__file__).parents[2] / "analysis"
PLANS = sorted(path for path in ANALYSIS.glob("**/*.toml") if path.parent.name != "results")


@pytest.mark.parametrize("path", PLANS, ids=lambda path: str(path.relative_to(ANALYSIS)))
def test_every_sweep_file_spells_out_runs_whose_networks_exist(path: Path) -> None:
    """A committed sweep file names known optimizers, settings and small networks that build."""
    runs = read_plan(path)
    assert len({run.id for run in runs}) == len(runs) > 1
    if path.name != "full.toml":
        for run in {run.network: run for run in runs}.values():
            if run.dataset == "text" or run.network == "wgan":  # with data of their own
                prepare_run(run)
            else:
                build_network(run.network, in_channels=3)


def test_the_table_of_studies_tells_how_many_runs_each_sweep_file_has() -> None:
    """Every number of runs in the README is that of a file beside it."""
    text = (ANALYSIS / "README.md").read_text(encoding="utf-8")
    for path in PLANS:
        if path.name != "full.toml" and path.parent != ANALYSIS:
            row = next(line for line in text.splitlines() if f"[{path.parent.name}]" in line)
            assert f"`{path.name}`, {len(read_plan(path))}" in row
